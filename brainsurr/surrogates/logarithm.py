"""Surrogates with a tail of 1 / |x|. Their primitive is a logarithm, and their area is infinite."""

import dataclasses

import jax
import jax.numpy as jnp

from .._arrays import is_negative
from .._surrogate import Parameter, Surrogate, function
from ._stable import log_linear, odd, ratio


@dataclasses.dataclass
class NonzeroSignLog(Surrogate):
    r"""The derivative of a logarithm on both sides: a tail that falls slowly, and a cheap gradient.

    .. math:: g(x) = \operatorname{sign}(x) \log(1 + \alpha |x|) \qquad g'(x) = \frac{\alpha}{1 + \alpha |x|}

    At 0: gradient :math:`\alpha`, primitive 0. Peak of the gradient: :math:`\alpha`, at 0. Area: infinite.

    Args:
      alpha: steepness, dimensionless. A number, or an array that broadcasts into x.
      origin: if True, calling the surrogate returns :math:`g(x)` instead of the spike.

    References:
      Fang, Chen, Ding, et al. 2023, "SpikingJelly: An open-source machine learning infrastructure platform for
      spike-based intelligence" (its NonzeroSignLogAbs).

    Example:
      >>> import jax, jax.numpy as jnp, brainsurr as bs
      >>> jax.vmap(jax.grad(bs.NonzeroSignLog()))(jnp.array([-1.0, 0.0, 3.0]))
      Array([0.5 , 1.  , 0.25], dtype=float32)
    """

    bounds = {"alpha": (0.01, 100.0)}

    alpha: Parameter = 1.0

    def surrogate_fun(self, x):
        log = log_linear(jnp.abs(x), self.alpha)
        return jnp.where(x < 0, -log, log)

    def surrogate_grad(self, x):
        q, p = ratio(jnp.abs(x))
        return self.alpha * p / (p + self.alpha * q)


@dataclasses.dataclass
class FakeNumericalGradient(Surrogate):
    r"""The two-sided log tail: constant near the threshold, and :math:`1 / |x|` beyond.

    .. math:: g'(x) = \min\Bigl(\alpha, \frac{1}{|x|}\Bigr) \qquad
       g(x) = \tfrac12 + \begin{cases} \alpha x & \alpha |x| \le 1 \\
       \operatorname{sign}(x) \bigl(1 + \log \alpha |x|\bigr) & \alpha |x| > 1 \end{cases}

    At 0: gradient :math:`\alpha`, primitive 1/2. Peak of the gradient: :math:`\alpha`, on
    :math:`|x| \le 1 / \alpha`. Area: infinite. The constant of the primitive makes
    :math:`g(0) = 1/2` for every alpha. :class:`LogTailedRelu` has this tail above the threshold only. The name is from
    SpikingJelly: :math:`1 / |x|` is the difference quotient of a step of height 1 from 0 to x.

    Args:
      alpha: height of the plateau, dimensionless. A number, or an array that broadcasts into x.
      origin: if True, calling the surrogate returns :math:`g(x)` instead of the spike.

    References:
      Fang, Chen, Ding, et al. 2023, "SpikingJelly: An open-source machine learning infrastructure platform for
      spike-based intelligence" (its FakeNumericalGradient).

    Example:
      >>> import jax, jax.numpy as jnp, brainsurr as bs
      >>> f = bs.FakeNumericalGradient(alpha=0.5)
      >>> jax.vmap(jax.grad(f))(jnp.array([-4.0, 0.0, 2.0, 10.0]))
      Array([0.25, 0.5 , 0.5 , 0.1 ], dtype=float32)
    """

    bounds = {"alpha": (0.0, 10.0)}

    alpha: Parameter = 0.3

    def surrogate_fun(self, x):
        m = jnp.abs(x)
        near = self.alpha * m <= 1
        far = 1 + jnp.log(jnp.where(near, jnp.ones_like(m), self.alpha)) + jnp.log(jnp.where(near, jnp.ones_like(m), m))
        return odd(x, jnp.where(near, self.alpha * m, far))

    def surrogate_grad(self, x):
        m = jnp.abs(x)
        # Add instead of selecting: for a select, XLA would store an array of ones throughout a loop.
        near = (self.alpha * m <= 1).astype(x.dtype)
        return near * self.alpha + (1 - near) / (m + near)


@dataclasses.dataclass
class S2NN(Surrogate):
    r"""The derivative of the logistic function below the threshold, and of a logarithm above.

    .. math:: g(x) = \begin{cases} \sigma(\alpha x) & x < 0 \\ \tfrac12 + \beta \log(1 + x + \epsilon) & x \ge 0
       \end{cases} \qquad
       g'(x) = \begin{cases} \alpha\, \sigma(\alpha x)\, \sigma(-\alpha x) & x < 0 \\
       \beta / (1 + x + \epsilon) & x \ge 0 \end{cases}

    At 0: gradient :math:`\beta`, primitive 1/2 (for :math:`\epsilon \to 0`). Peak of the gradient:
    :math:`\max(\alpha / 4, \beta)`, at 0. Area: infinite, because of the tail above the threshold.

    Args:
      alpha: steepness below the threshold, dimensionless. A number, or an array that broadcasts into x.
      beta: height above the threshold, dimensionless. A number or an array, like alpha.
      epsilon: number added to the argument of the logarithm, above -1, dimensionless. A number or an array, like alpha.
        It is not necessary, since :math:`1 + x \ge 1`, but other libraries have it. Here, it also applies to the
        gradient.
      origin: if True, calling the surrogate returns :math:`g(x)` instead of the spike.

    References:
      Suetake, Ikegawa, Saiin, Sawada 2023, "S3NN: Time Step Reduction of Spiking Surrogate Gradients for Training
      Energy Efficient Single-Step Spiking Neural Networks" (first posted in 2022 as S2NN).

    Example:
      >>> import jax, jax.numpy as jnp, brainsurr as bs
      >>> gradient = jax.vmap(jax.grad(bs.S2NN()))(jnp.array([-1.0, 0.0, 1.0]))
      >>> [round(float(v), 3) for v in gradient]
      [0.071, 1.0, 0.5]
    """

    bounds = {"alpha": (0.01, 100.0), "beta": (0.0, 10.0), "epsilon": (0.0, 1.0)}
    _lower_limits = {"epsilon": -1.0}

    alpha: Parameter = 4.0
    beta: Parameter = 1.0
    epsilon: Parameter = 1e-8

    def surrogate_fun(self, x):
        below, above = self._sides(x)
        return jnp.where(
            is_negative(x), jax.nn.sigmoid(self.alpha * below), 0.5 + self.beta * jnp.log1p(above + self.epsilon)
        )

    def surrogate_grad(self, x):
        below, above = self._sides(x)
        sigmoid = jax.nn.sigmoid(self.alpha * below) * jax.nn.sigmoid(-self.alpha * below)
        return jnp.where(is_negative(x), self.alpha * sigmoid, self.beta / (1 + above + self.epsilon))

    def _sides(self, x):
        negative, zero = is_negative(x), jnp.zeros_like(x)
        return jnp.where(negative, x, zero), jnp.where(negative, zero, x)


nonzero_sign_log = function(NonzeroSignLog, "nonzero_sign_log")
fake_numerical_gradient = function(FakeNumericalGradient, "fake_numerical_gradient")
s2nn = function(S2NN, "s2nn")
