"""The networks: their layers, spiking or non-spiking, and the sizes and learning rates of both."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

import brainsurr as bs
from brainsurr.nnx import LI, LIF, SpikingSequential

from ..lib.blocks import Residual, attention_block, convolution, current_block, linear, stem, tokens
from ..lib.training import flat, pooled
from .data import CLASSES, SIDE

HEADS, BLOCKS = 4, 2  # of attention
SURROGATE = bs.Sigmoid(4.0)  # of the committed results
DECAY, FAST, SLOW = 0.5, 0.5, 0.95  # decays: for a still image; of the first and the last recurrent neuron


class Network(NamedTuple):
    """The shared settings of a network and its non-spiking baseline (the twin), and the learning rate of each.

    Attributes:
      twin: what replaces LIF neurons in the twin.
      sizes: neurons or channels of the hidden layers.
      steps: time steps for which LIF neurons see a still image, which the twin sees once; None if both see one row of
        pixels per step.
      epochs: passes over the images.
      rate: the initial learning rate of the cosine schedule, for LIF neurons.
      twin_rate: the same for the twin.
      dropout: the fraction of the last hidden layer that is dropped.
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
    "residual": Network("ReLU", (16, 16, 32, 64), 4, 20, 5e-3, 5e-3, 0.1),
    "attention": Network("softmax", (16, 48), 4, 10, 5e-3, 5e-3, 0.1),
}
SEEDS = dict.fromkeys(NETWORKS, 5) | {"residual": 3, "attention": 3}  # fewer for slow networks


class Classifier(nnx.Module):
    """Layers that see images over time; their outputs are averaged over time."""

    def __init__(self, name: str, network: Network, spiking: bool, rngs: nnx.Rngs):
        self.stem = nnx.List(stem(1, network.sizes[0], rngs) if name in STEMS else [])
        layers = LAYERS[name](network.sizes, spiking, rngs)
        layers += [nnx.Dropout(network.dropout, rngs=rngs), nnx.Linear(network.sizes[-1], CLASSES, rngs=rngs)]
        self.net = SpikingSequential(layers + [LI(CLASSES)] * spiking, return_spikes=True)
        self.steps = network.steps if spiking or network.steps is None else 1

    def __call__(self, images):
        """Return logits ``[batch, classes]``, and the spikes ``[time, batch, ...]`` of each LIF layer."""
        images = images.astype(jnp.float32) / 255
        for layer in self.stem:
            images = layer(images)
        if self.steps is None:
            xs = jnp.swapaxes(images[..., 0], 0, 1)
        else:
            xs = jnp.broadcast_to(images, (self.steps, *images.shape))
        _, (ys, spikes) = self.net(self.net.initialize_carry(xs.shape[1:]), xs)
        return ys.mean(0), jax.tree.leaves(spikes)


def dense(sizes, spiking, rngs):
    """Create linear layers on all pixels at once."""
    inputs = (SIDE**2, *sizes)
    pairs = zip(inputs, sizes, strict=False)
    return [flat, *(layer for i, o in pairs for layer in (nnx.Linear(i, o, rngs=rngs), neurons(o, spiking)))]


def rows(sizes, spiking, rngs):
    """Create a recurrent layer: LIF neurons with decays from fast to slow, or gated recurrent units."""
    (size,) = sizes
    if not spiking:
        return [nnx.RNN(nnx.GRUCell(SIDE, size, rngs=rngs), time_major=True)]
    decays = jnp.linspace(FAST, SLOW, size)
    return [nnx.Linear(SIDE, size, rngs=rngs), neurons(size, decay=decays, recurrent=True, rngs=rngs)]


def plain(sizes, spiking, rngs):
    """Create two convolutions, each with max pooling, and a linear layer."""
    *channels, size = sizes
    layers = []
    for i, o in zip((1, *channels), channels, strict=False):
        layers += [nnx.Conv(i, o, (3, 3), rngs=rngs), neurons(o, spiking), pooled]
    pixels = (SIDE // 2 ** len(channels)) ** 2
    return [*layers, flat, nnx.Linear(pixels * channels[-1], size, rngs=rngs), neurons(size, spiking)]


def residual(sizes, spiking, rngs):
    """Create three residual blocks, the last two with stride 2."""
    make, pairs = partial(neurons, spiking=spiking), zip(sizes, sizes[1:], (1, 2, 2), strict=False)
    blocks = [current_block(i, o, make, rngs, stride) for i, o, stride in pairs]
    return [*blocks, make(sizes[-1]), over_pixels]


def attention(sizes, spiking, rngs):
    """Create 49 tokens, and two blocks of attention, each followed by two linear layers."""
    make, (first, size) = partial(neurons, spiking=spiking), sizes
    places = Residual([*convolution(size, size, rngs), make(size)])
    layers = [make(first), *convolution(first, size, rngs, stride=2), make(size), places, tokens]
    for _ in range(BLOCKS):
        layers += attention_block(size, HEADS, make, rngs) if spiking else softmax_blocks(size, rngs)
    return [*layers, lambda xs: xs.mean(-2)]  # over tokens


def softmax_blocks(features, rngs):
    """Create the twin's replacement of `attention_block`."""
    attend = [*linear(features, 3 * features, rngs), softmax_attention, *linear(features, features, rngs)]
    hidden, last = linear(features, 4 * features, rngs), linear(4 * features, features, rngs)
    return [Residual(attend), Residual([*hidden, jax.nn.relu, *last])]


def softmax_attention(qkv):
    q, k, v = jnp.split(qkv.reshape(*qkv.shape[:-1], 3 * HEADS, -1), 3, -2)
    ys = nnx.dot_product_attention(q, k, v)
    return ys.reshape(*ys.shape[:-2], -1)


def over_pixels(xs):
    """Average all pixels of each channel."""
    return xs.mean((-3, -2))


STEMS = ("residual", "attention")  # The stem sees a still image once, and its output is repeated at each step.
LAYERS = {"dense": dense, "rows": rows, "convolution": plain, "residual": residual, "attention": attention}


def neurons(features, spiking=True, **options):
    return LIF(features, **{"decay": DECAY, "spike_fn": SURROGATE} | options) if spiking else jax.nn.relu
