"""Measure a spike function in a training step: sums over its calls, returned as the gradient of zeros."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._arrays import as_float
from .._surrogate import Scaled, Surrogate
from ..neurons._spikes import Drawn


class Totals(NamedTuple):
    """Sums over all calls of a spike function, for each neuron (entry of the last axis), in the default float.

    A value is one membrane value and its spike, at one step of one example. Counts start with ``n_``.
    """

    n_zeros: Any  # values whose spike is 0
    n_spikes: Any  # values whose spike is neither 0 nor NaN
    n_nan: Any  # values whose spike is NaN
    n_finite: Any  # values with a finite membrane
    sum_membrane: Any  # the sum of the finite membrane values
    sum_membrane_squares: Any  # and that of their squares
    n_slopes: Any  # values at which the surrogate's gradient is not 0
    n_cotangents: Any  # values whose spike gets a gradient of the loss other than 0
    n_gradients: Any  # values whose membrane gets one
    sum_squares: Any  # the sum of the squares of the membrane's gradients
    n_trial_slopes: Any  # [trials, neurons]: `n_slopes` of the surrogate of each trial


def trials(spike_fn: Callable, random: bool) -> dict[str, Surrogate]:
    """Return variants of a surrogate by what is changed, some of which may pass more gradient.

    Which do is measured; a parameter's name doesn't tell. The width, which every surrogate can have, is tried first. A
    function that is no surrogate has none. Of one that draws its spikes, height times width stays 1.
    """
    spike_fn = spike_fn.surrogate if isinstance(spike_fn, Drawn) else spike_fn
    if not isinstance(spike_fn, Surrogate):
        return {}
    variants: dict[str, Surrogate] = {}
    is_scaled, its = False, type(spike_fn).__name__
    if isinstance(spike_fn, Scaled):
        is_scaled, its = True, f"scaled {type(spike_fn.surrogate).__name__}"
    for width in (2, 10):
        if random:
            scaled = spike_fn.scaled(height=1 / width, width=width)
            variants[f"widen its {its} by .scaled(height=1 / {width}, width={width})"] = scaled
        elif not is_scaled:
            variants[f"widen its {its} by .scaled(width={width})"] = spike_fn.scaled(width=width)
    template, values = spike_fn.named_parameters()
    names = sorted(values, key=lambda name: name != "width") if is_scaled else list(values)
    for name in names:
        if random and is_scaled and name in ("height", "width"):
            continue
        low, high = spike_fn._all_bounds().get(name, (-jnp.inf, jnp.inf))
        value = values[name]
        known = isinstance(value, (int, float))
        xp = np if known else jnp  # NumPy's results have values within a trace as well, which go into the text
        for factor in (2,) if known and value == 0 else (2, 0.5, 10, 0.1):
            new = xp.clip(xp.where(value == 0, 0.1, factor * value), low, high)
            at_zero = "" if low > 0 else "; 0.1 where it is 0"
            how = f"from {value:.3g} to {new:.3g}" if known else f"(times {factor}{at_zero})"
            changed = values | {name: float(new) if known else new}
            change = f"{'raise' if factor > 1 else 'lower'} {name} of its {its} {how}"
            variants[change] = jax.tree.map(changed.get, template)
    return variants


# A part of jax's cache keys.
_pass = jax.make_user_context()


def fresh_trace():
    """Return a context in which jitted functions are traced again, with the watched functions in them."""
    return _pass(object())


def features(x: jax.Array) -> int:
    """Return the number of neurons of a membrane: the length of its last axis."""
    return x.shape[-1] if x.ndim else 1


def zeros(neurons: int, trials: int) -> Totals:
    """Return zeros to differentiate with respect to: the gradient of the loss in them are the measured totals."""
    shapes = dict.fromkeys(Totals._fields, (neurons,)) | {"n_trial_slopes": (trials, neurons)}
    return Totals(**{name: jnp.zeros(shape, float) for name, shape in shapes.items()})


def gradient(f: Callable, x: Any) -> tuple[Any, Any]:
    """Compile, and return the value of ``f(x)`` and its gradient."""
    return jax.jit(jax.value_and_grad(f))(x)


def _check_whole(spike_fn: Callable, x: jax.Array):
    """Raise a ValueError if the types of arrays include a split over a mesh: the types of their sums would differ."""
    for array in (x, *(leaf for leaf in jax.tree.leaves(spike_fn) if isinstance(leaf, jax.Array))):
        sharding = jax.typeof(array).sharding
        if sharding.mesh.manual_axes or (sharding.mesh.explicit_axes and any(sharding.spec)):
            raise ValueError(
                "diagnose can't add up values that are split over explicit mesh axes or in shard_map: call it outside "
                "of the mesh, or on one whose axes are AxisType.Auto"
            )


def measure(
    loss: Callable[[Callable], Any], trace: Callable, value_and_grad: Callable
) -> tuple[float, dict[str, Totals], dict[str, list[str]]]:
    """Run ``loss(watch)`` forward and back, with ``watch(name, spike_fn)`` in place of each spike function.

    Args:
      loss: returns a scalar. It is called twice.
      trace: of the framework: ``trace(f)`` traces a function without arguments.
      value_and_grad: of the framework, see :func:`gradient`.

    Returns:
      The loss, the totals in float64 of each layer that was called, and the changes of its surrogate that were tried.
    """
    widths: dict[str, int] = {}
    random: dict[str, bool] = {}
    changes: dict[str, list[str]] = {}

    def note(name, spike_fn):
        def call(x, **key):
            x = as_float(x)
            _check_whole(spike_fn, x)
            if widths.setdefault(name, features(x)) != features(x):
                raise ValueError(
                    f"{name} is used by layers of {widths[name]} and {features(x)} neurons: give each one of its own"
                )
            random.setdefault(name, isinstance(spike_fn, Drawn) or key.get("key") is not None)
            changes[name] = list(trials(spike_fn, random[name]))
            return spike_fn(x, **key)

        return call

    def measured(totals):
        return loss(lambda name, f: watched(f, totals[name], trials(f, random[name])) if name in totals else f)

    with fresh_trace():
        trace(lambda: loss(note))
    if not widths:
        raise ValueError(
            "no spiking layer was used. diagnose sees the layers of neurons and the SpikingActivation of brainsurr, "
            "and the functions it is given by name. It doesn't see a bare surrogate in a module of your own: wrap it "
            "in SpikingActivation. loss_fn must use what it is called with, and must not be cached: pass it undecorated"
        )
    start = {name: zeros(width, len(changes[name])) for name, width in widths.items()}
    with fresh_trace():
        value, totals = value_and_grad(measured, start)
    wide = {name: Totals(*(np.asarray(total, np.float64) for total in totals[name])) for name in widths}
    return float(value), wide, changes


def watched(spike_fn: Callable, totals: Totals, variants: dict[str, Surrogate]) -> Callable:
    """Return the elementwise ``spike_fn``, same value and derivative, with measurements as the gradient of ``totals``.

    jax adds up the gradient over all uses of an argument: the steps of a scan, the blocks of a remat, the lanes of a
    vmap. So the totals are complete under any transform in the loss, without callbacks.
    """

    def call(x, **key):
        x = as_float(x)
        # Compute the slope here, not in the backward rule of `_tap`: the rule would close over a trained alpha, which
        # within a scan is a tracer that is no longer valid when the rule runs.
        s, pull = jax.vjp(partial(spike_fn, **key), jax.lax.stop_gradient(x))
        (slope,) = pull(jnp.ones_like(s))
        trial_slopes = [f.surrogate_grad(jax.lax.stop_gradient(x)) != 0 for f in variants.values()]
        return _tap(x, s, slope, trial_slopes, totals)

    return call


@jax.custom_vjp
def _tap(x, s, slope, trial_slopes, totals):
    return s


def _tap_forward(x, s, slope, trial_slopes, totals):
    return s, (x, s, slope, trial_slopes)


def _tap_backward(residuals, ds):
    x, s, slope, trial_slopes = residuals
    # Return an array even if it is all zeros, so that the backward rules of earlier layers run and are measured too.
    dx = (ds * slope.astype(ds.dtype)).astype(x.dtype)

    def total(values):
        values = jnp.atleast_1d(values.astype(jnp.result_type(float)))
        return jnp.sum(values, axis=tuple(range(values.ndim - 1)))

    finite = jnp.where(jnp.isfinite(x), x, jnp.zeros_like(x))
    # Count values, never use shapes: under vmap a shape is that of one lane.
    measured = Totals(
        n_zeros=total(s == 0),
        n_spikes=total((s != 0) & ~jnp.isnan(s)),
        n_nan=total(jnp.isnan(s)),
        n_finite=total(jnp.isfinite(x)),
        sum_membrane=total(finite),
        sum_membrane_squares=total(jnp.square(finite.astype(jnp.result_type(float)))),
        n_slopes=total(slope != 0),
        n_cotangents=total(ds != 0),
        n_gradients=total(dx != 0),
        sum_squares=total(jnp.square(dx.astype(jnp.result_type(float)))),
        n_trial_slopes=jnp.stack([*map(total, trial_slopes)]) if trial_slopes else jnp.zeros((0, features(x))),
    )
    return dx, None, None, None, measured


_tap.defvjp(_tap_forward, _tap_backward)
