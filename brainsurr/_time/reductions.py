"""The reductions of `unroll` over time: what to keep of one block, and how to combine that of all blocks."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp


class Reduction(NamedTuple):
    """A reduction over time in two steps: within each block, which may differ in length, and over the blocks.

    Attributes:
      block: ``block(y)`` returns what to keep of the outputs of one block, ``[time, ...]``: an array or several.
      combine: ``combine(parts, steps, dtype)`` returns the outputs of all ``steps``, of what was kept, one or two trees
        with a leading axis of blocks; ``dtype`` is that of the outputs of a block.
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

    These share its gradient in proportion to their counts. The gradient is NaN for all entries where the maximum is
    NaN, and 0 where it is infinite. Integers and booleans have none, and no counts.
    """
    largest = jax.lax.stop_gradient(jnp.max(values, axis=0))
    if not jnp.issubdtype(values.dtype, jnp.inexact):
        return largest, None
    counts = jnp.where(values == jnp.expand_dims(largest, 0), counts, 0)
    total = jnp.sum(counts, axis=0)
    shares = (counts / jnp.expand_dims(total, 0)).astype(values.dtype)  # 0 / 0 = NaN where nothing equals the maximum
    # Zeros with the gradient of the values: the weighted sum of the values themselves is rounded and may overflow.
    finite = jnp.where(jnp.isinf(values), jnp.zeros_like(values), values)
    return largest + jnp.sum(shares * (finite - jax.lax.stop_gradient(finite)), axis=0), total


def _concatenate(parts):
    return jax.tree.map(lambda *arrays: jnp.concatenate(arrays), *parts)


REDUCTIONS: dict[str | None, Reduction] = {
    None: Reduction(lambda y: y, _all),
    "mean": Reduction(_sum, _mean),  # of integers, a float; half precision is summed in float32
    "max": Reduction(lambda y: _shared_maximum(y, 1), _max),
    "last": Reduction(lambda y: y[-1], lambda parts, steps, dtype: parts[-1][-1]),
}
