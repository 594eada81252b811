r"""Loihi's integers, as Lava's bit-accurate processes read them, and its neurons; gradients pass the rounding by.

A layer has one scale. Its weights are integers of 8 bits with the sign, times 2, so up to 254; of fewer bits with zeros
behind. Its threshold is an integer up to :math:`2^{17} - 1` on that scale. All are in 64ths here, as currents and
potentials are there, and biases, which have 13 bits and a shift of up to 7. Decays are in 4096ths.
"""

import dataclasses
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax.lax import stop_gradient

from ..neurons import LI, LIF

THRESHOLD, BIAS, PARTS, DECAY, POTENTIAL = 2**17 - 1, 2**12 - 1, 64, 2**12, 2.0**23 - 1


class Integers(NamedTuple):
    """A layer of Loihi, in 64ths of its steps; of these, ``scale`` are 1 of the layer that was given."""

    weights: list[Any]
    bias: Any
    threshold: Any
    decay: Any
    synapse: Any
    scale: Any


def integers(
    weights: list[Any], bias: Any, threshold: Any, decay: Any, synapse: Any = 0.0, *, bits: int = 8
) -> Integers:
    """Round a layer to the numbers that Loihi has, on the scale on which none is clipped.

    Args:
      weights: those of its input, and recurrent ones if there are any.
      bias: of its neurons, or 0.
      threshold: one for all.
      decay: of the potential, one for all; the least is 1 / 4096.
      synapse: the decay of the current before it, one for all; 0 without one, at most 1 - 1 / 4096.
      bits: of the weights, 2 to 8.
    """
    step, largest = 2 ** (9 - bits), jnp.abs(jnp.asarray(bias)).max()
    steps = [jnp.abs(w).max() / (256 - step) for w in weights]
    scale = stop_gradient(1 / jnp.stack([*steps, jnp.asarray(threshold) / THRESHOLD, largest / (2 * BIAS)]).max())
    shift = stop_gradient(2 ** jnp.ceil(jnp.log2(jnp.maximum(largest * scale * PARTS / BIAS, 1))))
    return Integers(
        [_rounded(w * scale * PARTS, step * PARTS) for w in weights],
        _rounded(bias * scale * PARTS, shift),
        _rounded(threshold * scale * PARTS, PARTS) + 0.5,  # it fires above, not at it
        _rounded(jnp.clip(decay, 1 / DECAY, 1), 1 / DECAY),
        _rounded(jnp.clip(synapse, 0, 1 - 1 / DECAY), 1 / DECAY),
        scale * PARTS,
    )


def _through(held: Any, value: Any) -> Any:
    """Return a number with the gradient of another."""
    return stop_gradient(held) + (value - stop_gradient(value))


def _rounded(value: Any, step: Any) -> Any:
    return _through(jnp.round(value / step) * step, value)


def _integrated(neuron: Any, v: Any, x: Any) -> Any:
    """Return the current or the potential after a step, whose decay rounds toward 0."""
    kept, high = neuron.decay * DECAY, jnp.trunc(v / DECAY)  # in two parts, for float32 has no product of both
    decayed = high * kept + jnp.trunc((v - high * DECAY) * kept / DECAY)
    return _through(jnp.clip(decayed + x, -POTENTIAL, POTENTIAL), neuron.decay * v + x)


@dataclasses.dataclass(eq=False, repr=False)
class LoihiLI(LI):
    """The current of neurons of Loihi, in integers."""

    integrate = _integrated


@dataclasses.dataclass(eq=False, repr=False)
class LoihiLIF(LIF):
    """Neurons of Loihi, whose potential is in integers.

    Args:
      scale: integers for each unit of the potential, in which ``spike_fn`` sees it.
    """

    scale: Any = 1.0
    integrate = _integrated

    def step(self, state, x):
        v, *last = state if isinstance(state, tuple) else (state,)
        u = self.integrate(v, x)
        s = self.spike_fn((u - self.threshold) / self.scale)
        v = self._after(u, s, self.threshold)
        return (v, s) if last else v, s
