"""Neurons with the integer arithmetic of neuromorphic chips; gradients pass through the rounding unchanged."""

import dataclasses
from typing import Any

import jax.numpy as jnp

from .._kernel import detached
from ..neurons import LI, LIF

INT16 = -32768.0, 32767.0  # Xylo's currents and potentials saturate at these limits
INT24 = 2.0**17  # in units of 1/64; Loihi's potentials saturate at this limit, and its currents wrap around


def straight_through(held, value):
    """Return ``held``, with the gradient of ``value`` (straight-through)."""
    return detached(held) + (value - detached(value))


def nearest(value, step=1.0):
    """Round to a multiple of a step, with the gradient of the value."""
    return straight_through(jnp.round(value / step) * step, value)


@dataclasses.dataclass(eq=False, repr=False)
class ChipLIF(LIF):
    """A neuron whose potential and threshold are integers.

    Args:
      scale: integers per unit of the potential that ``spike_fn`` receives.
      levels: the maximum number of spikes per step.
    """

    scale: Any = None
    levels: int = 1

    def step(self, state, x):
        v, *last = state if isinstance(state, tuple) else (state,)
        u = self.integrate(v, x)
        level = detached(jnp.clip(jnp.round(u / self.threshold), 1, self.levels))  # nearest multiple of the threshold
        s = level - 1 + self.spike_fn((u - level * self.threshold) / self.scale)
        v = self._after(u, s, self.threshold)
        return (v, s) if last else v, s


@dataclasses.dataclass(eq=False, repr=False)
class SpeckLIF(ChipLIF):
    """A Speck neuron, without a leak and with a lower limit on the potential.

    Args:
      lowest: the lower limit.
    """

    lowest: Any = None
    levels: int = 2**24  # float32 represents integers exactly up to here

    def integrate(self, v, x):
        return jnp.maximum(v + x, self.lowest)


def shifted(v, decay, leak):
    """Apply Xylo's decay: subtract the right-shifted value, and at least 1 if the value is positive."""
    less = jnp.floor(v * leak)
    return straight_through(v - jnp.where(v > 0, jnp.maximum(less, 1), less), decay * v)


@dataclasses.dataclass(eq=False, repr=False)
class XyloLI(LI):
    """A Xylo synapse, which decays its input too.

    Args:
      leak: the fraction lost per step, 2 ** -dash.
    """

    leak: Any = None

    def integrate(self, v, x):
        return shifted(jnp.clip(v + x, *INT16), self.decay, self.leak)


@dataclasses.dataclass(eq=False, repr=False)
class XyloLIF(ChipLIF):
    """A Xylo membrane.

    Args:
      leak: the fraction lost per step, 2 ** -dash.
    """

    leak: Any = None
    levels: int = 31

    def integrate(self, v, x):
        return jnp.clip(shifted(v, self.decay, self.leak) + x, *INT16)


def decayed(v, decay):
    """Apply Loihi's decay to a current or potential, in units of 1/64; the result is rounded toward 0."""
    parts, kept = v * 64, decay * 4096
    high = jnp.trunc(parts / 4096)  # computed separately, since float32 can't represent the full product
    left = high * kept + jnp.trunc((parts - high * 4096) * kept / 4096)
    return straight_through(left / 64, decay * v)


def wrapped(u):
    """Wrap a Loihi current around at the limits of its 24-bit integer."""
    return u + detached(2 * INT24 * ((u <= -INT24) * 1.0 - (u > INT24) * 1.0))


class LoihiLI(LI):
    """A Loihi current."""

    def integrate(self, v, x):
        return wrapped(decayed(v, self.decay) + x)


class LoihiLIF(ChipLIF):
    """A Loihi neuron with a current as input. The chip adds the bias after the wrap-around, brainsurr before it."""

    def integrate(self, v, x):
        end = INT24 - 1 / 64
        return jnp.clip(decayed(v, self.decay) + wrapped(x), -end, end)
