"""A recurrent network that classifies sequences ``[examples, time, features]``, and its noise in training."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from brainsurr.nnx import LI, LIF, SpikingSequential

from ..lib.training import averaged, dense

FAST, SLOW, READOUT = 0.5, 0.95, 0.9  # decays of the first and the last hidden neuron, and of the outputs


class Recipe(NamedTuple):
    """Sizes and training settings, except for the learning rate.

    ``shift`` and ``mask`` are maxima in steps and features; ``noise`` is in standard deviations of a feature.
    """

    hidden: int
    classes: int
    epochs: int
    batch: int
    dropout: float = 0.3
    weight_decay: float = 1e-2
    noise: float = 0.0
    shift: int = 0
    mask: int = 0


def lifs(size):
    """Return a function that creates a layer of LIF neurons of this size, with decays from fast to slow."""
    return partial(LIF, decay=jnp.linspace(FAST, SLOW, size))


def lif(key, spike_fns, features, recipe):
    """Create a network with a recurrent layer of these neurons, and leaky integrators as outputs."""
    rngs, hidden, (surrogate,) = nnx.Rngs(key), recipe.hidden, spike_fns
    neurons = lifs(hidden)(hidden, spike_fn=surrogate, recurrent=True, rngs=rngs)
    layers = [dense(features, hidden, rngs), neurons, nnx.Dropout(recipe.dropout, rngs=rngs)]
    return SpikingSequential([*layers, dense(hidden, recipe.classes, rngs), LI(recipe.classes, decay=READOUT)])


def show(inputs):
    """Convert ``[batch, time, features]`` to the layers' format: time first, in floating point."""
    return jnp.swapaxes(inputs, 0, 1).astype(jnp.float32)


def logits(recipe):
    """Return a function ``(net, inputs, key)`` for `train_network`; without a key, it uses no noise and no dropout."""

    def readout(net, inputs, key):
        if key is None:
            net.eval()
        return averaged(net, show(inputs if key is None else augment(key, inputs, recipe)))

    return readout


def augment(key, inputs, recipe):
    """Shift each example in time, set a stretch of time and a range of features to zero, and add noise."""
    examples, steps, features = inputs.shape
    keys = jax.random.split(key)
    shift, *stretches = jax.random.uniform(keys[0], (5, examples, 1))
    at = jnp.arange(steps) + jnp.round((2 * shift - 1) * recipe.shift).astype(int)
    inputs = jnp.take_along_axis(inputs, jnp.clip(at, 0, steps - 1)[:, :, None], axis=1)
    steps_blanked = blanked(*stretches[:2], steps, recipe.mask)
    features_blanked = blanked(*stretches[2:], features, recipe.mask)
    blank = steps_blanked[:, :, None] | features_blanked[:, None, :]
    return jnp.where(blank, 0.0, inputs.astype(jnp.float32)) + recipe.noise * jax.random.normal(keys[1], inputs.shape)


def blanked(length, start, size, longest):
    """Mark a stretch of 0 to ``longest`` places among ``size``; ``length`` and ``start`` are in [0, 1)."""
    length = jnp.floor(length * (longest + 1))
    place, start = jnp.arange(size), jnp.floor(start * (size - longest + 1))
    return (place >= start) & (place < start + length)
