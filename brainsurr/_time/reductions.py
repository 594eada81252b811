"""The reductions of `unroll` over time: what to keep of one block, and how to combine that of all blocks."""

from typing import Any, Protocol

import jax
import jax.numpy as jnp


class Reduction(Protocol):
    """A reduction over time in two steps: within each block, which may differ in length, and over the blocks."""

    def block(self, y: jax.Array) -> Any:
        """Return what to keep of the outputs of one block, ``[time, ...]``: an array or a tuple of arrays."""

    def combine(self, parts: list, steps: int, dtype) -> jax.Array:
        """Return the outputs of all time steps.

        Args:
          parts: what was kept of the blocks, one or two trees with a leading axis of blocks.
          steps: the number of time steps of all blocks.
          dtype: of the outputs of a block.
        """


class All(Reduction):
    """Keep the outputs of all time steps."""

    def block(self, y):
        """Keep everything."""
        return y

    def combine(self, parts, steps, dtype):
        """Concatenate the blocks in time."""
        return jnp.concatenate([y.reshape(y.shape[0] * y.shape[1], *y.shape[2:]) for y in parts])


class Mean(Reduction):
    """The mean over time; of integers, a float. Half precision is summed in float32."""

    def block(self, y):
        """Sum over time."""
        y = y.astype(_float_dtype(y.dtype))
        return jnp.sum(y.astype(jnp.float32) if y.dtype.itemsize < 4 else y, axis=0)

    def combine(self, parts, steps, dtype):
        """Sum over the blocks and divide by the number of time steps."""
        return (jnp.sum(_concatenate(parts), axis=0) / steps).astype(_float_dtype(dtype))


class Max(Reduction):
    """The maximum over time, whose gradient is shared by all time steps that attain it."""

    def block(self, y):
        """Return the maximum, and how many time steps attain it."""
        return _shared_maximum(y, 1)

    def combine(self, parts, steps, dtype):
        """Return the largest of the maxima; a block has a share in its gradient for each step that attains it."""
        return _shared_maximum(*_concatenate(parts))[0]


class Last(Reduction):
    """The outputs of the last time step."""

    def block(self, y):
        """Keep the last time step."""
        return y[-1]

    def combine(self, parts, steps, dtype):
        """Keep the last block."""
        return parts[-1][-1]


REDUCTIONS: dict[str | None, Reduction] = {None: All(), "mean": Mean(), "max": Max(), "last": Last()}


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


def _float_dtype(dtype):
    return dtype if jnp.issubdtype(dtype, jnp.inexact) else jnp.result_type(float)


def _concatenate(parts):
    return jax.tree.map(lambda *arrays: jnp.concatenate(arrays), *parts)
