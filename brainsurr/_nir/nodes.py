"""Each kind of layer to a node of NIR and back: products, convolutions, pools, a flatten, and neurons."""

from typing import Any, NamedTuple

import jax
import nir
import numpy as np

from .._surrogate import Surrogate
from ..neurons import LI, LIF, Delay
from . import chain
from .chain import Reader, Shape, Writer, channels_first, dtype_of, expect, near, numbers, plain, words_of
from .layers import Affine, Conv, Flatten, Pool, Population

RESETTING = ("reset", "reset_delay", "reset_grad")
NO_RESET = {"reset": "none", "reset_delay": False}


# Products ------------------------------------------------------------------------------------------------------------


def _checked(layer: Affine, to: Writer) -> tuple[np.ndarray, np.ndarray | None, dict[str, Any]]:
    """Return kernel and bias, and for the metadata a dtype that HDF5 can't hold; refuse what is not flax's own.

    Note a dtype that readers, ours too, would not compute in.
    """
    expect(not layer.replaced, f"flax's own {' and '.join(layer.replaced)}", "another, which NIR lacks")
    dtype = np.asarray(layer.kernel).dtype
    if layer.dtype is not None and (np.dtype(layer.dtype) != dtype or dtype.itemsize < 4):
        to.lose(f"the dtype {np.dtype(layer.dtype).name} that it computes in, where NIR says nothing of any")
    bias = None if layer.bias is None else plain(layer.bias).reshape(-1)
    return plain(layer.kernel), bias, {} if dtype.kind == "f" else {"dtype": dtype.name}


def weights_of(node: Any, field: str) -> np.ndarray:
    """Return weights of a node in the dtype that they have, or had here."""
    given = np.asarray(getattr(node, field)).dtype
    return numbers(node, field).astype(dtype_of(words_of(node), "dtype", given if given.kind == "f" else np.float32))


def write_affine(name: str, layer: Affine, to: Writer):
    """Write a product over the last axis."""
    kernel, bias, words = _checked(layer, to)
    expect(to.shape == kernel.shape[:1], f"a flat input of shape {kernel.shape[:1]}", to.shape)
    weight = to.to_order(kernel).T.copy()
    to.add(name, nir.Linear(weight) if bias is None else nir.Affine(weight, bias), words)
    to.shape, to.order = kernel.shape[1:], None


def read_affine(node: Any, to: Reader):
    """Read a product over the last axis."""
    weight = weights_of(node, "weight")
    expect(weight.shape == (len(weight), *to.shape), f"weight of shape (outputs, *{to.shape})", weight.shape)
    bias = weights_of(node, "bias").reshape(len(weight)) if isinstance(node, nir.Affine) else None
    to.add(Affine(to.from_order(weight.T), bias), weight.shape[:1])
    to.order = None


# Windows that move over the input ------------------------------------------------------------------------------------


def _slid(layer: Any, kernel_shape: Shape, shape: Shape) -> tuple[Shape, Shape, Any, Shape]:
    """Return strides and dilation, what is added before and after each axis, and the shape of the output."""
    *window, inputs, outputs = kernel_shape
    axes, channels, space = len(window), inputs * layer.feature_group_count, shape[:-1]
    fits = len(space) == axes and channels == shape[-1]
    expect(fits, f"an input of {axes + 1} axes with {channels} channels", shape)
    strides, dilation = (tuple(np.broadcast_to(n or 1, axes).tolist()) for n in (layer.strides, layer.kernel_dilation))
    window = [d * (k - 1) + 1 for d, k in zip(dilation, window, strict=True)]
    words = isinstance(layer.padding, str)
    given = np.asarray(jax.lax.padtype_to_pads(space, window, strides, layer.padding) if words else layer.padding)
    pads = np.broadcast_to(given if given.ndim == 2 else given.reshape(-1, 1), (axes, 2)).tolist()
    out = [(n + sum(pad) - k) // stride + 1 for n, pad, k, stride in zip(space, pads, window, strides, strict=True)]
    expect(min(out) >= 1, "a window that fits into its input", f"one of shape {space}")
    return strides, dilation, tuple(map(tuple, pads)), (*out, outputs)


def _even(pads: Any) -> Shape:
    """Return what is added on each side of each axis."""
    expect(all(low == high for low, high in pads), "padding that is the same on both sides, as in NIR", pads)
    return tuple(low for low, _ in pads)


def write_conv(name: str, layer: Conv, to: Writer):
    """Write a convolution over one axis or two."""
    kernel, bias, words = _checked(layer, to)
    axes = kernel.ndim - 2
    expect(axes in (1, 2), "a convolution over one axis or two, which NIR has", axes)
    strides, dilation, pads, shape = _slid(layer, kernel.shape, to.shape)
    same = layer.padding == "SAME" and set(strides) == {1} and any(low != high for low, high in pads)
    padding: Any = "same" if same else _even(pads)
    how = {"input_shape": to.shape[:-1], "stride": strides, "padding": padding, "dilation": dilation}
    if axes == 1:
        how = {field: value if isinstance(value, str) else value[0] for field, value in how.items()}
    weight = np.ascontiguousarray(np.moveaxis(kernel, (-1, -2), (0, 1)))
    bias = np.zeros(kernel.shape[-1], kernel.dtype) if bias is None else bias
    kind = nir.Conv1d if axes == 1 else nir.Conv2d
    node = kind(weight=weight, groups=layer.feature_group_count, bias=bias, **how)
    node.input_type = {"input": np.array(channels_first(to.shape))}  # nir leaves the groups out of it
    right = np.array_equal(node.output_type["output"], channels_first(shape))
    expect(right, "a square kernel, for which alone nir computes the shape of the output", kernel.shape[:axes])
    to.add(name, node, words)
    to.shape = shape


def read_conv(node: Any, to: Reader):
    """Read a convolution."""
    weight = weights_of(node, "weight")
    kernel, bias = np.moveaxis(weight, (0, 1), (-1, -2)), weights_of(node, "bias").reshape(len(weight))
    axes, padding = weight.ndim - 2, chain.as_python(node.padding)
    padding = padding.upper() if isinstance(padding, str) else [(n, n) for n in _integers(node, "padding", axes)]
    strides, dilation = (_integers(node, field, axes) for field in ("stride", "dilation"))
    layer = Conv(kernel, bias, strides, padding, dilation, int(node.groups))
    to.add(layer, _slid(layer, kernel.shape, to.shape)[-1])


def _integers(node: Any, field: str, axes: int) -> Shape:
    value = np.broadcast_to(numbers(node, field), axes)
    expect(np.all(value == np.floor(value)), f"{field} to be integers", value.tolist())
    return tuple(map(int, value))


def write_pool(name: str, layer: Pool, to: Writer):
    """Write a pool over two axes."""
    expect(len(layer.window) == 2, "a pool over two axes, which NIR has", len(layer.window))
    strides, _, pads, to.shape = _slid(layer, (*layer.window, *to.shape[-1:] * 2), to.shape)
    kind = nir.AvgPool2d if layer.average else nir.SumPool2d
    to.add(name, kind(*map(np.array, (layer.window, strides, _even(pads)))))


def read_pool(node: Any, to: Reader):
    """Read a pool over two axes."""
    window, strides, padding = (_integers(node, field, 2) for field in ("kernel_size", "stride", "padding"))
    layer = Pool(window, strides, padding, average=isinstance(node, nir.AvgPool2d))
    to.add(layer, _slid(layer, (*window, *to.shape[-1:] * 2), to.shape)[-1])


# A flatten -----------------------------------------------------------------------------------------------------------


def write_flatten(name: str, layer: Flatten, to: Writer):
    """Write a flatten of all axes."""
    if layer.axes > 1:
        to.add(name, nir.Flatten(input_type={"input": np.array(channels_first(to.shape))}, start_dim=0, end_dim=-1))
        to.flatten()


def read_flatten(node: Any, to: Reader):
    """Read a flatten of all axes."""
    last = len(to.shape) - 1
    start, end = node.start_dim, node.end_dim
    expect(start == 0 and end in (-1, last), f"a Flatten of all axes, from 0 to {last}", f"from {start} to {end}")
    if last:
        to.add(Flatten(len(to.shape)))
        to.flatten()


# Neurons, written ----------------------------------------------------------------------------------------------------


class Membrane(NamedTuple):
    """A potential to be written, one of each number for each entry of a time step.

    Attributes:
      leak: its time constant and where it rests, as fields of NIR; empty without a leak.
      full_r: the resistance that lets all of the input in.
      r: the one that is written for neurons.
      gain: the factor of the input in a step here.
      gain_there: the factor with ``r``.
    """

    leak: dict[str, np.ndarray]
    full_r: np.ndarray
    r: np.ndarray
    gain: np.ndarray
    gain_there: np.ndarray


def _membrane(neuron: Any, to: Writer) -> Membrane:
    how, decay = to.how, to.spread(neuron.decay)
    leaks, one = bool(np.any(decay != 1)), np.ones_like(decay)
    low, above = ("above 0", decay > 0) if how.method == "exp" else ("of 0 or more", decay >= 0)
    fits = np.all(above & (decay < 1)) if leaks else not neuron.decay_input
    expect(fits, f"every decay {low} and below 1, or all to be 1 without decay_input, for NIR's tau", decay)
    tau = how.tau_of(decay) if leaks else one
    leak = {"tau": tau, "v_leak": 0 * one} if leaks else {}
    full_r = 1 / (1 - decay) if leaks and how.method == "exp" else tau / how.dt
    r = one if how.r == "1" else tau / how.dt
    gain = 1 - decay if neuron.decay_input else one
    return Membrane(leak, full_r, r, gain, how.gain_of(decay, r, leaks))


def _words(population: Population) -> dict[str, Any]:
    return {"decay_input": population.neuron.decay_input, "param_dtype": np.dtype(population.param_dtype).name}


def _words_of_spikes(spike_fn: Any, to: Writer) -> dict[str, Any]:
    """Return the metadata of a surrogate, which NIR has no place for."""
    expect(not getattr(spike_fn, "origin", True), "a surrogate for its spikes, which NIR has", repr(spike_fn))
    if chain.is_own(spike_fn):
        return {"surrogate": chain.words_of_surrogate(spike_fn)}
    to.lose(f"the surrogate {type(spike_fn).__name__}, which is not one of brainsurr's")
    return {}


def write_surrogate(name: str, surrogate: Surrogate, to: Writer):
    """Write a surrogate by itself."""
    to.add(name.replace("surrogate", "threshold"), nir.Threshold(to.spread(0.0)), _words_of_spikes(surrogate, to))


def _integrator(leak: dict[str, np.ndarray], r: np.ndarray) -> Any:
    return nir.LI(r=r, **leak) if leak else nir.I(r=r)


def write_integrator(name: str, population: Population, to: Writer):
    """Write a leaky integrator, whose potential NIR has to have without a factor."""
    leak, r, *_ = to.synapses[name] = _membrane(population.neuron, to)
    to.add(name, _integrator(leak, np.ones_like(r) if population.neuron.decay_input else r), _words(population))


def write_neurons(name: str, population: Population, to: Writer):
    """Write neurons that fire, with their synapses if there are any, and recurrent weights as a cycle."""
    neuron, kernel = population.neuron, population.recurrent_kernel
    expect(not neuron.refractory, "refractory=0, as in NIR", neuron.refractory)
    words = _words(population) | _words_of_spikes(neuron.spike_fn, to)
    words |= {word: getattr(neuron, word) for word in RESETTING if getattr(neuron, word) is not None}
    never_resets = neuron.reset == "none" and kernel is None
    delayed = " one step later" if neuron.reset_delay else ""
    if delayed or not (neuron.reset == "zero" or never_resets):
        to.lose(f"the reset {neuron.reset!r}{delayed}, where NIR's neurons reset to a value at once")
    threshold = to.spread(neuron.threshold)
    if never_resets and not np.any(neuron.decay) and np.any(threshold):  # memoryless
        to.add(name, nir.Threshold(threshold=threshold), words)
        return
    leak, _, r, gain, gain_there = _membrane(neuron, to)
    synapse, zero = to.synapses.get(to.last), np.zeros_like(r)
    node: Any
    if synapse and synapse.leak and leak and kernel is None and neuron.reset != "none":
        name, integrator = to.last.replace("li", "cubalif"), to.nodes.pop(to.last)
        to.last, _ = to.edges.pop()
        words |= {f"synapse_{word}": value for word, value in integrator.metadata["brainsurr"].items()}
        threshold = threshold * (gain_there * synapse.gain_there) / (gain * synapse.gain)
        node = nir.CubaLIF(synapse.leak["tau"], leak["tau"], r, zero, threshold, v_reset=zero, w_in=synapse.r)
    else:
        threshold = threshold * gain_there / gain
        if never_resets:
            to.add(f"{name}_potential", _integrator(leak, r), _words(population))
            node = nir.Threshold(threshold=threshold)
        else:
            node = (nir.LIF if leak else nir.IF)(r=r, **leak, v_threshold=threshold, v_reset=zero)
    to.add(name, node, words)
    if kernel is not None:
        expect(len(to.shape) == 1, "recurrent neurons on one axis", to.shape)
        weight = to.to_order(to.to_order(plain(kernel)).T)
        to.nodes[f"{name}_recurrent"] = nir.Linear(weight=weight.copy())
        to.edges += [(name, f"{name}_recurrent"), (f"{name}_recurrent", name)]


def write_delay(name: str, population: Population, to: Writer):
    """Write a delay, in units of time."""
    to.add(name, nir.Delay(delay=to.spread(population.neuron.steps) * to.how.dt))


# Neurons, read -------------------------------------------------------------------------------------------------------


def _read_membrane(node: Any, to: Reader, tau: str = "tau", r: str = "r") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the decay of a potential, the factor of its input in a step, and where it rests."""
    how, given, leaks = to.how, to.numbers(node, r), not isinstance(node, nir.I | nir.IF)
    said = None if isinstance(node, nir.I) else how.r  # what an integrator gives depends on its resistance as it is
    expect(said or np.all(given > 0), f"{r} above 0", given.min())
    one = decay = np.ones_like(given)
    rest = 0 * one
    if leaks:
        time, rest = to.numbers(node, tau), to.numbers(node, "v_leak")
        fits = np.all(time >= how.dt if how.method == "euler" else time > 0)
        what = f"{tau} to be dt or more, or above 0 with method='exp'"
        expect(fits, what, f"{time.min():g} with dt={how.dt:g}: pass the dt that the file was written for")
        decay = how.decay_of(time)
    gain = one if said == "tau/dt" else how.gain_of(decay, one if said else given, leaks)
    return decay, gain, rest


def read_integrator(node: Any, to: Reader, threshold: Any = None):
    """Read an integrator; with a threshold behind it, neurons without a reset."""
    words, (decay, gain, rest) = words_of(node), _read_membrane(node, to)
    if threshold is not None:
        words |= words_of(threshold) | NO_RESET
        to.add(_neurons(decay, to.numbers(threshold, "threshold") - rest, gain, words, to))
        return
    expect(not np.any(rest), "v_leak to be 0, the only one here", rest)
    whole = bool(np.all(near(gain, 1)))
    fits = whole or np.all(near(gain, 1 - decay))
    expect(fits, f"r to be 1 or tau / dt, of an I 1 / dt, with dt={to.how.dt:g}", f"{node.r}: scale its input")
    to.add(Population(LI(to.each("tau", decay), not whole), param_dtype=dtype_of(words, "param_dtype")))


def read_threshold(node: Any, to: Reader):
    """Read a threshold by itself: a surrogate at 0, and else memoryless neurons."""
    words, threshold = words_of(node) | NO_RESET, to.numbers(node, "threshold")
    zero = np.zeros_like(threshold)
    to.add(_neurons(zero, threshold, zero + 1, words, to) if np.any(threshold) else _spike_fn(words | to.said))


def read_neurons(node: Any, to: Reader, weights: Any = None):
    """Read neurons that reset to a value, after their synapses if there are any."""
    words, synaptic = {"reset": "zero"} | words_of(node), isinstance(node, nir.CubaLIF)
    decay, gain, rest = _read_membrane(node, to, "tau_mem" if synaptic else "tau")
    reset, threshold = to.numbers(node, "v_reset"), to.numbers(node, "v_threshold")
    expect(np.all(reset == rest), f"v_reset to be where the potential rests, {rest}", reset)
    if synaptic:
        expect(weights is None, "a CubaLIF without recurrent weights, which go to its synapse there", "some")
        slow, through, _ = _read_membrane(node, to, "tau_syn", "w_in")
        decays = words.get("synapse_decay_input", not np.all(near(through, 1)))
        to.add(Population(LI(to.each("tau_syn", slow), decays), param_dtype=dtype_of(words, "synapse_param_dtype")))
        gain = gain * through / (1 - slow if decays else 1.0)
    neurons = _neurons(decay, threshold - rest, gain, words, to)
    if weights is not None:
        neurons = neurons._replace(recurrent_kernel=_read_recurrent(weights, neurons.param_dtype, to))
    to.add(neurons)


def _neurons(decay, threshold, gain, words: dict[str, Any], to: Reader) -> Population:
    """Return neurons whose potential there has a gain of ``gain``, and here one of 1 or of 1 - decay."""
    decay_input = words.get("decay_input", not np.all(near(gain, 1)) and not np.any(decay == 1))
    words |= to.said
    threshold = to.each("v_threshold", threshold * (1 - decay if decay_input else 1.0) / gain)
    resetting = {name: words[name] for name in RESETTING if name in words}
    neuron = LIF(to.each("tau", decay), decay_input, threshold, _spike_fn(words), **resetting)
    return Population(neuron, param_dtype=dtype_of(words, "param_dtype"))


def _spike_fn(words: dict[str, Any]) -> Any:
    f = words.get("surrogate", LIF.spike_fn)
    return chain.surrogate_of(f) if isinstance(f, dict) else f


def _read_recurrent(node: Any, dtype: Any, to: Reader) -> np.ndarray:
    """Return recurrent weights; a bias of them is one of the layer before, which is added at every step too."""
    weight = weights_of(node, "weight")
    expect(weight.shape == to.shape * 2, f"recurrent weights of shape {to.shape * 2}", weight.shape)
    if isinstance(node, nir.Affine) and np.any(bias := weights_of(node, "bias")):
        before: Any
        before, shape = to.layers[-1] if to.layers else (None, ())
        expect(type(before) is Affine, "a Linear or Affine before neurons whose recurrent weights have a bias", before)
        to.layers[-1] = Affine(before.kernel, bias if before.bias is None else before.bias + bias), shape
    return to.from_order(to.from_order(weight.astype(dtype)).T)


def read_delay(node: Any, to: Reader):
    """Read a delay by whole steps."""
    steps = to.numbers(node, "delay") / to.how.dt
    whole = np.round(steps)
    fits = np.allclose(steps, whole, rtol=1e-6, atol=1e-6)
    expect(fits, f"delays of whole steps of dt={to.how.dt:g}", f"{steps.reshape(-1)[:4]} of it")
    to.add(Population(Delay(np.asarray(to.each("delay", whole)).astype(int).tolist())))


PAIRS: list[Any] = [  # a layer, how it is written, how it is read, and as which nodes
    (Affine, write_affine, read_affine, nir.Affine, nir.Linear),
    (Conv, write_conv, read_conv, nir.Conv1d, nir.Conv2d),
    (Pool, write_pool, read_pool, nir.AvgPool2d, nir.SumPool2d),
    (Flatten, write_flatten, read_flatten, nir.Flatten),
    (LI, write_integrator, read_integrator, nir.LI, nir.I),
    (LIF, write_neurons, read_neurons, nir.LIF, nir.IF, nir.CubaLIF),
    (Surrogate, write_surrogate, read_threshold, nir.Threshold),
    (Delay, write_delay, read_delay, nir.Delay),
]
