"""The networks: their layers, spiking or those of the twin, and the sizes and rates that both are trained with."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from brainsurr.nnx import LI, LIF, SpikingSequential

from ..lib.training import flat, pooled
from .data import CLASSES, SIDE

DECAY, FAST, SLOW = 0.5, 0.5, 0.95  # of neurons that see a still image; of the first and the last recurrent one


class Network(NamedTuple):
    """What a network and its twin share, and the learning rate of each.

    Attributes:
      twin: what the twin has in place of LIF neurons.
      sizes: neurons or channels of the hidden layers.
      steps: how long LIF neurons see a still image, which the twin sees once; None: both see a row of pixels a step.
      epochs: passes over the images.
      rate: the first of the cosine schedule, for LIF neurons.
      twin_rate: for the twin.
      dropout: the share of the last hidden layer that is dropped.
    """

    twin: str
    sizes: tuple[int, ...]
    steps: int | None
    epochs: int
    rate: float
    twin_rate: float
    dropout: float


NETWORKS = {
    "dense": Network("ReLU", (256, 256), 8, 20, 2e-3, 1e-3, 0.3),
    "rows": Network("GRU", (128,), None, 20, 5e-3, 3e-3, 0.3),
    "convolution": Network("ReLU", (16, 32, 128), 4, 15, 2e-3, 1e-3, 0.3),
}


class Classifier(nnx.Module):
    """Layers that see images over time; what they put out is averaged over time."""

    def __init__(self, name: str, network: Network, spiking: bool, rngs: nnx.Rngs):
        layers = LAYERS[name](network.sizes, spiking, rngs)
        layers += [nnx.Dropout(network.dropout, rngs=rngs), nnx.Linear(network.sizes[-1], CLASSES, rngs=rngs)]
        self.net = SpikingSequential(layers + [LI(CLASSES)] * spiking, return_spikes=True)
        self.steps = network.steps if spiking or network.steps is None else 1

    def __call__(self, images):
        """Return logits ``[batch, classes]``, and the spikes ``[time, batch, ...]`` of each LIF layer."""
        images = images.astype(jnp.float32) / 255
        if self.steps is None:
            xs = jnp.swapaxes(images[..., 0], 0, 1)
        else:
            xs = jnp.broadcast_to(images, (self.steps, *images.shape))
        _, (ys, spikes) = self.net(self.net.initialize_carry(xs.shape[1:]), xs)
        return ys.mean(0), list(spikes.values())


def dense(sizes, spiking, rngs):
    """Make linear layers on all pixels at once."""
    inputs = (SIDE**2, *sizes)
    pairs = zip(inputs, sizes, strict=False)
    return [flat, *(layer for i, o in pairs for layer in (nnx.Linear(i, o, rngs=rngs), neurons(o, spiking)))]


def rows(sizes, spiking, rngs):
    """Make a recurrent layer: of LIF neurons with decays from fast to slow, or of gated recurrent units."""
    (size,) = sizes
    if not spiking:
        return [nnx.RNN(nnx.GRUCell(SIDE, size, rngs=rngs), time_major=True)]
    decays = jnp.linspace(FAST, SLOW, size)
    return [nnx.Linear(SIDE, size, rngs=rngs), LIF(size, decay=decays, recurrent=True, rngs=rngs)]


def convolution(sizes, spiking, rngs):
    """Make two convolutions, each with max pooling, and a linear layer."""
    *channels, size = sizes
    layers = []
    for i, o in zip((1, *channels), channels, strict=False):
        layers += [nnx.Conv(i, o, (3, 3), rngs=rngs), neurons(o, spiking), pooled]
    pixels = (SIDE // 2 ** len(channels)) ** 2
    return [*layers, flat, nnx.Linear(pixels * channels[-1], size, rngs=rngs), neurons(size, spiking)]


LAYERS = {"dense": dense, "rows": rows, "convolution": convolution}


def neurons(features, spiking):
    return LIF(features, decay=DECAY) if spiking else jax.nn.relu
