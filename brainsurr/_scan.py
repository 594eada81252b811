"""Scans over time, unrolled to suit the platform."""

import contextlib
import operator
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental.xla_metadata import set_xla_metadata

from ._checks import check_word, is_integer

# Time steps per iteration of a compiled loop on platforms that launch a kernel for each operation. With more steps,
# there are fewer launches, but compilation takes longer. On a TPU, more steps also increase the memory traffic.
_STEPS_PER_ITERATION = {"gpu": 10, "tpu": 4}
# Thresholds for a CPU:
_LARGE = 2**20  # bytes, for a whole sequence or for one time step
_FEW = 16  # time steps

_target: Any = jax.make_user_context()  # part of jax's cache keys


def target_platform(name: str) -> contextlib.AbstractContextManager[None]:
    """Trace programs for a platform other than jax's default backend, for example to export for a GPU on a CPU.

    How far a loop over time is unrolled is decided when the loop is traced. An iteration runs ten time steps on a GPU,
    four on a TPU, and one on a CPU. All variants run on all platforms and give the same results up to rounding.

    Args:
      name: the platform, ``"cpu"``, ``"gpu"`` or ``"tpu"``.

    Returns:
      A context manager.

    Raises:
      ValueError: ``name`` is not one of these platforms.

    Example:
      >>> import jax, jax.numpy as jnp, brainsurr as bs
      >>> xs, lif = jnp.ones((100, 4)), bs.neurons.LIF()
      >>> run = jax.jit(lambda xs: lif(lif.initial_state(xs[0]), xs)[1])
      >>> with bs.target_platform("gpu"):
      ...     exported = jax.export.export(run, platforms=["cuda"])(xs)
    """
    check_word("target_platform: name", name, ("cpu", *_STEPS_PER_ITERATION))
    return _target(name)


def _platform() -> str:
    return _target.value or jax.default_backend()


def is_on_cpu() -> bool:
    """Return whether programs are traced for a CPU."""
    return _platform() == "cpu"


def scan(step, carry, xs, unroll: int):
    """Scan a pure step over time, like ``jax.lax.scan``, from a carry that may lack the sharding type of the inputs.

    Under explicit mesh axes and in ``shard_map``, the type of an array includes its sharding, or the axes over which it
    varies. ``lax.scan`` requires the initial carry to have the type that a step returns. The step is therefore called
    once more to find the types, and again if one part of the carry gets its type from another part. XLA removes the
    extra calls, but their side effects, such as debug prints, still happen.
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


def scan_steps(step, carry, xs, unroll: int):
    """Scan single time steps; on a CPU, long inputs run in a function call that XLA does not inline.

    jax initialises each array that a loop writes with zeros. If loops are inlined, XLA allocates and fills the arrays
    of all loops when the program starts, including the loops of the backward pass. If a loop is in a function that is
    not inlined, its arrays are allocated when the loop starts.
    """
    if unroll > 1 or not is_on_cpu() or _bytes(xs) < _LARGE:
        return scan(step, carry, xs, unroll)

    @jax.jit
    def loop(carry, xs):
        with set_xla_metadata(inlineable="true"):  # otherwise XLA does not inline the functions in the loop either
            return scan(step, carry, xs, unroll)

    with set_xla_metadata(inlineable="false"):
        return loop(carry, xs)


def _has_first(x):
    """Return whether the time axis is non-empty and unsharded. Otherwise `lax.scan` raises its own error."""
    return len(x) > 0 and tuple(jax.typeof(x).sharding.spec)[:1] in ((), (None,))


def typed_like(part, like):
    """Give an array the sharding type of another array, under explicit or manual axes and if both have one shape."""
    mesh = jax.sharding.get_abstract_mesh()
    if part.shape != like.shape or not (mesh.explicit_axes or mesh.manual_axes):
        return part
    zeros = jnp.zeros_like(like, part.dtype)
    return part if jax.typeof(part) == jax.typeof(zeros) else part + zeros


def _bytes(xs) -> int:
    """Return the size of the largest array in bytes, or 0 if any dimension is symbolic."""
    arrays = [jax.typeof(x) for x in jax.tree.leaves(xs)]
    known = all(is_integer(size) for x in arrays for size in x.shape)
    return max((x.size * x.dtype.itemsize for x in arrays), default=0) if known else 0


def iterations_at_once(xs, block: int = 0) -> int:
    """Return the ``unroll`` argument for a scan over time.

    On a CPU, a short loop with steps of a megabyte or more, such as images, is unrolled completely: XLA runs large
    operations on all threads, but those inside a loop on one.

    Args:
      xs: the inputs; the leading axis is time, or blocks of time.
      block: the number of time steps in a block; 0 if the scan is over single steps.
    """
    length, platform = jax.tree.leaves(xs)[0].shape[0], _platform()
    if not is_integer(length):
        return 1
    if platform not in _STEPS_PER_ITERATION:
        return max(1, length) if not block and length <= min(_FEW, _bytes(xs) / _LARGE) else 1
    most = max(1, _STEPS_PER_ITERATION[platform] // max(1, block))
    if length <= 2 * most:  # unroll a short loop completely; otherwise prefer a divisor of the length
        return max(1, length)
    return max([d for d in range(1 + most // 2, most + 1) if length % d == 0], default=most)
