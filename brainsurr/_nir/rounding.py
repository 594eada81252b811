"""How the tool of a chip rounds a network: weights, biases and thresholds to integers on one scale, and decays."""

import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._kernel import detached
from .._surrogate import Surrogate
from ..neurons import LIF
from .chain import expect
from .layers import Affine, Pool, Population, as_arrays
from .on_chip import ChipLIF, LoihiLI, LoihiLIF, SpeckLIF, XyloLI, XyloLIF, nearest, straight_through


def _floats(value: Any) -> jax.Array:
    return jnp.asarray(value, jnp.float32)


def _is_traced(value: Any) -> bool:
    return isinstance(value, jax.core.Tracer)


def _gain(neuron: Any) -> Any:
    return 1 - neuron.decay if neuron.decay_input else 1.0


def _kept(neuron: Any) -> dict[str, Any]:
    """Return what neurons on the chip have of those that they are made of."""
    return {"spike_fn": neuron.spike_fn, "reset_grad": neuron.reset_grad}


# Speck ---------------------------------------------------------------------------------------------------------------

LOWEST = -20.0  # in thresholds


def _fit(value: Any, bits: int) -> jax.Array:
    """Return by how much numbers can grow in integers of so many bits, as sinabs has it."""
    most, low, high = 2.0 ** (bits - 1), jnp.min(value), jnp.max(value)
    above = jnp.abs(low) <= jnp.abs(high) * (most / (most - 1))
    return jnp.where(above, jnp.abs((most - 1) / high), jnp.abs(-most / low))


def speck(layers: list[Any], *, lowest: float | None) -> list[Any]:
    """Round weights, bias, threshold and lower limit of each layer on the largest scale on which all fit.

    An average pool becomes a sum, and the weights behind it are first divided by the size of its window.
    """
    lowest, new, summed, at = LOWEST if lowest is None else lowest, [*layers], 1, 0
    for i, layer in enumerate(layers):
        if isinstance(layer, Pool):
            apart = np.array_equal(np.broadcast_to(layer.strides or 1, len(layer.window)), layer.window)
            expect(apart, f"a pool in layer {i} with strides as large as its window, as in Speck", layer.strides)
            summed *= math.prod(layer.window) if layer.average else 1
            new[i] = Pool(layer.window, layer.window, (0,) * len(layer.window), average=False)
        elif isinstance(layer, Affine):
            at, new[i] = i, layer._replace(kernel=_floats(layer.kernel) / summed)
            summed = 1
        elif isinstance(layer, Population):
            threshold, decay, unit = _floats(layer.neuron.threshold), layer.neuron.decay, jnp.float32(1)
            leaks = not _is_traced(decay) and np.any(decay != 1)
            expect(not leaks, f"decay=1.0 in layer {i}, without a leak, as in Speck", decay)
            if threshold.size > 1 and (_is_traced(threshold) or np.ptp(threshold) > 0):  # as in the file
                threshold, unit = jnp.ones_like(threshold[0]), threshold
            given = {"kernel": new[at].kernel} | ({} if new[at].bias is None else {"bias": _floats(new[at].bias)})
            if unit.size > 1:
                given = {name: w / jnp.expand_dims(unit, range(w.ndim - 1)) for name, w in given.items()}
            limits = jnp.stack([lowest * jnp.max(threshold), jnp.max(threshold)])
            scale = detached(jnp.min(jnp.stack([*(_fit(w, 8) for w in given.values()), _fit(limits, 16)])))
            new[at] = new[at]._replace(**{name: nearest(w * scale) for name, w in given.items()})
            how = {"threshold": nearest(threshold * scale), "lowest": jnp.round(limits[0] * scale), "decay": 1.0}
            neuron = SpeckLIF(**how, scale=scale / detached(unit), **_kept(layer.neuron))
            new[i] = Population(neuron, in_size=layer.in_size)
    return new


# Xylo ----------------------------------------------------------------------------------------------------------------


def _in_eights(value: jax.Array, largest: jax.Array) -> jax.Array:
    """Return ``round(value * (127 / largest))`` as float64 has it: from the nearest in float32, by what is left.

    Halves of 12 bits make the products exact, and a difference of what is near is exact.
    """
    near = jnp.round(value * (127 / largest))
    (a, b), (c, d) = ((top, x - top) for x in (value, largest) for top in [jax.lax.reduce_precision(x, 8, 11)])
    left, rest = 127 * a - near * c, 127 * b - near * d
    side = jnp.sign(left)
    return near + jnp.where(side * (left - side * largest / 2 + rest) > 0, side, 0)


def _leak(decay: Any) -> jax.Array:
    """Return what goes of a value in a step of Xylo: 2**-dash, where 2**dash is nearest to tau / dt."""
    held = _is_traced(decay) or np.all((np.asarray(decay) > np.exp(-1)) & (np.asarray(decay) < 1))
    expect(held, "decays above exp(-1), 0.37, and below 1, as Xylo's mapper does", decay)
    dash = jnp.round(jnp.log2(-1 / jnp.log(_floats(decay))))
    return detached(jnp.ldexp(jnp.ones_like(dash), -dash.astype(int)))


def rockpool(layers: list[Any]) -> list[Any]:
    """Round all weights but the last ones on one scale, the last on another, and decays to 1 - 2**-dash.

    The largest weight is 127. Where a threshold is above 32767 then, it and the weights are made smaller.
    """
    weights, synapses, membranes = (layers[i::3] for i in range(3))
    biased = sum(layer.bias is not None for layer in weights)
    expect(not biased, "weights with use_bias=False, for Xylo's mapper leaves biases out", f"{biased} biases")
    last, new = len(weights) - 1, list[Any]()
    kernels = [_floats(layer.kernel) for layer in weights]
    # What enters a synapse decays once in it, which our threshold is not for.
    pairs = [(synapse.neuron, membrane.neuron) for synapse, membrane in zip(synapses, membranes, strict=True)]
    thresholds = [_floats(m.threshold * s.decay / _gain(s) / _gain(m)) for s, m in pairs]
    sizes = [jnp.max(jnp.stack([jnp.max(jnp.abs(kernel)) for kernel in of])) for of in (kernels[:last], kernels[last:])]
    largest = [detached(jnp.where(size == 0, 127.0, size)) for size in sizes]
    highest = [jnp.round(jnp.max(threshold) * (127 / largest[i == last])) for i, threshold in enumerate(thresholds)]
    limits = [32767 / jnp.maximum(jnp.max(jnp.stack(of)), 32767) for of in (highest[:last], highest[last:])]
    for i, ((synapse, membrane), kernel) in enumerate(zip(pairs, kernels, strict=True)):
        scale, limit = 127 / largest[i == last], limits[i == last]
        held = jnp.round(_in_eights(kernel, largest[i == last]) * limit)
        held = jnp.round(held * limits[1]) if 0 < i < last else held  # recurrent weights, to rockpool
        fires = jnp.round(jnp.round(thresholds[i] * scale) * limit)
        scale = detached(scale * limit)
        how = {"threshold": straight_through(fires, thresholds[i] * scale), "scale": scale}
        how |= {"decay": membrane.decay, "leak": _leak(membrane.decay)} | ({"levels": 1} if i == last else {})
        new += [weights[i]._replace(kernel=straight_through(held, kernel * scale))]
        neurons = XyloLI(decay=synapse.decay, leak=_leak(synapse.decay)), XyloLIF(**how, **_kept(membrane))
        new += [Population(neuron, in_size=membranes[i].in_size) for neuron in neurons]
    return new


# Loihi ---------------------------------------------------------------------------------------------------------------


def lava(layers: list[Any], *, bits: int) -> list[Any]:
    """Round each layer on a scale of its own, as `integers` says."""
    new, ends = list[Any](), [i + 1 for i, layer in enumerate(layers) if type(getattr(layer, "neuron", None)) is LIF]
    for start, end in itertools.pairwise([0, *ends]):
        weights, *synapses, membrane = layers[start:end]
        neuron, recurrent = membrane.neuron, membrane.recurrent_kernel
        expect(weights.kernel.ndim == 2, f"layer {start} to be linear, as lava needs", "a convolution")
        fits = weights.bias is None or not (synapses or recurrent is not None)
        expect(fits, f"layer {start} with use_bias=False, before an LI or recurrent weights", "a bias")
        fits = not synapses or recurrent is None
        expect(fits, f"layer {end - 1} without recurrent weights, behind an LI, as lava needs", "some")
        gain, threshold = math.prod(_gain(layer.neuron) for layer in (*synapses, membrane)), _floats(neuron.threshold)
        unit = jnp.where(jnp.ptp(threshold) == 0, 1.0, threshold)  # as in the file
        each = jnp.broadcast_to(unit, weights.kernel.shape[-1:])
        kernels = [_floats(kernel) / each[None] for kernel in (weights.kernel, recurrent) if kernel is not None]
        bias = 0.0 if weights.bias is None else _floats(weights.bias) / each
        decay, synapse = (_one(layer[0].neuron.decay, start) if layer else 0.0 for layer in ([membrane], synapses))
        held = integers(kernels, bias, jnp.max(threshold / unit) / gain, decay, synapse, bits)
        (kernel, *others), bias, threshold, decay, synapse, scale = held
        new += [weights._replace(kernel=kernel, bias=None if weights.bias is None else bias)]
        new += [Population(LoihiLI(decay=synapse), in_size=layer.in_size) for layer in synapses]
        how = {"decay": decay, "threshold": threshold, "scale": scale / detached(gain * unit), "reset": "zero"}
        new += [Population(LoihiLIF(**how, **_kept(neuron)), others[0] if others else None, in_size=membrane.in_size)]
    return new


def integers(
    weights: list[Any], bias: Any, threshold: Any, decay: Any, synapse: Any, bits: int
) -> tuple[list[Any], Any, Any, Any, Any, Any]:
    r"""Round a layer to the numbers that Loihi has, on the scale on which none is clipped.

    Weights are integers of 8 bits with the sign, times 2, so up to 254; of fewer bits with zeros behind. A threshold is
    an integer up to :math:`2^{17} - 1`. Biases are in 64ths of these, of 13 bits and a shift of up to 7, and decays in
    4096ths.

    Args:
      weights: those of its input, and recurrent ones if there are any, float32.
      bias: of its neurons, or 0.
      threshold: one for all.
      decay: of the potential, one for all; the least is 1 / 4096.
      synapse: the decay of the current before it, one for all; 0 without one, at most 1 - 1 / 4096.
      bits: of the weights, 2 to 8.

    Returns:
      The same but ``bits``, rounded, and the scale: how many integers are 1 of what was given.
    """
    step, most, threshold = 2 ** (9 - bits), jnp.abs(jnp.asarray(bias)).max(), jnp.asarray(threshold)
    largest = jnp.stack([jnp.abs(w).max() for w in weights]).max()
    scale = detached(jnp.stack([(256 - step) / largest, 131071 / threshold, 8190 / most]).min())
    part = detached(2 ** jnp.ceil(jnp.log2(jnp.maximum(64 * scale * most / 4095, 1)))) / 64
    return (
        [nearest(w * scale, step) for w in weights],
        nearest(bias * scale, part),
        nearest(threshold * scale) + 1 / 128,  # it fires above, not at it
        nearest(jnp.clip(decay, 1 / 4096, 1), 1 / 4096),
        nearest(jnp.clip(synapse, 0, 1 - 1 / 4096), 1 / 4096),
        scale,
    )


def _one(decay: Any, i: int) -> Any:
    single = np.size(decay) == 1 or (not _is_traced(decay) and np.ptp(decay) == 0)
    expect(single, f"one decay for all neurons behind layer {i}, as lava needs", "several")
    return jnp.max(_floats(decay))


# Any -----------------------------------------------------------------------------------------------------------------


class Tool(NamedTuple):
    """How the tool of a chip rounds.

    Attributes:
      rounds: makes of layers the rounded ones.
      pattern: the kinds of layers, again and again.
      least: how many times at least, 1 or 2.
      images: whether pools and functions may be between.
      reset: that of its neurons.
      free: whether each layer may have an LI before its neurons, or recurrent weights.
      option: the argument that it alone has, if any.
    """

    rounds: Callable[..., list[Any]]
    pattern: tuple[str, ...]
    least: int = 1
    images: bool = False
    reset: str = "subtract"
    free: bool = False
    option: str | None = None


TOOLS = {
    "speck": Tool(speck, ("weights", "LIF"), images=True, option="lowest"),
    "rockpool": Tool(rockpool, ("weights", "LI", "LIF"), least=2),
    "lava": Tool(lava, ("weights", "LIF"), reset="zero", free=True, option="bits"),
}


def rounded(host: Any, layers: list[Any], reader: str, lowest: float | None, bits: int) -> tuple[list[Any], list[Any]]:
    """Return layers of a framework as arrays and neurons, whose numbers may be traced, and the same rounded."""
    tool, options = TOOLS[reader], {"lowest": lowest, "bits": bits}
    expect(lowest is None or tool.option == "lowest", "no lowest, which is of speck alone", lowest)
    expect(bits == 8 or tool.option == "bits", "bits=8: others are of lava alone", bits)
    # A norm is refused below; as arrays it would need numbers that are not traced.
    given = [layer if "Norm" in type(layer).__name__ else as_arrays(host, layer, None) for layer in layers]
    again = any(isinstance(getattr(layer, "neuron", None), ChipLIF) for layer in given)
    expect(not again, "the network that this one was rounded from", "one that is rounded")
    kinds = [_kind(layer, host.MODULE) for layer in given]
    kinds = [kind for kind in kinds if not (tool.images and kind in ("pool", "function"))]
    after = itertools.pairwise([*kinds, ""])
    kinds = [kind for kind, behind in after if not (tool.free and kind == "LI" and behind == "LIF")]
    wanted = [*tool.pattern] * max(tool.least, len(kinds) // len(tool.pattern))
    times = f"{', '.join(tool.pattern)}, {('once', 'twice')[tool.least - 1]} or more"
    norm = ": from_nir(to_nir(net, ...), ...) has the norm in its weights" if "BatchNorm" in kinds else ""
    expect(kinds == wanted, f"net to have layers for reader={reader!r}: {times}", f"{', '.join(kinds)}{norm}")
    for i, layer in enumerate(given):
        if isinstance(layer, Population) and type(layer.neuron) is LIF:
            how, alone = layer.neuron, layer.recurrent_kernel is None
            fits = (how.reset, how.reset_delay, how.refractory) == (tool.reset, False, 0) and (tool.free or alone)
            what = f"reset={tool.reset!r} and no reset_delay, no refractory{'' if tool.free else ' nor recurrent'}"
            expect(fits, f"layer {i} with {what}, as for reader={reader!r}", how)
    new = tool.rounds(given, **{name: options[name] for name in options if name == tool.option})
    for i, layer in enumerate(new):
        threshold = getattr(getattr(layer, "neuron", None), "threshold", 1.0)
        fires = _is_traced(threshold) or np.all(np.asarray(threshold) > 0)  # else it has no multiples
        expect(fires, f"a threshold in layer {i} that does not round to 0 beside its weights, as integers", threshold)
    return given, new


def _kind(layer: Any, module: type) -> str:
    single = getattr(layer, "feature_group_count", 1) == 1
    named = {
        Affine: f"weights{'' if single else ' in groups'}",
        Population: type(getattr(layer, "neuron", None)).__name__,
        Pool: "pool",
    }
    is_function = not isinstance(layer, Surrogate | module)
    return named.get(type(layer)) or ("function" if is_function else type(layer).__name__)
