"""The digits network in Flax NNX, and its training loop."""

from functools import cache, partial

import jax.numpy as jnp
from flax import nnx

from brainsurr import nnx as layers

from ..lib.training import last_layers, neurons
from . import task


def build(seed, surrogate=None, learnable=(), dtype=jnp.float32):
    """Make the network of `task`: layers compute and return ``dtype``, parameters and membranes are float32."""
    rngs = nnx.Rngs(seed)
    linear, dropout = partial(nnx.Linear, dtype=dtype, rngs=rngs), partial(nnx.Dropout, task.DROPOUT, rngs=rngs)
    return task.network(layers, linear, dropout, surrogate, learnable)


@cache
def optimiser(surrogate, learnable, steps):
    """Make one optimiser for all seeds: jit compares it by identity, so it compiles once."""
    return task.optimiser(layers.bounds(build(0, surrogate, learnable)), steps)


@nnx.jit
def train_epoch(net, optimizer, images, labels, keys):
    """Train on ``[batches, batch, ...]`` once and return the mean loss."""

    @nnx.scan(in_axes=(nnx.Carry, 0, 0, 0), out_axes=(nnx.Carry, 0))
    def step(carry, images, labels, key):
        net, optimizer = carry
        xs = task.augment(key, images)

        def loss_fn(net):
            _, ys = net(net.initialize_carry(images.shape), xs)
            return task.cross_entropy(ys, labels)

        loss, grads = nnx.value_and_grad(loss_fn)(net)
        optimizer.update(net, grads)
        return (net, optimizer), loss

    return step((net, optimizer), images, labels, keys)[1].mean()


@nnx.jit
def evaluate(net, images, labels):
    """Return the accuracy without noise, and the spikes ``[time, batch, neurons]`` of each LIF layer."""
    ys, spikes = last_layers(net, task.still(images))
    return task.accuracy(ys, labels), spikes


class Network:
    """A network and its optimiser, with the methods that `training` calls."""

    on_all_devices = True

    def __init__(self, surrogate, learnable, seed, steps, dtype=jnp.float32):
        self.net = build(seed, surrogate, learnable, dtype)
        self.optimizer = nnx.Optimizer(self.net, optimiser(surrogate, learnable, steps), wrt=nnx.Param)

    def train_epoch(self, images, labels, keys):
        self.net.train()
        return train_epoch(self.net, self.optimizer, images, labels, keys)

    def evaluate(self, images, labels):
        self.net.eval()
        return evaluate(self.net, images, labels)

    def surrogates(self):
        return [layer.spike_fn.surrogate for layer in neurons(self.net)]

    def state(self):
        """Return the parameters, the optimiser's state and Dropout's random state."""
        return nnx.state((self.net, self.optimizer))

    def load(self, state):
        nnx.update((self.net, self.optimizer), state)
