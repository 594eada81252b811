"""The digits network in brainstate, with the initial weights of the one in NNX, and its training loop."""

from functools import partial

import brainstate
import jax
import jax.numpy as jnp
import optax
from brainstate import nn
from flax import nnx

from brainsurr import brainstate as layers
from brainsurr.interop import transfer

from . import nnx as digits_nnx
from . import task


class Linear(nn.Linear):
    """brainstate's linear layer, computed in ``dtype``; its own returns the promoted dtype of parameters and input."""

    def __init__(self, features_in, features_out, dtype):
        super().__init__(features_in, features_out)
        self.dtype = dtype

    def update(self, x):
        weight, bias = (self.weight.value[name].astype(self.dtype) for name in ("weight", "bias"))
        return x.astype(self.dtype) @ weight + bias


def build(surrogate=None, learnable=(), dtype=jnp.float32):
    """Make the network of `task`."""
    dropout = partial(nn.Dropout, 1 - task.DROPOUT)  # the share that is kept
    return task.network(layers, partial(Linear, dtype=dtype), dropout, surrogate, learnable)


class Network:
    """A network and its optimiser, with the methods that `training` calls."""

    on_all_devices = False  # brainstate's Dropout has an ordered callback, which jax runs on one device alone

    def __init__(self, surrogate, learnable, seed, steps, dtype=jnp.float32):
        brainstate.random.seed(seed)  # of Dropout
        self.net = build(surrogate, learnable, dtype)
        self.net.init_state(task.BATCH)
        self.weights = self.net.states(brainstate.ParamState)
        source = nnx.state(digits_nnx.build(seed, surrogate, learnable), nnx.Param)
        self.weights.assign_dict_values(transfer(source, self.weights.to_dict_values()))
        self.tx = task.optimiser(layers.bounds(self.net), steps)
        self.opt_state = brainstate.ShortTermState(self.tx.init(self.weights.to_dict_values()))
        self._train_epoch = brainstate.transform.jit(self._loop)
        self._evaluate = brainstate.transform.jit(self._outputs)

    def _loop(self, images, labels, keys):
        """Train on ``[batches, batch, ...]`` once and return the mean loss."""

        def step(images, labels, key):
            xs = task.augment(key, images)

            def loss_fn():
                self.net.reset_state(task.BATCH)
                return task.cross_entropy(self.net(xs), labels)

            grads, loss = brainstate.transform.grad(loss_fn, self.weights, return_value=True)()
            values = self.weights.to_dict_values()
            updates, self.opt_state.value = self.tx.update(grads, self.opt_state.value, values)
            self.weights.assign_dict_values(optax.apply_updates(values, updates))
            return loss

        return brainstate.transform.for_loop(step, images, labels, keys).mean()

    def _outputs(self, images):
        """Return outputs and spikes of one batch without noise."""
        self.net.reset_state(task.BATCH)
        ys, spikes = layers.SpikingSequential(self.net.layers, return_spikes=True)(task.still(images))
        return ys, list(spikes.values())

    def train_epoch(self, images, labels, keys):
        with brainstate.environ.context(fit=True):
            return self._train_epoch(images, labels, keys)

    def evaluate(self, images, labels):
        # The state has the batch size of training: split the images into such batches and pad the last.
        count = len(images)
        padded = jnp.pad(images, ((0, -count % task.BATCH), (0, 0))).reshape(-1, task.BATCH, 64)
        with brainstate.environ.context(fit=False):
            batches = [self._evaluate(batch) for batch in padded]
        ys, spikes = jax.tree.map(lambda *parts: jnp.concatenate(parts, axis=1)[:, :count], *batches)
        return task.accuracy(ys, labels), spikes

    def surrogates(self):
        return [layer.spike_fn.surrogate for layer in self.net.layers if isinstance(layer, layers.LIF)]

    def state(self):
        """Return the parameters, the optimiser's state and brainstate's random state, which Dropout uses."""
        return self.weights.to_dict_values(), self.opt_state.value, brainstate.random.DEFAULT.value

    def load(self, state):
        weights, self.opt_state.value, brainstate.random.DEFAULT.value = state
        self.weights.assign_dict_values(weights)
