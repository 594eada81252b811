"""Training as a pure function, so that one compiled program trains with many seeds and settings."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from brainsurr.nnx import LIF, SpikingSequential


def train_network(
    net: nnx.Module,
    logits: Callable,
    key: jax.Array,
    inputs: jax.Array,
    labels: jax.Array,
    *,
    epochs: int,
    batch: int,
    optimizer: optax.GradientTransformation,
    adapt: Callable | None = None,
):
    """Train a network by cross entropy, with new batches each epoch; examples that do not fill a batch are left out.

    Args:
      net: any module; its ``nnx.Param`` are trained, its other state is carried from step to step.
      logits: ``(net, inputs, key)`` to ``[batch, classes]``; the key is None in evaluation.
      key: of the order of the examples, and of the keys that ``logits`` gets.
      inputs: ``[examples, ...]``.
      labels: ``[examples]``.
      epochs: passes over the examples.
      batch: examples per step.
      optimizer: from optax.
      adapt: called as ``adapt(net, inputs, labels)`` before each step, to change state that is not trained.

    Returns:
      The trained network and the mean loss of each epoch.
    """
    graphdef, params, rest = nnx.split(net, nnx.Param, ...)
    batches = len(labels) // batch

    def step(carry, now):
        params, rest, state = carry
        rows, key = now
        if adapt is not None:
            net = nnx.merge(graphdef, params, rest, copy=True)
            adapt(net, inputs[rows], labels[rows])
            rest = nnx.split(net, nnx.Param, ...)[2]

        def loss_fn(params):
            net = nnx.merge(graphdef, params, rest, copy=True)  # a copy: Dropout updates its key, inside this trace
            loss = cross_entropy(logits(net, inputs[rows], key), labels[rows])
            return loss, nnx.split(net, nnx.Param, ...)[2]

        (loss, rest), grads = jax.value_and_grad(loss_fn, has_aux=True)(params)
        updates, state = optimizer.update(grads, state, params)
        return (optax.apply_updates(params, updates), rest, state), loss

    def epoch(carry, key):
        order = jax.random.permutation(key, len(labels))[: batches * batch].reshape(batches, batch)
        carry, losses = jax.lax.scan(step, carry, (order, jax.random.split(key, batches)))
        return carry, losses.mean()

    start = (params, rest, optimizer.init(params))
    (params, rest, _), losses = jax.lax.scan(epoch, start, jax.random.split(key, epochs))
    return nnx.merge(graphdef, params, rest), losses


def train_and_test(net, logits, key, parts, **how):
    """Train a network and measure it.

    Args:
      net: see `train_network`, as for ``logits``, ``key`` and ``how``.
      logits: see there.
      key: see there.
      parts: inputs and labels for training, for validation and for the test.
      **how: epochs, batch, optimizer and so on.

    Returns:
      The trained network; its accuracies for validation and test, and the loss of the last epoch.
    """
    (inputs, labels), validation, test = parts
    net, losses = train_network(net, logits, key, inputs, labels, **how)
    return net, {
        "validation": accuracy(net, logits, *validation),
        "test": accuracy(net, logits, *test),
        "loss": losses[-1],
    }


def partitioned(word: str, theirs: optax.GradientTransformation, others: optax.GradientTransformation):
    """Use one optimiser for the parameters with a word in their path, and another for all others."""

    def labels(params):
        return jax.tree_util.tree_map_with_path(
            lambda path, _: word in jax.tree_util.keystr(path),
            params,
            is_leaf=lambda node: isinstance(node, nnx.Variable),
        )

    return optax.partition({True: theirs, False: others}, labels)


def averaged(net, xs):
    """Return the output of a network over ``[time, batch, features]``, averaged over time."""
    return net(net.initialize_carry(xs.shape[1:]), xs)[1].mean(0)


def cross_entropy(logits, labels):
    """Return the mean over examples."""
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def accuracy(net, logits, inputs, labels):
    """Return the share of right answers."""
    return (logits(net, inputs, None).argmax(-1) == labels).mean()


def dense(features_in: int, features_out: int, rngs: nnx.Rngs, gain=1.0) -> nnx.Linear:
    """Make a linear layer with weights of standard deviation ``gain / sqrt(features_in)``; the gain may be traced."""

    def init(key, shape, dtype, **_):
        return gain / jnp.sqrt(features_in) * jax.random.normal(key, shape, dtype)

    return nnx.Linear(features_in, features_out, kernel_init=init, rngs=rngs)


def neurons(net: SpikingSequential) -> list[LIF]:
    """Return the LIF layers of a network."""
    return [layer for layer in net.layers if isinstance(layer, LIF)]


def last_layers(net: SpikingSequential, xs: jax.Array):
    """Return the output of a network over time, and the spikes ``[time, batch, features]`` of each LIF layer."""
    ys, spikes = SpikingSequential(net.layers, return_spikes=True)(net.initialize_carry(xs.shape[1:]), xs)[1]
    return ys, list(spikes.values())


def firing_rate(net: SpikingSequential, xs: jax.Array) -> jax.Array:
    """Return the mean firing rate of the LIF layers, over neurons, examples and steps."""
    return jnp.stack([spikes.mean() for spikes in last_layers(net, xs)[1]]).mean()
