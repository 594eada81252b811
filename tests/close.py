"""How far apart two programs may end that compute the same thing in another order, stated once.

The order of a sum, whether a product and a sum are rounded once or twice (fused multiply-add) and the polynomial behind
a logarithm are the compiler's choice, and differ from one instruction set to the next. Each operation rounds by half an
ulp of its result at most, so two programs of n operations that build on one another end within n ulps of each other: of
the largest number on the way, since a small difference of large numbers has the error of the large ones. For it
`assert_close` takes the largest number of the result, which is as large where there are many results or terms of one
sign; a test of few sums that cancel gives the scale. What is smaller than the smallest normal number may be 0.

A spike is a step, which no bound of this kind holds: where two programs are asked for the same spikes, either no
potential is rounded (small multiples of powers of two), or `distances` tells that none comes so near to its threshold
that rounding could carry it across.
"""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np

from brainsurr import _kernel


def bound(operations, scale, dtype=jnp.float32):
    """What rounding alone may change.

    Args:
      operations: how many build on one another, such as the length of a sum, or steps times operations of a step.
      scale: the largest magnitude on the way.
      dtype: that is computed in.
    """
    return operations * float(jnp.finfo(dtype).eps) * scale


def widen(x):
    """An array of any float dtype in float64."""
    with np.errstate(invalid="ignore"):  # NaN of half precision
        return np.asarray(x, np.float64)


def largest(tree):
    """The largest magnitude in the arrays of a tree, where they are finite."""
    magnitudes = np.concatenate([np.ravel(np.abs(leaf)) for leaf in jax.tree.leaves(tree)])
    return np.max(magnitudes, initial=0, where=np.isfinite(magnitudes))


def assert_equal(actual, expected):
    """Equal entries, leaf by leaf of two trees."""
    jax.tree.map(np.testing.assert_array_equal, actual, expected)


def assert_close(actual, expected, operations, *, scale=None, each=False, dtype=None):
    """Equal up to the rounding of so many operations, leaf by leaf of two trees.

    Args:
      actual: arrays, in the dtype that was computed in.
      expected: arrays of the same shapes, whose dtype may be wider; a number stands for all entries.
      operations: how many build on one another.
      scale: the largest magnitude on the way; if None, the largest in each two leaves compared. To be given where all
        results are small sums of large terms.
      each: whether each entry is computed by itself from terms no larger than itself, and is its own scale.
      dtype: that was computed in, where ``actual`` no longer tells.
    """
    if hasattr(actual, "dtype"):  # an array, to which a list may be compared
        actual, expected = [actual], [np.asarray(expected)]
    actual, expected = jax.tree.leaves(actual), jax.tree.leaves(expected)
    assert actual, "nothing to compare"
    for one, other in zip(actual, expected, strict=True):
        kind = dtype or np.asarray(one).dtype
        one, other = widen(one), widen(other)
        size = largest([one, other]) if scale is None and not each else scale or 0
        relative = bound(operations, 1, kind) if each else 0
        absolute = bound(operations, size, kind) + float(jnp.finfo(kind).tiny)
        np.testing.assert_allclose(one, other, rtol=relative, atol=absolute)


@contextlib.contextmanager
def distances():
    """A list that takes how far from its threshold each potential is that a surrogate is called with inside."""
    seen, step = [], _kernel._step

    def watched(x):
        jax.debug.callback(lambda x: seen.extend(np.abs(x, dtype=float).ravel()), x)
        return step(x)

    jax.clear_caches()  # what was compiled before does not tell
    _kernel._step = watched
    try:
        yield seen
        jax.effects_barrier()
    finally:
        _kernel._step = step
        jax.clear_caches()
