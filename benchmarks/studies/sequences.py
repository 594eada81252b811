"""Networks that classify sequences ``[examples, time, features]``, spiking or not, and the noise of their training.

Each is a ``SpikingSequential`` over time whose output is averaged over time, so all share one ``logits``.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from brainsurr.nnx import LI, LIF, SpikingSequential

from ..lib.training import averaged, dense

FAST, SLOW, READOUT = 0.5, 0.95, 0.9  # decays of the first and the last hidden neuron, and of the outputs


class Recipe(NamedTuple):
    """The sizes and the training that all networks of a study share, apart from the learning rate.

    ``shift`` and ``mask`` are in steps and features at most, ``noise`` in standard deviations of a feature.
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


class GRU(nnx.Module):
    """Flax's gated recurrent unit over time, ``(carry, xs) -> (carry, ys)``."""

    def __init__(self, features: int, hidden: int, rngs: nnx.Rngs):
        self.cell = nnx.GRUCell(features, hidden, rngs=rngs)

    def initialize_carry(self, input_shape, rngs=None):
        return jnp.zeros((*input_shape[:-1], self.cell.hidden_features))

    def __call__(self, carry, xs):
        return jax.lax.scan(self.cell, carry, xs)


class AtOnce(SpikingSequential):
    """Layers without state that get all time steps as one input."""

    def initialize_carry(self, input_shape, rngs=None):
        return (None,) * len(self.layers)

    def __call__(self, carry, xs):
        return super().__call__(carry, jnp.swapaxes(xs, 0, 1).reshape(1, xs.shape[1], -1))


def lif(key, shape, recipe, surrogate, gain=1.0):
    """Make a recurrent layer of LIF neurons with decays from fast to slow, and leaky integrators as outputs."""
    rngs, hidden = nnx.Rngs(key), recipe.hidden
    neurons = LIF(hidden, decay=jnp.linspace(FAST, SLOW, hidden), spike_fn=surrogate, recurrent=True, rngs=rngs)
    layers = [dense(shape[-1], hidden, rngs, gain), neurons, nnx.Dropout(recipe.dropout, rngs=rngs)]
    return SpikingSequential([*layers, dense(hidden, recipe.classes, rngs), LI(recipe.classes, decay=READOUT)])


def gru(key, shape, recipe, surrogate=None):
    """Make a layer of as many gated recurrent units."""
    rngs, hidden = nnx.Rngs(key), recipe.hidden
    layers = [GRU(shape[-1], hidden, rngs), nnx.Dropout(recipe.dropout, rngs=rngs)]
    return SpikingSequential([*layers, dense(hidden, recipe.classes, rngs)])


def mlp(key, shape, recipe, surrogate=None):
    """Make two ReLU layers, twice as wide, that get all time steps at once."""
    rngs, hidden = nnx.Rngs(key), 2 * recipe.hidden
    layers = []
    for features in (shape[0] * shape[1], hidden):
        layers += [dense(features, hidden, rngs, jnp.sqrt(2.0)), jax.nn.relu, nnx.Dropout(recipe.dropout, rngs=rngs)]
    return AtOnce([*layers, dense(hidden, recipe.classes, rngs)])


def show(inputs):
    """Convert ``[batch, time, features]`` to the layers' format: time first, in floating point."""
    return jnp.swapaxes(inputs, 0, 1).astype(jnp.float32)


def logits(recipe):
    """Make the function ``(net, inputs, key)`` for `train_network`; without a key, no noise and no dropout."""

    def readout(net, inputs, key):
        if key is None:
            net.eval()
        return averaged(net, show(inputs if key is None else augment(key, inputs, recipe)))

    return readout


def augment(key, inputs, recipe):
    """Shift each example in time, blank a stretch of time and one of features, and add noise."""
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


def optimizer(recipe, rate, steps):
    """Make AdamW on a cosine schedule, with large gradients clipped."""
    schedule = optax.cosine_decay_schedule(rate, steps)
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule, weight_decay=recipe.weight_decay))
