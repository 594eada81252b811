"""What the tool of a chip makes of the numbers of a network: integers, on one scale with the thresholds behind them."""

import dataclasses
import itertools
import math
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._kernel import detached
from .._report import Report, as_text
from .._surrogate import Surrogate
from ..neurons import LIF
from .chain import expect
from .layers import Affine, Pool, Population, as_arrays
from .loihi import integers
from .on_chip import LoihiLI, LoihiLIF, SpeckLIF, XyloLI, XyloLIF, straight_through

LOWEST = -20.0  # in thresholds


class RoundedLayer(NamedTuple):
    """What a chip holds of a layer.

    Attributes:
      scale: integers for each unit of its weights, one for all or for each channel; None of neurons.
      largest: the largest of its weights as integers, of 127, of Loihi 254; None of neurons.
      lost: the share of its weights that became 0, of those that are not; None of neurons.
      threshold: as integers, the smallest and the largest; None of what has none.
      decay: as it is here; None of what has none.
      held: the decay that the chip has for it.
    """

    scale: Any = None
    largest: int | None = None
    lost: float | None = None
    threshold: tuple[int, int] | None = None
    decay: Any = None
    held: Any = None


@dataclasses.dataclass(frozen=True)
class RoundingReport(Report[RoundedLayer]):
    """What a chip holds of a network: a mapping from layers, by index and class; ``print`` shows a table.

    Attributes:
      layers: what it holds of each, a :class:`RoundedLayer`.
    """

    _measured: ClassVar[str] = "layers"

    layers: dict[str, RoundedLayer]

    def __str__(self) -> str:
        rows = [["layer", "scale", "largest", "lost", "threshold", "decay", "held"]]
        for name, (scale, largest, lost, threshold, decay, held) in self.items():
            weights = [""] * 3 if lost is None else [_ends(scale), str(largest), f"{lost:.1%}"]
            ends = "" if threshold is None else " to ".join(map(str, dict.fromkeys(threshold)))
            rows.append([name, *weights, ends, *(_ends(value) for value in (decay, held))])
        return as_text(rows, [])


def _ends(value: Any) -> str:
    """Return the smallest and the largest of some numbers as text, one if they are the same."""
    return "" if value is None else " to ".join(dict.fromkeys(f"{end(value):.5g}" for end in (np.min, np.max)))


def report(layers: list[Any], before: list[Any], after: list[Any]) -> RoundingReport:
    """Return what a chip holds of each layer of weights or neurons.

    Args:
      layers: as a framework has them, for their names.
      before: the same as arrays and neurons.
      after: the same, rounded.
    """
    rows, scale = dict[str, RoundedLayer](), None
    for i in reversed(range(len(layers))):
        new, row = after[i], None
        if isinstance(new, Affine):
            kernel = np.abs(new.kernel)[np.asarray(before[i].kernel) != 0]
            row = RoundedLayer(scale, int(np.max(kernel, initial=0)), float(np.mean(kernel == 0)))
        elif isinstance(new, Population):
            neuron, row = new.neuron, RoundedLayer()
            if isinstance(neuron, SpeckLIF | LoihiLIF):
                scale, held = np.asarray(neuron.scale), np.asarray(neuron.threshold)
                row = row._replace(threshold=(int(held.min()), int(held.max())))
            if isinstance(neuron, XyloLI | XyloLIF):
                row = row._replace(decay=np.asarray(neuron.decay), held=1 - np.asarray(neuron.lost))
            if isinstance(neuron, LoihiLI | LoihiLIF):
                row = row._replace(decay=np.asarray(before[i].neuron.decay), held=np.asarray(neuron.decay))
        if row is not None:
            rows[f"{i} {type(layers[i]).__name__}"] = row
    return RoundingReport(dict(reversed(rows.items())))


# Numbers -------------------------------------------------------------------------------------------------------------


def _floats(value: Any) -> jax.Array:
    return jnp.asarray(value, jnp.float32)


def _rounded(value: Any, scale: Any) -> jax.Array:
    return straight_through(jnp.round(value * scale), value * scale)


def _fit(value: Any, bits: int) -> jax.Array:
    """Return by how much numbers can grow in integers of so many bits, as sinabs has it."""
    most, low, high = 2.0 ** (bits - 1), jnp.min(value), jnp.max(value)
    above = jnp.abs(low) <= jnp.abs(high) * (most / (most - 1))
    return jnp.where(above, jnp.abs((most - 1) / high), jnp.abs(-most / low))


def _in_eights(value: jax.Array, largest: jax.Array) -> jax.Array:
    """Return ``round(value * (127 / largest))`` as float64 has it: from the nearest in float32, by what is left.

    Halves of 12 bits make the products exact, and a difference of what is near is exact.
    """
    near = jnp.round(value * (127 / largest))
    (a, b), (c, d) = ((top, x - top) for x in (value, largest) for top in [jax.lax.reduce_precision(x, 8, 11)])
    left, rest = 127 * a - near * c, 127 * b - near * d
    side = jnp.sign(left)
    return near + jnp.where(side * (left - side * largest / 2 + rest) > 0, side, 0)


# Tools ---------------------------------------------------------------------------------------------------------------


def speck(layers: list[Any], lowest: float | None) -> list[Any]:
    """Round weights, bias, threshold and lower limit of each layer on the largest scale on which all fit.

    An average pool becomes a sum, and the weights behind it are first divided by the size of its window.
    """
    lowest, new, summed, at = LOWEST if lowest is None else lowest, [*layers], 1, 0
    for i, layer in enumerate(layers):
        if isinstance(layer, Pool):
            summed *= math.prod(layer.window) if layer.average else 1
            new[i] = Pool(layer.window, layer.window, (0,) * len(layer.window), average=False)
        elif isinstance(layer, Affine):
            bias = None if layer.bias is None else _floats(layer.bias)
            at, new[i], summed = i, layer._replace(kernel=_floats(layer.kernel) / summed, bias=bias), 1
        elif isinstance(layer, Population):
            weights, threshold, decay = new[at], _floats(layer.neuron.threshold), layer.neuron.decay
            leaks = not _is_traced(decay) and np.any(decay != 1)
            expect(not leaks, f"decay=1.0 in layer {i}, without a leak, as in Speck", decay)
            unit: Any = 1.0
            if threshold.size > 1 and (_is_traced(threshold) or np.ptp(threshold) > 0):  # as in the file
                bias = None if weights.bias is None else weights.bias / threshold
                kernel = weights.kernel / jnp.expand_dims(threshold, range(weights.kernel.ndim - 1))
                unit, weights = threshold, weights._replace(kernel=kernel, bias=bias)
                threshold = jnp.ones_like(threshold[0])
            limits = jnp.stack([lowest * jnp.max(threshold), jnp.max(threshold)])
            fits = [_fit(value, 8) for value in (weights.kernel, weights.bias) if value is not None]
            scale = detached(jnp.min(jnp.stack([*fits, _fit(limits, 16)])))
            bias = None if weights.bias is None else _rounded(weights.bias, scale)
            new[at] = weights._replace(kernel=_rounded(weights.kernel, scale), bias=bias)
            how: dict[str, Any] = {"threshold": _rounded(threshold, scale), "lowest": jnp.round(limits[0] * scale)}
            how |= {
                "scale": scale / detached(unit),
                "decay": 1.0,
                "spike_fn": layer.neuron.spike_fn,
                "reset_grad": layer.neuron.reset_grad,
            }
            new[i] = Population(SpeckLIF(**how), in_size=layer.in_size)
    return new


def rockpool(layers: list[Any], lowest: float | None) -> list[Any]:
    """Round all weights but the last ones on one scale, the last on another, and decays to 1 - 2**-dash.

    The largest weight is 127. Where a threshold is above 32767 then, it and the weights are made smaller.
    """
    expect(lowest is None, "no lowest, which is of speck alone", lowest)
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
        how |= {"decay": membrane.decay, "lost": _lost(membrane.decay), "spike_fn": membrane.spike_fn}
        how |= {"reset_grad": membrane.reset_grad} | ({"levels": 1} if i == last else {})
        new += [weights[i]._replace(kernel=straight_through(held, kernel * scale))]
        neurons = XyloLI(decay=synapse.decay, lost=_lost(synapse.decay)), XyloLIF(**how)
        new += [Population(neuron, in_size=membranes[i].in_size) for neuron in neurons]
    return new


def lava(layers: list[Any], lowest: float | None, bits: int = 8) -> list[Any]:
    """Round each layer on a scale of its own, as `integers` says."""
    expect(lowest is None, "no lowest, which is of speck alone", lowest)
    new, ends = list[Any](), [i + 1 for i, layer in enumerate(layers) if type(getattr(layer, "neuron", None)) is LIF]
    for start, end in itertools.pairwise([0, *ends]):
        weights, *synapses, membrane = layers[start:end]
        neuron, recurrent = membrane.neuron, membrane.recurrent_kernel
        expect(weights.kernel.ndim == 2, f"layer {start} to be linear, as lava needs", "a convolution")
        fits = weights.bias is None or not (synapses or recurrent is not None)
        expect(fits, f"layer {start} with use_bias=False, before an LI or recurrent weights", "a bias")
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
        how = {"decay": decay, "threshold": threshold, "scale": scale / detached(gain * unit)}
        neuron = LoihiLIF(**how, spike_fn=neuron.spike_fn, reset="zero", reset_grad=neuron.reset_grad)
        new += [Population(neuron, others[0] if others else None, in_size=membrane.in_size)]
    return new


def _one(decay: Any, i: int) -> Any:
    single = np.size(decay) == 1 or (not _is_traced(decay) and np.ptp(decay) == 0)
    expect(single, f"one decay for all neurons behind layer {i}, as lava needs", "several")
    return jnp.ravel(_floats(decay))[0]


def _is_traced(value: Any) -> bool:
    return isinstance(value, jax.core.Tracer)


def _gain(neuron: Any) -> Any:
    return 1 - neuron.decay if neuron.decay_input else 1.0


def _lost(decay: Any) -> jax.Array:
    """Return what goes of a value in a step of Xylo: 2**-dash, where 2**dash is nearest to tau / dt."""
    slow = _is_traced(decay) or np.all(np.asarray(decay) > np.exp(-1))
    expect(slow, "decays above exp(-1), 0.37, as Xylo's mapper does", decay)
    return detached(jnp.ldexp(jnp.float32(1), -jnp.round(jnp.log2(-1 / jnp.log(_floats(decay)))).astype(jnp.int32)))


class Tool(NamedTuple):
    """How the tool of a chip rounds.

    Attributes:
      rounds: makes of layers the rounded ones, given the lower limit of potentials.
      pattern: the kinds of layers, again and again.
      least: how many times at least, 1 or 2.
      images: whether pools and functions may be between.
      reset: that of its neurons.
      free: whether each layer may have an LI before its neurons, and recurrent weights.
    """

    rounds: Callable[..., list[Any]]
    pattern: tuple[str, ...]
    least: int = 1
    images: bool = False
    reset: str = "subtract"
    free: bool = False


TOOLS = {
    "speck": Tool(speck, ("weights", "LIF"), images=True),
    "rockpool": Tool(rockpool, ("weights", "LI", "LIF"), least=2),
    "lava": Tool(lava, ("weights", "LIF"), reset="zero", free=True),
}


def rounded(host: Any, layers: list[Any], reader: str, lowest: float | None, bits: int) -> tuple[list[Any], list[Any]]:
    """Return layers of a framework as arrays and neurons, whose numbers may be traced, and the same rounded."""
    tool = TOOLS[reader]
    given = [layer if "Norm" in type(layer).__name__ else as_arrays(host, layer, None) for layer in layers]
    kinds = [_kind(layer, host.MODULE) for layer in given]
    kinds = [kind for kind in kinds if not (tool.images and kind in ("pool", "function"))]
    after = itertools.pairwise([*kinds, ""])
    kinds = [kind for kind, behind in after if not (tool.free and kind == "LI" and behind == "LIF")]
    wanted = [*tool.pattern] * max(tool.least, len(kinds) // len(tool.pattern))
    times = f"{', '.join(tool.pattern)}, {('once', 'twice')[tool.least - 1]} or more"
    expect(kinds == wanted, f"net to have layers for reader={reader!r}: {times}", ", ".join(kinds))
    for i, layer in enumerate(given):
        if isinstance(layer, Population) and type(layer.neuron) is LIF:
            how, recurrent = layer.neuron, layer.recurrent_kernel is not None
            fits = (how.reset, how.reset_delay, how.refractory) == (tool.reset, False, 0) and (
                tool.free or not recurrent
            )
            others = "no reset_delay, no refractory" + ("" if tool.free else " nor recurrent")
            what = f"reset={tool.reset!r} and {others}"
            expect(fits, f"layer {i} with {what}, as for reader={reader!r}", how)
    expect(bits == 8 or reader == "lava", "bits=8: others are of lava alone", bits)
    return given, tool.rounds(given, lowest, **({} if bits == 8 else {"bits": bits}))


def _kind(layer: Any, module: type) -> str:
    single = getattr(layer, "feature_group_count", 1) == 1
    named = {
        Affine: f"weights{'' if single else ' in groups'}",
        Population: type(getattr(layer, "neuron", None)).__name__,
        Pool: "pool",
    }
    is_function = not isinstance(layer, Surrogate | module)
    return named.get(type(layer)) or ("function" if is_function else type(layer).__name__)
