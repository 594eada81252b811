"""The network of `task` in each framework as a pure function of its parameters, and its training."""

from functools import cache, partial
from importlib import import_module

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from brainsurr.interop import transfer
from brainsurr.optim import project
from tools.adapters import leaf_name
from tools.adapters.nnx import Nnx

from ..lib.training import accuracy, cross_entropy
from . import task


class Model:
    """The layers of a framework, which compute and return ``dtype``; parameters and membrane potentials are float32."""

    def __init__(self, framework, surrogate, learnable, dtype):
        self.how, self.key = (surrogate, learnable, dtype), None  # the dropout key, while a training step is traced
        # The module of an adapter imports only its own framework.
        self.host = getattr(import_module(f"tools.adapters.{framework}"), framework.capitalize())
        self.pure = self.host.pure(self._layers(self.host), (1, 64))

    def _layers(self, host, seed=0):
        surrogate, learnable, dtype = self.how
        linear = partial(host.dense, rngs=nnx.Rngs(seed), dtype=dtype)
        return task.network(host.layers, linear, lambda inputs: partial(self._drop, inputs), surrogate, learnable)

    def _drop(self, inputs, xs):
        """Drop the fraction `DROPOUT` with the current key, if there is one; each framework accepts a function."""
        if self.key is None:
            return xs
        dropped = jax.random.bernoulli(jax.random.fold_in(self.key, inputs), task.DROPOUT, xs.shape)
        return jnp.where(dropped, 0, xs / (1 - task.DROPOUT))

    def first(self, seed):
        """Return the parameters that NNX draws for a seed."""
        return transfer(nnx.state(self._layers(Nnx, seed), nnx.Param), self.pure.params)

    def run(self, params, xs, key=None):
        """Return the float32 logits, averaged over time, and each LIF layer's spikes; a key means training mode."""
        self.key = key
        ys, spikes = self.pure.run(params, self.pure.start(xs.shape[1:]), xs)[1]
        self.key = None
        return ys.astype(jnp.float32).mean(0), list(spikes.values())

    def loss(self, params, images, labels, key):
        """Return the loss of a batch of shifted, noisy images."""
        logits, _ = self.run(params, task.augment(key, images), jax.random.fold_in(key, 1))
        return cross_entropy(logits, labels)


# One optimiser for all seeds: jit compares them by identity, so it compiles once.
model = cache(Model)


@cache
def optimiser(model, steps):
    """Create AdamW on a cosine schedule; trained surrogate parameters stay inside their bounds."""
    schedule = optax.cosine_decay_schedule(3e-3, steps)
    return optax.chain(optax.adamw(schedule, weight_decay=1e-2), project(model.pure.bounds))


@partial(jax.jit, static_argnames=("model", "tx"))
def train_epoch(model, tx, state, images, labels, keys):
    """Train on ``[batches, batch, ...]`` once; return the parameters, the optimiser state and the mean loss."""

    def step(state, batch):
        params, opt_state = state
        loss, grads = jax.value_and_grad(model.loss)(params, *batch)
        updates, opt_state = tx.update(grads, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state), loss

    state, losses = jax.lax.scan(step, state, (images, labels, keys))
    return state, losses.mean()


@partial(jax.jit, static_argnames="model")
def evaluate(model, params, images, labels):
    """Return the accuracy without noise, and the spikes ``[time, batch, neurons]`` of each LIF layer."""
    logits, spikes = model.run(params, task.still(images))
    return accuracy(logits, labels), spikes


class Network:
    """A network of a framework, with its parameters and optimiser state in ``state``."""

    def __init__(self, framework, surrogate, learnable, seed, steps, dtype="float32"):
        self.model = model(framework, surrogate, tuple(learnable), str(dtype))
        self.surrogate, self.tx, params = surrogate, optimiser(self.model, steps), self.model.first(seed)
        self.state = params, self.tx.init(params)

    def train_epoch(self, images, labels, keys):
        self.state, loss = train_epoch(self.model, self.tx, self.state, images, labels, keys)
        return loss

    def evaluate(self, images, labels):
        return evaluate(self.model, self.state[0], images, labels)

    def surrogates(self):
        """Return the alpha of the surrogate of each LIF layer, with its current value if it is trained."""
        leaves = jax.tree_util.tree_leaves_with_path(self.state[0])
        trained = [leaf for path, leaf in leaves if leaf_name(path) == "alpha"]
        fixed = [self.surrogate.alpha] * 2 if self.surrogate else []
        return [{"alpha": float(alpha)} for alpha in trained or fixed]
