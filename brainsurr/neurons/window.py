"""The last inputs side by side: what a convolution over time is a product of."""

import dataclasses
from typing import Any, ClassVar

import jax.numpy as jnp

from ._history import AnyDtypeHistory
from ._neuron import Neuron, by_position


@dataclasses.dataclass(eq=False, repr=False)
class WindowFields:
    """The fields of :class:`Window`, which its layers have too."""

    length: int = by_position(2)
    state_dtype: Any = jnp.float32


@dataclasses.dataclass(eq=False, repr=False)
class Window(AnyDtypeHistory, WindowFields):
    r"""The last inputs side by side.

    .. math:: y_t = (x_{t - \mathrm{length} + 1}, \dots, x_{t - 1}, x_t)

    along the last axis: the output has ``length`` times as many features as the input. With a linear layer behind it,
    it is a causal convolution over time, exact in blocks too. A kernel ``[length, features, out]`` of such a
    convolution, reshaped to ``[length * features, out]``, is the kernel of that layer.

    The input may be of any real dtype; before the first input come zeros. Nothing of it is trained.

    State: the inputs ``past`` before this step, ``[..., length - 1, features]``, the oldest first; of length 1 None.

    Args:
      length: how many inputs, this one included: a positive integer.
      state_dtype: of what the state holds. It must hold every number of the input: float32 holds those of half
        precision, bool and integers of 16 bits. The output has the dtype of the input.

    Raises:
      TypeError: ``length`` is not an integer, ``state_dtype`` not a dtype of real numbers.
      ValueError: ``length`` is below 1; in a call, the state can't hold the input.

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr.neurons import Window
      >>> window, xs = Window(2), jnp.array([[1, 5], [2, 6], [3, 7]], jnp.uint8)
      >>> state, ys = window(window.initial_state(xs[0]), xs)
      >>> print(ys)
      [[0 0 1 5]
       [1 5 2 6]
       [2 6 3 7]]
    """

    _lower_limits: ClassVar[dict[str, float]] = {"length": 0}

    def _check(self, name, value):
        super()._check(name, value)
        if name == "length":
            Neuron._check(self, name, value)

    @property
    def longest(self) -> int:
        """How many inputs the state holds."""
        return self.length - 1

    @property
    def outputs_per_input(self) -> int:
        """How many features the output has for one of the input."""
        return self.length

    def over_time(self, past, xs):
        """Return the last inputs now, and those of each step side by side."""
        both, past = self._joined(past, xs)
        return past, jnp.concatenate([both[i : i + len(xs)] for i in range(self.length)], axis=-1)
