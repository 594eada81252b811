"""Networks in blocks of time steps: layer by layer within a block, a scan from block to block."""

import dataclasses
import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .._arrays import as_array
from .._checks import check_function, check_key, check_word, is_integer, shapes
from .._hooks import hook
from .._scan import by_platform, scan
from .guard import trying_stateless_layers
from .reductions import REDUCTIONS

REMATS = ("none", "dots", "full")
_ROWS = 1536  # of the matrix products of a block: more take more memory, and save little time


def unroll(
    block: Callable[[Any, Any], tuple[Any, Any]],
    carry: Any,
    xs: Any,
    *,
    block_size: int | None = None,
    remat: str = "none",
    reduce: Any = None,
    key: jax.Array | None = None,
) -> tuple[Any, Any]:
    r"""Run ``block`` over a long sequence, time first, in blocks of ``block_size`` time steps.

    Values and gradients are those of ``block(carry, xs)``. Within a block the network runs layer by layer, so each
    matrix product is large and activations stay in cache; from block to block a ``lax.scan`` carries the state. With
    blocks of :math:`b` steps, the backward pass of ``remat="full"`` stores :math:`T / b` carries and the activations
    of one block: :math:`O(T / b + b)`, smallest at :math:`b = \sqrt T`.

    Args:
      block: any function ``(carry, xs) -> (carry, ys)`` over time, such as a layer or network of ``brainsurr.nnx``.
        Only its carry may depend on earlier blocks, and nothing on later ones, or on how many steps there are: a sum
        over the time axis, say, is a sum over one block. Random numbers from a key that is in neither ``carry`` nor
        ``xs`` are the same in each block: a mask of ``xs.shape`` repeats, which raises no error. Use ``key``.
      carry: the state before the first step.
      xs: inputs, an array ``[time, ...]`` or a tree of these. Spikes can be uint8 or bool, a quarter of the memory of
        float32: the layers here make floats of them, of one block at a time.
      block_size: time steps per block. If None, as many as have 1536 examples ``[time, *batch, features]`` together,
        from :math:`\sqrt T / 2` to :math:`2 \sqrt T`: the divisor of :math:`T` there that is closest. If none is within
        a factor of 2, that number rounded down, or half of :math:`T`. A batch that ``jax.vmap`` adds is not counted,
        nor an axis of symbolic size. For a small batch, larger blocks can be faster, and need more memory. The last
        block may be shorter; a block size that divides :math:`T` avoids a copy of the inputs and compiling the block
        twice.
      remat: how much of a block the backward pass recomputes: ``"none"`` nothing, ``"dots"`` all but matrix products,
        ``"full"`` everything, from the carry. With a single block, or few time steps, ``"full"`` saves no memory.
      reduce: None returns all outputs ``[time, ...]``; ``"mean"``, ``"max"`` or ``"last"`` returns their reduction over
        time without storing them. The gradient of ``"max"`` is shared by ties, NaN where the maximum is NaN, and 0
        where it is infinite. The mean of integers is a float. Where the outputs are a tree, a tree of these words has
        one for each, or for all outputs at its place: ``reduce=("last", "mean")`` for ``ys, spikes``.
      key: of what a block draws, such as random spikes: it is called as ``block(carry, xs, key=)``, with a new key each
        time, which is the same where it is recomputed.

    Returns:
      The state after the last step, from which a stream can go on, and the outputs.

    Raises:
      TypeError: ``block_size`` is not an integer.
      ValueError: a bad ``block_size``, ``remat`` or ``reduce``; no time axis, or lengths that differ; a reduction
        over zero steps; ``block`` does not return an output for each step.

    Note:
      Call it inside ``jax.jit``. Outside, each call compiles again, like ``lax.scan`` with a new function.

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
    if key is not None:
        check_function("block", block)
        check_key("unroll", key)
        keys = jax.random.split(key, _steps("xs", as_arrays("xs", xs)))  # of which a block takes its first
        block, xs = partial(_with_key, block), (xs, keys)
    return unroll_blocks(JAX, block, carry, xs, block_size, remat, reduce)


def _with_key(block, carry, inputs):
    xs, keys = inputs
    return block(carry, xs, key=keys[0])


class Transforms(NamedTuple):
    """The scan and the checkpoint of a framework. Both take functions of a block, a carry and inputs.

    The block is an argument of its own because flax linen calls such a function with a copy of the module.

    Attributes:
      scan: ``scan(f, block, carry, xs, unroll) -> (carry, ys)`` with ``f(block, carry, x) -> (carry, y)``.
      checkpoint: ``checkpoint(f, policy=, prevent_cse=)`` returns a function of the arguments of ``f``.
    """

    scan: Callable
    checkpoint: Callable


def transforms_of(scan: Callable, checkpoint: Callable) -> Transforms:
    """Return the transforms of a framework whose ``scan`` and ``checkpoint`` take functions of arrays alone."""

    def checkpoint_with_block(f, **options):
        return lambda block, carry, xs: checkpoint(partial(f, block), **options)(carry, xs)

    def scan_with_block(f, block, carry, xs, unroll):
        return scan(partial(f, block), carry, xs, unroll=unroll)

    return Transforms(scan_with_block, checkpoint_with_block)


JAX = transforms_of(scan, jax.checkpoint)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class _Part:
    """What a reduction keeps of one output of a block, its word, and the dtype of that output."""

    kept: Any
    word: str | None = dataclasses.field(metadata={"static": True})
    dtype: Any = dataclasses.field(metadata={"static": True})


@hook
def unroll_blocks(transforms: Transforms, block, carry, xs, block_size, remat, reduce):
    """Run `unroll` with the transforms of a framework."""
    check_word("remat", remat, REMATS)
    words, places = jax.tree.flatten(reduce, is_leaf=lambda node: node is None or isinstance(node, str))
    for word in words:
        check_word("reduce", word, tuple(REDUCTIONS))
    check_function("block", block)
    carry, xs = as_arrays("carry", carry), as_arrays("xs", xs)
    steps = _steps("xs", xs)
    if any(words) and not steps:
        raise ValueError(f"reduce={reduce!r} over zero time steps is undefined")
    size = _block_size(block_size, xs, steps)

    # A new function at each call: jax caches by identity, and the weights of a module may have changed.
    def block_and_reduce(block, carry, xs):
        carry, ys = outputs_of(block, carry, xs)
        return carry, _reduced(words, places, ys)

    if remat != "none":
        policy = _products_saveable if remat == "dots" else None
        block_and_reduce = transforms.checkpoint(block_and_reduce, policy=policy, prevent_cse=False)

    blocks = steps // size if size < steps else 0
    parts = []  # of the blocks of equal length, and of the rest
    if blocks:
        whole = jax.tree.map(lambda x: x[: blocks * size].reshape(blocks, size, *x.shape[1:]), xs)
        with trying_stateless_layers(min(steps, max(2 * size, 32))):
            carry, stacked = transforms.scan(block_and_reduce, block, carry, whole, by_platform(size))
        parts.append(stacked)
    if blocks * size < steps or not blocks:
        carry, rest = block_and_reduce(block, carry, jax.tree.map(lambda x: x[blocks * size :], xs))
        parts.append(jax.tree.map(lambda kept: kept[None], rest))

    def combine(*parts):
        return REDUCTIONS[parts[0].word].combine([part.kept for part in parts], steps, parts[0].dtype)

    return carry, jax.tree.map(combine, *parts, is_leaf=lambda node: isinstance(node, _Part))


@hook
def outputs_of(block, carry, xs):
    """Return the carry and the outputs of a block, a pair with an output for each step."""
    returned = block(carry, xs)
    if not isinstance(returned, (tuple, list)) or len(returned) != 2:
        raise TypeError(f"expected block to return a carry and outputs, got {type(returned).__name__}")
    steps = len(jax.tree.leaves(xs)[0])
    if _steps("the outputs of block", returned[1]) != steps:
        raise ValueError(f"expected block to give an output for each of {steps} steps, got {shapes(returned[1])}")
    return returned


def _products_saveable(primitive, *args, **params) -> bool:
    """Return whether an operation is a product, one of `brainsurr.events` too."""
    return primitive.name == "events_product" or jax.checkpoint_policies.dots_saveable(primitive, *args, **params)


@hook
def as_arrays(name: str, tree):
    """Return a tree of arrays."""
    return jax.tree.map(lambda x: as_array(x, name), tree)


def _reduced(words, places, ys):
    """Return a `_Part` for each output of a block. A word of ``reduce`` is for all outputs at its place."""
    try:
        outputs = places.flatten_up_to(ys)
    except ValueError as error:
        shown = jax.tree.map(lambda y: "mean", ys)
        reduce = places.unflatten(words)
        raise ValueError(f"expected reduce to be a string, or strings such as {shown}, got {reduce!r}") from error
    parts = (
        jax.tree.map(lambda y, word=word: _Part(REDUCTIONS[word].block(y), word, y.dtype), output)
        for word, output in zip(words, outputs, strict=True)
    )
    return places.unflatten(parts)


def _block_size(block_size, xs, steps: int) -> int:
    if block_size is None:
        return _default_block_size(_examples(xs), steps)
    if not is_integer(block_size):
        raise TypeError(f"expected block_size to be an integer or None, got {block_size!r}")
    if block_size < 1:
        raise ValueError(f"expected block_size to be at least 1, got {block_size}")
    return int(block_size)


def _default_block_size(examples: int, steps: int) -> int:
    low, high = math.sqrt(steps) / 2, 2 * math.sqrt(steps)
    target = min(max(_ROWS / examples, low), high)
    near = range(max(1, math.ceil(max(low, target / 2))), int(min(high, 2 * target)) + 1)
    if divisors := [d for d in near if steps % d == 0]:
        return min(divisors, key=lambda d: max(d / target, target / d))
    return max(1, int(min(target, steps / 2)))  # a scan over one block and a shorter one would take more memory


def _examples(xs) -> int:
    """Return how many examples a time step of ``[time, *batch, features]`` has, at least 1, without symbolic axes."""
    return max([1, *(math.prod(filter(is_integer, leaf.shape[1:-1])) for leaf in jax.tree.leaves(xs))])


def _steps(name: str, tree) -> int:
    """Return the length of the time axis, the leading one, of all arrays of a tree."""
    leaves = jax.tree.leaves(tree)
    lengths = {jnp.shape(leaf)[:1] for leaf in leaves}
    if len(lengths) != 1 or () in lengths:
        raise ValueError(f"expected {name} to be arrays [time, ...] of one length, got {shapes(tree)}")
    return leaves[0].shape[0]
