import jax.numpy as jnp
import pytest
from peer import assert_gradient_is_the_formula, inputs, load, target

brainspike = load("brainspike", "brainspikes")

import brainstate  # noqa: E402
import brainunit as u  # noqa: E402
from pages import run_page  # noqa: E402


@pytest.fixture(autouse=True)
def _dt():
    """Its neurons ask for the time step as they are made."""
    with brainstate.environ.context(dt=1.0 * u.ms):
        yield


class Net(brainstate.nn.Module):
    """For one example: the neurons have no batch."""

    def __init__(self, spk_fun):
        super().__init__()
        brainstate.random.seed(0)
        self.input = brainstate.nn.Linear(4, 16)
        self.neuron = brainspike.iaf_psc_delta(16, spk_fun=spk_fun)
        self.output = brainstate.nn.Linear(16, 2)

    def update(self, i, x):
        with brainstate.environ.context(t=i * u.ms):
            return self.output(self.neuron(2000.0 * self.input(x) * u.pA))


def loss(net):
    brainstate.nn.init_all_states(net)
    ys = brainstate.transform.for_loop(net, jnp.arange(20), inputs()[:, 0])
    return jnp.mean((ys.mean(0) - target()[0]) ** 2)


def gradients(spk_fun):
    net = Net(spk_fun)
    return brainstate.transform.grad(lambda: loss(net), net.states(brainstate.ParamState))()


def test_gradient_is_the_formula():
    assert_gradient_is_the_formula(gradients)


def test_page():
    assert run_page("brainspikes")["spikes"].shape == (20, 16)
