"""Neurons that compute in integers as a chip does; gradients pass the rounding by."""

import dataclasses
from typing import Any

import jax.numpy as jnp

from .._kernel import detached
from ..neurons import LI, LIF

INT16 = -32768.0, 32767.0  # where sums of Xylo stop, of a current or a potential
INT24 = 2.0**17  # in 64ths, beyond which Loihi's potentials stop and its currents begin at the other end


def straight_through(held, value):
    """Return what is held of a value, with the gradient of the value."""
    return detached(held) + (value - detached(value))


def nearest(value, step=1.0):
    """Round to a multiple of a step, with the gradient of the value."""
    return straight_through(jnp.round(value / step) * step, value)


@dataclasses.dataclass(eq=False, repr=False)
class ChipLIF(LIF):
    """A neuron whose potential and threshold are integers.

    Args:
      scale: integers for each unit of the potential, in which ``spike_fn`` sees it.
      levels: the most spikes in a step.
    """

    scale: Any = None
    levels: int = 1

    def step(self, state, x):
        v, *last = state if isinstance(state, tuple) else (state,)
        u = self.integrate(v, x)
        level = detached(jnp.clip(jnp.round(u / self.threshold), 1, self.levels))  # the nearest
        s = level - 1 + self.spike_fn((u - level * self.threshold) / self.scale)
        v = self._after(u, s, self.threshold)
        return (v, s) if last else v, s


@dataclasses.dataclass(eq=False, repr=False)
class SpeckLIF(ChipLIF):
    """A neuron of Speck: it has no leak, and its potential stops at a lower limit.

    Args:
      lowest: the limit.
    """

    lowest: Any = None
    levels: int = 2**24  # as many as float32 counts

    def integrate(self, v, x):
        return jnp.maximum(v + x, self.lowest)


def shifted(v, decay, leak):
    """Return what Xylo leaves of a value: it takes off the value, shifted right, and of a positive one 1 at least."""
    less = jnp.floor(v * leak)
    return straight_through(v - jnp.where(v > 0, jnp.maximum(less, 1), less), decay * v)


@dataclasses.dataclass(eq=False, repr=False)
class XyloLI(LI):
    """A synapse of Xylo, which decays its input too.

    Args:
      leak: what goes in a step, 2 to the power of -dash.
    """

    leak: Any = None

    def integrate(self, v, x):
        return shifted(jnp.clip(v + x, *INT16), self.decay, self.leak)


@dataclasses.dataclass(eq=False, repr=False)
class XyloLIF(ChipLIF):
    """A membrane of Xylo.

    Args:
      leak: as of its synapse.
    """

    leak: Any = None
    levels: int = 31

    def integrate(self, v, x):
        return jnp.clip(shifted(v, self.decay, self.leak) + x, *INT16)


def decayed(v, decay):
    """Return what Loihi leaves of a current or potential in 64ths, whose decay rounds toward 0."""
    parts, kept = v * 64, decay * 4096
    high = jnp.trunc(parts / 4096)  # apart, for float32 has not all digits of the product
    left = high * kept + jnp.trunc((parts - high * 4096) * kept / 4096)
    return straight_through(left / 64, decay * v)


def wrapped(u):
    """Return what Loihi has of a current: beyond its integers it begins once more at the other end."""
    return u + detached(2 * INT24 * ((u <= -INT24) * 1.0 - (u > INT24) * 1.0))


class LoihiLI(LI):
    """A current of Loihi."""

    def integrate(self, v, x):
        return wrapped(decayed(v, self.decay) + x)


class LoihiLIF(ChipLIF):
    """A neuron of Loihi, whose input is a current. A bias, which enters behind it there, wraps along here."""

    def integrate(self, v, x):
        end = INT24 - 1 / 64
        return jnp.clip(decayed(v, self.decay) + wrapped(x), -end, end)
