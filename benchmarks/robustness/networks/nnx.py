"""The network in Flax NNX; the others start from its weights."""

from functools import partial

from flax import nnx

import brainsurr.nnx

from . import BLOCK, Network, cross_entropy, layers


def build(seed):
    """The network from the weights of a seed."""
    net = layers(brainsurr.nnx, partial(nnx.Linear, rngs=nnx.Rngs(seed)))
    graphdef, params, rest = nnx.split(net, nnx.Param, ...)

    def loss(params, xs, labels):
        net = nnx.merge(graphdef, params, rest)
        carry = net.initialize_carry(xs.shape[1:])
        _, ys = brainsurr.nnx.unroll(net, carry, xs, block_size=BLOCK, reduce="mean")
        return cross_entropy(ys, labels)

    return Network(params, loss, brainsurr.nnx.bounds(net))
