"""Convert each kind of layer to a NIR node and back: linear layers, convolutions, pooling, flatten, and neurons."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import nir
import numpy as np

from .._surrogate import Surrogate
from .._value import is_built_in
from ..neurons import LI, LIF, Delay, Synaptic
from . import chain
from .chain import GraphReader, GraphWriter, Shape, check_range, expect, metadata_of, near, plain
from .layers import Affine, Flatten, Pool, Population

RESETTING = ("reset", "reset_delay", "reset_grad")
NO_RESET = {"reset": "none", "reset_delay": False}


def _dtype_of(metadata: dict[str, Any], key: str = "param_dtype", default: Any = jnp.float32) -> Any:
    return jnp.dtype(metadata[key]) if key in metadata else default


# Linear layers, convolutions and pooling -----------------------------------------------------------------------------

CONVOLUTIONS: dict[Any, int] = {nir.Conv1d: 1, nir.Conv2d: 2}  # the number of spatial axes


def _geometry(layer: Any, kernel_shape: Shape, shape: Shape) -> tuple[Shape, Shape, Any, Shape]:
    """Return the strides, the dilation, the padding (before, after) per spatial axis, and the output shape."""
    *window, inputs, outputs = kernel_shape
    axes, channels, space = len(window), inputs * getattr(layer, "feature_group_count", 1), shape[:-1]
    fits = len(space) == axes and channels == shape[-1]
    expect(fits, f"an input of shape (..., {channels}) and rank {axes + 1}", shape)
    given = layer.strides, getattr(layer, "kernel_dilation", 1)
    strides, dilation = (tuple(np.broadcast_to(n or 1, axes).tolist()) for n in given)
    window = [d * (k - 1) + 1 for d, k in zip(dilation, window, strict=True)]
    pads = jax.lax.padtype_to_pads(space, window, strides, pads) if isinstance(pads := layer.padding, str) else pads
    pads = np.broadcast_to(np.reshape(pads, (-1, 1)) if np.ndim(pads) < 2 else pads, (axes, 2)).tolist()
    out = [(n + sum(pad) - k) // stride + 1 for n, pad, k, stride in zip(space, pads, window, strides, strict=True)]
    expect(all(n >= 1 for n in out), f"an input at least as large as the window, {tuple(window)}", space)
    return strides, dilation, tuple(map(tuple, pads)), (*out, outputs)


def _symmetric(pads: Any) -> Shape:
    """Return the padding per axis, which must be equal on both sides."""
    expect(all(low == high for low, high in pads), f"equal padding on both sides, such as {np.max(pads)}", pads)
    return tuple(low for low, _ in pads)


def write_affine(name: str, layer: Affine, to: GraphWriter):
    """Write a linear layer or a convolution, or merge a scale per channel into the layer before it."""
    expect(not layer.replaced, f"flax's default {' and '.join(layer.replaced)}", "another, which NIR can't express")
    dtype = np.asarray(layer.kernel).dtype
    if layer.dtype is not None and (np.dtype(layer.dtype) != dtype or dtype.itemsize < 4):
        to.record_loss(f"its dtype={np.dtype(layer.dtype).name}, which NIR can't express")
    kernel = check_range(dtype, "its kernel", plain(layer.kernel))
    bias = None if layer.bias is None else check_range(dtype, "its bias", plain(layer.bias).reshape(-1))
    if kernel.ndim == 1:
        return _scale(kernel, bias, to)
    axes = kernel.ndim - 2
    expect(axes <= 2, "a convolution over one or two axes, as in NIR", axes)
    strides, dilation, pads, shape = _geometry(layer, kernel.shape, to.shape)
    weight = np.moveaxis(kernel if axes else kernel[to.order], (-1, -2), (0, 1)).copy()
    node: Any = nir.Linear(weight) if bias is None else nir.Affine(weight, bias)
    if axes:
        same = layer.padding == "SAME" and set(strides) == {1}
        how: dict[str, Any] = {"padding": "same" if same else _symmetric(pads), "stride": strides, "dilation": dilation}
        how |= {"bias": np.zeros(len(weight), kernel.dtype) if bias is None else bias}
        if axes == 1:
            how |= {field: how[field][0] for field in ("padding", "stride", "dilation") if how[field] != "same"}
        size, kind = (to.shape[:-1], nir.Conv2d) if axes > 1 else (to.shape[0], nir.Conv1d)
        name, node = name.replace("affine", "conv"), kind(size, weight, groups=layer.feature_group_count, **how)
        node.input_type = {"input": np.array(to.order.shape)}  # nir computes it without the groups
    to.add(name, node, {} if dtype.kind == "f" else {"dtype": dtype.name})  # a dtype that HDF5 doesn't support
    to.move_to(shape)


def _scale(factor: np.ndarray, shift: Any, to: GraphWriter):
    """Merge a scale and a shift per channel into the weights and the bias of the layer before."""
    name, node = list(to.nodes.items())[-1]
    expect(isinstance(node, chain.PRODUCTS), "a linear layer or convolution right before it", to.owners[name])
    dtype = np.promote_types(node.weight.dtype, np.float32)
    weight = _cast("the previous weights times its scale", (node.weight.T * factor).T, dtype)
    bias = _cast("the previous bias combined with its own", getattr(node, "bias", 0.0) * factor + shift, dtype)
    if type(node) is nir.Linear:
        node = to.nodes[name] = nir.Affine(weight, bias)
    node.weight, node.bias, node.metadata = weight, bias, {}  # the dtype in its metadata no longer applies


def read_affine(node: Any, to: GraphReader):
    """Read a linear layer or a convolution."""
    axes = CONVOLUTIONS.get(type(node), 0)
    weight = _read_weights(node, "weight", *[None] * (axes + 2))
    bias = None if type(node) is nir.Linear else _read_weights(node, "bias", len(weight))
    layer = Affine(np.moveaxis(weight, (0, 1), (-1, -2)), bias)
    if axes:
        name = {"same": "SAME", "valid": "VALID"}.get(str(chain.as_python(node.padding)))
        padding = name or [(n, n) for n in _integers(node, "padding", axes, 0)]
        strides, dilation = (_integers(node, field, axes, 1) for field in ("stride", "dilation"))
        (groups,) = _integers(node, "groups", 1, 1)
        layer = Affine(*layer[:2], strides, padding, dilation, groups)
    shape = _geometry(layer, layer.kernel.shape, to.shape)[-1]
    to.add(layer if axes else layer._replace(kernel=to.from_order(layer.kernel)), shape)


def _read_weights(node: Any, field: str, *shape: int | None) -> np.ndarray:
    """Return weights of a node in their original dtype; check their shape, in which None matches any size."""
    value, given = chain.numbers(node, field), np.asarray(getattr(node, field)).dtype
    fits = value.ndim == len(shape) and all(size in (None, n) for size, n in zip(shape, value.shape, strict=True))
    expect(fits, f"{field} of shape {shape}", value.shape)
    dtype = given if given.kind == "f" and given.itemsize <= 8 else jnp.float32
    return _cast(field, value, _dtype_of(metadata_of(node), "dtype", dtype))


def _cast(what: str, value: np.ndarray, dtype: Any) -> np.ndarray:
    """Cast numbers to a dtype, if they fit into jax's version of it (float32 for float64 without x64)."""
    return check_range(jax.dtypes.canonicalize_dtype(dtype), what, value).astype(dtype)


def _integers(node: Any, field: str, count: int, least: int) -> Shape:
    value = chain.numbers(node, field)
    fits = value.shape in ((), (1,), (count,)) and np.all((value == np.floor(value)) & (value >= least))
    expect(fits, f"{field} to be one integer, or one per axis, of at least {least}", value.tolist())
    return tuple(map(int, np.broadcast_to(value, count)))


def write_pool(name: str, layer: Pool, to: GraphWriter):
    """Write pooling over two axes."""
    expect(len(layer.window) == 2, "pooling over two axes, as in NIR", len(layer.window))
    strides, _, pads, shape = _geometry(layer, (*layer.window, *to.shape[-1:] * 2), to.shape)
    kind = nir.AvgPool2d if layer.average else nir.SumPool2d
    to.add(name, kind(*map(np.array, (layer.window, strides, _symmetric(pads)))))
    to.move_to(shape)


def read_pool(node: Any, to: GraphReader):
    """Read pooling over two axes."""
    window, strides = (_integers(node, field, 2, 1) for field in ("kernel_size", "stride"))
    layer = Pool(window, strides, _integers(node, "padding", 2, 0), average=isinstance(node, nir.AvgPool2d))
    to.add(layer, _geometry(layer, (*window, *to.shape[-1:] * 2), to.shape)[-1])


# Flatten -------------------------------------------------------------------------------------------------------------


def write_flatten(name: str, layer: Flatten, to: GraphWriter):
    """Write a flatten over all axes."""
    if layer.axes > 1:
        to.add(name, nir.Flatten(input_type={"input": np.array(to.order.shape)}, start_dim=0))
        to.flatten()


def read_flatten(node: Any, to: GraphReader):
    """Read a flatten over all axes."""
    axes, last = (node.start_dim, node.end_dim), len(to.shape) - 1
    expect(axes in ((0, -1), (0, last)), f"a Flatten over all axes, from 0 to {last}", axes)
    if last:
        to.add(Flatten(len(to.shape)))
        to.flatten()


# Writing neurons -----------------------------------------------------------------------------------------------------


def _write_membrane(neuron: Any, to: GraphWriter) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return the NIR fields of the leak (empty without a leak), and the resistance for brainsurr's input gain."""
    how, decay = to.how, to.spread(neuron.decay)
    leaks, one = bool(np.any(decay != 1)), np.ones_like(decay)
    above = decay > 0 if how.method == "exp" else decay >= 0
    fits = np.all(above & (decay < 1)) if leaks else not neuron.decay_input
    expect(fits, "all decays in [0, 1), above 0 for exp, or all 1 without decay_input", np.unique(decay)[:4])
    gain = 1 - decay if neuron.decay_input else one
    return ({"tau": how.tau_of(decay), "v_leak": 0 * one}, gain / (1 - decay)) if leaks else ({}, one / how.dt)


def _metadata(population: Population, to: GraphWriter) -> dict[str, Any]:
    """Return the metadata of neurons. Record a 16-bit state as lost, since other libraries use float32."""
    if to.reader is not None and np.dtype(population.param_dtype).itemsize < 4:
        to.record_loss(f"its param_dtype={np.dtype(population.param_dtype).name}, float32 in {to.reader}")
    return {"decay_input": population.neuron.decay_input, "param_dtype": np.dtype(population.param_dtype).name}


def _surrogate_metadata(spike_fn: Any, to: GraphWriter) -> dict[str, Any]:
    expect(not getattr(spike_fn, "origin", True), "a surrogate with binary spikes, as in NIR", repr(spike_fn))
    if is_built_in(spike_fn):
        return {"surrogate": chain.surrogate_to_dict(spike_fn)}
    to.record_loss(f"the surrogate {type(spike_fn).__name__}, which is not a brainsurr class")
    return {}


def write_surrogate(name: str, surrogate: Surrogate, to: GraphWriter):
    """Write a surrogate that is a layer of its own."""
    to.add(name.replace("surrogate", "threshold"), nir.Threshold(to.spread(0.0)), _surrogate_metadata(surrogate, to))


def _factor(r: np.ndarray, same: np.ndarray) -> np.ndarray:
    """Return the factor by which resistance ``r`` scales the potential; resistance ``same`` leaves it unchanged."""
    return np.where(near(r, same), 1.0, r / same)


def write_integrator(name: str, population: Population, to: GraphWriter):
    """Write a leaky integrator. Its potential is its output, so NIR must reproduce it without a factor."""
    leak, r = _write_membrane(population.neuron, to)
    to.add(name, (nir.LI if leak else nir.I)(r=r, **leak), _metadata(population, to))


def write_neurons(name: str, population: Population, to: GraphWriter):
    """Write spiking neurons, merged with a synapse before them if there is one, and their recurrent weights."""
    neuron, kernel = population.neuron, population.recurrent_kernel
    expect(not neuron.refractory, "refractory=0, as in NIR", neuron.refractory)
    metadata = _metadata(population, to) | _surrogate_metadata(neuron.spike_fn, to)
    metadata |= {name: getattr(neuron, name) for name in RESETTING if getattr(neuron, name) is not None}
    never_resets = neuron.reset == "none" and kernel is None
    reset = neuron.reset, bool(neuron.reset_delay)
    if not never_resets and reset != to.target.reset:
        ours, theirs = (f"reset={how!r}, reset_delay={late}" for how, late in (reset, to.target.reset))
        record = to.record_loss if to.reader is None else functools.partial(to.refuse_unless, False)
        record(f"{ours}, but {to.reader or 'NIR'} uses {theirs}")
    threshold = to.spread(neuron.threshold)
    if never_resets and not np.any(neuron.decay) and np.any(threshold):  # memoryless
        return to.add(name, nir.Threshold(threshold=threshold), metadata)
    (leak, same), (before, last) = _write_membrane(neuron, to), list(to.nodes.items())[-1]
    r = to.how.r_of(leak.get("tau"), same)
    threshold = threshold * _factor(r, same)
    node: Any = (nir.LIF if leak else nir.IF)(r=r, **leak, v_threshold=threshold)
    if never_resets:
        to.add(f"{name}_potential", (nir.LI if leak else nir.I)(r=r, **leak), _metadata(population, to))
        node = nir.Threshold(threshold)
    elif isinstance(last, nir.LI) and leak and kernel is None and "CubaLIF" in to.target.nodes:
        del to.nodes[before]
        name = before.replace("li", "cubalif")
        metadata |= {f"synapse_{key}": value for key, value in last.metadata["brainsurr"].items()}
        w_in = to.how.r_of(last.tau, last.r)
        node = nir.CubaLIF(last.tau, leak["tau"], r, leak["v_leak"], threshold * _factor(w_in, last.r), w_in=w_in)
    to.add(name, node, metadata)
    if kernel is not None:
        expect(len(to.shape) == 1, "recurrent neurons on one axis, such as after a flatten", to.shape)
        to.recurrent[name] = nir.Linear(plain(kernel)[np.ix_(to.order, to.order)].T.copy())


def write_delay(name: str, population: Population, to: GraphWriter):
    """Write a delay, in the time unit of ``dt``."""
    to.add(name, nir.Delay(delay=to.spread(population.neuron.steps) * to.how.dt))


# Reading neurons -----------------------------------------------------------------------------------------------------


def _read_membrane(node: Any, to: GraphReader, tau: str = "tau", r: str = "r") -> tuple[np.ndarray, ...]:
    """Return the decay of the potential, the gain of its input per step, and the resting potential."""
    how, given, time = to.how, to.numbers(node, r), None
    decay, rest = np.ones_like(given), np.zeros_like(given)
    if not isinstance(node, nir.I | nir.IF):
        time, rest = to.numbers(node, tau), to.numbers(node, "v_leak")
        decay = how.decay_of(np.maximum(time, np.finfo(float).tiny))
        fits = np.all((time > 0) & (decay >= 0) & (decay < 1))
        expect(fits, f"{tau} of at least dt={how.dt:g}, or above 0 for exp, and a decay below 1", time.min())
    given = given if isinstance(node, nir.I) else how.r_of(time, given)  # the output of a nir.I depends on its own r
    expect(np.all(given > 0), f"{r} above 0", given.min())
    return decay, how.gain_of(time, given), rest


def read_integrator(node: Any, to: GraphReader, threshold: Any = None):
    """Read an integrator, or, with a threshold after it, neurons without a reset."""
    metadata, (decay, gain, rest) = metadata_of(node), _read_membrane(node, to)
    if threshold is not None:
        metadata |= metadata_of(threshold) | NO_RESET
        to.add(_neurons(decay, to.numbers(threshold, "threshold") - rest, gain, metadata, to))
        return
    expect(not np.any(rest), "v_leak=0, the resting potential in brainsurr", rest)
    whole = bool(np.all(near(gain, 1)))
    expect(whole or np.all(near(gain, 1 - decay)), f"r=1 or r=tau/dt (for I, 1/dt), with dt={to.how.dt:g}", node.r)
    to.add(Population(LI(to.each("tau", decay), not whole), param_dtype=_dtype_of(metadata)))


def read_threshold(node: Any, to: GraphReader):
    """Read a threshold without an integrator: a surrogate if it is 0, otherwise memoryless neurons."""
    metadata, threshold = metadata_of(node) | NO_RESET, to.numbers(node, "threshold")
    zero = np.zeros_like(threshold)
    neurons = _neurons(zero, threshold, zero + 1, metadata, to)
    to.add(neurons if np.any(threshold) else neurons.neuron.spike_fn)


def read_neurons(node: Any, to: GraphReader, weights: Any = None):
    """Read neurons that reset to a value, with their synapses if there are any."""
    metadata, synaptic = {"reset": "zero"} | metadata_of(node), isinstance(node, nir.CubaLIF)
    decay, gain, rest = _read_membrane(node, to, "tau_mem" if synaptic else "tau")
    reset, threshold = to.numbers(node, "v_reset"), to.numbers(node, "v_threshold")
    expect(np.all(reset == rest), f"v_reset to be the resting potential, {rest}", reset)
    if synaptic:
        slow, through, _ = _read_membrane(node, to, "tau_syn", "w_in")
        current = to.each("tau_syn", slow)
        decays = weights is None and metadata.get("synapse_decay_input", not np.all(near(through, 1)))
        gain = gain * through / (1 - slow if decays else 1.0)
        if weights is None:
            to.add(Population(LI(current, decays), param_dtype=_dtype_of(metadata, "synapse_param_dtype")))
    neurons = _neurons(decay, threshold - rest, gain, metadata, to)
    if weights is not None:
        neuron = Synaptic(**vars(neurons.neuron), current_decay=current) if synaptic else neurons.neuron
        neurons = Population(neuron, _read_recurrent(weights, neurons.param_dtype, to), neurons.param_dtype)
    to.add(neurons)


def _neurons(decay, threshold, gain, metadata: dict[str, Any], to: GraphReader) -> Population:
    """Return neurons with an input gain of 1 or 1 - decay, and rescale the threshold, since NIR's gain is ``gain``."""
    decay_input = metadata.get("decay_input", not np.all(near(gain, 1)) and not np.any(decay == 1))
    # The overrides don't apply to neurons without a reset, unless they set the reset itself.
    given = to.overrides if metadata["reset"] != "none" or "reset" in to.overrides else {}
    reset, dtype = given.get("reset", metadata["reset"]), _dtype_of(metadata)
    stated = given if reset == "none" else metadata | given
    resetting = {name: stated[name] for name in RESETTING if name in stated} | {"reset": reset}
    threshold = to.each("v_threshold", threshold * (1 - decay if decay_input else 1.0) / gain, dtype)
    spike_fn = to.overrides.get("surrogate", metadata.get("surrogate", LIF.spike_fn))
    if isinstance(spike_fn, dict):
        with chain.error_prefix("the surrogate in its metadata"):
            spike_fn = chain.surrogate_from_dict(spike_fn, to.shape)
    return Population(LIF(to.each("tau", decay), decay_input, threshold, spike_fn, **resetting), None, dtype)


def _read_recurrent(node: Any, dtype: Any, to: GraphReader) -> np.ndarray:
    """Return recurrent weights. Their bias is added to the bias of the layer before, since both apply at every step."""
    weight = _read_weights(node, "weight", *to.shape * 2)
    if isinstance(node, nir.Affine) and np.any(bias := _read_weights(node, "bias", *to.shape)):
        before, *about = to.layers[-1] if to.layers else (node,)
        what = "a Linear or Affine before neurons whose recurrent weights have a bias"
        expect(isinstance(before, Affine) and before.kernel.ndim == 2, what, before)
        bias = bias if before.bias is None else _cast("the sum of biases", before.bias + bias.astype(float), bias.dtype)
        to.layers[-1] = (before._replace(bias=bias), *about)
    return to.from_order(to.from_order(_cast("weight", weight, dtype)).T)


def read_delay(node: Any, to: GraphReader):
    """Read a delay of a whole number of steps."""
    steps = to.numbers(node, "delay") / to.how.dt
    whole = np.round(steps)
    expect(np.all(near(steps, whole) & (whole >= 0)), f"delays of whole steps of dt={to.how.dt:g}", steps)
    to.add(Population(Delay(np.asarray(to.each("delay", whole)).astype(int).tolist())))


def read_end(node: Any, to: GraphReader):
    """Check the shape of an Input or Output, ignoring axes of size 1."""
    given, ours = node.input_type["input"], to.order.shape
    fits = given is None or [n for n in np.ravel(given) if n != 1] == [n for n in ours if n != 1]
    expect(fits, f"an {type(node).__name__} of shape {ours}", given)


PAIRS: list[Any] = [  # layer class, writer, reader, and its NIR nodes
    (Affine, write_affine, read_affine, nir.Affine, nir.Linear, *CONVOLUTIONS),
    (Pool, write_pool, read_pool, nir.AvgPool2d, nir.SumPool2d),
    (Flatten, write_flatten, read_flatten, nir.Flatten),
    (LI, write_integrator, read_integrator, nir.LI, nir.I),
    (LIF, write_neurons, read_neurons, nir.LIF, nir.IF, nir.CubaLIF),
    (Surrogate, write_surrogate, read_threshold, nir.Threshold),
    (Delay, write_delay, read_delay, nir.Delay),
    (None, None, read_end, nir.Input, nir.Output),
]
