"""`diagnose` on networks of each framework: which layers have a row, their names and uses, and what training does."""

import re
from types import SimpleNamespace

import brainstate
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from asked import ask, line_of
from cases import label
from flax import linen, nnx
from pages import DOCS, run_blocks

import brainsurr as bs
from tools.frameworks import HOSTS, Brainstate, Linen, Nnx

pytestmark = pytest.mark.usefixtures("lenient")  # brainstate's Linear

T, B, F = 12, 3, 4
X = np.random.default_rng(0).integers(-6, 15, (T, B, F)) / 8
X[..., -1] = -1  # never fires
LEAKY = bs.LogTailedRelu(0.1)


@pytest.mark.parametrize("host", HOSTS, ids=label)
def test_nan_of_the_data_is_told_from_that_of_parameters(host):
    """In blocks too. What a mask leaves out is not counted."""
    mask, xs = jnp.ones((6, 5), bool).at[2:, 4].set(False), np.random.default_rng(0).uniform(0, 1, (6, 5, 3))
    xs[3:, [1, 4], 0] = np.nan, np.inf

    def said(decay=0.5, xs=xs, **how):
        net = host.layers.SpikingSequential([host.layers.LIF(3, decay=decay, learnable="decay")])
        report = ask("diagnose", host, net, lambda ys: jnp.sum(ys**2), jnp.asarray(xs, jnp.float32), **how)
        return report.sentences[0]

    about = "The input batch contains NaN or infinity in rows {}: check the data."
    assert said() == about.format("1 and 4")
    assert said(mask=mask, block_size=2, remat="full") == about.format("1")
    assert said(xs=np.nan_to_num(xs, posinf=1.0)) == "Every layer in the table fires, and a gradient reaches it."


def test_parameters_that_a_step_made_nan_are_named():
    lif = bs.nnx.LIF(3, learnable="decay")
    lif.decay.set_value(jnp.full((), jnp.nan))
    for x, rows in ((1.0, []), (np.nan, ["The input batch contains NaN or infinity in rows 0, 1, 2 and 2 more:"])):
        net = bs.nnx.SpikingSequential([lif])
        report = ask("diagnose", Nnx(), net, lambda ys: jnp.sum(ys**2), jnp.full((6, 5, 3), x, jnp.float32))
        told = ["Some parameters contain NaN or infinity: layers.0.decay.", *rows, "layers.0 is the first layer"]
        for start, sentence in zip(told, report.sentences[: len(told)], strict=True):
            assert sentence.startswith(start)
    net = bs.linen.SpikingSequential([bs.linen.LIF(3, learnable="decay")])
    args = (jnp.zeros((5, 3)),), jnp.ones((6, 5, 3))
    variables = jax.tree.map(lambda p: p * jnp.nan, net.init(jax.random.key(0), *args))
    report = bs.linen.diagnose(variables, lambda v: jnp.sum(net.apply(v, *args)[1]))
    assert "NaN or infinity: params.layers_0.decay. A training step" in report.sentences[0]


@pytest.mark.parametrize("host", HOSTS, ids=label)
def test_a_parameter_that_is_stored_outside_of_its_bounds_is_named(host):
    lif = host.layers.LIF(3, spike_fn=LEAKY, learnable="spike_fn.alpha")
    for stored, named in ((-7.0, True), (0.0, False)):
        net = host.layers.SpikingSequential([lif])
        said = ask("diagnose", host, net, lambda ys: jnp.sum(ys**2), stored=stored).sentences[0]
        told = re.search(r"layers.0.spike_fn.alpha = -7, bounds \[0.0, 1.0\].* brainsurr.optim.project", said)
        assert bool(told) == named


@pytest.mark.parametrize("host", HOSTS, ids=label)
def test_a_parameter_on_a_scale_is_named_with_its_value(host):
    lif = host.layers.LIF(3, decay=0.5, spike_fn=LEAKY, learnable={"decay": "logit"}, bounds={"decay": (0.25, 0.9)})
    net = host.layers.SpikingSequential([lif])
    said = ask("diagnose", host, net, lambda ys: jnp.sum(ys**2), stored=float(np.log(0.125 / 0.875))).sentences[0]
    assert re.search(r"layers.0.decay = 0.125, bounds \[0.25, 0.9\]", said)


def test_a_complex_parameter_that_is_not_finite_is_named():
    class Turned(nnx.Module):
        def __init__(self):
            self.turn, self.act = nnx.Param(jnp.asarray(complex(0, np.inf))), bs.nnx.SpikingActivation(bs.Arctan())

        def __call__(self, xs):
            return jnp.sum(self.act(xs)) + jnp.real(self.turn[...])

    report = bs.nnx.diagnose(Turned(), lambda net: net(jnp.ones((B, F))))
    assert report.sentences[0].startswith("Some parameters contain NaN or infinity: turn.")


@pytest.mark.parametrize("host", [host for host in HOSTS if host is not Linen], ids=label)
def test_the_reports_of_brainsurr_take_modules_too(host):
    """As those of the framework do."""
    net = host.layers.SpikingSequential([host.layers.LIF(3, decay=0.5, learnable="decay")])
    ours = SimpleNamespace(name=host.name, layers=bs, start=getattr(host, "start", None))
    for question in ("diagnose", "check_gradients"):
        one, other = (ask(question, each, net, lambda ys: jnp.sum(ys**2)) for each in (host, ours))
        assert one == other


# Modules of a user's own: cells step by step, activations outside of a neuron, in setup and compact.


class NnxNet(nnx.Module):
    def __init__(self):
        self.act, self.drop = bs.nnx.SpikingActivation(bs.Arctan()), nnx.Dropout(0.5, rngs=nnx.Rngs(3))
        self.cell = bs.nnx.LIFCell(F, spike_fn=LEAKY)
        self.block = nnx.Dict(lif=bs.nnx.LIF(F, spike_fn=self.cell.spike_fn))

    def __call__(self, xs):
        xs = nnx.RNN(self.cell, time_major=True)(self.drop(self.act(xs)))
        return self.block.lif(jnp.zeros((B, F)), xs)[1]


class LinenNet(linen.Module):
    def setup(self):
        self.act = bs.linen.SpikingActivation(bs.Arctan())
        self.block = linen.RNN(bs.linen.LIFCell(F, spike_fn=LEAKY), time_major=True)

    def __call__(self, xs):
        return self.block(self.act(xs))


class BrainstateNet(brainstate.nn.Module):
    """As a neuron of another library has it: a state of its own, and a `spk_fun`."""

    def __init__(self):
        super().__init__()
        self.spk_fun, self.drop = bs.brainstate.SpikingActivation(bs.Arctan()), brainstate.nn.Dropout(0.5)
        self.cell = bs.brainstate.LIFCell(F, spike_fn=LEAKY)

    def init_state(self, batch_size=None, **kwargs):
        self.v = brainstate.HiddenState(jnp.zeros((batch_size, F)))

    def update(self, x):
        self.v.value = 0.5 * self.v.value + x
        return self.cell(self.drop(self.spk_fun(self.v.value)))


def test_a_module_of_ones_own_in_nnx():
    net, x = NnxNet(), jnp.asarray(X, jnp.float32)

    def snapshot():
        return nnx.graphdef(net), [np.asarray(leaf) for leaf in jax.tree.leaves(nnx.state(net, nnx.RngCount))]

    before = snapshot()
    report = bs.nnx.diagnose(net, lambda net: jnp.mean(net(x)))
    assert list(report) == ["act", "cell", "block.lif"]
    assert report["act"].rate == np.mean(X >= 0)
    assert bs.nnx.diagnose(net, lambda net: jnp.mean(net(x))) == report
    assert snapshot() == before


def test_a_module_of_ones_own_in_linen():
    net, x = LinenNet(), jnp.asarray(X, jnp.float32)
    report = bs.linen.diagnose({}, lambda variables: jnp.mean(net.apply(variables, x)))
    assert list(report) == ["act", "block.cell"]
    assert report["act"].rate == np.mean(X >= 0)


def test_a_module_of_ones_own_in_brainstate():
    net, x = BrainstateNet(), jnp.asarray(X, jnp.float32)
    brainstate.nn.init_all_states(net, B)

    def loss_fn():
        return jnp.mean(brainstate.transform.for_loop(net, x))

    def snapshot():
        states = {path: np.asarray(state.value) for path, state in net.states().items()}
        states["key"] = np.asarray(jax.random.key_data(brainstate.random.DEFAULT.value))
        return states, {path: dict(vars(node)) for path, node in net.nodes().items()}

    with brainstate.environ.context(fit=True):
        before = snapshot()
        report = bs.brainstate.diagnose(net, loss_fn)
        with pytest.raises(RuntimeError, match="no"):
            bs.brainstate.diagnose(net, lambda: [loss_fn(), exec("raise RuntimeError('no')")])
    after = snapshot()
    assert list(report) == ["spk_fun", "cell"]
    np.testing.assert_equal(after[0], before[0])
    assert after[1] == before[1]


def test_a_shared_activation_is_reported_for_each_use():
    """Of 8 neurons that all fire, of 4 that never do, and of 4 elsewhere that all do."""

    class Shared(nnx.Module):
        def __init__(self):
            self.act = bs.nnx.SpikingActivation(bs.Arctan())

        def __call__(self, xs):
            s = self.act(xs)
            never = self.act(xs[..., :4] - 1)
            return jnp.sum(s) + jnp.sum(never) + jnp.sum(self.act(s[..., 4:] - 0.25))

    report = bs.nnx.diagnose(Shared(), lambda net: net(jnp.full((T, B, 8), 0.5)))
    lines = [line_of(__file__, f"            {text}") for text in ("s = self.act(xs)", "never =", "return jnp.sum(s)")]
    names = [f"act (test_diagnose_networks.py:{line}, {n} neurons)" for line, n in zip(lines, (8, 4, 4), strict=True)]
    assert {name: use.rate for name, use in report.items()} == dict(zip(names, (1.0, 0.0, 1.0), strict=True))


@pytest.mark.parametrize("host", HOSTS, ids=label)
def test_a_layer_that_is_the_whole_network_is_named_by_its_class(host):
    report = ask("diagnose", host, host.layers.LIF(3), jnp.sum)
    assert list(report) == ["LIF"]


def test_a_layer_that_is_called_twice_has_one_row():
    """In two chunks of time, at two lines."""
    net = bs.nnx.SpikingSequential([bs.nnx.LIF(F, spike_fn=LEAKY), bs.nnx.LI(F)])

    def loss_fn(net):
        carry, ys = net(net.initialize_carry((B, F)), jnp.full((2, B, F), 2.0))
        carry, zs = net(carry, jnp.zeros((2, B, F)))
        return jnp.sum(ys) + jnp.sum(zs)

    assert bs.nnx.diagnose(net, loss_fn)["layers.0"].rate == 0.75  # 2, 2.9 and 1.71 above 1, then .64


def in_a_row():
    lif = bs.nnx.LIF(F, spike_fn=LEAKY)
    return bs.nnx.SpikingSequential([lif, lambda xs: jnp.where(xs < 9, 0, xs), lif])


def cells(cell):
    """Two populations in a loop over time, each with a state of its own."""
    one = other = cell.initialize_carry((B, F))
    total = 0.0
    for _ in range(T):
        one, s = cell(one, jnp.full((B, F), 2.0))
        other, z = cell(other, 0 * s)
        total += jnp.sum(s + z)
    return total


FIRES = jnp.full((T, B, F), 2.0)
USED_TWICE = {
    "a network": (in_a_row(), lambda net: jnp.sum(net(net.initialize_carry((B, F)), FIRES)[1])),
    "cells": (bs.nnx.LIFCell(F, spike_fn=LEAKY), cells),
}


@pytest.mark.parametrize("name", USED_TWICE)
def test_two_uses_of_a_layer_have_a_row_each(name):
    """The second of them gets exact zeros."""
    report = bs.nnx.diagnose(*USED_TWICE[name])
    assert [use.rate for use in report.values()] == [1.0, 0.0]
    assert all(re.search(r"\(test_diagnose_networks\.py:\d+, (layer \d, )?4 neurons\)$", name) for name in report)


def test_a_use_that_is_cut_off_has_a_row_beside_one_that_is_not():
    """And what makes the first carry has none."""

    def loss_fn(net):
        carry = net.initialize_carry((B, F))
        ys = net(carry, FIRES)[1]
        return jnp.sum(ys) + jax.lax.stop_gradient(jnp.sum(net(carry, FIRES)[1]))

    report = bs.nnx.diagnose(bs.nnx.SpikingSequential([bs.nnx.LIF(F, spike_fn=LEAKY)]), loss_fn)
    assert [use.status for use in report.values()] == ["saturated", "unused"]


def test_layers_that_are_not_looked_at_are_named():
    """A neuron of one's own calls a bare surrogate, and never fires."""

    class Own(nnx.Module):
        def __call__(self, xs):
            return bs.ReluGrad()(xs - 9)

    net = bs.nnx.SpikingSequential([bs.nnx.LIF(F, spike_fn=LEAKY), Own(), bs.nnx.LI(F)])
    xs = jnp.full((T, B, F), 2.0)
    report = bs.nnx.diagnose(net, lambda net: jnp.sum(net(net.initialize_carry((B, F)), xs)[1] * 1.0))
    assert list(report) == ["layers.0"]
    assert re.match(
        r"Not measured: ReluGrad in test_diagnose_networks\.py:\d+, since a layer of your own", report.sentences[-1]
    )


SEQUENCES = [
    (Nnx, nnx.Sequential),
    (Linen, lambda f: linen.Sequential([f])),
    (Brainstate, lambda f: brainstate.nn.Sequential(brainstate.nn.Identity(), f)),
]


@pytest.mark.parametrize(("host", "own"), SEQUENCES, ids=label)
def test_a_surrogate_in_a_module_of_ones_own_is_seen_if_wrapped(host, own):
    """And in the spike function of a neuron it is a part of the neuron."""
    xs = jnp.asarray(X, jnp.float32)

    def report(module):
        if host.name == "linen":
            return host.layers.diagnose({}, lambda variables: jnp.sum(module.apply(variables, xs)))
        return host.layers.diagnose(module, lambda *net: jnp.sum((net or (module,))[0](xs)))

    with pytest.raises(ValueError, match="wrap a bare surrogate in SpikingActivation"):
        report(own(bs.Arctan()))
    act = host.layers.SpikingActivation(bs.Arctan())
    (layer,) = report(own(act)).values()
    assert layer.rate == np.mean(X >= 0)
    inside = ask("diagnose", host, host.layers.LIF(F, spike_fn=own(act)), jnp.mean, xs)
    assert list(inside) == ["LIF"]
    assert len(inside.sentences) == 2  # neither of them says that the activation was not called


@pytest.mark.slow
def test_what_the_page_shows_runs():
    page = DOCS / "silent-layers.md"
    scope, shown = run_blocks(page), re.findall(r"```text\n(.*?)```", page.read_text(), re.DOTALL)
    assert shown == [f"{scope[name]}\n" for name in ("report", "again")]


# What alpha does to a silent layer: with 0 it gets exactly no gradient and stays silent, a small one recovers. And
# `diagnose` says so before it is trained.


def train(spike_fn, steps=200):
    """The first layer's gradient before training, and what is said of it before and after, from too small weights."""
    rngs = nnx.Rngs(0)
    hidden = nnx.Linear(3, 16, rngs=rngs), bs.nnx.LIF(16, spike_fn=spike_fn)
    net = bs.nnx.SpikingSequential([*hidden, nnx.Linear(16, 1, rngs=rngs), bs.nnx.LI(1)])
    net.layers[0].kernel[...] *= 1e-3
    xs = jax.random.uniform(jax.random.key(0), (20, 8, 3))
    optimizer = nnx.Optimizer(net, optax.adam(1e-2), wrt=nnx.Param)

    def loss_fn(net):
        return jnp.mean((net(net.initialize_carry((8, 3)), xs)[1] - 1) ** 2)

    @nnx.jit
    def step(net, optimizer):
        grads = nnx.grad(loss_fn)(net)
        optimizer.update(net, grads)
        return grads["layers"][0]["kernel"][...]

    before = bs.nnx.diagnose(net, loss_fn)["layers.1"]
    first = step(net, optimizer)
    for _ in range(steps):
        step(net, optimizer)
    after = bs.nnx.diagnose(net, loss_fn)["layers.1"]
    return np.asarray(first), before, after


DEFAULT = bs.neurons.LIF().spike_fn


@pytest.mark.slow
@pytest.mark.parametrize(
    "spike_fn", [bs.LogTailedRelu(), bs.LogTailedRelu(0.01), bs.LogTailedRelu(0.1), DEFAULT], ids=repr
)
def test_a_gradient_below_threshold_recovers(spike_fn):
    """As a small alpha gives it, and the layers' default; with alpha 0 the gradient is exactly 0."""
    gradient, before, after = train(spike_fn)
    passes = spike_fn != bs.LogTailedRelu()
    status = "recoverable" if passes else "dead"
    assert (before.status, before.rate, before.silent, before.dead) == (status, 0, 1, not passes)
    assert (before.grad_norm > 0) == np.any(gradient != 0) == passes
    assert after.status == ("fine" if passes else "dead")
    assert (after.rate > 0.01) if passes else (after.rate == 0)


def test_the_default_surrogate_passes_a_gradient_everywhere():
    assert bs.neurons.LIF().spike_fn == bs.neurons.ALIF().spike_fn == bs.Sigmoid(4.0)
