"""Each kind of layer to a node of NIR and back: products, convolutions, pools, a flatten, and neurons."""

from typing import Any

import jax
import jax.numpy as jnp
import nir
import numpy as np

from .._surrogate import Surrogate
from ..neurons import LI, LIF, Delay, Synaptic
from . import chain
from .chain import Reader, Shape, Writer, channels_first, dtype_of, expect, near, numbers, plain, within, words_of
from .layers import Affine, Flatten, Pool, Population

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
    bias = None if layer.bias is None else within(dtype, "its bias", plain(layer.bias).reshape(-1))
    return within(dtype, "its kernel", plain(layer.kernel)), bias, {} if dtype.kind == "f" else {"dtype": dtype.name}


def weights_of(node: Any, field: str, *shape: int | None) -> np.ndarray:
    """Return weights of a node, of a shape in which None is any size, in the dtype that they have, or had here."""
    value, given = numbers(node, field), np.asarray(getattr(node, field)).dtype
    fits = value.ndim == len(shape) and all(size in (None, n) for size, n in zip(shape, value.shape, strict=True))
    expect(fits, f"{field} of shape ({', '.join(str(size or '_') for size in shape)})", value.shape)
    dtype = given if given.kind == "f" and given.itemsize <= 8 else jnp.float32
    return _cast(field, value, dtype_of(words_of(node), "dtype", dtype))


def _cast(what: str, value: np.ndarray, dtype: Any) -> np.ndarray:
    """Return numbers in a dtype, which is float32 here if it is float64 and jax has none."""
    return within(jax.dtypes.canonicalize_dtype(dtype), what, value).astype(dtype)


def write_affine(name: str, layer: Affine, to: Writer):
    """Write a product over the last axis, or a convolution, or make a factor for each channel part of one."""
    if np.ndim(layer.kernel) == 1:
        return _scale(layer, to)
    if np.ndim(layer.kernel) > 2:
        return _write_conv(name.replace("affine", "conv"), layer, to)
    kernel, bias, words = _checked(layer, to)
    expect(to.shape == kernel.shape[:1], f"a flat input of shape {kernel.shape[:1]}", to.shape)
    weight = to.to_order(kernel).T.copy()
    to.add(name, nir.Linear(weight) if bias is None else nir.Affine(weight, bias), words)
    to.shape, to.order = kernel.shape[1:], None


def _scale(layer: Affine, to: Writer):
    """Multiply a factor for each channel into the weights before it; the shift goes to their bias."""
    factor, *_ = _checked(layer, to)
    node, got = to.nodes[to.last], f"{to.owners[to.last]}: put it between weights and neurons"
    expect(isinstance(node, chain.PRODUCTS), "a linear layer or a convolution right before it, which takes it in", got)
    expect(factor.shape == to.shape[-1:], f"an input of {len(factor)} channels", to.shape[-1])
    dtype = np.promote_types(node.weight.dtype, np.float32)
    weight = _cast("the weights before it, times its scale,", (node.weight.T * factor).T, dtype)
    bias = _cast("the bias before it, with its own,", getattr(node, "bias", 0.0) * factor + layer.bias, dtype)
    if hasattr(node, "bias"):
        node.weight, node.bias, node.metadata = weight, bias, {}  # not of the dtype that it had
    else:
        to.nodes[to.last] = nir.Affine(weight, bias)


def read_affine(node: Any, to: Reader):
    """Read a product over the last axis."""
    expect(len(to.shape) == 1, "a flat input", to.shape)
    weight = weights_of(node, "weight", None, *to.shape)
    bias = weights_of(node, "bias", len(weight)) if isinstance(node, nir.Affine) else None
    to.add(Affine(to.from_order(weight.T), bias), weight.shape[:1])
    to.order = None


# Windows that move over the input ------------------------------------------------------------------------------------


def _slid(layer: Any, kernel_shape: Shape, shape: Shape) -> tuple[Shape, Shape, Any, Shape]:
    """Return strides and dilation, what is added before and after each axis, and the shape of the output."""
    *window, inputs, outputs = kernel_shape
    axes, channels, space = len(window), inputs * layer.feature_group_count, shape[:-1]
    fits = len(space) == axes and channels == shape[-1]
    square = f": over two axes give kernel_size=({window[0]}, {window[0]})" if axes < len(space) else ""
    expect(fits, f"an input of {axes + 1} axes with {channels} channels", f"{shape}{square}")
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
    what = f"padding that is the same on both sides, as in NIR, such as padding={np.max(pads)}"
    expect(all(low == high for low, high in pads), what, pads)
    return tuple(low for low, _ in pads)


def _write_conv(name: str, layer: Affine, to: Writer):
    kernel, bias, words = _checked(layer, to)
    axes = kernel.ndim - 2
    expect(axes in (1, 2), "a convolution over one axis or two, which NIR has", axes)
    strides, dilation, pads, shape = _slid(layer, kernel.shape, to.shape)
    same = layer.padding == "SAME" and set(strides) == {1}
    how: dict[str, Any] = {"padding": "same" if same else _even(pads), "stride": strides, "dilation": dilation}
    how = {field: value[0] if axes == 1 and value != "same" else value for field, value in how.items()}
    weight = np.ascontiguousarray(np.moveaxis(kernel, (-1, -2), (0, 1)))
    bias = np.zeros(kernel.shape[-1], kernel.dtype) if bias is None else bias
    size = to.shape[:-1] if axes > 1 else to.shape[0]
    kind = nir.Conv1d if axes == 1 else nir.Conv2d
    node = kind(size, weight, groups=layer.feature_group_count, bias=bias, **how)
    node.input_type = {"input": np.array(channels_first(to.shape))}  # nir leaves the groups out of it
    right = np.array_equal(node.output_type["output"], channels_first(shape))
    expect(right, "a square kernel, for which alone nir computes the shape of the output", kernel.shape[:axes])
    to.add(name, node, words)
    to.shape = shape


def read_conv(node: Any, to: Reader):
    """Read a convolution."""
    axes = 1 if isinstance(node, nir.Conv1d) else 2
    weight = weights_of(node, "weight", *[None] * (axes + 2))
    bias = weights_of(node, "bias", len(weight))
    to.check_shape("input_shape", getattr(node, "input_shape", None), to.shape[:-1])
    word = {"same": "SAME", "valid": "VALID"}.get(str(chain.as_python(getattr(node, "padding", None))))
    padding = word or [(n, n) for n in _integers(node, "padding", axes, 0)]
    strides, dilation = (_integers(node, field, axes, 1) for field in ("stride", "dilation"))
    (groups,) = _integers(node, "groups", 1, 1)
    expect(len(weight) % groups == 0, f"outputs in {groups} groups", len(weight))
    layer = Affine(np.moveaxis(weight, (0, 1), (-1, -2)), bias, strides, padding, dilation, groups)
    to.add(layer, _slid(layer, layer.kernel.shape, to.shape)[-1])


def _integers(node: Any, field: str, count: int, least: int) -> Shape:
    value = numbers(node, field)
    whole = (value == np.floor(value)) & (value >= least) & (value < 2**31)
    fits = value.shape in ((), (1,), (count,)) and np.all(whole)
    expect(fits, f"{field} to be integers of {least} or more, one for all or for each axis", value.tolist())
    return tuple(map(int, np.broadcast_to(value, count)))


def write_pool(name: str, layer: Pool, to: Writer):
    """Write a pool over two axes."""
    expect(len(layer.window) == 2, "a pool over two axes, which NIR has", len(layer.window))
    strides, _, pads, to.shape = _slid(layer, (*layer.window, *to.shape[-1:] * 2), to.shape)
    kind = nir.AvgPool2d if layer.average else nir.SumPool2d
    to.add(name, kind(*map(np.array, (layer.window, strides, _even(pads)))))


def read_pool(node: Any, to: Reader):
    """Read a pool over two axes."""
    least = {"kernel_size": 1, "stride": 1, "padding": 0}
    window, strides, padding = (_integers(node, field, 2, low) for field, low in least.items())
    layer = Pool(window, strides, padding, average=isinstance(node, nir.AvgPool2d))
    to.add(layer, _slid(layer, (*window, *to.shape[-1:] * 2), to.shape)[-1])


# A flatten -----------------------------------------------------------------------------------------------------------


def write_flatten(name: str, layer: Flatten, to: Writer):
    """Write a flatten of all axes."""
    if layer.axes > 1:
        to.add(name, nir.Flatten(input_type={"input": np.array(channels_first(to.shape))}, start_dim=0))
        to.flatten()


def read_flatten(node: Any, to: Reader):
    """Read a flatten of all axes."""
    last = len(to.shape) - 1
    (start,), (end,) = (_integers(node, field, 1, -1) for field in ("start_dim", "end_dim"))
    to.check_shape("input_type", chain.shape_of(node, "input"))
    expect(start == 0 and end in (-1, last), f"a Flatten of all axes, from 0 to {last}", f"from {start} to {end}")
    if last:
        to.add(Flatten(len(to.shape)))
        to.flatten()


# Neurons, written ----------------------------------------------------------------------------------------------------


def _membrane(neuron: Any, to: Writer) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return a potential to be written, in numbers for each entry of a time step.

    Its time constant and where it rests as fields of NIR, empty without a leak; and the resistance that gives it the
    factor of the input here.
    """
    how, decay = to.how, to.spread(neuron.decay)
    leaks, one = bool(np.any(decay != 1)), np.ones_like(decay)
    low, above = ("above 0", decay > 0) if how.method == "exp" else ("of 0 or more", decay >= 0)
    fits = np.all(above & (decay < 1)) if leaks else not neuron.decay_input
    what = f"every decay {low} and below 1, or all to be 1 without decay_input, for NIR's tau"
    expect(fits, what, f"{np.unique(decay)[:4]}: a trained one stays below 1 with bounds={{'decay': (0.05, 0.97)}}")
    gain = 1 - decay if neuron.decay_input else one
    return ({"tau": how.tau_of(decay), "v_leak": 0 * one}, gain / (1 - decay)) if leaks else ({}, one / how.dt)


def _words(population: Population, to: Writer) -> dict[str, Any]:
    """Return the metadata of neurons. Note a state in 16 bits, for libraries compute in 32."""
    if to.reader is not None and np.dtype(population.param_dtype).itemsize < 4:
        to.lose(f"the {np.dtype(population.param_dtype).name} of its state, which {to.reader} has in float32")
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


def _factor(r: np.ndarray, same: np.ndarray) -> np.ndarray:
    """Return the factor of a potential with a resistance, where another gives the same one as here."""
    return np.where(near(r, same), 1.0, r / same)


def write_integrator(name: str, population: Population, to: Writer):
    """Write a leaky integrator, whose potential NIR has to have without a factor."""
    to.add(name, _integrator(*_membrane(population.neuron, to)), _words(population, to))


def write_neurons(name: str, population: Population, to: Writer):
    """Write neurons that fire, with their synapses if there are any, and recurrent weights as a cycle."""
    neuron, kernel = population.neuron, population.recurrent_kernel
    expect(not neuron.refractory, "refractory=0, as in NIR", neuron.refractory)
    words = _words(population, to) | _words_of_spikes(neuron.spike_fn, to)
    words |= {word: getattr(neuron, word) for word in RESETTING if getattr(neuron, word) is not None}
    never_resets = neuron.reset == "none" and kernel is None
    reset = neuron.reset, bool(neuron.reset_delay)
    if not never_resets and reset != to.reset:
        free = np.all(neuron.decay == 1) and to.reset[0] == reset[0] == "subtract"
        ours = f"reset={reset[0]!r}, reset_delay={reset[1]}{': without a leak both fire the same' if free else ''}"
        what = f"reset={to.reset[0]!r}, reset_delay={to.reset[1]}, as {to.reader} resets"
        to.refuse_unless(to.reader is None, what, ours)
        if to.reader is None:
            said = [f"the reset {how!r}{' one step later' if late else ''}" for how, late in (reset, to.reset)]
            to.lose(f"{said[0]}, where neurons there have {said[1]} unless reader= names others, such as 'speck'")
    threshold = to.spread(neuron.threshold)
    if never_resets and not np.any(neuron.decay) and np.any(threshold):  # memoryless
        to.add(name, nir.Threshold(threshold=threshold), words)
        return
    (leak, same), last = _membrane(neuron, to), to.nodes[to.last]
    r = to.how.r_of(leak.get("tau"), same)
    threshold = threshold * _factor(r, same)
    node: Any
    if never_resets:
        to.add(f"{name}_potential", _integrator(leak, r), _words(population, to))
        node = nir.Threshold(threshold)
    elif to.fuses and leak and kernel is None and isinstance(last, nir.LI):
        del to.nodes[to.last]
        name, (to.last, _) = to.last.replace("li", "cubalif"), to.edges.pop()
        words |= {f"synapse_{word}": value for word, value in last.metadata["brainsurr"].items()}
        w_in = to.how.r_of(last.tau, last.r)
        node = nir.CubaLIF(last.tau, leak["tau"], r, leak["v_leak"], threshold * _factor(w_in, last.r), w_in=w_in)
    else:
        node = (nir.LIF if leak else nir.IF)(r=r, **leak, v_threshold=threshold)
    to.add(name, node, words)
    if kernel is not None:
        expect(len(to.shape) == 1, "recurrent neurons on one axis, as behind a flatten", to.shape)
        weight = to.to_order(to.to_order(plain(kernel)).T)
        to.add(f"{name}_recurrent", nir.Linear(weight=weight.copy()))
        to.edges.append((to.last, name))
        to.last = name


def write_delay(name: str, population: Population, to: Writer):
    """Write a delay, in units of time."""
    to.add(name, nir.Delay(delay=to.spread(population.neuron.steps) * to.how.dt))


# Neurons, read -------------------------------------------------------------------------------------------------------


def _read_membrane(node: Any, to: Reader, tau: str = "tau", r: str = "r") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the decay of a potential, the factor of its input in a step, and where it rests."""
    how, given, time = to.how, to.numbers(node, r), None
    decay, rest = np.ones_like(given), np.zeros_like(given)
    if not isinstance(node, nir.I | nir.IF):
        time, rest = to.numbers(node, tau), to.numbers(node, "v_leak")
        decay = how.decay_of(np.maximum(time, np.finfo(float).tiny))
        what = f"{tau} to be dt or more, or above 0 with method='exp', and its decay below 1"
        got = f"{time.min():g} with dt={how.dt:g}: pass the dt that the file was written for"
        expect(np.all((time > 0) & (decay >= 0) & (decay < 1)), what, got)
    if not isinstance(node, nir.I):  # what an integrator gives depends on its resistance as it is
        given = how.r_of(time, given)
    expect(np.all(given > 0), f"{r} above 0", given.min())
    return decay, how.gain_of(time, given), rest


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
    if np.any(threshold):
        to.add(_neurons(zero, threshold, zero + 1, words, to))
    else:
        to.add(_spike_fn(to.saying(words, "surrogate"), to))


def read_neurons(node: Any, to: Reader, weights: Any = None):
    """Read neurons that reset to a value, after their synapses if there are any."""
    words, synaptic = {"reset": "zero"} | words_of(node), isinstance(node, nir.CubaLIF)
    decay, gain, rest = _read_membrane(node, to, "tau_mem" if synaptic else "tau")
    reset, threshold = to.numbers(node, "v_reset"), to.numbers(node, "v_threshold")
    expect(np.all(reset == rest), f"v_reset to be where the potential rests, {rest}", reset)
    if synaptic:
        slow, through, _ = _read_membrane(node, to, "tau_syn", "w_in")
        current = to.each("tau_syn", slow)
        decays = weights is None and words.get("synapse_decay_input", not np.all(near(through, 1)))
        gain = gain * through / (1 - slow if decays else 1.0)
        if weights is None:
            to.add(Population(LI(current, decays), param_dtype=dtype_of(words, "synapse_param_dtype")))
    neurons = _neurons(decay, threshold - rest, gain, words, to)
    if weights is not None:
        neuron = Synaptic(**vars(neurons.neuron), current_decay=current) if synaptic else neurons.neuron
        kernel = _read_recurrent(weights, neurons.param_dtype, to)
        neurons = neurons._replace(neuron=neuron, recurrent_kernel=kernel)
    to.add(neurons)


def _neurons(decay, threshold, gain, words: dict[str, Any], to: Reader) -> Population:
    """Return neurons whose potential there has a gain of ``gain``, and here one of 1 or of 1 - decay."""
    decay_input = words.get("decay_input", not np.all(near(gain, 1)) and not np.any(decay == 1))
    # Of neurons without a reset, nothing that is said of how it goes has an effect.
    never = words.get("reset") == "none" and "reset" not in to.said
    words = to.saying(words, *([] if never else RESETTING), "surrogate")
    if never and not to.said.get("reset_delay"):
        to.heard.add("reset_delay")
    dtype = dtype_of(words, "param_dtype")
    threshold = to.each("v_threshold", threshold * (1 - decay if decay_input else 1.0) / gain, dtype)
    names = [name for name in RESETTING if name == "reset" or words.get("reset") != "none" or name in to.said]
    resetting = {name: words[name] for name in names if name in words}
    return Population(
        LIF(to.each("tau", decay), decay_input, threshold, _spike_fn(words, to), **resetting), None, dtype
    )


def _spike_fn(words: dict[str, Any], to: Reader) -> Any:
    f = words.get("surrogate", LIF.spike_fn)
    with chain.naming("the surrogate in its metadata"):
        return chain.surrogate_of(f, to.shape) if isinstance(f, dict) else f


def _read_recurrent(node: Any, dtype: Any, to: Reader) -> np.ndarray:
    """Return recurrent weights; a bias of them is one of the layer before, which is added at every step too."""
    expect(len(to.shape) == 1, "recurrent neurons on one axis", to.shape)
    weight = weights_of(node, "weight", *to.shape * 2)
    if isinstance(node, nir.Affine) and np.any(bias := weights_of(node, "bias", *to.shape)):
        before: Any
        before, *about = to.layers[-1] if to.layers else (None,)
        fits = isinstance(before, Affine) and before.kernel.ndim == 2
        expect(fits, "a Linear or Affine before neurons whose recurrent weights have a bias", before)
        bias = bias if before.bias is None else _cast("the sum of biases", before.bias + bias.astype(float), bias.dtype)
        to.layers[-1] = (before._replace(bias=bias), *about)
    return to.from_order(to.from_order(_cast("weight", weight, dtype)).T)


def read_delay(node: Any, to: Reader):
    """Read a delay by whole steps."""
    steps = to.numbers(node, "delay") / to.how.dt
    whole = np.round(steps)
    fits = np.all(near(steps, whole) & (whole >= 0))
    expect(fits, f"delays of whole steps of dt={to.how.dt:g}", f"{steps.reshape(-1)[:4]} of it")
    to.check_size("the steps of a Delay", whole.max())
    to.add(Population(Delay(np.asarray(to.each("delay", whole)).astype(int).tolist())))


def read_end(node: Any, to: Reader):
    """Check what an Input or an Output says of the shape."""
    to.check_shape(f"an {type(node).__name__}", chain.shape_of(node, "input"))


PAIRS: list[Any] = [  # a layer, how it is written, how it is read, and as which nodes
    (Affine, write_affine, read_affine, nir.Affine, nir.Linear),
    (None, None, read_conv, nir.Conv1d, nir.Conv2d),
    (Pool, write_pool, read_pool, nir.AvgPool2d, nir.SumPool2d),
    (Flatten, write_flatten, read_flatten, nir.Flatten),
    (LI, write_integrator, read_integrator, nir.LI, nir.I),
    (LIF, write_neurons, read_neurons, nir.LIF, nir.IF, nir.CubaLIF),
    (Surrogate, write_surrogate, read_threshold, nir.Threshold),
    (Delay, write_delay, read_delay, nir.Delay),
    (None, None, read_end, nir.Input, nir.Output),
]
