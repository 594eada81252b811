"""The width of each spiking layer, fitted to what its membrane does on one batch."""

import dataclasses
import math
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._arrays import is_number
from .._checks import check_function
from .._layers.bounds import Interval
from .._report import Report, as_text
from .._surrogate import Scaled, Surrogate
from .probe import Totals, gradient, measure, no_value


@dataclasses.dataclass(frozen=True)
class LayerWidth:
    """What was measured at a layer, and the width that it got.

    Attributes:
      rate: share of values that are a spike, NaN where no value was measured.
      rms: root mean square of potential minus threshold, over all steps, examples and neurons, where it is finite.
      before: the width as it was: a number, or a list with one for each neuron; None where there is none to set.
      width: the width as it is now, likewise.
    """

    rate: float
    rms: float
    before: float | list | None
    width: float | list | None


@dataclasses.dataclass(frozen=True)
class Calibration(Report[LayerWidth]):
    """The width of every spiking layer of a network, by name; ``print`` it.

    A mapping from the name of a layer to its numbers. ``json.dumps(dataclasses.asdict(report))`` writes all of it.

    Attributes:
      k: the width is k times the root mean square.
      layers: the numbers by name, in the order in which the layers were called. See :class:`LayerWidth`.
      sentences: which layers have no width to set, keep it, are silent, or would have had one outside its interval.
    """

    k: float
    layers: dict[str, LayerWidth]
    sentences: tuple[str, ...]

    @property
    def _measured(self):
        return self.layers

    def __str__(self) -> str:
        rows = [["layer", "rate", "rms", "before", "width"]]
        for name, layer in self.layers.items():
            rate, rms = (f"{layer.rate:.1%}", f"{layer.rms:.3g}") if layer.rate >= 0 else "--"
            rows.append([name, rate, rms, _short(layer.before), _short(layer.width)])
        return as_text(rows, self.sentences)


class Slot(NamedTuple):
    """A width that can be set: its value, which gives the shape, the interval that it stays in, and where it is kept.

    Layers that share an activation have one place.
    """

    value: Any
    interval: Interval | None
    place: Hashable


def scaled_activations(layers: Iterable[tuple[str, Any]], neuron: Any, activation: Any) -> dict[str, Any]:
    """Return the activations whose surrogate has a width, by the name of their layer, which may be a neuron.

    Args:
      layers: with their names.
      neuron: the framework's class of layers that hold their activation.
      activation: the framework's class of activations that hold their surrogate.
    """
    acts = ((name, layer.spike_fn if isinstance(layer, neuron) else layer) for name, layer in layers)
    return {name: act for name, act in acts if isinstance(act, activation) and isinstance(act.template, Scaled)}


def calibrate(
    spike_fns: Mapping[str, Callable], forward: Callable[[dict[str, Callable]], Any], *, k: float = 1.0
) -> tuple[dict[str, Callable], Calibration]:
    r"""Set the width of each surrogate to k times the root mean square of its membrane on one batch.

    .. math:: w = k\, \sqrt{\mathrm{mean}\, (v - \mathrm{threshold})^2}

    For networks of plain functions; ``brainsurr.nnx``, ``brainsurr.linen`` and ``brainsurr.brainstate`` have a
    ``calibrate`` that finds the layers of a module. Use it before training, or now and then during it, where potentials
    are far larger or smaller than the width of a surrogate. Compare it with a fixed width: it can cost dozens of points
    of accuracy, and the best ``k`` differs from shape to shape: see the documentation's page on training parameters.
    A layer that depends on the spikes of another sees them as they are now, and a width changes none, so all layers are
    measured in one pass.

    Args:
      spike_fns: the surrogate of each layer by a name of your choice. What is no surrogate is measured and not changed.
      forward: ``forward(spike_fns)`` runs the network on a batch and returns its output, or anything that depends on
        the spikes of every layer and can be differentiated. It must use the functions it is called with.
      k: above 0.

    Returns:
      The functions by name, each surrogate ``f`` as ``f.scaled(width=...)``, and a report to print. A width that is
      there already is set in its place; one whose last axis has an entry for each neuron is set to a number for each
      neuron, the same along its other axes. Type, dtype and sharding stay, so what was compiled with the functions as
      an argument is not compiled again; but an integer becomes a float.

    Raises:
      TypeError: ``spike_fns`` is not a mapping of functions, or ``k`` not a number.
      ValueError: no spike function was used, none was measured, one function serves layers of different widths, or
        ``k`` is not above 0 or not known; values are split over the explicit axes of a mesh, or in ``shard_map``.

    Example:
      >>> import jax.numpy as jnp, brainsurr as bs
      >>> x = jnp.array([[-3.0, 4.0], [0.5, -0.5]])
      >>> wide = bs.LogTailedRelu(0.1).scaled(width=jnp.ones(2))
      >>> f = {"hidden": bs.Arctan(2.0), "out": wide}
      >>> forward = lambda f: f["out"](0.25 * f["hidden"](x) - 0.5)
      >>> spike_fns, report = bs.calibrate(f, forward, k=0.5)
      >>> print(report)
      layer    rate    rms  before  width
      hidden  50.0%   2.52       1   1.26
      out      0.0%  0.395       1  0.198
      <BLANKLINE>
      out is silent: no neuron fires, so its width fits the distance to threshold. Calibrate
        again when it fires.
      >>> spike_fns["hidden"].width == report["hidden"].width
      True
    """
    if not isinstance(spike_fns, Mapping):
        raise TypeError(
            f"expected surrogates by name, calibrate({{'hidden': f}}, forward), got {type(spike_fns).__name__}: "
            "for a module there is calibrate of brainsurr.nnx, brainsurr.linen and brainsurr.brainstate"
        )
    for name, f in spike_fns.items():
        check_function(f"spike_fns[{name!r}]", f, "a surrogate or a function")
    scaled: dict[str, Any] = {
        name: f if isinstance(f, Scaled) or not isinstance(f, Surrogate) else f.scaled()
        for name, f in spike_fns.items()
    }
    slots = {name: Slot(f.width, None, name) for name, f in scaled.items() if isinstance(f, Scaled)}
    report, widths = fit_widths(
        forward, lambda watch: forward({name: watch(name, f) for name, f in scaled.items()}), slots, k
    )
    report = dataclasses.replace(
        report,
        sentences=(*report.sentences, *(f"{name} was not called." for name in spike_fns if name not in report)),
    )
    return {name: f.replace(width=widths[name]) if name in widths else f for name, f in scaled.items()}, report


def fit_widths(
    forward: Callable,
    outputs: Callable[[Callable], Any],
    slots: Mapping[str, Slot],
    k: float,
    trace: Callable = jax.eval_shape,
    value_and_grad: Callable = gradient,
    *,
    arrays: bool = True,
) -> tuple[Calibration, dict[str, Any]]:
    """Measure each layer, and return the report and the new value of each slot that gets one.

    Args:
      forward: the user's argument, which ``outputs`` calls.
      outputs: ``outputs(watch)`` runs the network with ``watch(name, spike_fn)`` in place of each spike function.
      slots: the widths that can be set, by the name of the layer. They are read after the network has run.
      k: the width is k times the root mean square.
      trace: of the framework, see :func:`.probe.measure`.
      value_and_grad: likewise.
      arrays: whether the framework can set a width that is an array and not trained.
    """
    check_function("forward", forward)
    if isinstance(k, jax.core.Tracer):
        raise ValueError(
            "calibrate: expected k to be a known number, got a traced one: call it outside of jit and vmap"
        )
    if not is_number(k) or np.ndim(k):
        raise TypeError(f"calibrate: expected k to be a number, got {k!r}")
    if not 0 < k < math.inf:
        raise ValueError(f"calibrate: expected k to be above 0 and finite, got {k!r}")
    why_not: dict[str, str] = {}
    shapes_inside: dict[str, tuple[int, ...]] = {}  # of the widths, as their layers see them
    has_values: set[str] = set()

    def total(watch):
        def see(name, spike_fn):
            watched = watch(name, spike_fn)
            if isinstance(spike_fn, Scaled):
                shapes_inside[name] = np.shape(spike_fn.width)

            def call(x, **key):
                why_not[name] = _why_not(name, spike_fn, arrays, key.get("key") is not None)
                has_values.update([name] if np.size(x) else [])
                return watched(x, **key)

            return call

        leaves = [leaf for leaf in jax.tree.leaves(outputs(see)) if isinstance(leaf, jax.Array)]
        floats = [leaf.astype(float) for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.floating)]
        return sum(map(jnp.sum, floats), jnp.zeros((), float))

    _, totals, _ = measure(total, trace, value_and_grad, lambda spike_fn, random: [], "calibrate", "forward")
    if math.isnan(_rate_and_rms(_pooled(list(totals.values())))[0]):
        if not has_values:
            raise ValueError(no_value(totals, "forward"))
        raise ValueError(
            f"calibrate: nothing was measured at {', '.join(totals)}: give forward data that gets there, and make "
            "it return something differentiable that depends on the spikes, such as the output of the network"
        )
    layers: dict[str, LayerWidth] = {}
    new: dict[str, Any] = {}
    said: list[str] = []
    for name, each in totals.items():
        slot = slots.get(name)
        together = [other for other in totals if slot and other in slots and slots[other].place == slot.place] or [name]
        pooled = _pooled([totals[other] for other in together])
        pooled_rate, rms = _rate_and_rms(pooled)
        if slot is None:
            said.append(why_not[name])
        elif any(shapes_inside[other] != np.shape(slot.value) for other in together):
            said.append(
                f"{name} keeps its width, which is stacked, by scan or vmap: its layers see the shape "
                f"{shapes_inside[name]} of {np.shape(slot.value)}. Set it by hand, the entry of each layer."
            )
        elif name != together[0]:
            said.append(f"{name} shares its width with {together[0]}.")
            new |= {name: new[together[0]]} if together[0] in new else {}
        elif not 0 < rms < math.inf:
            said.append(f"{name} keeps its width, for there is nothing to fit it to: {_nothing(rms)}.")
        else:
            fitted, word = _fitted(slot, k, rms, pooled)
            said += [f"{name}{word}"] if word else []
            new |= {} if fitted is None else {name: fitted}
            if pooled_rate == 0 and fitted is not None:
                said.append(
                    f"{name} is silent: no neuron fires, so its width fits the distance to threshold. Calibrate again "
                    "when it fires."
                )
        before = None if slot is None else _plain(slot.value)
        layers[name] = LayerWidth(*_rate_and_rms(each), before, _plain(new[name]) if name in new else before)
    return Calibration(float(k), layers, tuple(said)), new


def _pooled(layers: list[Totals]) -> Totals:
    """Add up the totals of layers, for each neuron if they have the same number of neurons."""
    if len({len(each.n_finite) for each in layers}) > 1:
        layers = [Totals(*(np.atleast_1d(total.sum()) for total in each)) for each in layers]
    return Totals(*map(sum, zip(*layers, strict=True)))


def _rate_and_rms(totals: Totals) -> tuple[float, float]:
    """Return the share of spikes, and the root mean square, over all values; NaN where there is none."""
    count = totals.n_spikes.sum() + totals.n_silent.sum() + totals.n_nan.sum()
    with np.errstate(invalid="ignore"):
        rms = np.sqrt(totals.sum_membrane_squares.sum() / totals.n_finite.sum())
        return float(totals.n_spikes.sum() / count), float(rms)


def _fitted(slot: Slot, k: float, rms: float, totals: Totals) -> tuple[Any, str]:
    """Return the new value, None if the dtype can't hold it, and a reason if it differs from the fitted width.

    It has the type, shape, dtype and sharding of the old one; in place of an integer it is a float.
    """
    shape = np.shape(slot.value)
    fitted: Any = k * rms
    if shape and shape[-1] == len(totals.n_finite) > 1:
        with np.errstate(invalid="ignore"):
            each = np.sqrt(totals.sum_membrane_squares / totals.n_finite)
        fitted = k * np.where((each > 0) & np.isfinite(each), each, rms)
    width, word = np.asarray(np.broadcast_to(fitted, shape), np.float64), ""
    if slot.interval is not None:
        inside = np.clip(width, *slot.interval)
        if not np.array_equal(inside, width):
            low, high = slot.interval
            word = f": a width of {_short(_plain(width))} would fit, and is kept in [{low:g}, {high:g}]."
        width = inside
    if isinstance(slot.value, int | float):
        return (float if isinstance(slot.value, int) else type(slot.value))(width), word
    dtype = slot.value.dtype if jnp.issubdtype(slot.value.dtype, jnp.floating) else jnp.result_type(float)
    limits = jnp.finfo(dtype)
    if width.max() > float(limits.max) or width.min() < float(limits.tiny):
        what = "overflows" if width.max() > float(limits.max) else "underflows"
        return None, f" keeps its width, for one of {_short(_plain(width))} {what} {dtype}."
    new = jnp.asarray(width, dtype)
    placed = isinstance(slot.value, jax.Array) and slot.value.committed
    return jax.device_put(new, slot.value.sharding) if placed else new, word


def _nothing(rms: float) -> str:
    if rms == 0:
        return "its membrane is at threshold throughout, or too near to it to be squared"
    return "its membrane is too large to be squared" if rms > 0 else "no finite value was measured"


def _why_not(name: str, spike_fn, arrays: bool, random: bool) -> str:
    if not isinstance(spike_fn, Surrogate):
        return f"{name} has no width: its spike function is no surrogate."
    if random:
        return (
            f"{name} has no width to set: it draws its spikes, and so height times width must stay 1. Give it another "
            "width by f.scaled(height=1 / w, width=w)."
        )
    array, f = "f.scaled(width=jnp.ones(()))", type(spike_fn).__name__
    trained = "SpikingActivation(f.scaled(), learnable='width')"
    if isinstance(spike_fn, Scaled):
        if arrays:
            return f"{name} has a width that is a fixed number: give it as an array, {array}, or train it, {trained}."
        return f"{name} has a width that is fixed: train it, {trained}, and freeze it by optax.set_to_zero()."
    either = f"SpikingActivation({array}), or {trained}" if arrays else trained
    return f"{name} has no width to set: give its {f} one, {either}."


def _plain(value) -> float | list:
    return np.asarray(value, np.float64).tolist()


def _short(width: float | list | None) -> str:
    if width is None:
        return "-"
    low, high = np.min(width), np.max(width)
    return f"{low:.3g}" if low == high else f"{low:.3g} - {high:.3g}"
