"""Reductions over time for `unroll`: each block is reduced to a partial result, and the partial results combined."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp


class Reduction(NamedTuple):
    """A reduction over time in two stages: first within each block, then over blocks, which may differ in length.

    Attributes:
      block: ``block(y)`` reduces the outputs of one block, ``[time, ...]``, to a partial result, a tree of arrays.
      combine: ``combine(parts, steps, dtype)`` returns the reduction over all ``steps``. ``parts`` contains one or two
        partial results, stacked along a leading axis of blocks. ``dtype`` is the dtype of a block's outputs.
    """

    block: Callable
    combine: Callable


def _all(parts, steps, dtype):
    return jnp.concatenate([y.reshape(y.shape[0] * y.shape[1], *y.shape[2:]) for y in parts])


def _sum(y):
    y = y.astype(_float_dtype(y.dtype))
    return jnp.sum(y.astype(jnp.float32) if y.dtype.itemsize < 4 else y, axis=0)


def _mean(parts, steps, dtype):
    return (jnp.sum(_concatenate(parts), axis=0) / steps).astype(_float_dtype(dtype))


def _float_dtype(dtype):
    return dtype if jnp.issubdtype(dtype, jnp.inexact) else jnp.result_type(float)


def _max(parts, steps, dtype):
    return _shared_maximum(*_concatenate(parts))[0]


def _shared_maximum(values, counts):
    """Return the maximum over the leading axis, and the total count of the entries equal to it.

    These entries share the gradient in proportion to their counts. The gradient of all entries is NaN if the maximum is
    NaN, and 0 if it is infinite. For integers and booleans, the count is None.
    """
    largest = jax.lax.stop_gradient(jnp.max(values, axis=0))
    if not jnp.issubdtype(values.dtype, jnp.inexact):
        return largest, None
    counts = jnp.where(values == jnp.expand_dims(largest, 0), counts, 0)
    total = jnp.sum(counts, axis=0)
    shares = (counts / jnp.expand_dims(total, 0)).astype(values.dtype)  # 0 / 0 = NaN if the maximum is NaN
    # Add zeros that have the gradient of the values. A weighted sum of the values would be rounded and could overflow.
    finite = jnp.where(jnp.isinf(values), jnp.zeros_like(values), values)
    return largest + jnp.sum(shares * (finite - jax.lax.stop_gradient(finite)), axis=0), total


def _concatenate(parts):
    return jax.tree.map(lambda *arrays: jnp.concatenate(arrays), *parts)


REDUCTIONS: dict[str | None, Reduction] = {
    None: Reduction(lambda y: y, _all),
    "mean": Reduction(_sum, _mean),  # the mean of integers is a float; half precision is summed in float32
    "max": Reduction(lambda y: _shared_maximum(y, 1), _max),
    "last": Reduction(lambda y: y[-1], lambda parts, steps, dtype: parts[-1][-1]),
}
