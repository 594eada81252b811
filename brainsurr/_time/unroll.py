"""Time in blocks: layer by layer within a block, a scan from block to block."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .._arrays import as_array
from .._checks import check_function, check_word, is_integer
from .guard import trying_stateless_layers
from .scan import scan

REMATS = ("none", "dots", "full")
REDUCTIONS = (None, "mean", "max", "last")


def unroll(
    block: Callable[[Any, Any], tuple[Any, Any]],
    carry: Any,
    xs: Any,
    *,
    block_size: int | None = None,
    remat: str = "none",
    reduce: str | None = None,
) -> tuple[Any, Any]:
    r"""Run ``block`` over a long stretch of time, time first, ``block_size`` steps at once.

    The same numbers as ``block(carry, xs)``, values and gradients. Within a block the network goes layer by layer,
    so each of its matrix products is large and its activations stay in cache; between blocks a ``lax.scan`` carries
    the state. With :math:`b` steps a block, the backward pass of ``remat="full"`` holds :math:`T / b` carries and the
    activations of one block: :math:`O(T / b + b)`, smallest at :math:`b = \sqrt T`.

    Args:
      block: any ``(carry, xs) -> (carry, ys)`` over time, such as a layer or network of ``brainsurr.nnx``. It knows of
        earlier steps by its carry alone, and of later ones nothing: what it computes across the time axis it computes
        within a block.
      carry: its state before the first step.
      xs: inputs, an array ``[time, ...]`` or a tree of these.
      block_size: steps a block. If None, the divisor of :math:`T` next to :math:`\sqrt T`, or :math:`\sqrt T` itself,
        rounded, where none lies within a factor of 2. The last block is shorter where it must be; a block size that
        divides :math:`T` spares a copy of the inputs, and compiling the block twice.
      remat: what the backward pass keeps of a block: ``"none"`` recomputes nothing, ``"dots"`` keeps matrix products
        and recomputes the rest, ``"full"`` keeps the carry alone. With a single block, ``block_size >= T``,
        ``"full"`` saves nothing.
      reduce: None for all outputs ``[time, ...]``; ``"mean"``, ``"max"`` or ``"last"`` for that over time alone, so
        that a long run need not store them. The gradient of ``"max"`` is shared by ties, NaN where the maximum is,
        and 0 where it is infinite. The mean of integers is a float.

    Returns:
      The state after the last step, with which a stream can go on, and the outputs.

    Raises:
      TypeError: ``block_size`` is not an integer.
      ValueError: a bad ``block_size``, ``remat`` or ``reduce``; no time axis, or lengths that differ; a reduction
        over zero steps; ``block`` does not give an output for each step.

    Note:
      Call it inside of ``jax.jit``. Outside, each call compiles anew, as it does of ``lax.scan`` with a new function.

    References:
      Chen, Xu, Zhang, Guestrin 2016, "Training Deep Nets with Sublinear Memory Cost", section 4.1.

    Example:
      >>> import jax.numpy as jnp, brainsurr as bs
      >>> def running_sum(carry, xs):
      ...     ys = carry + jnp.cumsum(xs)
      ...     return ys[-1], ys
      >>> total, ys = bs.unroll(running_sum, jnp.zeros(()), jnp.arange(5.0), block_size=2)
      >>> print(total, ys)
      10.0 [ 0.  1.  3.  6. 10.]
      >>> print(bs.unroll(running_sum, jnp.zeros(()), jnp.arange(5.0), reduce="mean")[1])
      4.0
    """
    return unroll_with(scan, jax.checkpoint, block, carry, xs, block_size, remat, reduce)


def unroll_with(scan, checkpoint, block, carry, xs, block_size, remat, reduce):
    """`unroll` with a host's own ``scan(f, carry, xs)`` and ``checkpoint(f, policy=, prevent_cse=)``."""
    check_word("remat", remat, REMATS)
    check_word("reduce", reduce, REDUCTIONS)
    check_function("block", block)
    carry, xs = (jax.tree.map(partial(as_array, name=name), tree) for name, tree in (("carry", carry), ("xs", xs)))
    steps = _steps("xs", xs)
    if reduce and not steps:
        raise ValueError(f"reduce={reduce!r} over zero time steps is undefined")
    size = _block_size(block_size, steps)

    def run(carry, xs):  # a fresh function each call: jax caches by identity, and a module's weights may have changed
        answer = block(carry, xs)
        if not isinstance(answer, (tuple, list)) or len(answer) != 2:
            raise TypeError(f"expected block to return a carry and outputs, got {type(answer).__name__}")
        carry, ys = answer
        if _steps("the outputs of block", ys) != _steps("xs", xs):
            raise ValueError(
                f"expected block to give an output for each of {_steps('xs', xs)} steps, got {_shapes(ys)}"
            )
        return carry, jax.tree.map(partial(_reduce_block, reduce), ys)

    if remat != "none":
        policy = jax.checkpoint_policies.dots_saveable if remat == "dots" else None
        run = checkpoint(run, policy=policy, prevent_cse=False)

    blocks = steps // size if size < steps else 0
    outputs = []
    if blocks:
        whole = jax.tree.map(lambda x: x[: blocks * size].reshape(blocks, size, *x.shape[1:]), xs)
        with trying_stateless_layers(min(steps, max(2 * size, 32))):
            carry, ys = scan(partial(_run_and_check_carry, run), carry, whole)
        outputs.append(ys if reduce else jax.tree.map(lambda y: y.reshape(blocks * size, *y.shape[2:]), ys))
    if blocks * size < steps or not blocks:
        carry, ys = run(carry, jax.tree.map(lambda x: x[blocks * size :], xs))
        outputs.append(jax.tree.map(lambda y: y[None], ys) if reduce else ys)
    ys = outputs[0] if len(outputs) == 1 else jax.tree.map(lambda *parts: jnp.concatenate(parts), *outputs)

    def is_part(node):
        return isinstance(node, (_Sum, _Max))

    return carry, jax.tree.map(partial(_reduce_blocks, reduce, steps), ys, is_leaf=is_part)


def _run_and_check_carry(run, carry, xs):
    """``run(carry, xs)``, or a TypeError if what it gives can't be the carry of the next block."""
    after, ys = run(carry, xs)
    after = jax.tree.map(partial(as_array, name="the carry that block returns"), after)
    before, now = jax.tree.leaves(carry), jax.tree.leaves(after)
    structures: list[Any] = [jax.tree.structure(carry), jax.tree.structure(after)]
    same = structures[0] == structures[1] and all(
        a.shape == b.shape and (a.dtype == b.dtype or a.weak_type) for a, b in zip(before, now, strict=True)
    )
    if not same:
        kinds = (", ".join(f"{leaf.dtype}{list(leaf.shape)}" for leaf in leaves) for leaves in (before, now))
        raise TypeError("expected block to return a carry like the one it is given, {}, got {}".format(*kinds))
    return after, ys


class _Sum(NamedTuple):
    """The sum of a block in at least float32, and an empty array of the dtype that the mean shall have."""

    value: jax.Array
    kind: jax.Array


class _Max(NamedTuple):
    """The maximum of a block; a zero with the gradient of all that attain it; their number; one of all there is."""

    value: jax.Array
    zero: jax.Array
    ties: jax.Array
    every: jax.Array


def _reduce_block(reduce, y):
    inexact = jnp.issubdtype(y.dtype, jnp.inexact)
    if reduce == "mean":
        y = y if inexact else y.astype(jnp.result_type(float))
        wide = y.astype(jnp.float32) if y.dtype.itemsize < 4 else y
        return _Sum(jnp.sum(wide, axis=0), jnp.zeros(0, y.dtype))
    if reduce == "last":
        return y[-1]
    if reduce == "max" and not inexact:  # which has no gradient to share
        return jnp.max(y, axis=0)
    if reduce == "max":
        value = jax.lax.stop_gradient(jnp.max(y, axis=0))
        attains = y == jnp.expand_dims(value, 0)
        # Not their sum, which may overflow; and no gradient where inf - inf would be NaN.
        zero = y - jax.lax.stop_gradient(y)
        shared = jnp.sum(jnp.where(attains & jnp.isfinite(y), zero, 0), axis=0)
        return _Max(value, shared, jnp.sum(attains, axis=0), jnp.sum(zero, axis=0))
    return y


def _reduce_blocks(reduce, steps, parts):
    """The reduction over time, of one per block."""
    if reduce == "mean":
        return (jnp.sum(parts.value, axis=0) / steps).astype(parts.kind.dtype)
    if reduce == "last":
        return parts[-1]
    if reduce == "max" and not isinstance(parts, _Max):
        return jnp.max(parts, axis=0)
    if reduce == "max":
        value = jnp.max(parts.value, axis=0)
        attains = parts.value == jnp.expand_dims(value, 0)
        zero = jnp.sum(jnp.where(attains, parts.zero, 0), axis=0)
        # A count is past float16's largest number before it is past its own; an infinite one would still give 0.
        shared = zero / jnp.sum(jnp.where(attains, parts.ties, 0), axis=0).astype(zero.dtype)
        # No entry attains NaN, so all get its gradient, NaN. Elsewhere the factor is 0: inf would make NaN of 0.
        is_nan = jnp.isnan(value)
        return value + jnp.where(is_nan, jnp.where(is_nan, value, 0) * jnp.sum(parts.every, axis=0), shared)
    return parts


def _block_size(block_size, steps: int) -> int:
    if block_size is None:
        root = math.sqrt(steps)
        divisors = [d for d in range(math.ceil(root / 2), int(2 * root) + 1) if d and steps % d == 0]
        return min(divisors, key=lambda d: max(d * d / steps, steps / (d * d))) if divisors else max(1, round(root))
    if not is_integer(block_size):
        raise TypeError(f"expected block_size to be an integer or None, got {block_size!r}")
    if block_size < 1:
        raise ValueError(f"expected block_size to be at least 1, got {block_size}")
    return int(block_size)


def _steps(name: str, tree) -> int:
    """The length of the leading, time axis that all arrays of a tree share."""
    leaves = jax.tree.leaves(tree)
    if not leaves or any(jnp.ndim(leaf) == 0 for leaf in leaves) or len({leaf.shape[0] for leaf in leaves}) > 1:
        raise ValueError(f"expected {name} to be arrays [time, ...] of one length, got {_shapes(tree)}")
    return leaves[0].shape[0]


def _shapes(tree) -> str:
    return ", ".join(str(jnp.shape(leaf)) for leaf in jax.tree.leaves(tree)) or "no array"
