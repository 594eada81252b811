"""The reductions of `unroll` over time: one block is reduced to a part, and the parts of all blocks are combined."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp


class Reduction(NamedTuple):
    """A reduction over time in two stages: within each block, and then over the blocks, which may differ in length.

    Attributes:
      block: ``block(y)`` reduces the outputs of one block, ``[time, ...]``, to one or several arrays, its part.
      combine: ``combine(parts, steps, dtype)`` returns the reduction over all ``steps``. ``parts`` holds one or two
        trees of parts with a leading axis of blocks. ``dtype`` is the dtype of the outputs of a block.
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
    """Return the maximum over the leading axis, and the sum of the counts of the entries that attain it.

    These entries share the gradient in proportion to their counts. The gradient of all entries is NaN if the maximum is
    NaN, and 0 if it is infinite. Integers and booleans have neither a gradient nor counts.
    """
    largest = jax.lax.stop_gradient(jnp.max(values, axis=0))
    if not jnp.issubdtype(values.dtype, jnp.inexact):
        return largest, None
    counts = jnp.where(values == jnp.expand_dims(largest, 0), counts, 0)
    total = jnp.sum(counts, axis=0)
    shares = (counts / jnp.expand_dims(total, 0)).astype(values.dtype)  # 0 / 0 = NaN where nothing equals the maximum
    # Zeros with the gradient of the values: a weighted sum of the values themselves is rounded and may overflow.
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
