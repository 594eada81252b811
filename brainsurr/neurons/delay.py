"""A delay by whole time steps."""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from .._arrays import as_real
from .._checks import check_dtype, is_integer
from ._neuron import Neuron


class AtOnce(Neuron):
    """A neuron whose own way over time is its step as well, of one input: it keeps the last inputs as its state."""

    _fits: ClassVar[bool] = False

    def step(self, state, x):
        state, ys = self.over_time(state, x[None])
        return state, ys[0]


class OfThePast(AtOnce):
    """What :class:`Delay` and :class:`Window` share: a state that holds the last inputs, ``longest`` of them."""

    longest: Any
    state_dtype: Any
    _without: ClassVar[frozenset[str]] = frozenset({"learnable", "bounds", "carry_init", "param_dtype"})
    _as_input = staticmethod(as_real)

    def _check(self, name, value):
        if name == "state_dtype":
            check_dtype(f"{type(self).__name__}: state_dtype", value, any_real=True)

    @property
    def states(self):  # type: ignore[override]
        """The names of the arrays of the state."""
        return ("past",) if self.longest else ()

    def initial_state(self, x):
        return empty(self, x, self.longest, self.state_dtype) if self.longest else None

    def _joined(self, past, xs):
        """Return the inputs of the past and those of now, ``[time, ...]``, and which of them are the next past."""
        if past is None:
            return xs, past
        if not np.can_cast(xs.dtype, past.dtype):
            raise ValueError(
                f"{type(self).__name__}: expected a carry that holds every number of an input of dtype {xs.dtype}, got "
                f"{past.dtype}: give state_dtype=jnp.{xs.dtype}"
            )
        return joined(past, xs)


@dataclasses.dataclass(eq=False, repr=False)
class DelayFields:
    """The fields of :class:`Delay`, which its layers have too."""

    steps: Any = 1
    state_dtype: Any = jnp.float32


@dataclasses.dataclass(eq=False, repr=False)
class Delay(OfThePast, DelayFields):
    r"""A delay by whole time steps.

    .. math:: y_t = x_{t - \mathrm{steps}}

    The input may be of any real dtype; before the first input come zeros. Nothing of it is trained.

    State: the last inputs ``past``, ``[..., steps, features]``, the oldest first, with the longest of several
    ``steps``; without a delay None.

    Args:
      steps: by how many time steps, a non-negative integer; or ``features`` of them, one for each channel.
      state_dtype: of what the state holds. It must hold every number of the input: float32 holds those of half
        precision, bool and integers of 16 bits. The output has the dtype of the input.

    Raises:
      TypeError: ``state_dtype`` is not a dtype of real numbers.
      ValueError: ``steps`` is something else; in a call, the state can't hold the input.

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr.neurons import Delay
      >>> delay, xs = Delay([0, 1]), jnp.array([[1, 1], [2, 2], [3, 3]], jnp.uint8)
      >>> state, ys = delay(delay.initial_state(xs[0]), xs)
      >>> print(ys.T)
      [[1 2 3]
       [0 1 2]]
    """

    _by_position: ClassVar[tuple[str, ...]] = ("steps",)

    def __setattr__(self, name, value):
        super().__setattr__(name, _whole(type(self).__name__, value) if name == "steps" else value)

    def _check_features(self, owner, features):
        if isinstance(self.steps, tuple) and len(self.steps) != features:
            raise ValueError(f"{owner}: expected steps to be one integer or {features}, got {len(self.steps)}")

    @property
    def longest(self) -> int:
        """The longest delay."""
        return max(self.steps) if isinstance(self.steps, tuple) else self.steps

    def over_time(self, past, xs):
        """Return the last inputs now, and the delayed ones."""
        self._check_features(type(self).__name__, xs.shape[-1])
        both, past = self._joined(past, xs)
        ys = both[: len(xs)]
        if isinstance(self.steps, tuple):
            start = self.longest - np.asarray(self.steps)
            index = np.arange(len(xs))[:, None] + start
            ys = jnp.take_along_axis(both, index.reshape(len(xs), *(1,) * (xs.ndim - 2), len(start)), axis=0)
        return past, ys


def empty(neuron, x, steps: int, dtype):
    """Return the last inputs before the first one: zeros."""
    if not x.ndim:
        raise ValueError(f"{type(neuron).__name__}: expected xs of shape [time, ..., features], got one number")
    return jnp.zeros((*x.shape[:-1], steps, x.shape[-1]), dtype)


def joined(past, xs):
    """Return the inputs with those before them, in the dtype of the inputs, and the last of them as a new state."""
    before = jnp.moveaxis(past, -2, 0).astype(xs.dtype)
    mesh = jax.sharding.get_abstract_mesh()
    if (mesh.explicit_axes or mesh.manual_axes) and len(xs):  # zeros have no sharding type; the inputs may
        before = before + jnp.zeros_like(xs[:1])
    both = jnp.concatenate([before, xs])
    return both, jnp.moveaxis(both[len(xs) :], 0, -2).astype(past.dtype)


def _whole(owner: str, steps) -> int | tuple[int, ...]:
    concrete = isinstance(steps, np.ndarray | jax.Array) and not isinstance(steps, jax.core.Tracer)
    delays = steps.tolist() if concrete and jnp.issubdtype(steps.dtype, jnp.integer) else steps
    each = list(delays) if isinstance(delays, tuple | list) else [delays]
    if not each or not all(is_integer(n) and n >= 0 for n in each):
        raise ValueError(
            f"{owner}: expected steps to be a non-negative integer, or one for each channel, got {steps!r}"
        )
    return tuple(map(int, each)) if isinstance(delays, tuple | list) else int(delays)
