"""Trained parameters, the closed intervals they stay in, and the scales they are trained on, for every framework."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._arrays import is_float
from ._checks import check_dtype, check_word
from ._pytree import short

Interval = tuple[float, float]
# By scale: from a value to the stored number (``xp`` is NumPy, or jax.numpy if the value is traced), and back.
SCALES: dict[str, tuple[Callable, Callable]] = {
    "logit": (lambda xp, x: xp.log(x) - xp.log1p(-x), jax.nn.sigmoid),
    "log": (lambda xp, x: xp.log(x), jnp.exp),
    "log_tau": (lambda xp, x: -xp.log(-xp.log(x)), lambda w: jnp.exp(-jnp.exp(-w))),
}


@dataclasses.dataclass(frozen=True)
class ScaledInterval:
    """The bounds of a parameter that is trained on another scale. It iterates over its edges on that scale."""

    bounds: Interval | None
    scale: str

    def __iter__(self) -> Iterator[float]:
        edges = zip(self.bounds or (np.nan, np.nan), (-np.inf, np.inf), strict=True)
        return (end if np.isnan(stored := float(self.to_scale(edge))) else stored for edge, end in edges)

    def to_scale(self, value) -> Any:
        """Return the number to store for a value, NaN if the scale does not contain the value."""
        with np.errstate(divide="ignore", invalid="ignore"):
            is_traced = isinstance(value, jax.core.Tracer)
            return SCALES[self.scale][0](*((jnp, value) if is_traced else (np, np.asarray(value, np.float64))))


def training_arguments(intervals: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments ``learnable`` and ``bounds`` that lead to these intervals."""
    scales = {name: getattr(interval, "scale", "identity") for name, interval in intervals.items()}
    return {"learnable": scales, "bounds": {name: getattr(i, "bounds", i) for name, i in intervals.items()}}


def trained_intervals(
    owner: str,
    values: Mapping[str, Any],
    learnable: str | Iterable[str] | Mapping[str, str],
    bounds: Mapping[str, Interval | None] | None,
    defaults: Mapping[str, Interval],
    param_dtype: Any,
) -> dict[str, Interval | ScaledInterval | None]:
    """Return the interval of each parameter to be trained, or None where it is unbounded.

    Args:
      owner: the name of the layer, for messages.
      values: all parameters by name.
      learnable: the name or names of the trainable parameters, or their scales by name.
      bounds: intervals by name, which override the defaults. An entry of None removes the bounds of one parameter. If
        None, all parameters are unbounded.
      defaults: the default intervals by name.
      param_dtype: the dtype of parameters that are Python numbers.

    Raises:
      TypeError: ``learnable`` is not a name or names, or ``param_dtype`` is not a floating dtype.
      ValueError: a name is unknown, an interval is invalid, or a value is outside its interval.
    """
    check_dtype(f"{owner}: param_dtype", param_dtype)
    names = names_of(owner, learnable)
    for name in names:
        if name not in values:
            raise ValueError(f"{owner}: learnable={name!r} is not a parameter; expected {', '.join(values)}")
    for name in bounds or ():
        if name not in names:
            raise ValueError(f"{owner}: bounds name {name!r}, which is not learnable; add it to learnable=")
    intervals: dict[str, Interval | ScaledInterval | None] = {}
    for name in names:
        interval = None if bounds is None else {**defaults, **bounds}.get(name)
        if interval is not None:
            interval = checked_interval(f"{owner}: {name}", interval)
            check_inside(f"{owner}: {name}", values[name], interval)
        scale = learnable[name] if isinstance(learnable, Mapping) else "identity"
        check_word(f"{owner}: learnable[{name!r}]", scale, ("identity", *SCALES))
        intervals[name] = interval if scale == "identity" else (scaled := ScaledInterval(interval, scale))
        known = scale != "identity" and not isinstance(values[name], jax.core.Tracer)
        if known and not np.all(np.isfinite(scaled.to_scale(values[name]))):
            raise ValueError(f"{owner}: {name} = {short(values[name])} has no finite {scale}: choose another value")
    return intervals


def names_of(owner: str, value, argument: str = "learnable") -> tuple[str, ...]:
    """Return one or several names as a tuple, or raise a TypeError."""
    names = tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else (value,)
    if not all(isinstance(name, str) for name in names):
        raise TypeError(f"{owner}: expected {argument} to be one or several names, got {value!r}")
    return names


def edges(interval, dtype) -> tuple[np.ndarray, np.ndarray]:
    """Round the edges of an interval to a dtype, so that float32(0.01) is not below 0.01. Finite edges stay finite."""
    largest, wide = float(jnp.finfo(dtype).max), [np.asarray(edge, np.float64) for edge in interval]
    low, high = [np.where(np.isinf(x), x, np.clip(x, -largest, largest)).astype(dtype) for x in wide]
    return low, high


def check_inside(name: str, value, interval: Interval):
    """Raise a ValueError that names the interval if a number is outside it. Traced numbers are not checked."""
    if isinstance(value, jax.core.Tracer):
        return
    number = np.asarray(value)  # NumPy computes inside a trace as well
    low, high = edges(interval, number.dtype if is_float(number) else np.float64)
    if not np.all((number >= low) & (number <= high)):
        raise ValueError(f"{name} = {short(value)} is outside {list(interval)}; change the value or the bounds")


def initial_value(value, dtype, interval=None) -> jax.Array:
    """Convert to the stored array: keep the dtype of a floating array, and cast any other number to ``dtype``."""
    # Give the dtype in both cases: a weakly typed parameter would change its type, and recompile, at the first
    # step of the optimiser.
    own = isinstance(value, (jax.Array, np.ndarray)) and is_float(value)
    dtype = jnp.asarray(value).dtype if own else dtype
    return jnp.array(interval.to_scale(value) if isinstance(interval, ScaledInterval) else value, dtype)


def clip_straight_through(stored: jax.Array, interval: Interval | ScaledInterval | None) -> jax.Array:
    """Return the value of a stored parameter, clipped into its interval with the derivative of the parameter itself.

    The gradient is not 0 outside the interval, so that a parameter can leave an edge again. This form needs no custom
    derivative rule. :func:`brainsurr.optim.project` keeps the stored parameter inside.
    """
    if interval is None:
        return stored
    constant = jax.lax.stop_gradient(stored)
    inside = jnp.clip(constant, *interval) + (stored - constant)
    return SCALES[interval.scale][1](inside) if isinstance(interval, ScaledInterval) else inside


def checked_interval(name: str, interval) -> Interval:
    """Return an interval as two numbers, or raise a ValueError."""
    if np.shape(interval) != (2,) or not interval[0] < interval[1]:
        raise ValueError(f"{name}: expected bounds with low < high, got {interval!r}")
    return float(interval[0]), float(interval[1])


def not_trained(owner: str, name: str) -> ValueError:
    """Return the error for a trained parameter, say of a checkpoint, that the layer does not train."""
    how = f"make the layer with learnable={name!r}, or leave {name} out of the values"
    return ValueError(f"{owner}: {name} is fixed in the layer but trained in the values given: {how}")
