"""A delay by an integer number of time steps."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._checks import is_integer
from ._history import AnyDtypeHistory
from ._neuron import by_position


@dataclasses.dataclass(eq=False, repr=False)
class DelayFields:
    """The fields of :class:`Delay` and of its layers."""

    steps: Any = by_position(1)
    state_dtype: Any = jnp.float32


@dataclasses.dataclass(eq=False, repr=False)
class Delay(AnyDtypeHistory, DelayFields):
    r"""A delay by an integer number of time steps.

    .. math:: y_t = x_{t - \mathrm{steps}}

    The input may have any real dtype. Before the first input, the output is 0. A delay has no trainable parameters.

    State: the last inputs ``past``, ``[..., steps, features]``, the oldest first. If ``steps`` differ between channels,
    the axis has the length of the longest delay. Without a delay, the state is None.

    Args:
      steps: the number of time steps, a non-negative integer, or one for each of the ``features`` channels.
      state_dtype: the dtype of the state, which must represent every number of the input: float32 represents half
        precision, bool and integers of 16 bits. The output has the dtype of the input.

    Raises:
      TypeError: ``state_dtype`` is not a dtype of real numbers.
      ValueError: ``steps`` is not a non-negative integer, or one for each channel.
      ValueError: in a call, the state can't represent the input.

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr.neurons import Delay
      >>> delay, xs = Delay([0, 1]), jnp.array([[1, 1], [2, 2], [3, 3]], jnp.uint8)
      >>> state, ys = delay(delay.initial_state(xs[0]), xs)
      >>> print(ys.T)
      [[1 2 3]
       [0 1 2]]
    """

    @classmethod
    def _converted(cls, name, value):
        if name != "steps":
            return super()._converted(name, value)
        steps = value.tolist() if hasattr(value, "tolist") and not isinstance(value, jax.core.Tracer) else value
        each = steps if isinstance(steps, tuple | list) else [steps]
        if not each or not all(is_integer(n) and n >= 0 for n in each):
            raise ValueError(f"{cls.__name__}: expected steps to be one or several integers from 0, got {value!r}")
        return tuple(map(int, each)) if each is steps else int(steps)

    def _check(self, name, value):
        if name != "steps":  # converted already
            super()._check(name, value)

    def _check_features(self, owner, features):
        if isinstance(self.steps, tuple) and len(self.steps) != features:
            raise ValueError(f"{owner}: expected steps to be one integer or {features}, got {len(self.steps)}")

    @property
    def longest(self) -> int:
        """The longest delay."""
        return max(self.steps) if isinstance(self.steps, tuple) else self.steps

    def over_time(self, past, xs):
        """Return the new state and the delayed inputs."""
        self._check_features(type(self).__name__, xs.shape[-1])
        both, past = self._joined(past, xs)
        ys = both[: len(xs)]
        if isinstance(self.steps, tuple):
            start = self.longest - np.asarray(self.steps)
            index = np.arange(len(xs))[:, None] + start
            ys = jnp.take_along_axis(both, index.reshape(len(xs), *(1,) * (xs.ndim - 2), len(start)), axis=0)
        return past, ys
