import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from pages import run_page
from peer import EVERY_STEP, assert_learns, assert_same, inputs, load, log_tailed_relu, target

import brainsurr as bs
from brainsurr.neurons import LI, LIF
from brainsurr.optim import project

eqx = load("equinox")


class Network(eqx.Module):
    first: eqx.nn.Linear
    lif: LIF
    last: eqx.nn.Linear
    li: LI

    def __init__(self, lif):
        first, last = jax.random.split(jax.random.key(2))
        self.first = eqx.nn.Linear(4, 16, key=first)
        self.lif = lif
        self.last = eqx.nn.Linear(16, 2, key=last)
        self.li = LI(decay=0.9)

    @property
    def weights(self):
        return self.first.weight, self.first.bias, self.last.weight, self.last.bias


def run(lif, li, first, first_bias, last, last_bias, xs):
    currents = xs @ first.T + first_bias
    _, spikes = lif(lif.initial_state(currents[0]), currents)
    currents = spikes @ last.T + last_bias
    return li(li.initial_state(currents[0]), currents)[1]


def mean_square(ys):
    return jnp.mean((ys[-1] - target()) ** 2)


def loss(net):
    return mean_square(run(net.lif, net.li, *net.weights, 2 * inputs()))


DECAYS = jnp.linspace(0.5, 0.95, 16)
ALPHAS = [jnp.array(0.1), jnp.linspace(0.05, 0.2, 16)]


@pytest.mark.parametrize("alpha", ALPHAS, ids=["scalar", "per channel"])
def test_gradient_is_that_of_plain_jax(alpha):
    """By the formula: a function in the place of the surrogate, and no module."""
    net = Network(LIF(decay=DECAYS, spike_fn=bs.LogTailedRelu(alpha)))
    ours = eqx.filter_jit(eqx.filter_grad(loss))(net)

    def by_hand(weights, decay, alpha):
        lif = LIF(decay=decay, spike_fn=lambda x: log_tailed_relu(x, alpha))
        return mean_square(run(lif, LI(decay=0.9), *weights, 2 * inputs()))

    weights, decay, slope = jax.jit(jax.grad(by_hand, (0, 1, 2)))(net.weights, DECAYS, alpha)
    assert_same((ours.weights, ours.lif.decay, ours.lif.spike_fn.alpha), (weights, decay, slope), EVERY_STEP)
    assert ours.lif.threshold is ours.li.decay is None


def test_arrays_are_trained_inside_their_bounds_and_numbers_stay():
    lif = LIF(decay=jnp.array(0.9), threshold=0.75, spike_fn=bs.LogTailedRelu(jnp.array(0.1)))
    net = before = Network(lif)
    params = eqx.filter(net, eqx.is_inexact_array)

    def interval(path, _):
        return (0.85, 1.0) if jax.tree_util.keystr(path).endswith(".decay") else None

    tx = optax.chain(optax.adam(1e-2), project(jax.tree_util.tree_map_with_path(interval, params)))
    state, losses = tx.init(params), []

    @eqx.filter_jit
    def step(net, state):
        value, grads = eqx.filter_value_and_grad(loss)(net)
        updates, state = tx.update(grads, state, eqx.filter(net, eqx.is_inexact_array))
        return eqx.apply_updates(net, updates), state, value

    for _ in range(20):
        net, state, value = step(net, state)
        losses.append(value)
    assert_learns(losses)
    assert net.lif.decay == np.float32(0.85)  # it was pushed there, and stopped
    assert net.lif.spike_fn.alpha != before.lif.spike_fn.alpha
    assert (net.lif.threshold, net.li) == (0.75, LI(decay=0.9))


def test_page():
    scope = run_page("equinox")
    net, slower = scope["net"], scope["slower"]
    assert (net.lif.decay != np.float32(0.9)).all()
    assert 0 <= net.lif.spike_fn.alpha <= 1
    assert net.lif.spike_fn.alpha != np.float32(0.02)
    assert (net.li, slower.li, slower.lif) == (LI(decay=0.9), LI(decay=0.95), net.lif)
