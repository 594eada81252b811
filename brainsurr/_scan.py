"""The loop over time, and the form in which it is compiled: chosen for the platform that a program is lowered for."""

import operator
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental.xla_metadata import set_xla_metadata
from jax.interpreters import mlir

from ._checks import is_integer

# The time steps that one iteration of a compiled loop takes where each operation of it is a launch of its own. More of
# them give fewer launches and take longer to compile; on a TPU more than these read and write more as well.
_WRITTEN_OUT = {"gpu": 10, "tpu": 4}
# On a CPU:
_LARGE = 2**20  # bytes, of all time steps or of one
_FEW = 16  # time steps
_BLOCKS = 2**30  # what `unroll` of a marked scan is above: the time steps of a block


def scan(step, carry, xs, unroll: int):
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


def by_platform(block: int = 0) -> int:
    """Return what a loop over time gives a scan of jax or a framework as ``unroll``, for `_lower` to know it by.

    ``block`` is the time steps of one iteration, if it is a block of them.
    """
    return 1 if _lowered_by_jax is None else _BLOCKS + block


def _lower(rule, ctx, *args, **params):
    """Lower a scan: one that `by_platform` marked in a form for each platform, any other one as jax does.

    jax keeps the mark through each transformation, so that the backward loop has it too, and a program has one loop
    until its platform is known. `lax.platform_dependent` from the start would trace and differentiate every form.

    On a CPU, a few steps of a megabyte or more, such as images, are written out: passes over all of them use every
    thread, where a loop uses one. Other long inputs run in a part of the program that XLA does not merge with the rest.
    jax has zeros in each array that a loop writes; XLA makes those of equal shape once, as the program starts, and a
    copy for each loop: layer by layer, the arrays of all loops, backward too, are written and held from the first step
    on. In a call that is not inlined they are made when the loop starts.
    """
    block, length = params["unroll"] - _BLOCKS, params["length"]
    if block < 0:
        return rule(ctx, *args, **params)
    inputs = [aval for aval in ctx.avals_in if aval.shape[:1] == (length,)]
    known = all(is_integer(size) for x in inputs for size in x.shape)  # no symbolic shapes
    size = max((x.size * x.dtype.itemsize for x in inputs), default=0) if known else 0

    def form(steps: int):
        return lambda *args: jax.lax.scan_p.bind(*args, **params | {"unroll": steps})

    @jax.jit
    def apart(*args):
        with set_xla_metadata(inlineable="true"):  # else what the loop calls stays apart as well
            return form(1)(*args)

    def on_cpu(*args):
        if block or size < _LARGE:
            return form(1)(*args)
        if length <= min(_FEW, size / _LARGE):
            return form(length)(*args)
        with set_xla_metadata(inlineable="false"):
            return apart(*args)

    def forms(*args):
        if not is_integer(length):
            return form(1)(*args)
        gpu, tpu = (form(_written_out(max(1, _WRITTEN_OUT[name] // max(1, block)), length)) for name in ("gpu", "tpu"))
        return jax.lax.platform_dependent(*args, cpu=on_cpu, tpu=tpu, default=gpu)

    return mlir.lower_fun(forms)(ctx, *args)


def _written_out(most: int, length: int) -> int:
    """Return how many iterations to write out: all of a short loop, else a divisor of its length, if one is near."""
    if length <= 2 * most:
        return max(1, length)
    return max([d for d in range(1 + most // 2, most + 1) if length % d == 0], default=most)


_lowered_by_jax: Callable[..., Any] | None = None
try:  # what jax has registered is no part of its public interface; without it, all loops have the form that jax gives
    _lowered_by_jax = mlir._lowerings[jax.lax.scan_p].rule
    mlir.register_lowering(jax.lax.scan_p, partial(_lower, _lowered_by_jax))
except (AttributeError, KeyError):
    pass
