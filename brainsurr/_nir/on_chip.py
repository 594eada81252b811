"""Neurons that compute in integers as a chip does, several spikes in a step; gradients pass the rounding by."""

import dataclasses
from typing import Any

import jax.numpy as jnp

from .._kernel import detached
from ..neurons import LI, LIF

INT16 = -32768.0, 32767.0  # of a current or a potential of Xylo, where its sums stop


def straight_through(held, value):
    """Return what is held of a value, with the gradient of the value."""
    return detached(held) + (value - detached(value))


@dataclasses.dataclass(eq=False, repr=False)
class SpeckLIF(LIF):
    """A neuron of Speck: it has no leak, and its potential stops at a lower limit.

    Args:
      scale: integers for each unit of the potential, in which ``spike_fn`` sees it.
      lowest: the limit.
      levels: the most spikes in a step.
    """

    scale: Any = 1.0
    lowest: Any = INT16[0]
    levels: int = 2**15

    def integrate(self, v, x):
        return jnp.maximum(v + x, self.lowest)

    def step(self, state, x):
        u = self.integrate(state, x)
        level = detached(jnp.clip(jnp.round(u / self.threshold), 1, self.levels))  # the nearest
        s = level - 1 + self.spike_fn((u - level * self.threshold) / self.scale)
        return self._after(u, s, self.threshold), s


def shifted(v, decay, lost):
    """Return what Xylo leaves of a value: it takes off the value, shifted right, and of a positive one 1 at least."""
    less = jnp.floor(v * lost)
    return straight_through(v - jnp.where(v > 0, jnp.maximum(less, 1), less), decay * v)


@dataclasses.dataclass(eq=False, repr=False)
class XyloLI(LI):
    """A synapse of Xylo, which decays its input too.

    Args:
      lost: what goes in a step, 2 to the power of -dash.
    """

    lost: Any = 0.5

    def integrate(self, v, x):
        return shifted(jnp.clip(v + x, *INT16), self.decay, self.lost)


@dataclasses.dataclass(eq=False, repr=False)
class XyloLIF(SpeckLIF):
    """A membrane of Xylo.

    Args:
      lost: as of its synapse.
    """

    lost: Any = 0.5
    levels: int = 31

    def integrate(self, v, x):
        return jnp.clip(shifted(v, self.decay, self.lost) + x, *INT16)
