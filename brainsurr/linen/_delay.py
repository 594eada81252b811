"""A delay by whole time steps, for Flax Linen."""

import jax
from flax import linen as nn

from .._checks import check_input_shape
from .._layers.arguments import documented
from .._layers.delay import DelayArguments, DelayLayer, delay
from .._layers.unknown_arguments import ChecksArguments


@documented(DelayArguments)
class Delay(DelayArguments, DelayLayer, ChecksArguments, nn.Module):
    r"""A delay by whole time steps, time first: ``(carry, xs) -> (carry, ys)``.

    .. math:: y_t = x_{t - \mathrm{steps}}

    ``xs`` is ``[time, ..., features]``, of any dtype; before the first input come zeros. Nothing of it is trained.

    Attributes:
      {arguments}

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from brainsurr.linen import Delay
      >>> delay = Delay(2, [0, 1])
      >>> xs = jnp.array([[[1, 1]], [[2, 2]], [[3, 3]]], jnp.uint8)
      >>> carry, ys = delay.apply({}, delay.initialize_carry(jax.random.key(0), (1, 2)), xs)
      >>> print(ys[:, 0].T)
      [[1 2 3]
       [0 1 2]]
    """

    def __post_init__(self):
        self._check(type(self).__name__)
        super().__post_init__()

    @nn.nowrap
    def initialize_carry(self, rng: jax.Array, input_shape: tuple[int, ...]):
        """Return the last ``steps`` inputs before the first step, zeros: ``[*batch, steps, features]``.

        For inputs of ``input_shape = (*batch, features)``. With several ``steps`` as many as the longest; without a
        delay None.
        """
        return self._first_carry(check_input_shape(type(self).__name__, self.features, input_shape))

    def __call__(self, carry, xs):
        return delay(type(self).__name__, self.steps, carry, xs)
