import braintools
import jax
import jax.numpy as jnp
import pytest
from pages import run_page
from peer import assert_gradient_is_the_formula, assert_same, assert_trains, brainstate_step, inputs, load, target

import brainsurr as bs
from brainsurr.brainstate import SpikingActivation

state = load("brainpy.state")
brainstate, u = load("brainstate", "brainpy"), load("brainunit", "brainpy")


class Net(brainstate.nn.Module):
    def __init__(self, spk_fun, spk_reset="soft"):
        super().__init__()
        brainstate.random.seed(0)
        self.input = brainstate.nn.Linear(4, 16)
        volts = {"V_th": 1.0, "V_reset": 0.0, "V_rest": 0.0, "V_initializer": braintools.init.Constant(0.0)}
        self.lif = state.LIF(16, R=1.0, tau=5 * u.ms, spk_fun=spk_fun, spk_reset=spk_reset, **volts)
        self.output = brainstate.nn.Linear(16, 2)

    def update(self, x):
        return self.output(self.lif(5 * self.input(x)))


def loss(net):
    brainstate.nn.init_all_states(net, 8)
    with brainstate.environ.context(dt=1.0 * u.ms):
        return jnp.mean((brainstate.transform.for_loop(net, inputs()).mean(0) - target()) ** 2)


def gradients(spk_fun, **options):
    net = Net(spk_fun, **options)
    return brainstate.transform.grad(lambda: loss(net), net.states(brainstate.ParamState))()


@pytest.mark.parametrize("reset", ["soft", "hard"])
def test_gradient_is_the_formula(reset):
    """The neuron calls its spk_fun twice a step: with the last potential for the reset, with the new one to fire."""
    assert_gradient_is_the_formula(lambda spk_fun: gradients(spk_fun, spk_reset=reset))


def test_alpha_is_trained():
    act = SpikingActivation(bs.LogTailedRelu(0.1), learnable="alpha")
    assert_trains(act, brainstate_step(Net(act), loss, 3e-2), 15)


def test_page():
    scope = run_page("brainpy")
    assert scope["spikes"].shape == (20, 16)
    assert list(jax.tree.leaves(scope["lif"].states(brainstate.ParamState).to_dict_values())) == [jnp.float32(0.02)]


def test_page_of_brainevent():
    """Which comes with brainpy, without the numba that its default on a CPU needs."""
    brainevent = load("brainevent", "brainpy")
    brainevent.config.set_backend("cpu", "jax_raw")
    scope = run_page("brainevent")
    spikes, kernel = scope["spikes"], scope["kernel"]
    assert 0.1 < spikes.mean() < 0.9

    def gradients(product):
        return jax.grad(lambda *args: jnp.sum(product(*args) ** 2), (0, 1))(spikes, kernel)

    assert_same(scope["ys"], spikes @ kernel)
    assert_same(gradients(scope["product"]), gradients(jnp.matmul))
