"""`lax.scan` for a state that was made without a thought of devices."""

import jax
import jax.numpy as jnp


def scan(step, carry, xs):
    """``jax.lax.scan`` of a pure step whose carry may be zeros that know of no mesh.

    Where types tell how an array is sharded (explicit axes) or over what it varies (``shard_map``), a carry must have
    from the start what a step gives it. So there the step is called once more, for its types; what it computes is
    dropped when compiled, what it prints is not.
    """
    mesh = jax.sharding.get_abstract_mesh()
    if (mesh.explicit_axes or mesh.manual_axes) and all(map(_has_first, jax.tree.leaves(xs))):
        after, _ = step(carry, jax.tree.map(lambda x: x[0], xs))
        carry = jax.tree.map(_typed, carry, after)
    return jax.lax.scan(step, carry, xs)


def _has_first(x):
    """Whether there is a first step, on every device; if not, `lax.scan` has a word for it."""
    return len(x) > 0 and tuple(jax.typeof(x).sharding.spec)[:1] in ((), (None,))


def _typed(before, after):
    return before if jax.typeof(before) == jax.typeof(after) else before + jnp.zeros_like(after)
