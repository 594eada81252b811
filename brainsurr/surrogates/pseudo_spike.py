"""The q-PseudoSpike, whose parameter is the exponent of its power-law tails, in two normalisations."""

import dataclasses

import jax
import jax.numpy as jnp

from .._surrogate import Parameter, Surrogate, function
from ._stable import fill, growth, log_linear, odd, tails


@dataclasses.dataclass
class QPseudoSpike(Surrogate):
    r"""The q-PseudoSpike with :math:`\alpha + 1` as in braintools: alpha sets how fast the tails fall.

    .. math:: g'(x) = \Bigl(1 + \frac{2|x|}{\alpha + 1}\Bigr)^{-\alpha} \qquad
       g(x) = \tfrac12 + \operatorname{sign}(x)\, \frac{\alpha + 1}{2} \cdot
       \frac{\bigl(1 + \frac{2|x|}{\alpha + 1}\bigr)^{1 - \alpha} - 1}{1 - \alpha}

    At :math:`\alpha = 1`, :math:`g` is the limit, :math:`\tfrac12 + \operatorname{sign}(x) \log(1 + |x|)`. At 0:
    gradient 1, primitive 1/2. Peak of the gradient: 1, at 0. Area: :math:`(\alpha + 1) / (\alpha - 1)` for
    :math:`\alpha > 1` (3 by default), infinite for :math:`\alpha \le 1`.

    The paper, and SpikingJelly under this name, use :math:`\alpha - 1` instead of :math:`\alpha + 1`, which gives an
    area of 1: see :class:`NormalizedQPseudoSpike`. The form here is also defined for :math:`\alpha \le 1`.

    Args:
      alpha: exponent of the tails, dimensionless, above 0 and at most 1e37, since 2 / (alpha + 1) is rounded to 0 for
        larger values. A number, or an array that broadcasts into x.
      origin: if True, calling the surrogate returns :math:`g(x)` instead of the spike.

    References:
      Herranz-Celotti, Rouat 2022, "Surrogate Gradients Design" (with :math:`\alpha - 1`).

    Example:
      >>> import jax, jax.numpy as jnp, brainsurr as bs
      >>> gradient = jax.vmap(jax.grad(bs.QPseudoSpike(alpha=2.0)))(
      ...     jnp.array([-1.5, 0.0, 1.5])
      ... )
      >>> [round(float(v), 3) for v in gradient]
      [0.25, 1.0, 0.25]
    """

    bounds = {"alpha": (0.1, 100.0)}
    _lower_limits = {"alpha": 0.0}

    alpha: Parameter = 2.0

    def surrogate_fun(self, x):
        log = log_linear(jnp.abs(x), 2 / (self.alpha + 1))
        return odd(x, (self.alpha + 1) / 2 * growth(log, 1 - self.alpha))

    def surrogate_grad(self, x):
        return jnp.exp(-self.alpha * log_linear(jnp.abs(x), 2 / (self.alpha + 1)))


@dataclasses.dataclass
class NormalizedQPseudoSpike(Surrogate):
    r"""The q-PseudoSpike with :math:`\alpha - 1` as in the paper: its peak and area are 1 for every alpha.

    .. math:: g'(x) = \Bigl(1 + \frac{2|x|}{\alpha - 1}\Bigr)^{-\alpha} \qquad
       g(x) = \begin{cases} \tfrac12 \bigl(1 - \frac{2x}{\alpha - 1}\bigr)^{1 - \alpha} & x < 0 \\
       1 - \tfrac12 \bigl(1 + \frac{2x}{\alpha - 1}\bigr)^{1 - \alpha} & x \ge 0 \end{cases}

    At 0: gradient 1, primitive 1/2. Peak of the gradient: 1, at 0. Area: 1. At :math:`\alpha = 2`, it is
    ``SoftSign(2)``; for large :math:`\alpha`, it approaches ``PiecewiseExp(2)``.

    Args:
      alpha: exponent of the tails, dimensionless, above 1 and at most 1e37, as in :class:`QPseudoSpike`. A number, or
        an array that broadcasts into x. If it rounds to 1 in the dtype of x, the next larger number is used.
      origin: if True, calling the surrogate returns :math:`g(x)` instead of the spike.

    References:
      Herranz-Celotti, Rouat 2022, "Surrogate Gradients Design" (the q-PseudoSpike, :math:`q = \alpha`).

    Example:
      >>> import jax, jax.numpy as jnp, brainsurr as bs
      >>> f = bs.NormalizedQPseudoSpike(alpha=2.0)
      >>> [round(float(v), 3) for v in jax.vmap(jax.grad(f))(jnp.array([-0.5, 0.0, 0.5]))]
      [0.25, 1.0, 0.25]
    """

    is_distribution = True
    bounds = {"alpha": (1.01, 100.0)}
    _lower_limits = {"alpha": 1.0}

    alpha: Parameter = 2.0

    def surrogate_fun(self, x):
        excess = self._excess(x)
        return tails(x, jnp.exp(-excess * _log_of_excess(jnp.abs(x), excess)) / 2)

    def surrogate_grad(self, x):
        excess = self._excess(x)
        return jnp.exp(-(1 + excess) * _log_of_excess(jnp.abs(x), excess))

    def _excess(self, x):
        """Return alpha - 1. If alpha rounds to 1 in the dtype of x, use the next larger number."""
        excess = fill(self.alpha, x) - 1
        return excess + jax.lax.stop_gradient(jnp.maximum(jnp.finfo(x.dtype).eps - excess, 0))


def _log_of_excess(m, excess):
    """Return log(1 + 2 m / excess) for m >= 0, in a form whose derivative does not overflow for a small excess."""
    small = excess < 1
    half = jnp.where(small, excess, jnp.ones_like(excess)) / 2
    slope = 2 / jnp.where(small, jnp.ones_like(excess), excess)
    return jnp.where(small, jnp.log(half + m) - jnp.log(half), log_linear(m, slope))


q_pseudo_spike = function(QPseudoSpike, "q_pseudo_spike")
normalized_q_pseudo_spike = function(NormalizedQPseudoSpike, "normalized_q_pseudo_spike")
