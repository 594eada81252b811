"""The network in brainstate, from the weights of the one in NNX."""

import brainstate
from brainstate import graph

import brainsurr.brainstate
from brainsurr.interop import transfer

from . import BLOCK, Network, cross_entropy, layers, nnx


def build(seed):
    """The network from the weights of a seed."""
    net = layers(brainsurr.brainstate, brainstate.nn.Linear)
    graphdef, states = graph.treefy_split(net)

    def loss(params, xs, labels):
        # A new network each time: a state can't be written by a transformation of jax that it is older than.
        net = graph.treefy_merge(graphdef, states)
        net.states(brainstate.ParamState).assign_dict_values(params)
        net.init_state(xs.shape[1])
        return cross_entropy(brainsurr.brainstate.unroll(net, xs, block_size=BLOCK, reduce="mean"), labels)

    params = transfer(nnx.build(seed).params, net.states(brainstate.ParamState).to_dict_values())
    return Network(params, loss, brainsurr.brainstate.bounds(net))
