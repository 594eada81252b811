"""Training as a pure function, so that one compiled program can train with many seeds and settings."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from flax import nnx

import brainsurr as bs
from brainsurr.nnx import SpikingSequential, bounds
from brainsurr.optim import project

CLIP = 1.0  # the maximum norm of a gradient


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
    loss: Callable | None = None,
    after: Callable = lambda net: None,
):
    """Train a network with new batches each epoch; examples that do not fill a batch are left out.

    Args:
      net: any module; its ``nnx.Param`` are trained, its other state is passed from step to step.
      logits: ``(net, inputs, key)`` to ``[batch, classes]``; the key is None in evaluation.
      key: determines the order of the examples, and the keys that ``logits`` gets.
      inputs: ``[examples, ...]``.
      labels: ``[examples]``.
      epochs: passes over the examples.
      batch: examples per step.
      optimizer: an optax optimiser. Trained parameters are kept inside their bounds.
      loss: ``loss(outputs, labels)``; cross entropy if None.
      after: called with the network after each epoch; may change it.

    Returns:
      The trained network, the mean loss of each epoch, and what ``after`` returned.
    """
    graphdef, params, rest = nnx.split(net, nnx.Param, ...)
    batches, optimizer = len(labels) // batch, optax.chain(optimizer, project(bounds(net)))

    def step(carry, now):
        params, rest, state = carry
        rows, key = now

        def loss_fn(params):
            net = nnx.merge(graphdef, params, rest, copy=True)  # Dropout updates its key inside this trace
            value = (loss or cross_entropy)(logits(net, inputs[rows], key), labels[rows])
            return value, nnx.split(net, nnx.Param, ...)[2]

        (value, rest), grads = jax.value_and_grad(loss_fn, has_aux=True)(params)
        updates, state = optimizer.update(grads, state, params)
        return (optax.apply_updates(params, updates), rest, state), value

    def epoch(carry, key):
        order = jax.random.permutation(key, len(labels))[: batches * batch].reshape(batches, batch)
        (params, rest, state), losses = jax.lax.scan(step, carry, (order, jax.random.split(key, batches)))
        net = nnx.merge(graphdef, params, rest, copy=True)
        told = after(net)
        return (*nnx.split(net, nnx.Param, ...)[1:], state), (losses.mean(), told)

    start = (params, rest, optimizer.init(params))
    (params, rest, _), (losses, told) = jax.lax.scan(epoch, start, jax.random.split(key, epochs))
    return nnx.merge(graphdef, params, rest), losses, told


def train_and_test(net, logits, key, parts, score=None, after=nnx.state, **how):
    """Train a network and measure its scores.

    Args:
      net: see `train_network`, as for ``logits``, ``key`` and ``how``.
      logits: see `train_network`.
      key: see `train_network`.
      parts: inputs and labels for training, validation and the test.
      score: ``score(outputs, labels)``; accuracy if None.
      after: called with the network after each epoch; returns its state, and may change it.
      **how: epochs, batch, optimizer and so on.

    Returns:
      The trained network in evaluation mode; its validation scores at the end and after half of the epochs, its test
      score, and the loss of the last epoch.
    """
    (inputs, labels), validation, test = parts
    net, losses, states = train_network(net, logits, key, inputs, labels, after=after, **how)
    net.eval()
    graphdef, of = nnx.graphdef(net), jnp.array([max(len(losses) // 2, 1), len(losses)]) - 1

    def scored(net, inputs, labels):
        return (score or accuracy)(evaluated(net, logits, inputs), labels)

    chosen = jax.tree.map(lambda of_epochs: of_epochs[of], states)
    half, last = jax.lax.map(lambda state: scored(nnx.merge(graphdef, state), *validation), chosen)
    return net, {"validation": last, "half": half, "test": scored(net, *test), "loss": losses[-1]}


def evaluated(net, logits, inputs, most=1000):
    """Return the outputs of a network in evaluation mode, for one part of the examples at a time to save memory."""
    graphdef, state = nnx.split(net)
    size = len(inputs) if len(inputs) <= most else math.gcd(len(inputs), most)
    each = inputs.reshape(-1, size, *inputs.shape[1:])
    outputs = jax.lax.map(lambda part: logits(nnx.merge(graphdef, state, copy=True), part, None), each)
    return outputs.reshape(-1, *outputs.shape[2:])


def over_time(net, xs):
    """Return the output of a network over ``[time, batch, features]``, from its first carry."""
    return net(net.initialize_carry(xs.shape[1:]), xs)[1]


def averaged(net, xs):
    """Return the output of a network averaged over time."""
    return over_time(net, xs).mean(0)


def cross_entropy(logits, labels):
    """Return the cross entropy, averaged over examples."""
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def squared_error(outputs, targets):
    """Return the squared error, averaged over examples and time."""
    return ((outputs - targets) ** 2).mean()


def r_squared(outputs, targets):
    """Return the fraction of the targets' variance that the outputs explain; 0 if it is negative or not finite."""
    return jnp.fmax(0.0, 1 - squared_error(outputs, targets) / targets.var())


def accuracy(logits, labels):
    """Return the fraction of correct answers."""
    return (logits.argmax(-1) == labels).mean()


def dense(features_in: int, features_out: int, rngs: nnx.Rngs, gain=1.0) -> nnx.Linear:
    """Create a linear layer with weights of standard deviation ``gain / sqrt(features_in)``; the gain may be traced."""

    def init(key, shape, dtype, **_):
        return gain / jnp.sqrt(features_in) * jax.random.normal(key, shape, dtype)

    return nnx.Linear(features_in, features_out, kernel_init=init, rngs=rngs)


def pooled(xs):
    """Take the maximum of each 2 x 2 pixels, channels last."""
    return bs.max_pool(xs, (2, 2), (2, 2))


def flat(xs):
    """Flatten images, channels last."""
    return xs.reshape(*xs.shape[:-3], -1)


def adamw(rate, steps, weight_decay):
    """Create AdamW on a cosine schedule, with gradient clipping."""
    schedule = optax.cosine_decay_schedule(rate, steps)
    return optax.chain(optax.clip_by_global_norm(CLIP), optax.adamw(schedule, weight_decay=weight_decay))


def with_gains(net: SpikingSequential, gains) -> SpikingSequential:
    """Multiply the weights before each layer of neurons by its gain; a shorter list applies to the first layers."""
    for layer, gain in zip((layer for layer in net.layers if hasattr(layer, "kernel")), gains, strict=False):
        layer.kernel[...] *= gain
    return net


def firing_rate(net: SpikingSequential, xs: jax.Array) -> jax.Array:
    """Return the mean firing rate of the LIF layers, over neurons, examples and steps."""
    _, spikes = over_time(SpikingSequential(net.layers, return_spikes=True), xs)
    return jnp.stack([of_layer.mean() for of_layer in jax.tree.leaves(spikes)]).mean()
