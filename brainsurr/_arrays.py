"""The public door: what becomes an array, and how a parameter meets one."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def as_float(x: Any, name: str = "x") -> jax.Array:
    """An array of a real floating dtype, or a TypeError that says what came and what to pass."""
    if hasattr(x, "mantissa") and hasattr(x, "unit"):  # a brainunit Quantity, without importing brainunit
        if not x.is_unitless:
            raise TypeError(
                f"expected a dimensionless {name}, got a quantity with the unit {x.unit}: divide by it, "
                f"as in (v - threshold) / mV, or pass {name}.mantissa"
            )
        x = x.to_decimal()
    x = as_array(x, name)
    if jnp.issubdtype(x.dtype, jnp.floating):
        return x
    if jnp.issubdtype(x.dtype, jnp.integer) or x.dtype == jnp.bool_:
        return x.astype(jnp.result_type(float))
    hint = f": pass its real part, {name}.real" if jnp.issubdtype(x.dtype, jnp.complexfloating) else ""
    raise TypeError(f"expected {name} to be a real array, got dtype {x.dtype}{hint}")


def as_array(x: Any, name: str) -> jax.Array:
    """An array of any dtype, or a TypeError that says what came."""
    if x is None or isinstance(x, (str, bytes)):
        raise TypeError(f"expected {name} to be a real array, got {x!r}")
    try:
        return jnp.asarray(x)
    except (TypeError, ValueError) as error:
        raise TypeError(f"expected {name} to be a real array, got {type(x).__name__}") from error


def fit(parameter, x: jax.Array, name: str):
    """The parameter in the dtype and rank of x. A Python number is weakly typed and stays as it is."""
    if not isinstance(parameter, (jax.Array, np.ndarray, np.generic)):
        return parameter
    parameter = jnp.asarray(parameter)
    try:
        wider = jnp.broadcast_shapes(parameter.shape, x.shape) != x.shape
    except ValueError:
        wider = True
    if wider:
        raise ValueError(
            f"{name} of shape {parameter.shape} does not broadcast into an input of shape {x.shape}: "
            "give one number, or one per channel (the last axis of the input)"
        )
    rank = x.ndim - parameter.ndim if parameter.ndim else 0
    return parameter.astype(x.dtype).reshape((1,) * rank + parameter.shape)


def partition(tree, is_traced) -> tuple[list, tuple]:
    """What of a tree is to be traced, None in the place of all else; and the rest, for `combine`."""
    leaves, structure = jax.tree.flatten(tree)
    arrays = [leaf if is_traced(leaf) else None for leaf in leaves]
    others = tuple(leaf if array is None else None for leaf, array in zip(leaves, arrays, strict=True))
    return arrays, (structure, others)


def combine(arrays, rest):
    """The tree that `partition` took apart, or one with other arrays."""
    structure, others = rest
    leaves = [other if array is None else array for array, other in zip(arrays, others, strict=True)]
    return jax.tree.unflatten(structure, leaves)


def is_number(value) -> bool:
    """A Python number or an array of real numbers; a boolean is neither."""
    if isinstance(value, (bool, np.bool_)):
        return False
    if isinstance(value, (int, float)):
        return True
    return isinstance(value, (np.ndarray, np.generic, jax.Array)) and (
        jnp.issubdtype(value.dtype, jnp.floating) or jnp.issubdtype(value.dtype, jnp.integer)
    )
