"""Surrogates of finite support: beyond some distance from threshold no gradient flows."""

import dataclasses
from typing import ClassVar

import jax.numpy as jnp

from .._surrogate import Parameter, Surrogate
from ._function import function


@dataclasses.dataclass
class ReluGrad(Surrogate):
    r"""The triangle, given by its height over its half-width.

    .. math:: g'(x) = \alpha \max(0, w - |x|) \qquad
       g(x) = \tfrac12 + \alpha\, c\,\bigl(w - \tfrac{|c|}{2}\bigr), \quad c = \min(\max(x, -w), w)

    At 0: gradient :math:`\alpha w`, primitive 1/2. Peak of the gradient: :math:`\alpha w`, at 0. Area:
    :math:`\alpha w^2` (0.3 by default). The constant of the primitive is chosen so that :math:`g(0) = 1/2`
    whatever the parameters.

    Args:
      alpha: slope of the sides, dimensionless; a number or an array that broadcasts into x.
      width: half-width :math:`w` of the support, likewise.
      origin: whether calling it returns :math:`g(x)` in place of the spike.

    References:
      Esser et al. 2016, "Convolutional networks for fast, energy-efficient neuromorphic computing" (the
      triangle, with w = 1). Bellec, Salaj, Subramoney, Legenstein, Maass 2018, "Long short-term memory and
      learning-to-learn in networks of spiking neurons" (damped to a height of 0.3).

    Example:
      >>> import jax, jax.numpy as jnp, brainsurr as bs
      >>> jax.vmap(jax.grad(bs.ReluGrad()))(jnp.array([-2.0, 0.0, 0.5]))
      Array([0.  , 0.3 , 0.15], dtype=float32)
    """

    bounds: ClassVar = {"alpha": (0.0, 10.0), "width": (0.01, 10.0)}

    alpha: Parameter = 0.3
    width: Parameter = 1.0

    def surrogate_fun(self, x):
        c = jnp.clip(x, -self.width, self.width)
        return 0.5 + self.alpha * c * (self.width - jnp.abs(c) / 2)

    def surrogate_grad(self, x):
        return self.alpha * jnp.where(jnp.abs(x) < self.width, self.width - jnp.abs(x), jnp.zeros_like(x))


relu_grad = function(ReluGrad, "relu_grad")
