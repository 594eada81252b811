"""The network in Flax Linen, from the weights of the one in NNX."""

import jax
import jax.numpy as jnp
from flax import linen as nn

import brainsurr.linen
from brainsurr.interop import transfer

from . import BLOCK, FEATURES, Network, cross_entropy, layers, nnx


def build(seed):
    """The network from the weights of a seed."""
    key = jax.random.key(0)  # of zeros and of shapes: no number depends on it
    net = layers(brainsurr.linen, lambda inputs, outputs: nn.Dense(outputs))

    def arguments(xs):
        return net.initialize_carry(key, xs.shape[1:]), xs

    def loss(params, xs, labels):
        _, ys = brainsurr.linen.unroll(net.bind({"params": params}), *arguments(xs), block_size=BLOCK, reduce="mean")
        return cross_entropy(ys, labels)

    example = arguments(jnp.zeros((1, 1, FEATURES)))
    params = transfer(nnx.build(seed).params, net.init(key, *example)["params"])
    return Network(params, loss, brainsurr.linen.bounds(net, *example))
