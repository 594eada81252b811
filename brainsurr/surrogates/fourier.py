"""A surrogate whose gradient is periodic in x."""

import dataclasses

import jax.numpy as jnp

from .._surrogate import Parameter, Surrogate, function


@dataclasses.dataclass
class SquarewaveFourierSeries(Surrogate, static=("n",)):
    r"""The first terms of the Fourier series of a square wave.

    .. math:: g(x) = \tfrac12 + \frac2\pi \sum_{i=1}^{n} \frac{\sin\bigl((2i - 1)\, 2\pi x / T\bigr)}{2i - 1} \qquad
       g'(x) = \frac4T \sum_{i=1}^{n} \cos\bigl((2i - 1)\, 2\pi x / T\bigr)

    At 0: gradient :math:`4n / T` (1 by default), primitive 1/2. Peak of the gradient: :math:`4n / T`, at every
    multiple of :math:`T`; half a period away, the gradient is :math:`-4n / T`. Area: 0 over a period, undefined over
    all x. At :math:`\pm\infty`, where there is no limit, the primitive is 1/2 and the gradient is 0, their means.

    Args:
      n: number of terms, a positive integer. It is static and can't be trained. (In SpikingJelly, ``n`` is larger by
        one for the same number of terms.)
      t_period: period :math:`T`, above 0, dimensionless. A number, or an array that broadcasts into x.
      origin: if True, calling the surrogate returns :math:`g(x)` instead of the spike.

    Raises:
      ValueError: ``n`` is below 1, or ``t_period`` is not above 0.

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
        # The remainder is exact for any x. In float16, (2i - 1) x / T can overflow, and loses the phase for smaller x.
        rest = jnp.fmod(jnp.where(jnp.isinf(x), jnp.zeros_like(x), x), self.t_period)
        return 2 * jnp.pi * (rest / self.t_period)

    def _frequencies(self):
        return range(1, 2 * self.n, 2)


squarewave_fourier_series = function(SquarewaveFourierSeries, "squarewave_fourier_series")
