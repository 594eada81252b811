"""The q-PseudoSpike: power-law tails whose exponent is the parameter."""

import dataclasses

import jax
import jax.numpy as jnp

from .._surrogate import Parameter, Surrogate, function
from ._stable import fill, growth, log_linear, odd, tails


@dataclasses.dataclass
class QPseudoSpike(Surrogate):
    r"""The q-PseudoSpike in braintools' form, :math:`\alpha + 1`, whose tail is as fat as the parameter says.

    .. math:: g'(x) = \Bigl(1 + \frac{2|x|}{\alpha + 1}\Bigr)^{-\alpha} \qquad
       g(x) = \tfrac12 + \operatorname{sign}(x)\, \frac{\alpha + 1}{2} \cdot
       \frac{\bigl(1 + \frac{2|x|}{\alpha + 1}\bigr)^{1 - \alpha} - 1}{1 - \alpha}

    and at :math:`\alpha = 1` the limit, :math:`g(x) = \tfrac12 + \operatorname{sign}(x) \log(1 + |x|)`. At 0:
    gradient 1, primitive 1/2. Peak of the gradient: 1, at 0. Area: :math:`(\alpha + 1) / (\alpha - 1)` for
    :math:`\alpha > 1` (3 by default), infinite for :math:`\alpha \le 1`.

    The paper has :math:`\alpha - 1` in place of :math:`\alpha + 1`, an area of 1, and so has SpikingJelly under
    this name: that one is :class:`NormalizedQPseudoSpike`. This one also holds for :math:`\alpha \le 1`.

    Args:
      alpha: exponent of the tail, dimensionless, above 0, and at most 1e37, beyond which 2 / (alpha + 1) is lost to 0;
        a number or an array that broadcasts into x.
      origin: whether calling it returns :math:`g(x)` in place of the spike.

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
    r"""The q-PseudoSpike as its paper has it, :math:`\alpha - 1`: peak and area are 1 whatever the tail.

    .. math:: g'(x) = \Bigl(1 + \frac{2|x|}{\alpha - 1}\Bigr)^{-\alpha} \qquad
       g(x) = \begin{cases} \tfrac12 \bigl(1 - \frac{2x}{\alpha - 1}\bigr)^{1 - \alpha} & x < 0 \\
       1 - \tfrac12 \bigl(1 + \frac{2x}{\alpha - 1}\bigr)^{1 - \alpha} & x \ge 0 \end{cases}

    At 0: gradient 1, primitive 1/2. Peak of the gradient: 1, at 0. Area: 1. At :math:`\alpha = 2` it is
    ``SoftSign(2)``, and for large :math:`\alpha` ``PiecewiseExp(2)``.

    Args:
      alpha: exponent of the tail, dimensionless, above 1, and at most 1e37 as in :class:`QPseudoSpike`; a number or an
        array that broadcasts into x. One that rounds to 1 in the dtype of x is read as the next number above.
      origin: whether calling it returns :math:`g(x)` in place of the spike.

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
        """Return alpha - 1; an alpha that rounds to 1 in x's dtype is read as the next number above."""
        excess = fill(self.alpha, x) - 1
        return excess + jax.lax.stop_gradient(jnp.maximum(jnp.finfo(x.dtype).eps - excess, 0))


def _log_of_excess(m, excess):
    """Return log(1 + 2 m / excess) for m >= 0; for a small excess in a form whose derivative does not overflow."""
    small = excess < 1
    half = jnp.where(small, excess, jnp.ones_like(excess)) / 2
    slope = 2 / jnp.where(small, jnp.ones_like(excess), excess)
    return jnp.where(small, jnp.log(half + m) - jnp.log(half), log_linear(m, slope))


q_pseudo_spike = function(QPseudoSpike, "q_pseudo_spike")
normalized_q_pseudo_spike = function(NormalizedQPseudoSpike, "normalized_q_pseudo_spike")
