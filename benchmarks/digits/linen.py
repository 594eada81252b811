"""The digits network in Flax Linen, with the initial weights of the one in NNX, and its training loop."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from flax import nnx

from brainsurr import linen as layers
from brainsurr.interop import transfer

from . import nnx as digits_nnx
from . import task

KEY = jax.random.key(0)  # only for zeros and shapes: no number depends on it


@cache
def build(surrogate=None, learnable=(), train=False, dtype=jnp.float32):
    """Make the network of `task`."""
    dropout = partial(nn.Dropout, task.DROPOUT, deterministic=not train)
    return task.network(layers, lambda inputs, outputs: nn.Dense(outputs, dtype=dtype), dropout, surrogate, learnable)


def arguments(net, xs):
    return net.initialize_carry(KEY, xs.shape[1:]), xs


@cache
def optimiser(surrogate, learnable, steps):
    """Make one optimiser for all seeds: jit compares it by identity, so it compiles once."""
    net = build(surrogate, learnable)
    return task.optimiser(layers.bounds(net, *arguments(net, jnp.zeros((1, 1, 64)))), steps)


@partial(jax.jit, static_argnames=("net", "tx"))
def train_epoch(net, tx, params, opt_state, images, labels, keys):
    """Train on ``[batches, batch, ...]`` once; return parameters, the optimiser's state and the mean loss."""

    def step(carry, batch):
        params, opt_state = carry
        images, labels, key = batch
        xs = task.augment(key, images)

        def loss_fn(params):
            _, ys = net.apply({"params": params}, *arguments(net, xs), rngs={"dropout": jax.random.fold_in(key, 1)})
            return task.cross_entropy(ys, labels)

        loss, grads = jax.value_and_grad(loss_fn)(params)
        updates, opt_state = tx.update(grads, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state), loss

    (params, opt_state), losses = jax.lax.scan(step, (params, opt_state), (images, labels, keys))
    return params, opt_state, losses.mean()


@partial(jax.jit, static_argnames="net")
def evaluate(net, params, images, labels):
    """Return the accuracy without noise, and the spikes ``[time, batch, neurons]`` of each LIF layer."""
    net = net.clone(return_spikes=True)
    ys, spikes = net.apply({"params": params}, *arguments(net, task.still(images)))[1]
    return task.accuracy(ys, labels), list(spikes.values())


class Network:
    """A network and its optimiser, with the methods that `training` calls."""

    on_all_devices = True

    def __init__(self, surrogate, learnable, seed, steps, dtype=jnp.float32):
        self.train_net, self.net = (build(surrogate, learnable, train, dtype) for train in (True, False))
        self.tx = optimiser(surrogate, learnable, steps)
        shapes = self.net.init(KEY, *arguments(self.net, jnp.zeros((1, 1, 64))))["params"]
        self.params = transfer(nnx.state(digits_nnx.build(seed, surrogate, learnable), nnx.Param), shapes)
        self.opt_state = self.tx.init(self.params)

    def train_epoch(self, images, labels, keys):
        self.params, self.opt_state, loss = train_epoch(
            self.train_net, self.tx, self.params, self.opt_state, images, labels, keys
        )
        return loss

    def evaluate(self, images, labels):
        return evaluate(self.net, self.params, images, labels)

    def surrogates(self):
        net = self.net.bind({"params": self.params})
        return [layer.spike_fn.surrogate for layer in net.layers if isinstance(layer, layers.LIF)]

    def state(self):
        """Return the parameters and the optimiser's state; the keys of Dropout come from those of the data."""
        return self.params, self.opt_state

    def load(self, state):
        self.params, self.opt_state = state
