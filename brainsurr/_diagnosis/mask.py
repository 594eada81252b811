"""The mask of `diagnose`: which values are counted in the current time steps."""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .._context import setting
from .._hooks import overriding
from .._scan import scan_steps
from .._time.guard import check_stateless_layer
from .._time.sequential import first_carries
from .._time.unroll import outputs_of, unroll_blocks

counted: ContextVar[jax.Array | None] = ContextVar("counted", default=None)  # [time, batch], or the row of one step
aside: ContextVar[bool] = ContextVar("aside", default=False)  # True if nothing is measured


@contextlib.contextmanager
def following_time(mask: jax.Array | None) -> Iterator[None]:
    """Count only values where a mask is true until the block ends. Loops over time apply the mask step by step."""
    loops: dict[Callable, Callable] = {unroll_blocks: _in_blocks, outputs_of: _counting}
    loops |= dict.fromkeys((first_carries, check_stateless_layer), _uncounted)
    with setting(counted, mask), overriding(loops):
        yield


class _Masked(NamedTuple):
    """The inputs of some time steps, with their mask."""

    xs: Any
    mask: Any


def _masked(xs) -> Any:
    """Combine the inputs of a loop over time with the mask; raise a ValueError if the mask does not match."""
    mask, lengths = counted.get(), [jnp.shape(leaf)[:1] for leaf in jax.tree.leaves(xs)]
    if mask is None or not lengths:
        return xs
    if mask.shape[:1] != lengths[0]:
        steps = lengths[0][0] if lengths[0] else "no"
        raise ValueError(f"diagnose: expected a mask [time, batch] for {steps} time steps, got shape {mask.shape}")
    return _Masked(xs, mask)


def _counting(f, *args):
    """Call a function whose last argument may be `_Masked` inputs; while it runs, count values by their mask."""
    *before, xs = args
    if not isinstance(xs, _Masked):
        return f(*args)
    with setting(counted, xs.mask):
        return f(*before, xs.xs)


def counting_run(run, neuron, state, xs, host_scan=scan_steps):
    """Run a neuron over time, and apply the mask row by row to its steps."""

    def counting_scan(step, state, xs, **how):
        return host_scan(partial(_counting, step), state, _masked(xs), **how)

    return run(neuron, state, xs, counting_scan)


def _in_blocks(unroll_blocks, transforms, block, carry, xs, *how):
    return unroll_blocks(transforms, block, carry, _masked(xs), *how)


def _uncounted(function, *args, **kwargs):
    with setting(counted, None), setting(aside, True):
        return function(*args, **kwargs)
