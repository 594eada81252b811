"""Helpers for arrays: conversion of inputs and parameters, their dtypes and shapes, and signs of subnormal numbers."""

import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

_COMMON = frozenset(map(jnp.dtype, ("float16", "bfloat16", "float32", "float64")))


def variable_value(x: Any) -> Any:
    """Return the array in a framework's variable (nnx.Variable, brainstate State or Param); other values unchanged."""
    if isinstance(x, (jax.Array, np.ndarray, int, float)):
        return x
    if hasattr(x, "__jax_array__"):
        return x.__jax_array__()
    brainstate = sys.modules.get("brainstate")  # its variables have no `__jax_array__`
    if brainstate is not None and isinstance(x, brainstate.State):
        return x.value
    if brainstate is not None and isinstance(x, brainstate.nn.Param):
        return x.value()
    return x


def without_unit(x: Any, name: str) -> Any:
    """Convert a dimensionless brainunit Quantity to a number; raise a TypeError if it has a unit.

    Other values are returned unchanged.
    """
    if not hasattr(x, "mantissa"):  # not a Quantity; this test doesn't import brainunit
        return x
    if not x.unit.dim.is_dimensionless:
        raise TypeError(f"expected a dimensionless {name}, got the unit {x.unit}: convert it as in docs/cookbook.md")
    return x.to_decimal()


def mapped(function: Callable, value: Any) -> Any:
    """Apply a function to the entries of nested lists, tuples and dictionaries; lists become tuples."""
    if isinstance(value, list) or type(value) is tuple:
        return tuple(mapped(function, entry) for entry in value)
    if type(value) is dict:
        return {key: mapped(function, entry) for key, entry in value.items()}
    return function(value)


def as_float(x: Any, name: str = "x") -> jax.Array:
    """Convert to an array of a real floating dtype, or raise a TypeError that names the actual type or dtype."""
    if isinstance(x, jax.Array) and not isinstance(x, float) and x.dtype in _COMMON:  # jax has floats with a dtype
        return x
    x = as_real(as_parameter(variable_value(x), name), name)
    return x if is_float(x) else x.astype(jnp.result_type(float))


def as_array(x: Any, name: str) -> jax.Array:
    """Convert to an array of any dtype, or raise a TypeError that names the actual type."""
    if x is None or isinstance(x, (str, bytes)):  # jax before 0.12 reads None as NaN and a string as a dtype
        raise TypeError(f"expected {name} to be a real array, got {x!r}")
    x = without_unit(variable_value(x), name)
    try:
        return jnp.asarray(x)
    except (TypeError, ValueError) as error:
        raise TypeError(f"expected {name} to be a real array, got {shown(x)}") from error


def shown(x: Any) -> str:
    """Describe a value for a message: an array by its dtype and shape, anything else by its type."""
    return f"an array {x.dtype}{list(x.shape)}" if isinstance(x, jax.Array | np.ndarray) else type(x).__name__


def as_real(x: Any, name: str) -> jax.Array:
    """Convert to an array of real numbers, integers or booleans, or raise a TypeError."""
    x = as_array(x, name)
    if not any(jnp.issubdtype(x.dtype, kind) for kind in (jnp.floating, jnp.integer, jnp.bool_)):
        raise TypeError(f"expected {name} to be a real array, got dtype {x.dtype}")
    return x


def as_scalar(x: Any, loss: str) -> jax.Array:
    """Convert the result of a loss function to a floating scalar, or raise a TypeError that names the function."""
    x = as_float(x, f"the result of {loss}")
    if x.ndim:
        raise TypeError(f"expected {loss} to return a scalar, got shape {x.shape}")
    return x


def as_parameter(value: Any, name: str) -> Any:
    """Convert quantities to numbers, also in nested containers. Lists become tuples; everything else is unchanged.

    Raises:
      TypeError: the value is a framework's variable, or has a unit.
    """
    return mapped(lambda entry: _as_number(entry, name), value)


def _as_number(value, name: str):
    if variable_value(value) is not value:
        raise TypeError(f"{name} can't be a {type(value).__name__}: pass its array, or train it with learnable=")
    return without_unit(value, name)


def match_dtype_and_rank(parameter, x: jax.Array, name: str):
    """Cast a parameter to x's dtype and left-pad its shape to x's rank. Python scalars are returned unchanged."""
    if type(parameter) is float:  # the most frequent case while tracing
        return parameter
    if not isinstance(parameter, jax.Array):
        parameter = as_parameter(variable_value(parameter), name)
        if not isinstance(parameter, np.ndarray | np.generic):
            return parameter
        parameter = jnp.asarray(parameter)
    sizes = zip(parameter.shape[::-1], x.shape[::-1], strict=False)
    if parameter.ndim > x.ndim or [n for n, m in sizes if n not in (1, m)]:
        raise ValueError(f"{name} of shape {parameter.shape} does not broadcast into an input of shape {x.shape}")
    rank = x.ndim - parameter.ndim if parameter.ndim else 0
    return parameter.astype(x.dtype).reshape((1,) * rank + parameter.shape)


def drawing_dtype(dtype):
    """Return the dtype for drawing weights before a cast: jax can't draw orthogonal half-precision matrices."""
    return jnp.float32 if jnp.dtype(dtype).itemsize < 4 else dtype


def is_negative(x: jax.Array) -> jax.Array:
    """Return x < 0, also for subnormal numbers, which a CPU treats as 0 in float comparisons."""
    bits = jax.lax.bitcast_convert_type(x, f"int{8 * x.dtype.itemsize}")
    return (bits < 0) & (bits != jnp.iinfo(bits.dtype).min)  # the smallest integer is -0.0


def divide(x, scale):
    """Return x * (1 / scale). Since jax 0.12.1, the derivative of x / scale is NaN where x / scale overflows."""
    return x * (1 / scale)


@jax.custom_jvp
def with_sign_of(x: jax.Array, other: jax.Array) -> jax.Array:
    """Return x with the sign of ``other``; where ``other`` isn't 0, |x| is at least the smallest normal number."""
    if x.dtype.itemsize == 1:
        return x
    info, unsigned = jnp.finfo(x.dtype), jnp.dtype(f"uint{8 * x.dtype.itemsize}")
    least = info.smallest_subnormal if x.dtype == jnp.float16 else info.tiny
    least, sign = np.array([least, -0.0], x.dtype).view(unsigned)
    bits, side = jax.lax.bitcast_convert_type(x, unsigned), jax.lax.bitcast_convert_type(other, unsigned)
    one = np.array(1, unsigned)
    floor = (jnp.minimum(side & ~sign, least) + (least - one)) & least
    return jax.lax.bitcast_convert_type((side & sign) | jnp.maximum(bits & ~sign, floor), x.dtype)


@with_sign_of.defjvp
def _with_sign_of_jvp(primals, tangents):
    return with_sign_of(*primals), tangents[0]


def is_float(x) -> bool:
    """Return whether an array has a real floating dtype."""
    return jnp.issubdtype(x.dtype, jnp.floating)


def is_number(value) -> bool:
    """Return whether a value is a Python number or an array of real numbers; booleans don't count."""
    if isinstance(value, (int, float)):
        return not isinstance(value, bool)
    is_array = isinstance(value, (np.ndarray, np.generic, jax.Array))
    return is_array and any(jnp.issubdtype(value.dtype, kind) for kind in (jnp.floating, jnp.integer))
