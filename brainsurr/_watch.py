"""What `diagnose` watches while a network runs: the surrogates that spike, and the values that its mask counts."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import jax

noticing: ContextVar[Any] = ContextVar("noticing", default=None)  # told of each surrogate that spikes
counted: ContextVar[Any] = ContextVar("counted", default=None)  # the mask, of the steps that run now


@contextlib.contextmanager
def counting(mask: jax.Array | None) -> Iterator[None]:
    """Count the values where a mask is true, ``[time, batch]`` or of one step, until the block ends."""
    token = counted.set(mask)
    try:
        yield
    finally:
        counted.reset(token)


def counted_in(steps: int) -> jax.Array | None:
    """Return the mask for a loop over time steps, or raise a ValueError if it is for others."""
    mask = counted.get()
    if mask is not None and mask.shape[:1] != (steps,):
        raise ValueError(f"diagnose: expected a mask [time, batch] for {steps} time steps, got shape {mask.shape}")
    return mask
