"""What `check_gradients` changes while it runs: spikes are smooth, and brainsurr computes in float64."""

import contextlib
import dataclasses
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import jax
import jax.numpy as jnp


@dataclasses.dataclass
class Smooth:
    """State of a smooth pass.

    Attributes:
      attached: whether to differentiate detached resets all the same.
      has_detached_reset: whether there was a detached reset.
    """

    attached: bool = False
    has_detached_reset: bool = False


_smooth: ContextVar[Smooth | None] = ContextVar("smooth", default=None)


@contextlib.contextmanager
def smooth(how: Smooth) -> Iterator[None]:
    """Replace every spike by its primitive and widen every incoming array to float64, until the block ends."""
    token = _smooth.set(how)
    try:
        yield
    finally:
        _smooth.reset(token)


def is_smooth() -> bool:
    """Return whether spikes are replaced by their primitives."""
    return _smooth.get() is not None


def widened(x: Any) -> Any:
    """Return an array unchanged; in a smooth pass, cast a floating one to float64."""
    if _smooth.get() is None or not isinstance(x, jax.Array) or not jnp.issubdtype(x.dtype, jnp.floating):
        return x
    return x.astype(jnp.float64)


def detached_reset(s: jax.Array) -> jax.Array:
    """Stop the gradient of a reset, unless a smooth pass differentiates it."""
    how = _smooth.get()
    if how is not None:
        how.has_detached_reset = True
    return s if how is not None and how.attached else jax.lax.stop_gradient(s)
