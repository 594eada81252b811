"""Jaxley and Rockpool, whose neurons take no surrogate: what docs/other-libraries.md does instead."""

from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from pages import LIBRARIES, blocks, run
from peer import EVERY_STEP, assert_same, load, log_tailed_relu

load("jaxley")
modules = load("rockpool.nn.modules")
(JAXLEY,), (ROCKPOOL,) = blocks(LIBRARIES, "Jaxley"), blocks(LIBRARIES, "Rockpool")


def arctan(alpha):
    """The gradient of Arctan, alpha / 2 / (1 + (pi / 2 alpha x)^2), and of its primitive in alpha."""

    def spike(x):
        g = jnp.arctan(jnp.pi / 2 * alpha * x) / jnp.pi + 0.5
        return (x >= 0).astype(x.dtype) + (g - jax.lax.stop_gradient(g))

    return spike


def changed(old, new, **scope):
    """What the code for Jaxley leaves behind with a change."""
    assert old in JAXLEY
    return run(JAXLEY.replace(old, new), **scope)


def test_gradient_is_the_formula_in_jaxley():
    by_hand = changed("bs.Arctan(alpha)", "arctan(alpha)", arctan=arctan)
    assert_same(run(JAXLEY)["grads"], by_hand["grads"], 10 * EVERY_STEP)


def test_the_spikes_are_those_of_jaxley():
    scope, currents = run(JAXLEY), 0.1 * jnp.ones(200)
    ours = scope["spikes"](scope["cell"].get_parameters(), currents)
    theirs = changed('names = ("alpha", "vth", "vreset")', "return super().update_states(states, dt, v, params)")
    assert ours.sum() > 10
    np.testing.assert_array_equal(ours, theirs["spikes"](theirs["cell"].get_parameters(), currents))


def test_gradient_is_the_formula_in_rockpool():
    scope = run(ROCKPOOL)

    def by_hand(params, alpha):
        return scope["loss"](params, lambda x: log_tailed_relu(x, alpha), scope["xs"], scope["target"])

    expected = jax.jit(jax.grad(by_hand, (0, 1)))(scope["net"].parameters(), scope["f"].alpha)
    assert_same(jax.tree.leaves(scope["grads"]), jax.tree.leaves(expected), EVERY_STEP)


def test_the_spikes_are_those_of_rockpool_and_compiled_ones_stay():
    scope = run(ROCKPOOL.replace("LIFJax(16)", "LIFJax(16, max_spikes_per_dt=1)"))
    net, xs = scope["net"], scope["xs"]
    compiled = jax.jit(lambda xs: net(xs)[0])
    before = compiled(xs)
    assert before.any()
    np.testing.assert_array_equal(scope["run"](net.parameters(), scope["f"], xs), before)
    with mock.patch.object(scope["lif_jax"], "step_pwl", lambda v, *_: 0 * v):
        np.testing.assert_array_equal(compiled(xs), before)
        assert not net(xs)[0].any()
