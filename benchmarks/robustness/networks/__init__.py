"""One small LIF network as a pure function of its parameters, in each framework, from the same weights.

Each module has ``build(seed)``, a :class:`Network`. What is pure can be placed on any mesh of devices by jax alone.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import optax

import brainsurr as bs

FEATURES, WIDTH, CLASSES = 32, 64, 10
STEPS, BLOCK = 12, 4  # time steps, and how many of them `unroll` takes at once
DECAY, ALPHA = 0.9, 0.1


class Network(NamedTuple):
    """What training needs of a network.

    Attributes:
      params: the tree of its parameters.
      loss: ``loss(params, xs, labels)``, a scalar, of ``xs`` ``[time, batch, features]`` and ``labels`` ``[batch]``.
      bounds: for ``brainsurr.optim.project``.
    """

    params: Any
    loss: Callable
    bounds: Any


def layers(framework, dense):
    """The layers of a framework of brainsurr, an alpha a neuron, and its host's ``dense(inputs, outputs)`` between."""

    def hidden(features):
        act = framework.SpikingActivation(bs.LogTailedRelu(jnp.full(WIDTH, ALPHA)), learnable="alpha")
        return [dense(features, WIDTH), framework.LIF(WIDTH, decay=DECAY, spike_fn=act)]

    readout = [dense(WIDTH, CLASSES), framework.LI(CLASSES, decay=DECAY)]
    return framework.SpikingSequential([*hidden(FEATURES), *hidden(WIDTH), *readout])


def cross_entropy(ys, labels):
    """The mean loss of outputs ``[batch, classes]``."""
    return optax.softmax_cross_entropy_with_integer_labels(ys, labels).mean()
