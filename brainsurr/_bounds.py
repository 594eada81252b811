"""Trainable parameters and their bounds, which are closed intervals, for the layers of every framework."""

from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._arrays import is_float
from ._checks import check_dtype
from ._pytree import short

Interval = tuple[float, float]


def trained_intervals(
    owner: str,
    values: Mapping[str, Any],
    learnable: str | Iterable[str],
    bounds: Mapping[str, Interval | None] | None,
    defaults: Mapping[str, Interval],
    param_dtype: Any,
) -> dict[str, Interval | None]:
    """Return the interval of each trainable parameter, or None if it is unbounded.

    Args:
      owner: the name of the layer, for messages.
      values: all parameters by name.
      learnable: the name or names of the trainable parameters.
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
    intervals = {}
    for name in names:
        interval = None if bounds is None else {**defaults, **bounds}.get(name)
        if interval is not None:
            interval = checked_interval(f"{owner}: {name}", interval)
            check_inside(f"{owner}: {name}", values[name], interval)
        intervals[name] = interval
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


def initial_value(value, dtype) -> jax.Array:
    """Convert to the initial array: keep the dtype of a floating array, and cast any other number to ``dtype``."""
    # Pass a dtype in both cases. A weakly typed parameter would change its type at the first step of the optimiser,
    # and the step would be compiled again.
    own = isinstance(value, (jax.Array, np.ndarray)) and is_float(value)
    return jnp.array(value, jnp.asarray(value).dtype if own else dtype)


def clip_straight_through(value: jax.Array, interval: Interval | None) -> jax.Array:
    """Clip a value to its interval, with a derivative of 1 everywhere (straight-through).

    The gradient is not 0 outside the interval, so that a parameter can leave an edge again. This form needs no custom
    derivative rule. :func:`brainsurr.optim.project` keeps the stored parameter inside.
    """
    if interval is None:
        return value
    constant = jax.lax.stop_gradient(value)
    return jnp.clip(constant, *interval) + (value - constant)


def checked_interval(name: str, interval) -> Interval:
    """Return an interval as two numbers, or raise a ValueError."""
    if np.shape(interval) != (2,) or not interval[0] < interval[1]:
        raise ValueError(f"{name}: expected bounds with low < high, got {interval!r}")
    return float(interval[0]), float(interval[1])


def not_trained(owner: str, name: str) -> ValueError:
    """Return the error for a parameter that is trained, for example in a checkpoint, but fixed in the layer."""
    return ValueError(
        f"{owner}: {name} is fixed in the layer but trained in the values given: make the layer with "
        f"learnable={name!r}, or leave {name} out of the values"
    )
