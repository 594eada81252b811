import jax
import jax.numpy as jnp
import pytest
from peer import EVERY_STEP, assert_same, inputs, load, log_tailed_relu, target

import brainsurr as bs
from brainsurr.neurons import LI, LIF

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
