"""A surrogate times a number."""

import dataclasses

from .._surrogate import Parameter, Surrogate, check_surrogate


@dataclasses.dataclass
class Scaled(Surrogate):
    r"""A surrogate with its primitive and its gradient multiplied by a factor.

    .. math:: g(x) = c\, g_0(x) \qquad g'(x) = c\, g_0'(x)

    The spike itself stays 0 or 1. ``0.5 * f`` and ``f * 0.5`` make one. At 0, peak and area: those of the inner
    surrogate times :math:`c`. Other libraries' functions often differ from the ones here by a factor only.

    Args:
      surrogate: the inner surrogate. Its own ``origin`` is not looked at.
      factor: :math:`c`, dimensionless; a number or an array that broadcasts into x.
      origin: whether calling it returns :math:`g(x)` in place of the spike.

    Attributes:
      bounds: those of the inner surrogate; the factor has none.

    Example:
      >>> import jax, brainsurr as bs
      >>> f = 0.5 * bs.Sigmoid(alpha=4.0)
      >>> f
      Scaled(surrogate=Sigmoid(alpha=4.0), factor=0.5)
      >>> print(f(0.0), jax.grad(f)(0.0))
      1.0 0.5
      >>> 2 * f
      Scaled(surrogate=Sigmoid(alpha=4.0), factor=1.0)
    """

    surrogate: Surrogate
    factor: Parameter = 1.0

    def _check(self, name, value):
        if name == "surrogate":
            check_surrogate(name, value)
        super()._check(name, value)

    @property
    def bounds(self):  # type: ignore[override]
        """The intervals of the inner surrogate, by name."""
        return self.surrogate.bounds

    def __mul__(self, factor):
        return Surrogate.__mul__(self.surrogate.replace(origin=self.origin), self.factor * factor)

    def surrogate_fun(self, x):
        return self.factor * self.surrogate.surrogate_fun(x)

    def surrogate_grad(self, x):
        return self.factor * self.surrogate.surrogate_grad(x)
