"""Run networks in blocks of time steps: layer by layer within a block, and a scan over blocks."""

import dataclasses
import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .._arrays import as_array
from .._checks import check_positive_integer, check_word, is_integer, shapes
from .._context import setting
from .._hooks import hook
from .._scan import iterations_at_once, scan
from .guard import CHECK, WHOLE, Run, running
from .reductions import REDUCTIONS

REMATS = ("none", "dots", "full")
_ROWS = 1536  # rows per matrix product in a block; more rows need more memory and save little time


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

    The result has the values and gradients of ``block(carry, xs)``. Within a block, the network runs layer by layer:
    each matrix product is large, and activations stay in the cache. A ``lax.scan`` carries the state from block to
    block. With blocks of :math:`b` steps, the backward pass of ``remat="full"`` stores :math:`T / b` carries and the
    activations of one block. The memory is :math:`O(T / b + b)`, which is smallest at :math:`b = \sqrt T`.

    Args:
      block: any function ``(carry, xs) -> (carry, ys)`` over time, such as a layer or network of ``brainsurr.nnx``.
        Only its carry may depend on earlier blocks. Its outputs must not depend on later blocks or on the number of
        steps: a sum over the time axis, for example, would be a sum over one block. If the function closes over a
        random key, it silently draws the same random numbers in each block. Use ``key`` instead.
      carry: the state before the first step.
      xs: inputs, an array ``[time, ...]`` or a tree of such arrays. Spikes can be uint8 or bool, which need a quarter
        of the memory of float32. Layers from brainsurr convert one block at a time to floats.
      block_size: number of time steps per block. If None, a block has about 1536 rows (time steps times examples), but
        at least :math:`\sqrt T / 2` and at most :math:`2 \sqrt T` steps; divisors of :math:`T` within a factor of 2 are
        preferred. A batch axis that ``jax.vmap`` adds and axes of symbolic size are not counted. With a small batch,
        larger blocks can be faster, but need more memory. The last block may be shorter. A block size that divides
        :math:`T` avoids a copy of the inputs and a second compilation of the block.
      remat: which part of a block the backward pass recomputes: ``"none"`` nothing, ``"dots"`` everything except matrix
        products, ``"full"`` everything, starting from the carry. With a single block or few time steps, ``"full"``
        does not save memory.
      reduce: None returns all outputs ``[time, ...]``. ``"mean"``, ``"max"`` or ``"last"`` returns their reduction over
        time without storing them. The mean of integers is a float. Entries that tie for the maximum share the gradient
        of ``"max"``; the gradient is NaN if the maximum is NaN, and 0 if it is infinite. If the outputs are a tree,
        pass a tree of strings, each for the outputs at its position: ``reduce=("last", "mean")`` for ``ys, spikes``.
      key: a random key for blocks that draw random numbers, such as random spikes. ``block`` is called as
        ``block(carry, xs, key=...)`` with a different key for each block; recomputation uses the same key again.

    Returns:
      The state after the last step, from which a stream can continue, and the outputs.

    Raises:
      TypeError: ``block`` does not return a carry and outputs.
      ValueError: invalid ``block_size``, ``remat`` or ``reduce``, or ``reduce`` does not fit the outputs.
      ValueError: the inputs have no time axis, or time axes of different lengths.
      ValueError: a reduction over zero time steps, or ``block`` does not return an output for each step.

    Note:
      Call it inside ``jax.jit``. Outside ``jax.jit``, each call compiles again, like ``lax.scan`` with a new function.

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
        keys = jax.random.split(key, _steps("xs", as_arrays("xs", xs)))  # a block uses the first key of its steps
        block, xs = partial(_with_key, block), (xs, keys)
    return unroll_blocks(JAX, block, carry, xs, block_size, remat, reduce)


def _with_key(block, carry, inputs):
    xs, keys = inputs
    return block(carry, xs, key=keys[0])


class Transforms(NamedTuple):
    """The scan and the checkpoint of a framework, for functions of a block, a carry and inputs.

    The block is a separate argument because Flax Linen calls such a function with a copy of the module.

    Attributes:
      scan: ``scan(f, block, carry, xs, unroll) -> (carry, ys)`` with ``f(block, carry, x) -> (carry, y)``.
      checkpoint: ``checkpoint(f, policy=, prevent_cse=)`` returns a function of the arguments of ``f``.
    """

    scan: Callable
    checkpoint: Callable


def transforms_of(scan: Callable, checkpoint: Callable) -> Transforms:
    """Return the transforms of a framework whose ``scan`` and ``checkpoint`` accept functions of a carry and inputs."""

    def checkpoint_with_block(f, **options):
        return lambda block, carry, xs: checkpoint(partial(f, block), **options)(carry, xs)

    def scan_with_block(f, block, carry, xs, unroll):
        return scan(partial(f, block), carry, xs, unroll=unroll)

    return Transforms(scan_with_block, checkpoint_with_block)


JAX = transforms_of(scan, jax.checkpoint)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class _Part:
    """A partial reduction of one output of a block, with the name of the reduction and the dtype of the output."""

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
    carry, xs = as_arrays("carry", carry), as_arrays("xs", xs)
    steps = _steps("xs", xs)
    if any(words) and not steps:
        raise ValueError(f"reduce={reduce!r} over zero time steps is undefined")
    size = _block_size(block_size, xs, steps)
    blocks = steps // size if size < steps else 0
    run = running.get()
    if run != CHECK and run.kind != "block":
        run = Run("unroll", min(steps, max(2 * size, 32))) if blocks else WHOLE

    # A new function for each call: jax caches by identity, and the weights of a module may have changed.
    def block_and_reduce(block, carry, xs):
        with setting(running, run):
            carry, ys = outputs_of(block, carry, xs)
        return carry, _reduced(words, places, ys)

    if remat != "none":
        policy = _products_saveable if remat == "dots" else None
        block_and_reduce = transforms.checkpoint(block_and_reduce, policy=policy, prevent_cse=False)

    parts = []  # one part for all blocks of equal length, one for the shorter last block
    if blocks:
        whole = jax.tree.map(lambda x: x[: blocks * size].reshape(blocks, size, *x.shape[1:]), xs)
        carry, stacked = transforms.scan(block_and_reduce, block, carry, whole, iterations_at_once(whole, size))
        parts.append(stacked)
    if blocks * size < steps or not blocks:
        carry, rest = block_and_reduce(block, carry, jax.tree.map(lambda x: x[blocks * size :], xs))
        parts.append(jax.tree.map(lambda kept: kept[None], rest))

    def combine(*parts):
        return REDUCTIONS[parts[0].word].combine([part.kept for part in parts], steps, parts[0].dtype)

    return carry, jax.tree.map(combine, *parts, is_leaf=lambda node: isinstance(node, _Part))


@hook
def outputs_of(block, carry, xs):
    """Return the carry and the outputs of a block, and check that there is one output per step."""
    returned = block(carry, xs)
    if not isinstance(returned, tuple | list):  # an array of length 2 could be unpacked
        raise TypeError(f"expected block to return (carry, outputs), got {type(returned).__name__}")
    carry, ys = returned
    steps = len(jax.tree.leaves(xs)[0])
    if _steps("the outputs of block", ys) != steps:
        raise ValueError(f"expected block to return an output for each of {steps} steps, got {shapes(ys)}")
    return carry, ys


def _products_saveable(primitive, *args, **params) -> bool:
    """Return whether an operation is a matrix product or convolution, dense or sparse (`brainsurr.events`)."""
    return primitive.name == "events_product" or jax.checkpoint_policies.dots_saveable(primitive, *args, **params)


@hook
def as_arrays(name: str, tree):
    """Convert the leaves of a tree to arrays."""
    return jax.tree.map(lambda x: as_array(x, name), tree)


def _reduced(words, places, ys):
    """Return a `_Part` for each output of a block. A string in ``reduce`` applies to all outputs at its position."""
    parts = (
        jax.tree.map(lambda y, word=word: _Part(REDUCTIONS[word].block(y), word, y.dtype), output)
        for word, output in zip(words, places.flatten_up_to(ys), strict=True)
    )
    return places.unflatten(parts)


def _block_size(block_size, xs, steps: int) -> int:
    if block_size is not None:
        check_positive_integer("unroll: block_size", block_size)
        return int(block_size)
    examples = _examples(xs)
    low, high = math.sqrt(steps) / 2, 2 * math.sqrt(steps)
    target = min(max(_ROWS / examples, low), high)
    near = range(max(1, math.ceil(max(low, target / 2))), int(min(high, 2 * target)) + 1)
    if divisors := [d for d in near if steps % d == 0]:
        return min(divisors, key=lambda d: max(d / target, target / d))
    return max(1, int(min(target, steps / 2)))  # a scan over one block and a shorter one would take more memory


def _examples(xs) -> int:
    """Return the number of examples per time step of inputs ``[time, *batch, features]``, ignoring symbolic axes."""
    return max([1, *(math.prod(filter(is_integer, leaf.shape[1:-1])) for leaf in jax.tree.leaves(xs))])


def fits_in_a_cache(xs) -> bool:
    """Return whether the inputs of a network are so small that blocks would not save time."""
    return xs.shape[0] * _examples(xs) <= 2 * _ROWS


def _steps(name: str, tree) -> int:
    """Return the common length of the time axis, the leading axis, of all arrays in a tree."""
    leaves = jax.tree.leaves(tree)
    lengths = {jnp.shape(leaf)[:1] for leaf in leaves}
    if len(lengths) != 1 or () in lengths:
        raise ValueError(f"expected {name} to be arrays [time, ...] of one length, got leading axes {[*lengths]}")
    return leaves[0].shape[0]
