"""`max_pool`: max pooling with a gradient that is fast on a CPU."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from ._arrays import as_float


def max_pool(
    inputs: jax.Array,
    window_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    padding: str | Sequence[tuple[int, int]] = "VALID",
) -> jax.Array:
    """Return the maximum of each window, with the values and gradients of ``flax.nnx.max_pool``.

    On a CPU, its gradient takes less time and memory than the gradient of flax's function. If several
    entries of a window are equal to the maximum, as with spikes, the first one gets the whole gradient. If a window
    contains NaN, its maximum is NaN.

    Args:
      inputs: floats, ``[..., *spatial axes, channels]``, with any number of leading axes, such as time and batch.
      window_shape: the size of a window along each spatial axis.
      strides: the distance between windows along each spatial axis. Defaults to 1.
      padding: ``"VALID"``, ``"SAME"``, or the padding before and after each spatial axis, as pairs.

    Returns:
      The maxima, ``[..., *spatial axes, channels]``, in the dtype of ``inputs``.

    Raises:
      TypeError: ``inputs`` is not an array of real numbers.
      ValueError: ``window_shape``, ``strides`` and ``padding`` have different lengths.

    Example:
      >>> import jax.numpy as jnp, brainsurr as bs
      >>> xs = jnp.arange(16.0).reshape(1, 4, 4, 1)
      >>> print(bs.max_pool(xs, (2, 2), strides=(2, 2)).squeeze())
      [[ 5.  7.]
       [13. 15.]]
    """
    inputs = as_float(inputs, "inputs")
    first = inputs.ndim - 1 - len(window_shape)
    strides = (1,) * len(window_shape) if strides is None else strides
    if isinstance(padding, str):
        padding = jax.lax.padtype_to_pads(inputs.shape[first:-1], window_shape, strides, padding)
    along_axes = zip(range(first, inputs.ndim - 1), window_shape, strides, padding, strict=True)
    # The last axis first: of several maxima of a window, the gradient goes to the first one in row-major order.
    for axis, size, stride, pads in reversed([*along_axes]):
        config = [(0, 0, 0)] * inputs.ndim
        config[axis] = (*pads, 0)
        inputs = jax.lax.pad(inputs, jnp.array(-jnp.inf, inputs.dtype), config)
        last = (inputs.shape[axis] - size) // stride * stride
        shifted = (jax.lax.slice_in_dim(inputs, i, i + last + 1, stride, axis) for i in range(size))
        inputs = functools.reduce(_larger, shifted)
    return inputs


def _larger(p, q):
    """Return the larger of two entries; at a tie, the first one gets the gradient."""
    return jnp.where((q > p) | jnp.isnan(q), q, p)
