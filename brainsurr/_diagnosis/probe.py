"""What a spike function does in a training step, summed up on the way back and brought out as a cotangent."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._arrays import as_float
from .._surrogate import Surrogate


class Totals(NamedTuple):
    """Sums over every call of a spike function, for each entry of the last axis, in the default float."""

    n_silent: Any  # values with spike 0
    n_spikes: Any  # with another spike
    nan: Any  # with NaN
    finite: Any  # finite membrane values,
    membrane: Any  # and their sum
    passing: Any  # values at which the surrogate's gradient is not 0
    arriving: Any  # spikes that get a gradient
    reached: Any  # membrane values that get one
    squares: Any  # the square of that gradient
    trials: Any  # [trials, neurons]: as `passing`, for each of the `trials` of the surrogate


class Trial(NamedTuple):
    """A surrogate with one parameter changed, and the change in words."""

    change: str
    surrogate: Surrogate


def trials(spike_fn: Callable) -> list[Trial]:
    """What could be changed about a surrogate so that it passes more gradient: measured, not guessed from its name."""
    found: list[Trial] = []
    if not isinstance(spike_fn, Surrogate):
        return found
    template, values = spike_fn.named_parameters()
    for name, value in values.items():
        low, high = spike_fn.bounds.get(name, (-jnp.inf, jnp.inf))
        known = isinstance(value, (int, float))
        xp = np if known else jnp  # what NumPy computes is known inside a trace as well, and can be told in words
        for factor in (2,) if known and value == 0 else (2, 0.5, 10, 0.1):
            new = xp.clip(xp.where(value == 0, 0.1, factor * value), low, high)
            change = f"{'raise' if factor > 1 else 'lower'} {name} of its {type(spike_fn).__name__}"
            change += f" from {value:.3g} to {new:.3g}" if known else f" (times {factor}; 0.1 where it is 0)"
            found.append(Trial(change, jax.tree.map({**values, name: float(new) if known else new}.get, template)))
    return found


def features(x: jax.Array) -> int:
    """How many neurons a membrane has: the length of its last axis."""
    return x.shape[-1] if x.ndim else 1


def zeros(neurons: int, trials: int) -> Totals:
    """What to differentiate with respect to: the gradient of the loss in these zeros is the totals."""
    shapes = dict.fromkeys(Totals._fields, (neurons,)) | {"trials": (trials, neurons)}
    return Totals(**{name: jnp.zeros(shape, float) for name, shape in shapes.items()})


def watched(spike_fn: Callable, totals: Totals) -> Callable:
    """The elementwise ``spike_fn`` with its value and derivative, but for ``totals``, whose cotangent is measured.

    A cotangent is summed wherever what it belongs to is used: over the steps of a scan, the blocks of a remat, the
    lanes of a vmap. So the totals arrive whole, without a callback and whatever transforms the loss is made of.
    """

    def call(x):
        x = as_float(x)
        # The slope by itself, before the tap: a rule with `spike_fn` inside would close over a trained alpha, which
        # inside of a scan is a tracer that is gone when the rule runs.
        s, pull = jax.vjp(spike_fn, jax.lax.stop_gradient(x))
        (slope,) = pull(jnp.ones_like(s))
        passing = [trial.surrogate.surrogate_grad(jax.lax.stop_gradient(x)) != 0 for trial in trials(spike_fn)]
        return _tap(x, s, slope, passing, totals)

    return call


def marked(spike_fn: Callable, mark: Callable[[], None]) -> Callable:
    """The same ``spike_fn``, which calls ``mark`` wherever a value reaches it, whether or not a gradient comes back."""

    def call(x):
        x = as_float(x)
        if x.size:
            jax.debug.callback(mark)
        return spike_fn(x)

    return call


@jax.custom_vjp
def _tap(x, s, slope, trials, totals):
    return s


def _tap_forward(x, s, slope, trials, totals):
    return s, (x, s, slope, trials)


def _tap_backward(residuals, ds):
    x, s, slope, trials = residuals
    # Always an array, if one of zeros: the taps of the layers before then run as well, and are counted.
    dx = (ds * slope.astype(ds.dtype)).astype(x.dtype)

    def total(values):
        values = jnp.atleast_1d(values.astype(jnp.result_type(float)))
        return jnp.sum(values, axis=tuple(range(values.ndim - 1)))

    # Everything is counted from values, nothing from shapes: under vmap a count from shapes would be that of one lane.
    measured = Totals(
        n_silent=total(s == 0),
        n_spikes=total((s != 0) & ~jnp.isnan(s)),
        nan=total(jnp.isnan(s)),
        finite=total(jnp.isfinite(x)),
        membrane=total(jnp.where(jnp.isfinite(x), x, jnp.zeros_like(x))),
        passing=total(slope != 0),
        arriving=total(ds != 0),
        reached=total(dx != 0),
        squares=total(jnp.square(dx.astype(jnp.result_type(float)))),
        trials=jnp.stack([total(trial) for trial in trials]) if trials else jnp.zeros((0, features(x))),
    )
    return dx, None, None, None, measured


_tap.defvjp(_tap_forward, _tap_backward)
