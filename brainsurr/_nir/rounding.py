"""Rounding as in each chip's software: weights, biases and thresholds to integers on one scale, and decays."""

import dataclasses
import itertools
import math
import re
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
from .on_chip import ChipLIF, LoihiLI, LoihiLIF, SpeckLIF, XyloLI, XyloLIF, nearest, straight_through


def _floats(value: Any) -> jax.Array:
    return jnp.asarray(value, jnp.float32)


def _is_traced(value: Any) -> bool:
    return isinstance(value, jax.core.Tracer)


def _gain(neuron: Any) -> Any:
    return 1 - neuron.decay if neuron.decay_input else 1.0


def _kept(neuron: Any) -> dict[str, Any]:
    """Return the fields of a neuron that rounding leaves unchanged."""
    return {"spike_fn": neuron.spike_fn, "reset_grad": neuron.reset_grad}


# Speck ---------------------------------------------------------------------------------------------------------------

LOWEST = -20.0  # as a multiple of the threshold


def _fit(value: Any, bits: int) -> jax.Array:
    """Return the largest factor for which numbers fit into integers of ``bits`` bits, as sinabs computes it."""
    most, low, high = 2.0 ** (bits - 1), jnp.min(value), jnp.max(value)
    above = jnp.abs(low) <= jnp.abs(high) * (most / (most - 1))
    return jnp.where(above, jnp.abs((most - 1) / high), jnp.abs(-most / low))


def speck(layers: list[Any], *, lowest: float | None, **_) -> list[Any]:
    """Round the weights, bias, threshold and lower limit of each layer on the largest scale on which all fit.

    Average pooling becomes sum pooling; the weights after it are first divided by the size of its window.
    """
    lowest, new, summed, at = LOWEST if lowest is None else lowest, [*layers], 1, 0
    for i, layer in enumerate(layers):
        if isinstance(layer, Pool):
            apart = np.array_equal(np.broadcast_to(layer.strides or 1, len(layer.window)), layer.window)
            expect(apart, f"pooling in layer {i} with strides equal to its window, as in Speck", layer.strides)
            summed *= math.prod(layer.window) if layer.average else 1
            new[i] = Pool(layer.window, layer.window, (0,) * len(layer.window), average=False)
        elif isinstance(layer, Affine):
            at, new[i], summed = i, layer._replace(kernel=_floats(layer.kernel) / summed), 1
        elif isinstance(layer, Population):
            threshold, decay, unit = _floats(layer.neuron.threshold), layer.neuron.decay, jnp.float32(1)
            expect(_is_traced(decay) or np.all(np.equal(decay, 1)), f"decay=1.0 in layer {i}, as in Speck", decay)
            if threshold.size > 1 and (_is_traced(threshold) or np.ptp(threshold) > 0):  # to_nir also writes it as 1
                threshold, unit = jnp.ones_like(threshold[0]), threshold
            held = {name: getattr(new[at], name) for name in ("kernel", "bias")}
            given = {name: _floats(w) for name, w in held.items() if w is not None}
            given = {name: w / jnp.expand_dims(unit, range(w.ndim - unit.ndim)) for name, w in given.items()}
            limits = jnp.stack([lowest * jnp.max(threshold), jnp.max(threshold)])
            scale = detached(jnp.min(jnp.stack([*(_fit(w, 8) for w in given.values()), _fit(limits, 16)])))
            new[at] = new[at]._replace(**{name: nearest(w * scale) for name, w in given.items()})
            how = {"threshold": nearest(threshold * scale), "lowest": jnp.round(limits[0] * scale), "decay": 1.0}
            neuron = SpeckLIF(**how, scale=scale / detached(unit), **_kept(layer.neuron))
            new[i] = Population(neuron, in_size=layer.in_size)
    return new


# Xylo ----------------------------------------------------------------------------------------------------------------


def _in_eights(value: jax.Array, largest: jax.Array) -> jax.Array:
    """Return ``round(value * (127 / largest))`` with float64 accuracy, by correcting the float32 result.

    The correction uses the remainder, which is exact: the factors are split into 12-bit halves, so their products are
    exact, and so are differences of nearly equal numbers.
    """
    near = jnp.round(value * (127 / largest))
    (a, b), (c, d) = ((top, x - top) for x in (value, largest) for top in [jax.lax.reduce_precision(x, 8, 11)])
    left, rest = 127 * a - near * c, 127 * b - near * d
    side = jnp.sign(left)
    return near + jnp.where(side * (left - side * largest / 2 + rest) > 0, side, 0)


def _leak(decay: Any) -> jax.Array:
    """Return the fraction that Xylo subtracts per step: 2**-dash, with dash the integer nearest to log2(tau / dt)."""
    held = _is_traced(decay) or np.all((np.asarray(decay) > np.exp(-1)) & (np.asarray(decay) < 1))
    expect(held, "decays above exp(-1), 0.37, and below 1, for Xylo", decay)
    dash = jnp.round(jnp.log2(-1 / jnp.log(_floats(decay))))
    return detached(jnp.ldexp(jnp.ones_like(dash), -dash.astype(int)))


def rockpool(layers: list[Any], **_) -> list[Any]:
    """Round the last layer's weights on one scale, all other weights on another, and decays to 1 - 2**-dash.

    The largest weight becomes 127. If a threshold then exceeds 32767, the threshold and the weights are scaled down.
    """
    weights, synapses, membranes = (layers[i::3] for i in range(3))
    last, new = len(weights) - 1, list[Any]()
    kernels = [_floats(layer.kernel) for layer in weights]
    # A Xylo synapse decays its input once more than ours, so the threshold is scaled by the same decay.
    pairs = [(synapse.neuron, membrane.neuron) for synapse, membrane in zip(synapses, membranes, strict=True)]
    thresholds = [_floats(m.threshold * s.decay / _gain(s) / _gain(m)) for s, m in pairs]
    sizes = [jnp.max(jnp.stack([jnp.max(jnp.abs(kernel)) for kernel in of])) for of in (kernels[:last], kernels[last:])]
    largest = [detached(jnp.where(size == 0, 127.0, size)) for size in sizes]
    highest = [jnp.round(jnp.max(threshold) * (127 / largest[i == last])) for i, threshold in enumerate(thresholds)]
    limits = [32767 / jnp.maximum(jnp.max(jnp.stack(of)), 32767) for of in (highest[:last], highest[last:])]
    for i, ((synapse, membrane), kernel) in enumerate(zip(pairs, kernels, strict=True)):
        scale, limit = 127 / largest[i == last], limits[i == last]
        held = jnp.round(_in_eights(kernel, largest[i == last]) * limit)
        held = jnp.round(held * limits[1]) if 0 < i < last else held  # rockpool treats these as recurrent weights
        fires = jnp.round(jnp.round(thresholds[i] * scale) * limit)
        scale = detached(scale * limit)
        how = {"decay": membrane.decay, "leak": _leak(membrane.decay), "levels": 1 if i == last else 31}
        how |= {"threshold": straight_through(fires, thresholds[i] * scale), "scale": scale}
        new += [weights[i]._replace(kernel=straight_through(held, kernel * scale))]
        neurons = XyloLI(decay=synapse.decay, leak=_leak(synapse.decay)), XyloLIF(**how, **_kept(membrane))
        new += [Population(neuron, in_size=membranes[i].in_size) for neuron in neurons]
    return new


# Loihi ---------------------------------------------------------------------------------------------------------------


def lava(layers: list[Any], *, bits: int, **_) -> list[Any]:
    r"""Round each layer to numbers that Loihi can store, on the largest scale on which none is clipped.

    Weights are even integers up to 254: 8 bits, including the sign, times 2. With fewer bits, the last bits are zero.
    Thresholds are integers up to :math:`2^{17} - 1`. Biases are multiples of 1/64, with 13 bits and a shift of up to 7.
    Decays are multiples of 1/4096.
    """
    new, step = list[Any](), 2 ** (9 - bits)
    ends = [i + 1 for i, layer in enumerate(layers) if type(getattr(layer, "neuron", None)) is LIF]
    for start, end in itertools.pairwise([0, *ends]):
        weights, *synapses, membrane = layers[start:end]
        neuron, recurrent = membrane.neuron, membrane.recurrent_kernel
        gain, threshold = math.prod(_gain(layer.neuron) for layer in (*synapses, membrane)), _floats(neuron.threshold)
        unit = jnp.where(jnp.ptp(threshold) == 0, 1.0, threshold)  # to_nir also divides by unequal thresholds
        each = jnp.broadcast_to(unit, weights.kernel.shape[-1:])
        kernels = [_floats(kernel) / each[None] for kernel in (weights.kernel, recurrent) if kernel is not None]
        bias = jnp.zeros(()) if weights.bias is None else _floats(weights.bias) / each
        threshold = jnp.max(threshold / unit) / gain
        largest, most = jnp.stack([jnp.abs(w).max() for w in kernels]).max(), jnp.abs(bias).max()
        scale = detached(jnp.stack([(256 - step) / largest, 131071 / threshold, 8190 / most]).min())
        part = detached(2 ** jnp.ceil(jnp.log2(jnp.maximum(64 * scale * most / 4095, 1)))) / 64
        kernel, *others = [nearest(w * scale, step) for w in kernels]
        new += [weights._replace(kernel=kernel, bias=None if weights.bias is None else nearest(bias * scale, part))]
        for layer in synapses:
            decay = nearest(jnp.clip(_one(layer.neuron.decay, start), 0, 1 - 1 / 4096), 1 / 4096)
            new += [Population(LoihiLI(decay=decay), in_size=layer.in_size)]
        how = {"decay": nearest(jnp.clip(_one(neuron.decay, start), 1 / 4096, 1), 1 / 4096), "reset": "zero"}
        how |= {"threshold": nearest(threshold * scale) + 1 / 128}  # Loihi fires above the threshold, not at it
        how |= {"scale": scale / detached(gain * unit)} | _kept(neuron)
        new += [Population(LoihiLIF(**how), others[0] if others else None, in_size=membrane.in_size)]
    return new


def _one(decay: Any, i: int) -> Any:
    single = np.size(decay) == 1 or (not _is_traced(decay) and np.ptp(decay) == 0)
    expect(single, f"the same decay for all neurons after layer {i}, as in Loihi", "several")
    return jnp.max(_floats(decay))


# All chips -----------------------------------------------------------------------------------------------------------


def rounded(host: Any, layers: list[Any], reader: str, target: Any, **options) -> tuple[list[Any], list[Any]]:
    """Return the layers as arrays and neurons, before and after a target rounds them; they may be traced."""
    # A normalisation layer raises an error below. Converting it to arrays would need concrete numbers.
    given = [layer if "Norm" in type(layer).__name__ else as_arrays(host, layer, None) for layer in layers]
    chain = "".join(f"{_kind(layer, host.MODULE)} " for layer in given).replace("LI LIF", "CubaLIF")
    pattern = target.on_chip or target.chain
    expect(
        re.fullmatch(pattern, chain), f"net to have layers {pattern!r} for {reader}", f"{chain!r}: see docs/chips.md"
    )
    for i, layer in enumerate(given):
        if isinstance(layer, Population) and type(layer.neuron) is LIF:
            resets = layer.neuron.reset, layer.neuron.reset_delay, layer.neuron.refractory
            what = f"layer {i} with (reset, reset_delay, refractory) as for {reader}"
            expect(resets == (*target.reset, 0), f"{what}, {(*target.reset, 0)}", resets)
    new = target.round(given, **options)
    for i, layer in enumerate(new):
        threshold = getattr(getattr(layer, "neuron", None), "threshold", 1.0)
        fires = _is_traced(threshold) or np.all(np.asarray(threshold) > 0)  # spike counts are u // threshold
        expect(fires, f"a threshold in layer {i} that does not round to 0 on the scale of its weights", threshold)
    return given, new


def _kind(layer: Any, module: type) -> str:
    """Return the kind of NIR node of a layer; any function counts as a flatten."""
    if isinstance(layer, Affine):
        kind = "Conv2d" if np.ndim(layer.kernel) > 2 else "Linear" if layer.bias is None else "Affine"
        return kind if layer.feature_group_count == 1 else f"grouped {kind}"
    if isinstance(layer, Population):
        return f"{'' if layer.recurrent_kernel is None else 'recurrent '}{type(layer.neuron).__name__}"
    kind = "AvgPool2d" if isinstance(layer, Pool) else type(layer).__name__
    return kind if isinstance(layer, Pool | Surrogate | module) else "Flatten"


# The report ----------------------------------------------------------------------------------------------------------


class RoundedLayer(NamedTuple):
    """A layer as a chip stores it.

    Attributes:
      scale: integer units per unit of weight, one for all or one per channel; None for neurons.
      largest: the largest absolute weight as an integer, at most 127 (Xylo), 128 (Speck) or 254 (Loihi); None for
        neurons.
      lost: the fraction of nonzero weights that round to 0; None for neurons.
      threshold: the smallest and the largest threshold as integers; None for a layer without a threshold.
      decay: the decay in the network; None for a layer without a decay.
      held: the decay that the chip stores.
    """

    scale: Any = None
    largest: int | None = None
    lost: float | None = None
    threshold: tuple[int, int] | None = None
    decay: Any = None
    held: Any = None


@dataclasses.dataclass(frozen=True)
class RoundingReport(Report[RoundedLayer]):
    """A network as a chip stores it: a mapping from layers, such as ``"0 Linear"``, to rows; ``print`` shows a table.

    Attributes:
      layers: a :class:`RoundedLayer` for each layer.
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
    """Format the smallest and the largest number, or one number if they are equal."""
    return "" if value is None else " to ".join(dict.fromkeys(f"{end(value):.5g}" for end in (np.min, np.max)))


def report(layers: list[Any], before: list[Any], after: list[Any]) -> RoundingReport:
    """Report how a chip stores each layer of weights or neurons.

    Args:
      layers: the original layers, for their class names.
      before: the layers as arrays and neurons.
      after: the rounded layers.
    """
    rows, scale = dict[str, RoundedLayer](), None
    for i in reversed(range(len(layers))):  # backwards, because neurons store the scale of the weights before them
        new, row, neuron = after[i], RoundedLayer(), getattr(after[i], "neuron", after[i])
        if isinstance(new, Affine):
            kernel = np.abs(new.kernel)[np.asarray(before[i].kernel) != 0]
            lost = float(np.mean(kernel == 0)) if kernel.size else 0.0
            row = RoundedLayer(scale, int(np.max(kernel, initial=0)), lost)
        if isinstance(neuron, ChipLIF):
            scale, held = np.asarray(neuron.scale), np.asarray(neuron.threshold)
            row = row._replace(threshold=(int(held.min()), int(held.max())))
        if isinstance(new, Population) and not isinstance(neuron, SpeckLIF):
            held = 1 - neuron.leak if hasattr(neuron, "leak") else neuron.decay
            row = row._replace(decay=np.asarray(before[i].neuron.decay), held=np.asarray(held))
        if isinstance(new, Affine | Population):
            rows[f"{i} {type(layers[i]).__name__}"] = row
    return RoundingReport(dict(reversed(rows.items())))
