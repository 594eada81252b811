"""Surrogates with Gaussian tails: a Gaussian, given by its steepness or standard deviation, and the multi-Gaussian."""

import dataclasses

import jax
import jax.numpy as jnp

from .._arrays import divide
from .._surrogate import Parameter, Surrogate, function
from ._stable import SQRT_2, SQRT_PI, bounded


@dataclasses.dataclass
class ERF(Surrogate):
    r"""A Gaussian with an area of 1, given by its steepness. Its primitive is the error function.

    .. math:: g(x) = \tfrac12 \operatorname{erfc}(-\alpha x) = \tfrac12 \bigl(1 + \operatorname{erf}(\alpha x)\bigr)
       \qquad g'(x) = \frac{\alpha}{\sqrt\pi}\, e^{-\alpha^2 x^2}

    At 0: gradient :math:`\alpha / \sqrt\pi`, primitive 1/2. Peak of the gradient: :math:`\alpha / \sqrt\pi`, at 0.
    Area: 1. It is ``GaussianGrad(sigma=1 / (sqrt(2) * alpha), alpha=1)``.

    Args:
      alpha: steepness, dimensionless. A number, or an array that broadcasts into x. The default is 1 as in braintools;
        in SpikingJelly, it is 2.
      origin: if True, calling the surrogate returns :math:`g(x)` instead of the spike.

    References:
      Wu, Deng, Li, Zhu, Shi 2018, "Spatio-Temporal Backpropagation for Training High-Performance Spiking Neural
      Networks" (their curve h4). Yin, Corradi, Bohte 2020, "Effective and Efficient Computation with
      Multiple-timescale Spiking Recurrent Neural Networks".

    Example:
      >>> import jax, jax.numpy as jnp, brainsurr as bs
      >>> gradient = jax.vmap(jax.grad(bs.ERF()))(jnp.array([-1.0, 0.0, 1.0]))
      >>> [round(float(v), 3) for v in gradient]
      [0.208, 0.564, 0.208]
    """

    is_distribution = True
    bounds = {"alpha": (0.01, 100.0)}

    alpha: Parameter = 1.0

    def surrogate_fun(self, x):
        return jax.lax.erfc(-bounded(self.alpha * x)) / 2

    def surrogate_grad(self, x):
        return self.alpha / SQRT_PI * _bell(self.alpha * x)


@dataclasses.dataclass
class GaussianGrad(Surrogate):
    r"""A Gaussian, given by its standard deviation and its area.

    .. math:: g'(x) = \alpha\, \mathcal N(x; 0, \sigma^2) = \frac{\alpha}{\sqrt{2\pi}\,\sigma}\, e^{-x^2 / 2\sigma^2}
       \qquad g(x) = \tfrac12 + \frac{\alpha}{2} \operatorname{erf} \frac{x}{\sqrt2\,\sigma}

    At 0: gradient :math:`\alpha / (\sqrt{2\pi}\,\sigma)` (0.399 by default), primitive 1/2. Peak of the gradient:
    the same value, at 0. Area: :math:`\alpha` (0.5 by default). The constant of the primitive makes
    :math:`g(0) = 1/2` for all parameters.

    Args:
      sigma: standard deviation, above 0, dimensionless. A number, or an array that broadcasts into x.
      alpha: area, dimensionless. A number or an array, like sigma.
      origin: if True, calling the surrogate returns :math:`g(x)` instead of the spike.

    References:
      Yin, Corradi, Bohte 2020, "Effective and Efficient Computation with Multiple-timescale Spiking Recurrent
      Neural Networks". Wu, Deng, Li, Zhu, Shi 2018, "Spatio-Temporal Backpropagation for Training
      High-Performance Spiking Neural Networks" (their curve h4, :math:`\sigma^2 = a_4`).

    Example:
      >>> import jax, jax.numpy as jnp, brainsurr as bs
      >>> gradient = jax.vmap(jax.grad(bs.GaussianGrad()))(jnp.array([-1.0, 0.0, 0.5]))
      >>> [round(float(v), 3) for v in gradient]
      [0.054, 0.399, 0.242]
    """

    bounds = {"sigma": (0.01, 10.0), "alpha": (0.0, 10.0)}
    _lower_limits = {"sigma": 0.0}

    sigma: Parameter = 0.5
    alpha: Parameter = 0.5

    def surrogate_fun(self, x):
        return 0.5 + self.alpha * _normal_area(x, self.sigma)

    def surrogate_grad(self, x):
        return self.alpha * _normal(x, self.sigma)


@dataclasses.dataclass
class MultiGaussianGrad(Surrogate):
    r"""A Gaussian minus two wider Gaussians at its sides, so that the gradient is negative far from the threshold.

    .. math:: g'(x) = \gamma \bigl[ (1 + h)\, \mathcal N(x; 0, \sigma^2) - h\, \mathcal N(x; \sigma, (s\sigma)^2)
       - h\, \mathcal N(x; -\sigma, (s\sigma)^2) \bigr]

    .. math:: g(x) = \tfrac12 + \gamma \Bigl[ (1 + h)\, E\Bigl(\frac{x}{\sigma}\Bigr)
       - h\, E\Bigl(\frac{x - \sigma}{s\sigma}\Bigr) - h\, E\Bigl(\frac{x + \sigma}{s\sigma}\Bigr) \Bigr],
       \quad E(z) = \tfrac12 \operatorname{erf} \frac{z}{\sqrt2}

    Here, :math:`\gamma` is ``scale``. At 0: gradient :math:`\frac{\gamma}{\sqrt{2\pi}\,\sigma} \bigl[1 + h -
    \frac{2h}{s} e^{-1/2s^2}\bigr]` (0.439 by default), primitive 1/2. Peak of the gradient: the same value, at 0.
    Area: :math:`\gamma (1 - h)` (0.425 by default). The constant of the primitive makes :math:`g(0) = 1/2` for all
    parameters.

    Args:
      h: weight of the two wide Gaussians, dimensionless. A number, or an array that broadcasts into x.
      s: ratio of the standard deviations of the wide and the narrow Gaussians, above 0. A number or an array, like h.
      sigma: standard deviation of the narrow Gaussian, and distance of the wide Gaussians from the threshold, above 0,
        dimensionless. A number or an array, like h.
      scale: factor :math:`\gamma` of the gradient, dimensionless. A number or an array, like h.
      origin: if True, calling the surrogate returns :math:`g(x)` instead of the spike.

    References:
      Yin, Corradi, Bohte 2021, "Accurate and efficient time-domain classification with adaptive spiking recurrent
      neural networks" (the multi-Gaussian).

    Example:
      >>> import jax, jax.numpy as jnp, brainsurr as bs
      >>> gradient = jax.vmap(jax.grad(bs.MultiGaussianGrad()))(jnp.array([-2.0, 0.0, 0.5]))
      >>> [round(float(v), 3) for v in gradient]
      [-0.016, 0.439, 0.259]
    """

    bounds = {"h": (0.0, 1.0), "s": (1.0, 100.0), "sigma": (0.01, 10.0), "scale": (0.0, 10.0)}
    _lower_limits = {"s": 0.0, "sigma": 0.0}

    h: Parameter = 0.15
    s: Parameter = 6.0
    sigma: Parameter = 0.5
    scale: Parameter = 0.5

    def surrogate_fun(self, x):
        return 0.5 + self.scale * self._sum(_normal_area, x)

    def surrogate_grad(self, x):
        return self.scale * self._sum(_normal, x)

    def _sum(self, curve, x):
        wide = self.s * self.sigma
        sides = curve(x - self.sigma, wide) + curve(x + self.sigma, wide)
        return (1 + self.h) * curve(x, self.sigma) - self.h * sides


def _bell(z):
    z = bounded(z)
    return jnp.exp(-z * z)


def _normal(x, sigma):
    """Return the normal density."""
    return _bell(divide(x, SQRT_2 * sigma)) / (SQRT_2 * SQRT_PI * sigma)


def _normal_area(x, sigma):
    """Return the integral of the normal density from 0."""
    return jax.lax.erf(bounded(divide(x, SQRT_2 * sigma))) / 2


erf = function(ERF, "erf")
gaussian_grad = function(GaussianGrad, "gaussian_grad")
multi_gaussian_grad = function(MultiGaussianGrad, "multi_gaussian_grad")
