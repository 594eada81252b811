"""Blocks of layers, to copy: residual connections, and self-attention by spikes.

notebooks/9 shows all of this text. ``neurons(features)`` makes a layer, as `LIF` does.
"""

import dataclasses

import jax.numpy as jnp
from flax import nnx

from brainsurr.nnx import SpikingSequential


class Residual(nnx.Module):
    """Add the outputs of some layers and of a shortcut around them.

    A shortcut without layers is the unchanged input.
    """

    return_spikes = True  # in addition to the outputs; SpikingSequential separates the two

    def __init__(self, layers, shortcut=()):
        self.long = SpikingSequential(layers, return_spikes=True)
        self.short = SpikingSequential(shortcut, return_spikes=True)

    def initialize_carry(self, input_shape, rngs=None):
        ways = self.long, self.short
        return tuple(way.initialize_carry(input_shape, rngs) for way in ways)

    def __call__(self, carry, xs):
        long, (ys, spikes) = self.long(carry[0], xs)
        short, (zs, others) = self.short(carry[1], xs)
        if ys.shape != zs.shape:
            raise ValueError(
                f"Residual: expected a shortcut to {ys.shape}, got {zs.shape}: give it layers, shortcut=[...]"
            )
        return (long, short), (ys + zs, (spikes, others))


@dataclasses.dataclass(frozen=True)
class Attention:
    """Self-attention between the tokens of an example: Q K^T V times a scale, without a softmax.

    Inputs are [time, batch, tokens, 3 * features]: Q, K and V, each split into heads.
    """

    heads: int
    scale: float = 0.125

    def __call__(self, qkv):
        parts = qkv.reshape(*qkv.shape[:-1], 3 * self.heads, -1)
        q, k, v = jnp.split(parts, 3, axis=-2)
        ys = self.scale * jnp.einsum("...qhd,...khd,...khe->...qhe", q, k, v)
        return ys.reshape(*ys.shape[:-2], -1)


def normalised(layer, rngs):
    """Append batch normalisation to a layer: per channel, over all examples and time steps."""
    return [layer, nnx.BatchNorm(layer.out_features, momentum=0.9, rngs=rngs)]


def convolution(inputs, outputs, rngs, size=3, stride=1):
    """Make a convolution and its normalisation."""
    where = {"strides": stride, "padding": size // 2, "use_bias": False}
    return normalised(nnx.Conv(inputs, outputs, (size, size), **where, rngs=rngs), rngs)


def pool(xs):
    """Average squares of four pixels."""
    return nnx.avg_pool(xs, (2, 2), (2, 2))


def stem(inputs, outputs, rngs):
    """Make the first layers: a convolution, its normalisation and a pooling."""
    return [*convolution(inputs, outputs, rngs), pool]


def tokens(xs):
    """Turn each pixel into a token: [time, batch, height * width, channels]."""
    return xs.reshape(*xs.shape[:2], -1, xs.shape[-1])


def linear(inputs, outputs, rngs):
    """Make a linear layer and its normalisation."""
    return normalised(nnx.Linear(inputs, outputs, use_bias=False, rngs=rngs), rngs)


def spike_block(inputs, outputs, neurons, rngs, stride=1):
    """Make a block that adds spikes (SEW-ADD, Fang et al. 2021): each branch ends in neurons."""
    first, last = convolution(inputs, outputs, rngs, 3, stride), convolution(outputs, outputs, rngs)
    shortcut = []
    if stride > 1 or inputs != outputs:
        shortcut = [*convolution(inputs, outputs, rngs, 1, stride), neurons(outputs)]
    return Residual([*first, neurons(outputs), *last, neurons(outputs)], shortcut)


def current_block(inputs, outputs, neurons, rngs, stride=1):
    """Make a block that adds currents (MS-ResNet, Hu et al. 2021): neurons come first."""
    first, last = convolution(inputs, outputs, rngs, 3, stride), convolution(outputs, outputs, rngs)
    shortcut = []
    if stride > 1 or inputs != outputs:
        shortcut = convolution(inputs, outputs, rngs, 1, stride)
    return Residual([neurons(inputs), *first, neurons(outputs), *last], shortcut)


def attention_block(features, heads, neurons, rngs):
    """Make attention and two layers per token (Spikformer, Zhou et al. 2023), whose shortcuts add spikes."""
    if features % heads:
        raise ValueError(f"attention_block: expected features for {heads} heads alike, got {features}")
    qkv, out = linear(features, 3 * features, rngs), linear(features, features, rngs)
    attend = [Attention(heads), neurons(features, threshold=0.5)]
    first, last = linear(features, 4 * features, rngs), linear(4 * features, features, rngs)
    return [
        Residual([*qkv, neurons(3 * features), *attend, *out, neurons(features)]),
        Residual([*first, neurons(4 * features), *last, neurons(features)]),
    ]
