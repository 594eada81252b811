"""A delay by whole time steps, for brainstate."""

import dataclasses
from typing import Any

import jax
from brainstate import nn

from .._layers.arguments import documented, takes
from .._layers.delay import DelayArguments, DelayLayer, delay, longest
from ._state import StatefulLayer, size_of


@dataclasses.dataclass(kw_only=True, eq=False)
class Arguments(DelayArguments):
    """Those of every framework, with a size of several axes.

    Attributes:
      features: number of channels, the last axis of the input; or the whole size, ``(height, width, channels)``.
    """

    features: Any = dataclasses.field(kw_only=False)

    def _check(self, owner: str):
        self.size = size_of(owner, self.features)
        self.features = self.size[-1]
        super()._check(owner)


@documented(Arguments)
class Delay(DelayLayer, StatefulLayer):
    r"""A delay by whole time steps, time first: ``ys = delay(xs)``.

    .. math:: y_t = x_{t - \mathrm{steps}}

    ``xs`` is ``[time, ..., features]``, of any dtype; before the first input come zeros. Nothing of it is trained.

    Args:
      {arguments}

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr.brainstate import Delay
      >>> delay = Delay(2, [0, 1])
      >>> delay.init_state(batch_size=1)
      >>> print(delay(jnp.array([[[1, 1]], [[2, 2]], [[3, 3]]], jnp.uint8))[:, 0].T)
      [[1 2 3]
       [0 1 2]]
    """

    @takes(Arguments)
    def __init__(self, arguments):
        nn.Module.__init__(self)
        self.in_size = self.out_size = arguments.size
        self.steps, self.state_dtype = arguments.steps, arguments.state_dtype

    def init_state(self, batch_size: int | tuple[int, ...] | None = None, **kwargs):
        """Make the state ``past`` before the first step: the last ``steps`` inputs, zeros.

        Its shape is ``[*batch, steps, features]``, with the longest of several ``steps``; without a delay there is no
        state. Call this once. Compiled functions keep a reference to it; use `reset_state` to start again.
        """
        super().init_state(batch_size)

    def _state_names(self):
        return ["past"] if longest(self.steps) else []

    def _start(self, shape):
        return self._first_carry(shape)

    def _structure(self):
        return jax.tree.structure(self._first_carry((1,)))

    def update(self, xs):
        self._carry, ys = delay(type(self).__name__, self.steps, self._carry, xs)
        return ys
