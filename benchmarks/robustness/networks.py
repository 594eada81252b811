"""A small LIF network as a pure function of its parameters, in each framework, with the same weights.

jax alone can place a pure function on any mesh of devices.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp
from flax import nnx

import brainsurr as bs
from brainsurr.interop import transfer
from tools.frameworks import HOSTS, Nnx

from ..lib.training import cross_entropy

FEATURES, WIDTH, CLASSES = 32, 64, 10
STEPS, BLOCK = 12, 4  # time steps, and the block size of `unroll`
DECAY, ALPHA = 0.9, 0.1


class Network(NamedTuple):
    """A network, ready for training.

    Attributes:
      params: the tree of its parameters.
      loss: ``loss(params, xs, labels)``, a scalar, of ``xs`` ``[time, batch, features]`` and ``labels`` ``[batch]``.
      bounds: for ``brainsurr.optim.project``.
    """

    params: Any
    loss: Callable
    bounds: Any


def layers(host, seed):
    """Create the layers of a framework, with one alpha per neuron and linear layers in between."""
    framework, dense = host.layers, partial(host.dense, rngs=nnx.Rngs(seed))

    def hidden(features):
        act = framework.SpikingActivation(bs.LogTailedRelu(jnp.full(WIDTH, ALPHA)), learnable="alpha")
        return [dense(features, WIDTH), framework.LIF(WIDTH, decay=DECAY, spike_fn=act)]

    readout = [dense(WIDTH, CLASSES), framework.LI(CLASSES, decay=DECAY)]
    return framework.SpikingSequential([*hidden(FEATURES), *hidden(WIDTH), *readout])


def build(framework, seed) -> Network:
    """Build the network of a framework, with the weights that NNX draws for a seed."""
    (host,) = (host for host in HOSTS if host.name == framework)
    net = host.pure(layers(host, seed), (1, FEATURES))
    params = transfer(Nnx.pure(layers(Nnx, seed), (1, FEATURES)).params, net.params)

    def loss(params, xs, labels):
        _, ys = net.run(params, net.start(xs.shape[1:]), xs, block_size=BLOCK, reduce="mean")
        return cross_entropy(ys, labels)

    return Network(params, loss, net.bounds)
