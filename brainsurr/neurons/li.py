"""The leaky integrator, the usual readout."""

import dataclasses
from typing import Any, ClassVar

import jax.numpy as jnp

from ._neuron import Neuron


@dataclasses.dataclass(eq=False, repr=False)
class LIFields:
    """The fields of :class:`LI`, which its layers have too."""

    decay: Any = 0.9
    decay_input: bool = False


@dataclasses.dataclass(eq=False, repr=False)
class LI(Neuron, LIFields):
    r"""A leaky integrator, the usual readout: its output is its potential.

    .. math:: v' = \mathrm{decay} \cdot v + x

    State: the potential ``v``, of the shape of the input of a step, ``[..., features]``. All is dimensionless.

    Args:
      decay: what is left of the potential after a step, in [0, 1]: exp(-dt / tau). A number or ``[features]``.
      decay_input: whether the input is multiplied by 1 - decay, so that the potential tends to a constant input.

    Raises:
      TypeError: ``decay`` is not a real number or array, ``decay_input`` not a boolean.
      ValueError: ``decay`` is outside [0, 1].

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr.neurons import LI
      >>> li, xs = LI(decay=0.5), jnp.ones((3, 1))
      >>> state, v = li(li.initial_state(xs[0]), xs)
      >>> print(v.ravel())
      [1.   1.5  1.75]
    """

    bounds: ClassVar[dict[str, tuple[float, float]]] = {"decay": (0.0, 1.0)}
    _decays: ClassVar[tuple[str, ...]] = ("decay",)

    def initial_state(self, x):
        return jnp.zeros_like(x)

    def integrate(self, v, x):
        """Return the potential after a step without a spike."""
        return self.decay * v + ((1 - self.decay) * x if self.decay_input else x)

    def step(self, state, x):
        v = self.integrate(state, x)
        return v, v
