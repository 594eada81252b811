"""The loop over time."""

import operator

import jax
import jax.numpy as jnp
from jax.experimental.xla_metadata import set_xla_metadata

_LARGE = 2**20  # bytes, of all time steps or of one
_FEW = 16  # time steps


def scan(step, carry, xs, unroll: bool = False):
    """Scan a pure step over time, like ``jax.lax.scan``, from a carry that may lack the sharding type of the inputs.

    Under explicit mesh axes and in ``shard_map``, types say how an array is sharded or over which axes it varies, and
    ``lax.scan`` requires the initial carry to have the type that a step returns. So the step is called once more, for
    its types, and again where one part of the carry gets its type from another. XLA removes the extra calls; their side
    effects (debug prints) still happen.
    """
    mesh = jax.sharding.get_abstract_mesh()
    if (mesh.explicit_axes or mesh.manual_axes) and all(map(_has_first, jax.tree.leaves(xs))):
        first = jax.tree.map(lambda x: x[0], xs)
        for _ in jax.tree.leaves(carry):
            before, (after, _) = carry, step(carry, first)
            carry = jax.tree.map(typed_like, before, after)
            if all(map(operator.is_, jax.tree.leaves(carry), jax.tree.leaves(before))):
                break
    return jax.lax.scan(step, carry, xs, unroll=unroll)


def _has_first(x):
    """Return whether the time axis is non-empty and unsharded. Otherwise `lax.scan` raises its own error."""
    return len(x) > 0 and tuple(jax.typeof(x).sharding.spec)[:1] in ((), (None,))


def typed_like(part, like):
    """Return an array with the sharding type of another one of its shape."""
    if part.shape != like.shape:
        return part
    zeros = jnp.zeros_like(like, part.dtype)
    return part if jax.typeof(part) == jax.typeof(zeros) else part + zeros


def loop(step, carry, xs):
    """Scan like `scan`, in the form that XLA on a CPU compiles best. It is chosen by the size of the inputs.

    A few steps of a megabyte or more, such as images, are written out: passes over all of them use every thread, where
    a loop uses one. Other long inputs run in a part of the program that XLA does not merge with the rest. jax has zeros
    in each array that a loop writes; XLA makes those of equal shape once, as the program starts, and a copy for each
    loop: layer by layer, the arrays of all loops, backward too, are written and held from the first step on. In a call
    that is not inlined they are made when the loop starts.
    """
    leaves = jax.tree.leaves(xs)
    size = max((x.size * x.dtype.itemsize for x in leaves), default=0)
    if size < _LARGE or jax.default_backend() != "cpu":
        return scan(step, carry, xs)
    if len(leaves[0]) <= min(_FEW, size / _LARGE):
        return scan(step, carry, xs, unroll=True)

    @jax.jit
    def apart(carry, xs):
        with set_xla_metadata(inlineable="true"):  # else what the loop calls stays apart as well
            return scan(step, carry, xs)

    with set_xla_metadata(inlineable="false"):
        return apart(carry, xs)
