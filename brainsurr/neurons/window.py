"""`Window`: the last inputs, concatenated, as the input of a convolution over time."""

import dataclasses
from typing import Any, ClassVar

import jax.numpy as jnp

from ._history import AnyDtypeHistory
from ._neuron import by_position


@dataclasses.dataclass(eq=False, repr=False)
class WindowFields:
    """The fields of :class:`Window` and of its layers."""

    length: int = by_position(2)
    state_dtype: Any = jnp.float32


@dataclasses.dataclass(eq=False, repr=False)
class Window(AnyDtypeHistory, WindowFields):
    r"""The last inputs, concatenated along the last axis.

    .. math:: y_t = (x_{t - \mathrm{length} + 1}, \dots, x_{t - 1}, x_t)

    The output has ``length`` times as many features as the input. Followed by a linear layer, it is a causal
    convolution over time, which is also exact in blocks of time. The kernel of the linear layer is the kernel of the
    convolution, ``[length, features, out]``, reshaped to ``[length * features, out]``.

    The input may have any real dtype. Inputs before the first step are 0. A window has no trainable parameters.

    State: the inputs ``past`` before the current step, ``[..., length - 1, features]``, the oldest first. With a
    length of 1, the state is None.

    Args:
      length: the number of inputs including the current one, a positive integer.
      state_dtype: the dtype of the state, which must represent every number of the input: float32 represents half
        precision, bool and integers of 16 bits. The output has the dtype of the input.

    Raises:
      TypeError: ``length`` is not an integer, or ``state_dtype`` is not a dtype of real numbers.
      ValueError: ``length`` is below 1; or in a call, the state can't represent the input.

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

    @property
    def longest(self) -> int:
        """The number of inputs in the state."""
        return self.length - 1

    @property
    def outputs_per_input(self) -> int:
        """The number of output features per input feature."""
        return self.length

    def _outputs(self, features):
        return self.outputs_per_input * features

    def over_time(self, past, xs):
        """Return the new state and the windows of all steps."""
        both, past = self._joined(past, xs)
        return past, jnp.concatenate([both[i : i + len(xs)] for i in range(self.length)], axis=-1)
