"""Scans over time: of a layer, and from a carry without the sharding type of the inputs."""

import operator
from functools import partial

import jax
import jax.numpy as jnp

from .._arrays import as_float, as_parameter, combine, is_number, partition
from .._checks import check_step_shape
from .._surrogate import Surrogate


def scan(step, carry, xs):
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
            carry = jax.tree.map(_typed, before, after)
            if all(map(operator.is_, jax.tree.leaves(carry), jax.tree.leaves(before))):
                break
    return jax.lax.scan(step, carry, xs)


def _has_first(x):
    """Return whether the time axis is non-empty and unsharded. Otherwise `lax.scan` raises its own error."""
    return len(x) > 0 and tuple(jax.typeof(x).sharding.spec)[:1] in ((), (None,))


def _typed(before, after):
    return before if jax.typeof(before) == jax.typeof(after) else before + jnp.zeros_like(after)


def scan_over_time(owner, step, carry, xs, host_scan=jax.lax.scan, key=None):
    """Run the step of a layer, ``step(carry, x) -> (carry, y)``, over the leading axis of ``xs``.

    Args:
      owner: the name of the layer.
      step: a partial of a function, with all arguments but these two by name.
      carry: the state before the first step.
      xs: inputs ``[time, ..., features]``.
      host_scan: the scan of the framework, used where ``spike_fn`` may read or write the framework's state.
      key: draws a key for each step, ``step(carry, x, key=key)``; or None.
    """
    xs = as_float(xs, "xs")
    if not xs.ndim:
        raise ValueError("expected xs to be an array [time, ..., features], got a single number")
    carry = jax.tree.map(partial(as_float, name="carry"), carry)
    for part in jax.tree.leaves(carry):
        check_step_shape(part, xs.shape[1:], owner)
    # The keys of all steps are an input of the scan: it carries none, and a step that is computed again draws the same.
    xs = xs, {} if key is None else {"key": jax.random.split(key, len(xs))}
    if not isinstance(step.keywords.get("spike_fn"), Surrogate | None):
        return host_scan(partial(_with_key, step), carry, xs)
    # Outside of jit, a scan compiles for each new function and keeps the program. So all numbers are arguments of one
    # function: a new value neither compiles again nor fills the cache.
    arrays, rest = partition(step.keywords, is_number)
    return _compiled_scan(step.func, rest, list(map(as_parameter, arrays)), carry, xs)


@partial(jax.jit, static_argnums=(0, 1), inline=True)
def _compiled_scan(step, rest, arrays, carry, xs):
    return scan(partial(_with_key, partial(step, **combine(arrays, rest))), carry, xs)


def _with_key(step, carry, x):
    x, key = x
    return step(carry, x, **key)
