"""A delay by whole time steps, once: its arguments, their checks, and the function over a stretch of time."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._arrays import as_array
from .._checks import check_dtype, check_features, is_integer, shapes
from .._smooth import widened


@dataclasses.dataclass(kw_only=True, eq=False)
class DelayArguments:
    """The arguments of a delay.

    Attributes:
      features: number of channels, the last axis of the input.
      steps: by how many time steps, a non-negative integer; or ``features`` of them, one for each channel.
      state_dtype: of what the state holds, the last ``steps`` inputs. It must hold every number of the input: float32
        holds those of half precision, bool and integers of 16 bits. The output has the dtype of the input.
    """

    features: int = dataclasses.field(kw_only=False)
    steps: Any = dataclasses.field(default=1, kw_only=False)
    state_dtype: Any = jnp.float32

    def _check(self, owner: str):
        """Raise an error that names the layer, ``owner``; keep ``steps`` as an integer or a tuple of them."""
        check_features(owner, self.features)
        object.__setattr__(self, "steps", _whole(owner, self.steps, self.features))
        check_dtype(f"{owner}: state_dtype", self.state_dtype, any_real=True)


def _whole(owner: str, steps, features: int) -> int | tuple[int, ...]:
    concrete = isinstance(steps, np.ndarray | jax.Array) and not isinstance(steps, jax.core.Tracer)
    delays = steps.tolist() if concrete and jnp.issubdtype(steps.dtype, jnp.integer) else steps
    delays = list(delays) if isinstance(delays, tuple | list) else delays
    each = delays if isinstance(delays, list) else [delays]
    if not all(is_integer(n) and n >= 0 for n in each):
        raise ValueError(f"{owner}: expected steps to be a non-negative integer, or {features} of them, got {steps!r}")
    if isinstance(delays, list) and len(delays) != features:
        raise ValueError(f"{owner}: expected steps to be one integer or {features}, got {len(delays)}")
    return tuple(map(int, delays)) if isinstance(delays, list) else int(delays)


class DelayLayer:
    """A layer with the arguments of `DelayArguments`; the framework's own class holds its state."""

    steps: int | tuple[int, ...]
    state_dtype: Any

    def _first_carry(self, shape: tuple[int, ...]):
        """Return the state before the first step, of inputs of ``shape`` at each step; None if there is no delay."""
        *batch, features = shape
        state = jnp.zeros((*batch, longest(self.steps), features), self.state_dtype)
        return widened(state) if longest(self.steps) else None


def longest(steps: int | tuple[int, ...]) -> int:
    """Return the longest delay."""
    return max(steps) if isinstance(steps, tuple) else steps


def delay(owner: str, steps: int | tuple[int, ...], past, xs):
    r"""Delay a stretch of time, :math:`y_t = x_{t - \mathrm{steps}}`.

    Args:
      owner: the name of the layer.
      steps: an integer, or one for each entry of the last axis.
      past: the last inputs before, ``[..., longest, features]``, the oldest first; None if there is no delay.
      xs: ``[time, ..., features]``.

    Returns:
      The last inputs now, and the delayed ones, in the dtype of ``xs``.
    """
    xs = _real(xs, "xs")
    if not longest(steps):
        return past, xs
    expected = (*xs.shape[1:-1], longest(steps), *xs.shape[-1:])
    if xs.ndim < 2 or getattr(past, "shape", None) != expected:
        raise ValueError(
            f"{owner}: expected the carry of inputs of shape {xs.shape[1:]} at each step to have the shape {expected}, "
            f"got {shapes(past)}: make it by initialize_carry(xs.shape[1:]) (brainstate: init_state(batch_size))"
        )
    past = _real(past, "carry")
    if not np.can_cast(xs.dtype, past.dtype):
        raise ValueError(
            f"{owner}: expected a carry that holds every number of an input of dtype {xs.dtype}, got {past.dtype}: "
            f"give state_dtype=jnp.{xs.dtype}"
        )
    before = jnp.moveaxis(past, -2, 0).astype(xs.dtype)
    mesh = jax.sharding.get_abstract_mesh()
    if (mesh.explicit_axes or mesh.manual_axes) and len(xs):  # zeros have no sharding type; the inputs may
        before = before + jnp.zeros_like(xs[:1])
    both = jnp.concatenate([before, xs])
    ys = both[: len(xs)]
    if isinstance(steps, tuple):
        start = longest(steps) - np.asarray(steps)
        index = np.arange(len(xs))[:, None] + start
        ys = jnp.take_along_axis(both, index.reshape(len(xs), *(1,) * (xs.ndim - 2), len(start)), axis=0)
    return jnp.moveaxis(both[len(xs) :], 0, -2).astype(past.dtype), ys


def _real(x, name: str) -> jax.Array:
    x = as_array(x, name)
    if not any(jnp.issubdtype(x.dtype, kind) for kind in (jnp.floating, jnp.integer, jnp.bool_)):
        raise TypeError(f"expected {name} to be a real array, got dtype {x.dtype}")
    return x
