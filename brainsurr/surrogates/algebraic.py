"""Surrogates with power-law tails and a finite area: soft sign (fast sigmoid), SuperSpike, arctangent and more."""

import dataclasses

import jax.numpy as jnp

from .._surrogate import Parameter, Surrogate, function
from ._stable import odd, ratio, tails


@dataclasses.dataclass
class SoftSign(Surrogate):
    r"""The derivative of the soft sign (fast sigmoid), with an area of 1.

    .. math:: g(x) = \tfrac12 \Bigl(1 + \frac{\alpha x}{1 + \alpha |x|}\Bigr) \qquad
       g'(x) = \frac{\alpha}{2 (1 + \alpha |x|)^2}

    At 0: gradient :math:`\alpha / 2`, primitive 1/2. Peak of the gradient: :math:`\alpha / 2`, at 0. Area: 1.
    :class:`InvSquareGrad` has the same shape and a peak of 1.

    Args:
      alpha: steepness, dimensionless. A number, or an array that broadcasts into x. The default is 1 as in braintools;
        in SpikingJelly, it is 2.
      origin: if True, calling the surrogate returns :math:`g(x)` instead of the spike.

    References:
      Zenke, Ganguli 2018, "SuperSpike: Supervised Learning in Multilayer Spiking Neural Networks" (the fast
      sigmoid).

    Example:
      >>> import jax, jax.numpy as jnp, brainsurr as bs
      >>> jax.vmap(jax.grad(bs.SoftSign()))(jnp.array([-1.0, 0.0, 3.0]))
      Array([0.125  , 0.5    , 0.03125], dtype=float32)
    """

    is_distribution = True
    bounds = {"alpha": (0.01, 100.0)}

    alpha: Parameter = 1.0

    def surrogate_fun(self, x):
        return tails(x, _fall(self.alpha, x) / 2)

    def surrogate_grad(self, x):
        return self.alpha / 2 * _fall(self.alpha, x) ** 2


@dataclasses.dataclass
class InvSquareGrad(Surrogate):
    r"""The inverse square with a peak of 1, also known as SuperSpike and as the fast sigmoid.

    .. math:: g'(x) = \frac{1}{(1 + \alpha |x|)^2} \qquad g(x) = \tfrac12 + \frac{x}{1 + \alpha |x|}

    At 0: gradient 1, primitive 1/2. Peak of the gradient: 1, at 0. Area: :math:`2 / \alpha` (0.02 by default). The
    constant of the primitive makes :math:`g(0) = 1/2` for every alpha. :class:`SoftSign` has the same shape and an area
    of 1.

    The default of 100 is also the default in braintools and in the SuperSpike tutorials. snnTorch, spyx and jaxpike use
    25 by default: ``InvSquareGrad(25)`` is their *fast sigmoid*.

    Args:
      alpha: steepness, dimensionless. A number, or an array that broadcasts into x.
      origin: if True, calling the surrogate returns :math:`g(x)` instead of the spike.

    References:
      Zenke, Ganguli 2018, "SuperSpike: Supervised Learning in Multilayer Spiking Neural Networks", section 3.3.2.
      Zenke, Vogels 2021, "The Remarkable Robustness of Surrogate Gradient Learning for Instilling Complex Function in
      Spiking Neural Networks".

    Example:
      >>> import jax, jax.numpy as jnp, brainsurr as bs
      >>> jax.vmap(jax.grad(bs.InvSquareGrad(alpha=1.0)))(jnp.array([-1.0, 0.0, 3.0]))
      Array([0.25  , 1.    , 0.0625], dtype=float32)
    """

    bounds = {"alpha": (0.01, 1000.0)}

    alpha: Parameter = 100.0

    def surrogate_fun(self, x):
        q, p = ratio(jnp.abs(x))
        return odd(x, q / (p + self.alpha * q))

    def surrogate_grad(self, x):
        return _fall(self.alpha, x) ** 2


@dataclasses.dataclass
class SparseFastSigmoid(Surrogate):
    r"""The inverse square near the threshold, and 0 beyond, so that the backward pass is sparse.

    .. math:: g'(x) = \begin{cases} (1 + \alpha |x|)^{-2} & |x| < w \\ 0 & |x| \ge w \end{cases}
       \qquad g(x) = \tfrac12 + \frac{c}{1 + \alpha |c|}, \quad c = \min(\max(x, -w), w)

    At 0: gradient 1, primitive 1/2. Peak of the gradient: 1, at 0. Area: :math:`2 w / (1 + \alpha w)`. It is
    :class:`InvSquareGrad`, cut off at a distance :math:`w`, which the paper calls :math:`B_{th}` and snnTorch's SFS
    calls B. The code of snnTorch keeps the gradient for :math:`x > B` instead of :math:`|x| < B`.

    Args:
      alpha: steepness, dimensionless. A number, or an array that broadcasts into x.
      width: half-width :math:`w` of the support, dimensionless. A number or an array, like alpha.
      origin: if True, calling the surrogate returns :math:`g(x)` instead of the spike.

    References:
      Perez-Nieves, Goodman 2021, "Sparse Spiking Gradient Descent".

    Example:
      >>> import jax, jax.numpy as jnp, brainsurr as bs
      >>> f = bs.SparseFastSigmoid(alpha=1.0, width=2.0)
      >>> jax.vmap(jax.grad(f))(jnp.array([-1.0, 0.0, 1.0, 3.0]))
      Array([0.25, 1.  , 0.25, 0.  ], dtype=float32)
    """

    bounds = {"alpha": (0.01, 1000.0), "width": (0.01, 10.0)}

    alpha: Parameter = 100.0
    width: Parameter = 1.0

    def surrogate_fun(self, x):
        m = jnp.abs(x)
        c = jnp.where(m < self.width, m, self.width)
        return odd(x, c / (1 + self.alpha * c))

    def surrogate_grad(self, x):
        return jnp.where(jnp.abs(x) < self.width, _fall(self.alpha, x) ** 2, jnp.zeros_like(x))


@dataclasses.dataclass
class Arctan(Surrogate):
    r"""The derivative of the arctangent, with an area of 1: the Cauchy density.

    .. math:: g(x) = \tfrac12 + \frac1\pi \arctan\Bigl(\frac\pi2 \alpha x\Bigr) \qquad
       g'(x) = \frac{\alpha}{2 \bigl(1 + (\frac\pi2 \alpha x)^2\bigr)}

    At 0: gradient :math:`\alpha / 2`, primitive 1/2. Peak of the gradient: :math:`\alpha / 2`, at 0. Area: 1.

    Args:
      alpha: steepness, dimensionless. A number, or an array that broadcasts into x. The default is 1 as in braintools;
        in snnTorch and SpikingJelly, it is 2.
      origin: if True, calling the surrogate returns :math:`g(x)` instead of the spike.

    References:
      Fang, Yu, Chen, Masquelier, Huang, Tian 2021, "Incorporating Learnable Membrane Time Constant to Enhance
      Learning of Spiking Neural Networks" (with :math:`\alpha = 2`).

    Example:
      >>> import jax, jax.numpy as jnp, brainsurr as bs
      >>> gradient = jax.vmap(jax.grad(bs.Arctan(alpha=2.0)))(jnp.array([-1.0, 0.0, 1.0]))
      >>> [round(float(v), 3) for v in gradient]
      [0.092, 1.0, 0.092]
    """

    is_distribution = True
    bounds = {"alpha": (0.01, 100.0)}

    alpha: Parameter = 1.0

    def surrogate_fun(self, x):
        # Far below the threshold, compute g as arctan(p / q) / pi, since 1/2 + arctan(...) / pi cancels.
        q, p = ratio(self.alpha * jnp.abs(x))
        return tails(x, jnp.arctan2(p, jnp.pi / 2 * q) / jnp.pi)

    def surrogate_grad(self, x):
        q, p = ratio(self.alpha * jnp.abs(x))
        return self.alpha / 2 * p**2 / (p**2 + (jnp.pi / 2 * q) ** 2)


@dataclasses.dataclass
class Circ(Surrogate):
    r"""The derivative of :math:`x / \sqrt{x^2 + \alpha^2}`, with a peak of 1.

    .. math:: g'(x) = \Bigl(1 + \frac{x^2}{\alpha^2}\Bigr)^{-3/2} \qquad
       g(x) = \tfrac12 + \frac{\alpha x}{\sqrt{x^2 + \alpha^2}}

    At 0: gradient 1, primitive 1/2. Peak of the gradient: 1, at 0. Area: :math:`2 \alpha`. The constant of the
    primitive makes :math:`g(0) = 1/2` for every alpha.

    Args:
      alpha: width, above 0, dimensionless. It is not a steepness: a larger alpha makes the gradient wider. A number, or
        an array that broadcasts into x.
      origin: if True, calling the surrogate returns :math:`g(x)` instead of the spike.

    References:
      Pehle, Pedersen 2021, "Norse - A deep learning library for spiking neural networks" (its ``circ``, whose
      documentation states this gradient divided by 2 alpha).

    Example:
      >>> import jax, jax.numpy as jnp, brainsurr as bs
      >>> gradient = jax.vmap(jax.grad(bs.Circ()))(jnp.array([-1.0, 0.0, 2.0]))
      >>> [round(float(v), 3) for v in gradient]
      [0.354, 1.0, 0.089]
    """

    bounds = {"alpha": (0.01, 100.0)}
    _lower_limits = {"alpha": 0.0}

    alpha: Parameter = 1.0

    def surrogate_fun(self, x):
        return odd(x, self.alpha * self._sides(x)[0])

    def surrogate_grad(self, x):
        return self._sides(x)[1] ** 3

    def _sides(self, x):
        """Return |x| and alpha, each divided by the square root of x^2 + alpha^2."""
        q, p = ratio(jnp.abs(x))
        p = self.alpha * p
        large = q > p
        t = jnp.where(large, p, q) / jnp.where(large, q, p)  # in [0, 1], so that no square overflows
        longer = 1 / jnp.sqrt(1 + t**2)
        return jnp.where(large, longer, t * longer), jnp.where(large, t * longer, longer)


def _fall(alpha, x):
    """Return 1 / (1 + alpha |x|)."""
    q, p = ratio(jnp.abs(x))
    return p / (p + alpha * q)


soft_sign = function(SoftSign, "soft_sign")
inv_square_grad = function(InvSquareGrad, "inv_square_grad")
sparse_fast_sigmoid = function(SparseFastSigmoid, "sparse_fast_sigmoid")
arctan = function(Arctan, "arctan")
circ = function(Circ, "circ")
