"""What JAX peers share: gradient descent on a tree of parameters, and a stream of single time steps."""

import jax
import jax.numpy as jnp
import optax

from . import task


def descent(logits, params, xs, batch):
    """Make ``step()``, which trains once and returns the loss, for ``logits(params, xs)`` of ``[batch, classes]``."""
    labels = jnp.asarray(task.labels(batch))

    @jax.jit
    def train_step(params, xs, labels):
        def loss_fn(params):
            return optax.softmax_cross_entropy_with_integer_labels(logits(params, xs), labels).mean()

        loss, grads = jax.value_and_grad(loss_fn)(params)
        return jax.tree.map(lambda p, g: p - task.NETWORK.rate * g, params, grads), loss

    def step():
        nonlocal params
        params, loss = jax.block_until_ready(train_step(params, xs, labels))
        return float(loss)

    return step


def stream(network, carry):
    """Make ``step(x)``, which takes one time step and waits for it, of ``network(carry, x)``, a pure function."""
    compiled = jax.jit(network)

    def step(x):
        nonlocal carry
        carry, y = compiled(carry, x)
        return jax.block_until_ready(y)

    return step
