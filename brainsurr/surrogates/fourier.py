"""A surrogate that is periodic in x."""

import dataclasses

import jax.numpy as jnp

from .._surrogate import Parameter, Surrogate, function


@dataclasses.dataclass
class SquarewaveFourierSeries(Surrogate, static=("n",)):
    r"""The first terms of the Fourier series of a square wave.

    .. math:: g(x) = \tfrac12 + \frac2\pi \sum_{i=1}^{n} \frac{\sin\bigl((2i - 1)\, 2\pi x / T\bigr)}{2i - 1} \qquad
       g'(x) = \frac4T \sum_{i=1}^{n} \cos\bigl((2i - 1)\, 2\pi x / T\bigr)

    At 0: gradient :math:`4n / T` (1 by default), primitive 1/2. Peak of the gradient: :math:`4n / T`, at every
    multiple of :math:`T`; it is :math:`-4n / T` half a period away. Area: 0 over a period, none over the line. At
    :math:`\pm\infty` there is no limit; the means are returned, 1/2 for the primitive and 0 for the gradient.

    Args:
      n: number of terms, an integer from 1 on; a flag, not a parameter. (SpikingJelly's ``n`` counts one more.)
      t_period: period :math:`T`, above 0, dimensionless; a number or an array that broadcasts into x.
      origin: whether calling it returns :math:`g(x)` in place of the spike.

    Raises:
      ValueError: n is below 1, or t_period not above 0.

    References:
      Fang, Chen, Ding, et al. 2023, "SpikingJelly: An open-source machine learning infrastructure platform for
      spike-based intelligence" (its SquarewaveFourierSeries).

    Example:
      >>> import jax, jax.numpy as jnp, brainsurr as bs
      >>> gradient = jax.vmap(jax.grad(bs.SquarewaveFourierSeries()))(
      ...     jnp.array([0.0, 0.5, 4.0])
      ... )
      >>> [round(float(v), 3) for v in gradient]
      [1.0, 0.653, -1.0]
    """

    bounds = {"t_period": (1.0, 100.0)}
    _lower_limits = {"n": 0, "t_period": 0.0}

    n: int = 2
    t_period: Parameter = 8.0

    def surrogate_fun(self, x):
        phase = self._phase(x)
        return 0.5 + 2 / jnp.pi * sum(jnp.sin(k * phase) / k for k in self._frequencies())

    def surrogate_grad(self, x):
        phase = self._phase(x)
        total = 4 / self.t_period * sum(jnp.cos(k * phase) for k in self._frequencies())
        return jnp.where(jnp.isinf(x), jnp.zeros_like(x), total)

    def _phase(self, x):
        # The remainder is exact, however large x is; (2i - 1) x / T overflows float16, and loses the phase long before.
        rest = jnp.fmod(jnp.where(jnp.isinf(x), jnp.zeros_like(x), x), self.t_period)
        return 2 * jnp.pi * (rest / self.t_period)

    def _frequencies(self):
        return range(1, 2 * self.n, 2)


squarewave_fourier_series = function(SquarewaveFourierSeries, "squarewave_fourier_series")
