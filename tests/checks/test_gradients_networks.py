"""`check_gradients` on networks of each framework: what is right passes, and a fault in a layer is named."""

import brainstate
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from asked import XS, ask
from cases import all_but, label
from flax import linen, nnx

import brainsurr as bs
from tools.frameworks import HOSTS, OF_VARIABLES, Nnx

F = bs.Arctan(2.0)
pytestmark = pytest.mark.usefixtures("lenient")  # the linear layers of the hosts


every_host = pytest.mark.parametrize("host", HOSTS, ids=label)
of_variables = pytest.mark.parametrize("host", OF_VARIABLES, ids=label)
KEY = jax.random.key(0)


def statuses(report):
    return {name: parameter.status for name, parameter in report.items()}


def layers_of(host, f=F, **options):
    snn, rngs = host.layers, nnx.Rngs(0)
    lif = snn.LIF(4, spike_fn=f, learnable=("decay", "threshold", "spike_fn.alpha"), **options)
    return [host.dense(3, 4, rngs), lif, host.dense(4, 2, rngs), snn.LI(2, learnable="decay")]


def checked(host, layers, xs=XS, **blocks):
    """The report of a network of one host on the mean square of its outputs."""
    return ask("check_gradients", host, host.layers.SpikingSequential(layers), lambda ys: jnp.mean(ys**2), xs, **blocks)


# What is right ---------------------------------------------------------------------------------------------------


@every_host
def test_a_network_is_fine(host):
    """In blocks of time; the neurons alone, and their options, are in `test_neurons.py`."""
    report = checked(host, layers_of(host), block_size=2, remat="full")
    assert report.fine, report
    assert len(report) == 8
    for parameter in report.values():
        assert abs(parameter.measured) > 1e-6
        assert parameter.differ < 1e-8
    assert not report.sentences


def test_what_is_no_parameter_of_nnx_is_in_float64_too():
    class Rounds(nnx.Module):
        def __init__(self):
            self.w, self.mean = nnx.Param(jnp.array([0.3, 0.7])), nnx.BatchStat(jnp.float32(0.1))

        def __call__(self, x):
            return F((x * self.w[...]).astype(self.mean[...].dtype) - self.mean[...])

    report = bs.nnx.check_gradients(Rounds(), lambda net: jnp.sum(net(jnp.array([0.5, 0.6]))))
    assert report.fine, report
    assert list(report) == ["w"]


@pytest.mark.slow
@of_variables
def test_cells_in_the_loops_of_the_host(host):
    cell = host.layers.LIFCell(3, spike_fn=F, learnable=("threshold", "spike_fn.alpha"))
    if host.name == "nnx":
        rnn = nnx.RNN(cell, time_major=True)
        report = bs.nnx.check_gradients(rnn, lambda rnn: jnp.mean(rnn(XS) ** 2))
    elif host.name == "linen":
        rnn = linen.RNN(cell, time_major=True)
        report = bs.linen.check_gradients(rnn.init(KEY, XS), lambda v: jnp.mean(rnn.apply(v, XS) ** 2))
    else:
        cell.init_state(2)
        report = bs.brainstate.check_gradients(cell, lambda: jnp.mean(brainstate.transform.for_loop(cell, XS) ** 2))
    assert report.fine, report
    assert len(report) == 2


@pytest.mark.slow
@of_variables
def test_random_spikes_are_checked_by_their_mean(host):
    rngs = {"rngs": nnx.Rngs(1)} if host.name == "nnx" else {}
    act = host.layers.SpikingActivation(F, random=True, learnable="alpha", **rngs)
    with brainstate.environ.context(fit=True):
        layers = [host.dense(3, 4, nnx.Rngs(0)), host.layers.LIF(4, spike_fn=act), host.layers.LI(4)]
        report = checked(host, layers)
    assert report.fine, report


@pytest.mark.slow
def test_a_dropout_of_nnx_keeps_its_mask_and_its_counts():
    rngs = nnx.Rngs(0)
    layers = [nnx.Linear(3, 4, rngs=rngs), bs.nnx.LIF(4, spike_fn=F), nnx.Dropout(0.5, rngs=rngs), bs.nnx.LI(4)]
    net = bs.nnx.SpikingSequential(layers)
    before = jax.tree.map(np.asarray, nnx.state(net, nnx.Any(nnx.Param, nnx.RngCount)))
    report = bs.nnx.check_gradients(net, lambda net: jnp.mean(net(net.initialize_carry((2, 3)), XS)[1] ** 2))
    assert report.fine, report
    after = nnx.state(net, nnx.Any(nnx.Param, nnx.RngCount))
    assert all(leaf.dtype in (jnp.float32, jnp.uint32) for leaf in jax.tree.leaves(after))
    jax.tree.map(np.testing.assert_array_equal, before, after)


@pytest.mark.slow
def test_brainstate_gets_its_states_back():
    net = bs.brainstate.SpikingSequential([brainstate.nn.Linear(3, 4), bs.brainstate.LIF(4)])
    net.init_state(2)
    net(XS)
    before = {path: jax.tree.map(np.asarray, state.value) for path, state in net.states().items()}
    bs.brainstate.check_gradients(net, lambda: jnp.mean(net(XS) ** 2))
    for path, state in net.states().items():
        jax.tree.map(np.testing.assert_array_equal, state.value, before[path])
        assert {leaf.dtype for leaf in jax.tree.leaves(state.value)} == {jnp.dtype("float32")}


# What is wrong ---------------------------------------------------------------------------------------------------


class Steeper(bs.Surrogate):
    """Its gradient lacks the factor of the inner derivative."""

    def __init__(self, alpha=3.0):
        self.alpha = alpha

    def surrogate_fun(self, x):
        return jax.nn.sigmoid(self.alpha * x)

    def surrogate_grad(self, x):
        return jax.nn.sigmoid(self.alpha * x) * jax.nn.sigmoid(-self.alpha * x)


@every_host
def test_a_wrong_gradient_of_a_surrogate(host):
    report = checked(host, layers_of(host, f=Steeper()))
    for parameter, status in statuses(report).items():
        if "2" in parameter or "3" in parameter:  # behind the surrogate
            assert status == "fine", report
        elif not parameter.endswith("alpha"):  # in which the primitive itself is differentiated
            assert status == "differs", report
    assert not report.fine
    assert "a surrogate_grad that is not the derivative of its surrogate_fun" in report.sentences[0]


@every_host
@pytest.mark.parametrize("options", all_but([{}], [{}, {"reset_delay": True}]), ids=str)
def test_a_detached_reset_is_named(host, options):
    report = checked(host, layers_of(host, reset="zero", **options))
    status = statuses(report)
    assert set(status.values()) == {"fine", "reset"}
    assert status[next(name for name in status if name.endswith("threshold"))] == "reset"
    assert not report.fine
    assert "differ only because a reset is detached, by brainsurr.detached or reset='zero'" in report.sentences[0]


@pytest.mark.slow
def test_a_detached_reset_hides_no_wrong_rule():
    report = checked(Nnx, layers_of(Nnx, f=Steeper(), reset="zero"))
    assert "differs" in statuses(report).values()


@pytest.mark.parametrize(("alpha", "status"), [(0.0, "knot"), (0.1, "fine")])
def test_a_parameter_at_an_edge_of_its_interval(alpha, status):
    act = bs.nnx.SpikingActivation(bs.LogTailedRelu(alpha), learnable="alpha")
    report = bs.nnx.check_gradients(act, lambda act: jnp.sum(act(jnp.array([-1.0, 0.5]))))
    assert statuses(report) == {"alpha": status}


def test_a_value_outside_of_its_bounds_is_a_cause_that_is_named():
    """The loss uses the edge, and is flat there; its gradient lets the value come back."""
    lif = bs.nnx.LIF(XS.shape[-1], learnable="decay")
    lif.decay[...] = 1.5 * jnp.ones_like(lif.decay)
    report = bs.nnx.check_gradients(lif, lambda lif: jnp.sum(lif(lif.initialize_carry(XS.shape[1:]), XS)[1]))
    assert statuses(report) == {"decay": "differs"}
    assert "a trainable value is outside its bounds (brainsurr.optim.project prevents this)" in report.sentences[0]


@pytest.mark.slow
def test_a_primitive_that_grows_is_told_from_an_infinite_loss():
    def check(steps):
        xs = jnp.full((steps, 2, 3), 5.0)
        layers = layers_of(Nnx, f=bs.LeakyRelu(0.1), reset="zero", reset_grad=True)
        return checked(Nnx, layers, xs)

    assert check(3).fine
    with pytest.raises(ValueError, match="smooth network: use fewer steps"):
        check(40)


def test_a_loss_of_another_network_is_not_fine():
    net = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
    report = bs.nnx.check_gradients(nnx.clone(net), lambda _: jnp.sum(net(XS) ** 2))
    assert statuses(report) == {"bias": "unused", "kernel": "unused"}
    assert not report.fine
    assert "loss_fn must use its own argument" in report.sentences[0]
    half = bs.nnx.check_gradients(net, lambda net: jnp.sum(net.kernel**2))
    assert half.fine
    assert half.sentences[0].startswith("bias: not compared, since no path leads to the loss.")


def test_a_cell_of_flax_over_time_is_checked():
    rnn = nnx.RNN(nnx.GRUCell(3, 3, rngs=nnx.Rngs(0)), time_major=True)
    net = bs.nnx.SpikingSequential([rnn, bs.nnx.LIF(3), bs.nnx.LI(3)])
    assert bs.nnx.check_gradients(net, lambda net: jnp.mean(net(net.initialize_carry((2, 3)), XS)[1] ** 2)).fine


def test_trees_in_a_state_of_brainstate_are_named_by_their_paths():
    net = brainstate.nn.Module()
    net.w = brainstate.ParamState({"a": {"b": jnp.float32(2)}, "c": jnp.float32(1)})

    def loss():
        one = jnp.ones((), brainstate.environ.dftype())  # as a loss makes states
        assert one.dtype == net.w.value["c"].dtype
        return one * net.w.value["a"]["b"] ** 3 + net.w.value["c"] ** 2

    report = bs.brainstate.check_gradients(net, loss)
    assert sorted(report) == ["w.a.b", "w.c"]
