"""One training run as a pure function, so that many seeds and settings of it go through one compiled program."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from brainsurr.nnx import LIF, SpikingSequential


def fit(
    net: nnx.Module,
    logits: Callable,
    key: jax.Array,
    inputs: jax.Array,
    labels: jax.Array,
    *,
    epochs: int,
    batch: int,
    optimizer: optax.GradientTransformation,
):
    """Train a network by cross entropy; batches in another order each epoch, the rest that fills none left out.

    Args:
      net: any module; its ``nnx.Param`` are trained, its other state goes from step to step.
      logits: ``(net, inputs, key)`` to ``[batch, classes]``; the key is None in evaluation.
      key: of the order, and of what ``logits`` draws.
      inputs: ``[examples, ...]``.
      labels: ``[examples]``.
      epochs: passes over the examples.
      batch: examples a step.
      optimizer: from optax.

    Returns:
      The trained network and the mean loss of each epoch.
    """
    graphdef, params, rest = nnx.split(net, nnx.Param, ...)
    batches = len(labels) // batch

    def step(carry, now):
        params, rest, state = carry
        rows, key = now

        def loss_fn(params):
            net = nnx.merge(graphdef, params, rest)
            losses = optax.softmax_cross_entropy_with_integer_labels(logits(net, inputs[rows], key), labels[rows])
            return losses.mean(), nnx.split(net, nnx.Param, ...)[2]

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


def accuracy(net, logits, inputs, labels):
    """The share of right answers."""
    return (logits(net, inputs, None).argmax(-1) == labels).mean()


def dense(features_in: int, features_out: int, rngs: nnx.Rngs, gain=1.0) -> nnx.Linear:
    """A linear layer with weights of standard deviation ``gain / sqrt(features_in)``; the gain may be traced."""

    def init(key, shape, dtype, **_):
        return gain / jnp.sqrt(features_in) * jax.random.normal(key, shape, dtype)

    return nnx.Linear(features_in, features_out, kernel_init=init, rngs=rngs)


def last_layers(net: SpikingSequential, xs: jax.Array):
    """The output of a network over time, and the spikes ``[time, batch, features]`` of each of its LIF layers."""
    spikes = []
    for layer, carry in zip(net.layers, net.initialize_carry(xs.shape[1:]), strict=True):
        xs = layer(xs) if carry is None else layer(carry, xs)[1]
        if isinstance(layer, LIF):
            spikes.append(xs)
    return xs, spikes


def over_runs(run: Callable, surrogates, *settings):
    """``run(surrogate, *setting)`` for every combination, as one program: ``[surrogates, *settings]`` of each result.

    The surrogates are of one class: their parameters are the leaves of a tree, so they are stacked. On a CPU the runs
    go one after another, which is faster there than side by side; on an accelerator they go side by side.
    """
    stacked = jax.tree.map(lambda *several: jnp.stack(several), *surrogates)
    sizes = (len(surrogates), *map(len, settings))
    grid = [index.ravel() for index in jnp.meshgrid(*map(jnp.arange, sizes), indexing="ij")]
    chosen = (
        jax.tree.map(lambda leaf: leaf[grid[0]], stacked),
        *(s[i] for s, i in zip(settings, grid[1:], strict=True)),
    )
    side_by_side = None if jax.devices()[0].platform == "cpu" else len(grid[0])
    results = jax.jit(lambda chosen: jax.lax.map(lambda one: run(*one), chosen, batch_size=side_by_side))(chosen)
    return jax.tree.map(lambda result: result.reshape(*sizes, *result.shape[1:]), results)
