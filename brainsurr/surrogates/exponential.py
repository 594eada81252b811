"""Surrogates with exponential tails: the logistic function and the two-sided exponentials."""

import dataclasses

import jax
import jax.numpy as jnp

from .._surrogate import Parameter, Surrogate, function
from ._stable import growth, odd, tails


@dataclasses.dataclass
class Sigmoid(Surrogate):
    r"""The derivative of the logistic function (sigmoid).

    .. math:: g(x) = \sigma(\alpha x) = \frac{1}{1 + e^{-\alpha x}} \qquad
       g'(x) = \alpha\, \sigma(\alpha x)\, \sigma(-\alpha x)

    At 0: gradient :math:`\alpha / 4`, primitive 1/2. Peak of the gradient: :math:`\alpha / 4`, at 0. Area: 1.
    ``Sigmoid(4.0)`` is the default surrogate of :class:`brainsurr.neurons.LIF`.

    Args:
      alpha: steepness, dimensionless. A number, or an array that broadcasts into x.
      origin: if True, calling the surrogate returns :math:`g(x)` instead of the spike.

    Note:
      The gradient that other libraries call *tanh*, :math:`1 - \tanh^2(kx)`, is ``2 / k * Sigmoid(2 * k)``.

    References:
      Wu, Deng, Li, Zhu, Shi 2018, "Spatio-Temporal Backpropagation for Training High-Performance Spiking Neural
      Networks" (their curve h3, :math:`\alpha = 1 / a_3`). Zenke, Vogels 2021, "The Remarkable Robustness of
      Surrogate Gradient Learning for Instilling Complex Function in Spiking Neural Networks".

    Example:
      >>> import jax, jax.numpy as jnp, brainsurr as bs
      >>> gradient = jax.vmap(jax.grad(bs.Sigmoid(alpha=4.0)))(jnp.array([-1.0, 0.0, 1.0]))
      >>> [round(float(v), 3) for v in gradient]
      [0.071, 1.0, 0.071]
    """

    is_distribution = True
    bounds = {"alpha": (0.01, 100.0)}

    alpha: Parameter = 4.0

    def surrogate_fun(self, x):
        return jax.nn.sigmoid(self.alpha * x)

    def surrogate_grad(self, x):
        # Use sigma(-z) instead of 1 - sigma(z), which is 0 in float32 for z >= 17.
        return self.alpha * jax.nn.sigmoid(self.alpha * x) * jax.nn.sigmoid(-self.alpha * x)


@dataclasses.dataclass
class PiecewiseExp(Surrogate):
    r"""The two-sided exponential with an area of 1: the Laplace density.

    .. math:: g(x) = \begin{cases} \tfrac12 e^{\alpha x} & x < 0 \\ 1 - \tfrac12 e^{-\alpha x} & x \ge 0 \end{cases}
       \qquad g'(x) = \frac{\alpha}{2} e^{-\alpha |x|}

    At 0: gradient :math:`\alpha / 2`, primitive 1/2. Peak of the gradient: :math:`\alpha / 2`, at 0. Area: 1.
    :class:`SlayerGrad` has the same shape and a peak of 1.

    Args:
      alpha: rate of decay, dimensionless. A number, or an array that broadcasts into x.
      origin: if True, calling the surrogate returns :math:`g(x)` instead of the spike.

    References:
      Neftci, Mostafa, Zenke 2019, "Surrogate Gradient Learning in Spiking Neural Networks". Shrestha, Orchard
      2018, "SLAYER: Spike Layer Error Reassignment in Time" (the exponential).

    Example:
      >>> import jax, jax.numpy as jnp, brainsurr as bs
      >>> gradient = jax.vmap(jax.grad(bs.PiecewiseExp()))(jnp.array([-1.0, 0.0, 1.0]))
      >>> [round(float(v), 3) for v in gradient]
      [0.184, 0.5, 0.184]
    """

    is_distribution = True
    bounds = {"alpha": (0.01, 100.0)}

    alpha: Parameter = 1.0

    def surrogate_fun(self, x):
        return tails(x, jnp.exp(-self.alpha * jnp.abs(x)) / 2)

    def surrogate_grad(self, x):
        return self.alpha / 2 * jnp.exp(-self.alpha * jnp.abs(x))


@dataclasses.dataclass
class SlayerGrad(Surrogate):
    r"""The two-sided exponential with a peak of 1.

    .. math:: g'(x) = e^{-\alpha |x|} \qquad
       g(x) = \tfrac12 + \operatorname{sign}(x)\, \frac{1 - e^{-\alpha |x|}}{\alpha}

    At 0: gradient 1, primitive 1/2. Peak of the gradient: 1, at 0. Area: :math:`2 / \alpha`. The constant of the
    primitive makes :math:`g(0) = 1/2` for every alpha. :class:`PiecewiseExp` has the same shape and an area of 1.
    :class:`SpikeRateEscape` adds parameters for the height and the position of the peak.

    Args:
      alpha: rate of decay, dimensionless. A number, or an array that broadcasts into x.
      origin: if True, calling the surrogate returns :math:`g(x)` instead of the spike.

    References:
      Shrestha, Orchard 2018, "SLAYER: Spike Layer Error Reassignment in Time" (the spike escape rate).

    Example:
      >>> import jax, jax.numpy as jnp, brainsurr as bs
      >>> gradient = jax.vmap(jax.grad(bs.SlayerGrad()))(jnp.array([-1.0, 0.0, 2.0]))
      >>> [round(float(v), 3) for v in gradient]
      [0.368, 1.0, 0.135]
    """

    bounds = {"alpha": (0.01, 100.0)}

    alpha: Parameter = 1.0

    def surrogate_fun(self, x):
        return odd(x, growth(jnp.abs(x), -self.alpha))

    def surrogate_grad(self, x):
        return jnp.exp(-self.alpha * jnp.abs(x))


@dataclasses.dataclass
class SpikeRateEscape(Surrogate):
    r"""The rate at which a noisy membrane potential escapes over the threshold: a two-sided exponential.

    .. math:: g'(x) = k\, e^{-\beta |x - \mu|} \qquad
       g(x) = \tfrac12 + A(x - \mu) - A(-\mu), \quad
       A(y) = \operatorname{sign}(y)\, k\, \frac{1 - e^{-\beta |y|}}{\beta}

    At 0: gradient :math:`k e^{-\beta |\mu|}`, primitive 1/2. Peak of the gradient: :math:`k`, at :math:`\mu`. Area:
    :math:`2 k / \beta` (50 by default, because the default height, 25, is the one of snnTorch). With
    :math:`\mu = 0`, it is ``slope * SlayerGrad(beta)``.

    Args:
      beta: rate of decay, dimensionless. A number, or an array that broadcasts into x.
      slope: height :math:`k` of the peak, dimensionless. A number or an array, like beta.
      mu: position of the peak relative to the threshold, dimensionless. A number or an array, like beta. The default,
        0, is the threshold itself. (snnTorch documents a peak at the threshold; in its code, the peak is at ``mu=1``.)
      origin: if True, calling the surrogate returns :math:`g(x)` instead of the spike.

    References:
      Gerstner, Kistler 2002, "Spiking Neuron Models" (escape noise, the exponential escape rate). Shrestha,
      Orchard 2018, "SLAYER: Spike Layer Error Reassignment in Time".

    Example:
      >>> import jax, jax.numpy as jnp, brainsurr as bs
      >>> f = bs.SpikeRateEscape(beta=1.0, slope=2.0, mu=1.0)
      >>> [round(float(v), 3) for v in jax.vmap(jax.grad(f))(jnp.array([0.0, 1.0, 2.0]))]
      [0.736, 2.0, 0.736]
    """

    bounds = {"beta": (0.01, 100.0), "slope": (0.0, 100.0), "mu": (-1.0, 1.0)}

    beta: Parameter = 1.0
    slope: Parameter = 25.0
    mu: Parameter = 0.0

    def surrogate_fun(self, x):
        def area(y):
            half = growth(jnp.abs(y), -self.beta)
            return jnp.where(y < 0, -half, half)

        return 0.5 + self.slope * (area(x - self.mu) - area(jnp.zeros_like(x) - self.mu))

    def surrogate_grad(self, x):
        return self.slope * jnp.exp(-self.beta * jnp.abs(x - self.mu))


sigmoid = function(Sigmoid, "sigmoid")
piecewise_exp = function(PiecewiseExp, "piecewise_exp")
slayer_grad = function(SlayerGrad, "slayer_grad")
spike_rate_escape = function(SpikeRateEscape, "spike_rate_escape")
