"""Triangles and rectangles. Beyond some distance from the threshold, the gradient is 0 or a small constant."""

import dataclasses

import jax.numpy as jnp

from .._surrogate import Parameter, Surrogate, function
from ._stable import fill, odd


@dataclasses.dataclass
class ReluGrad(Surrogate):
    r"""A triangle, given by the slope of its sides and its half-width.

    .. math:: g'(x) = \alpha \max(0, w - |x|) \qquad
       g(x) = \tfrac12 + \alpha\, c\,\bigl(w - \tfrac{|c|}{2}\bigr), \quad c = \min(\max(x, -w), w)

    At 0: gradient :math:`\alpha w`, primitive 1/2. Peak of the gradient: :math:`\alpha w`, at 0. Area:
    :math:`\alpha w^2` (0.3 by default). The constant of the primitive makes :math:`g(0) = 1/2` for all
    parameters.

    Args:
      alpha: slope of the sides, dimensionless. A number, or an array that broadcasts into x.
      width: half-width :math:`w` of the support, dimensionless. A number or an array, like alpha.
      origin: if True, calling the surrogate returns :math:`g(x)` instead of the spike.

    References:
      Esser et al. 2016, "Convolutional networks for fast, energy-efficient neuromorphic computing" (the
      triangle, with w = 1). Bellec, Salaj, Subramoney, Legenstein, Maass 2018, "Long short-term memory and
      learning-to-learn in networks of spiking neurons" (damped to a height of 0.3).

    Example:
      >>> import jax, jax.numpy as jnp, brainsurr as bs
      >>> jax.vmap(jax.grad(bs.ReluGrad()))(jnp.array([-2.0, 0.0, 0.5]))
      Array([0.  , 0.3 , 0.15], dtype=float32)
    """

    bounds = {"alpha": (0.0, 10.0), "width": (0.01, 10.0)}

    alpha: Parameter = 0.3
    width: Parameter = 1.0

    def surrogate_fun(self, x):
        c = jnp.clip(x, -self.width, self.width)
        return 0.5 + self.alpha * c * (self.width - jnp.abs(c) / 2)

    def surrogate_grad(self, x):
        return self.alpha * jnp.where(jnp.abs(x) < self.width, self.width - jnp.abs(x), jnp.zeros_like(x))


@dataclasses.dataclass
class PiecewiseQuadratic(Surrogate):
    r"""A triangle with an area of 1. Its primitive is piecewise quadratic.

    .. math:: g'(x) = \alpha \max(0, 1 - \alpha |x|) \qquad
       g(x) = \tfrac12 + c\,\Bigl(1 - \frac{|c|}{2}\Bigr), \quad c = \min(\max(\alpha x, -1), 1)

    At 0: gradient :math:`\alpha`, primitive 1/2. Peak of the gradient: :math:`\alpha`, at 0. Area: 1. The support
    is :math:`|x| < 1 / \alpha`. :class:`ReluGrad` is a triangle given by its slope and half-width.

    Args:
      alpha: height, and inverse of the half-width, dimensionless. A number, or an array that broadcasts into x.
      origin: if True, calling the surrogate returns :math:`g(x)` instead of the spike.

    References:
      Esser et al. 2016, "Convolutional networks for fast, energy-efficient neuromorphic computing" (with
      :math:`\alpha = 1`). Wu, Deng, Li, Zhu, Shi 2018, "Spatio-Temporal Backpropagation for Training
      High-Performance Spiking Neural Networks" (their curve h2).

    Example:
      >>> import jax, jax.numpy as jnp, brainsurr as bs
      >>> jax.vmap(jax.grad(bs.PiecewiseQuadratic(alpha=0.5)))(jnp.array([-3.0, 0.0, 1.0]))
      Array([0.  , 0.5 , 0.25], dtype=float32)
    """

    is_distribution = True
    bounds = {"alpha": (0.01, 100.0)}

    alpha: Parameter = 1.0

    def surrogate_fun(self, x):
        c = self._clipped(x)
        return odd(x, c * (1 - c / 2))

    def surrogate_grad(self, x):
        return self.alpha * (1 - self._clipped(x))

    def _clipped(self, x):
        c = self.alpha * jnp.abs(x)
        return jnp.where(c < 1, c, jnp.ones_like(c))


@dataclasses.dataclass
class PiecewiseLeakyRelu(Surrogate):
    r"""A rectangle with an area of 1, and a constant leak outside.

    .. math:: g(x) = \begin{cases} c\,(x + w) & x < -w \\ \tfrac12 + \frac{x}{2w} & |x| \le w \\
       1 + c\,(x - w) & x > w \end{cases} \qquad
       g'(x) = \begin{cases} \frac{1}{2w} & |x| \le w \\ c & |x| > w \end{cases}

    At 0: gradient :math:`1 / 2w`, primitive 1/2. Peak of the gradient: :math:`1 / 2w`, on :math:`|x| \le w`
    (:math:`c` if that is larger). Area: infinite; 1 with ``c=0``. ``PiecewiseLeakyRelu(c=0)`` is the rectangle,
    also known as boxcar, and in some papers as *the* straight-through estimator with saturation.

    Args:
      c: leak, the gradient outside the rectangle, dimensionless. A number, or an array that broadcasts into x.
      w: half-width of the rectangle, above 0, dimensionless. A number or an array, like c.
      origin: if True, calling the surrogate returns :math:`g(x)` instead of the spike.

    References:
      Wu, Deng, Li, Zhu, Shi 2018, "Spatio-Temporal Backpropagation for Training High-Performance Spiking Neural
      Networks" (their curve h1, :math:`w = a_1 / 2`, no leak).

    Example:
      >>> import jax, jax.numpy as jnp, brainsurr as bs
      >>> jax.vmap(jax.grad(bs.PiecewiseLeakyRelu()))(jnp.array([-2.0, 0.0, 1.0]))
      Array([0.01, 0.5 , 0.5 ], dtype=float32)
    """

    bounds = {"c": (0.0, 1.0), "w": (0.01, 10.0)}
    _lower_limits = {"w": 0.0}

    c: Parameter = 0.01
    w: Parameter = 1.0

    def surrogate_fun(self, x):
        m = jnp.abs(x)
        outside = m > self.w
        # 0 * inf is NaN, so the excess is 0 if c = 0 and x is infinite; where(c == 0, 0, ...) would cut c's gradient.
        excess = jnp.where(outside & ~((self.c == 0) & jnp.isinf(x)), m - self.w, jnp.zeros_like(x))
        return odd(x, jnp.where(outside, fill(0.5, x), m / (2 * self.w)) + self.c * excess)

    def surrogate_grad(self, x):
        return jnp.where(jnp.abs(x) <= self.w, fill(1 / (2 * self.w), x), self.c)


relu_grad = function(ReluGrad, "relu_grad")
piecewise_quadratic = function(PiecewiseQuadratic, "piecewise_quadratic")
piecewise_leaky_relu = function(PiecewiseLeakyRelu, "piecewise_leaky_relu")
