"""The leaky integrate-and-fire neuron with a synaptic current."""

import dataclasses
from typing import Any, ClassVar

import jax.numpy as jnp

from ._neuron import Neuron
from .lif import LIF, LIFFields


@dataclasses.dataclass(eq=False, repr=False)
class SynapticFields(LIFFields):
    """The fields of :class:`Synaptic` and of its layers."""

    current_decay: Any = 0.8


@dataclasses.dataclass(eq=False, repr=False)
class Synaptic(LIF, SynapticFields):
    r"""A LIF neuron with a decaying synaptic current, to which inputs are added.

    .. math:: i' = \mathrm{current\_decay} \cdot i + x

    The current is the input of a :class:`LIF` neuron. This equals :class:`LI` followed by :class:`LIF`, except that
    recurrent spikes are added to the current.

    Subclass it to add a current to another LIF neuron: ``class SynapticALIF(Synaptic, ALIF)``.

    State: a pair of the state of :class:`LIF` and the current ``i``, with the shape of the input of one step.

    The other arguments are described in :class:`LIF`.

    Args:
      decay_input: if True, the current is multiplied by 1 - decay before it is added to the potential.
      refractory: the number of steps without spikes after a spike. The current continues during these steps.
      current_decay: the fraction of the current kept per step, in [0, 1]. A number or ``[features]``.

    Raises:
      TypeError: as in :class:`LIF`.
      ValueError: as in :class:`LIF`; ``current_decay`` is outside [0, 1].

    References:
      Neftci, Mostafa, Zenke 2019, "Surrogate Gradient Learning in Spiking Neural Networks", eq. 4 and 5, where inputs
      and recurrent spikes are added to the current. The new current is added to the potential in the same step, as in
      snnTorch and norse.

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr.neurons import Synaptic
      >>> neuron, xs = (
      ...     Synaptic(decay=0.5, current_decay=0.5),
      ...     jnp.array([[0.75], [0.0], [0.0], [0.0]]),
      ... )
      >>> state, spikes = neuron(neuron.initial_state(xs[0]), xs)
      >>> print(state)
      (Array([0.375], dtype=float32), Array([0.09375], dtype=float32))
    """

    bounds: ClassVar = {"current_decay": (0.0, 1.0)}
    _decays: ClassVar[tuple[str, ...]] = ("current_decay",)

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        for base in [base for base in cls.__mro__ if issubclass(base, Neuron) and "step" in vars(base)]:
            is_first = cls.__mro__.index(base) < cls.__mro__.index(Synaptic)
            if not issubclass(base, Synaptic) and (is_first or not issubclass(base, LIF)) and base not in LIF.__mro__:
                bases = ", ".join(base.__name__ for base in cls.__bases__)
                raise TypeError(f"{cls.__name__}: expected Synaptic before the LIF neuron among its bases, got {bases}")

    @property
    def states(self):  # type: ignore[override]
        return (*super().states, "i")

    def initial_state(self, x):
        return super().initial_state(x), jnp.zeros_like(x)

    def step(self, state, x):
        inner, i = state
        i = self.current_decay * i + x
        inner, s = super().step(inner, i)
        return (inner, i), s
