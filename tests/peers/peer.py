"""Shared by the tests of all peers: how one is imported, a small task, and the formula to compare with."""

import importlib
import warnings

import jax
import jax.numpy as jnp
import pytest
from close import assert_close, largest

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
