"""Shared by the tests of all peers: how one is imported, a small task, and the formula to compare with."""

import importlib
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from close import assert_close, largest

from brainsurr.optim import project
from tools.peers import excluded, peers


def load(module: str, distribution: str | None = None):
    """Import a module of a peer. If the peer is not available, skip the tests and print the reason."""
    requirement = peers()[distribution or module.partition(".")[0]]
    if reason := excluded(requirement):
        pytest.skip(f"{requirement.name} {reason}", allow_module_level=True)
    with warnings.catch_warnings(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        warnings.simplefilter("ignore")  # of the peer itself
        return importlib.import_module(module)


TIME, BATCH, FEATURES = 20, 8, 4
SUM = TIME * BATCH  # how many terms a gradient is the sum of
EVERY_STEP = 8 * SUM  # where the operations of each step, some eight, are other ones or in another order


def inputs():
    """A sequence `[time, batch, features]`, between 0 and 2."""
    return 2 * jax.random.uniform(jax.random.key(0), (TIME, BATCH, FEATURES))


def target():
    return jax.random.normal(jax.random.key(1), (BATCH, 2))


def log_tailed_relu(x, alpha):
    """The spike, with the derivative of LogTailedRelu in x and alpha, straight through by plain autodiff."""
    g = jnp.where(x <= 0, alpha * x, jnp.where(x <= 1, x, jnp.log(jnp.where(x <= 1, 1.0, x))))
    return (x >= 0).astype(x.dtype) + (g - jax.lax.stop_gradient(g))


def assert_same(gradients, expected, operations=SUM):
    """Equal but for rounding, leaf by leaf, and not because all is 0."""
    assert all(largest(leaf) > 0 for leaf in jax.tree.leaves(expected))
    assert_close(gradients, expected, operations)


def assert_learns(losses, to=0.9):
    """The loss falls to a part of what it was."""
    losses = [float(loss) for loss in losses]
    assert np.isfinite(losses).all()
    assert min(losses[-3:]) < to * losses[0], losses


def train(loss, params, bounds=None):
    """The parameters after ten steps of Adam, inside bounds, by which the loss falls."""
    tx = optax.adam(1e-2) if bounds is None else optax.chain(optax.adam(1e-2), project(bounds))
    step, state, losses = jax.jit(jax.value_and_grad(loss)), tx.init(params), []
    for _ in range(10):
        value, grads = step(params)
        updates, state = tx.update(grads, state, params)
        params = optax.apply_updates(params, updates)
        losses.append(value)
    assert_learns(losses)
    return params


def bound_to(low, high, name, params):
    """The bounds that hold the parameters of a name in an interval, and no others."""

    def interval(path, _):
        return (low, high) if jax.tree_util.keystr(path).endswith(name) else None

    return jax.tree_util.tree_map_with_path(interval, params)
