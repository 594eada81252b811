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
    """How a smooth pass runs, and what it met.

    Attributes:
      attached: whether a reset that is detached is differentiated all the same.
      met_reset: whether there was such a reset.
    """

    attached: bool = False
    met_reset: bool = False


_smooth: ContextVar[Smooth | None] = ContextVar("smooth", default=None)


@contextlib.contextmanager
def smooth(how: Smooth) -> Iterator[None]:
    """Make every spike its primitive and every array that comes in float64, until the block ends."""
    token = _smooth.set(how)
    try:
        yield
    finally:
        _smooth.reset(token)


def is_smooth() -> bool:
    """Return whether a spike is to be its primitive."""
    return _smooth.get() is not None


def widened(x: Any) -> Any:
    """Return an array as it is; in a smooth pass, one of floats in float64."""
    if _smooth.get() is None or not isinstance(x, jax.Array) or not jnp.issubdtype(x.dtype, jnp.floating):
        return x
    return x.astype(jnp.float64)


def detached_reset(s: jax.Array) -> jax.Array:
    """Stop the gradient of a reset, unless a smooth pass wants to know what it would be."""
    how = _smooth.get()
    if how is not None:
        how.met_reset = True
    return s if how is not None and how.attached else jax.lax.stop_gradient(s)
