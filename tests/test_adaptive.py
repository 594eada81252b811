"""Neurons that adapt, and resets one step late, beyond their numbers, which are those of a loop in test_parity.py."""

import pathlib
import re

import brainstate
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from close import bound
from combinations import label
from flax import nnx

import brainsurr as bs
from brainsurr.interop import transfer
from brainsurr.optim import project
from tools.hosts import HOSTS, Brainstate, Nnx, by_name

pytestmark = pytest.mark.usefixtures("lenient")  # brainstate's Linear and Orthogonal
NEURONS = pathlib.Path(__file__).parent.parent / "docs" / "neurons.md"
T, B, F = 9, 2, 3
# Multiples of 1 / 8, as are weights: with decays of 1 / 2 no potential is rounded, in any order.
X = jnp.asarray(np.random.default_rng(0).integers(-4, 17, (T, B, F)) / 8, jnp.float32)
KERNEL = jnp.asarray(np.random.default_rng(1).integers(-4, 5, (F, F)) / 8, jnp.float32)
NEURON = {"decay": 0.5, "adaptation_decay": 0.5, "spike_adaptation": 0.5, "voltage_adaptation": 0.5}
TRAINED = ("decay", "threshold", "adaptation_decay", "spike_adaptation", "voltage_adaptation")
every_host = pytest.mark.parametrize("host", HOSTS, ids=label)
adapts = pytest.mark.parametrize("adapts", ["threshold", "input"])
equal = np.testing.assert_array_equal


def all_at_once(host, **more):
    """Adaptation, recurrent weights and a delayed reset in one layer."""
    return host.layers.ALIF(F, reset_delay=True, **NEURON, **host().recurrent(KERNEL), **more)


def test_parameters_go_from_one_framework_to_another():
    results, params = [], None
    for host in (make() for make in HOSTS):
        layer = all_at_once(type(host), learnable=TRAINED)
        own = host.params(layer, X)
        params = jax.tree.map(lambda p: p * 0.5, own) if params is None else params
        layer = host.with_params(layer, transfer(params, own))
        (_, ys), grads, _ = host.grad(layer, lambda _, ys: ys.sum(), X)
        assert set(by_name(grads)) == {*TRAINED, "recurrent_kernel"}
        results.append(ys)
    assert 0.1 < results[0].mean() < 0.9
    equal(results[1], results[0])
    equal(results[2], results[0])


@every_host
def test_what_is_trained_stays_inside_its_bounds(host):
    host = host()
    layer = host.layers.ALIF(F, learnable=TRAINED, bounds={"voltage_adaptation": (-1.0, 1.0)})
    expected = {"decay": (0, 1), "threshold": (0, np.inf), "adaptation_decay": (0, 1)}
    expected |= {"spike_adaptation": (0, np.inf), "voltage_adaptation": (-1, 1)}
    params = host.params(layer, X)
    chain = project(host.bounds(layer, X))
    for push in (-100.0, 100.0):
        updates, _ = chain.update(jax.tree.map(lambda p, push=push: jnp.full_like(p, push), params), None, params)
        moved = by_name(jax.tree.map(jnp.add, params, updates))
        for name, (low, high) in expected.items():
            assert low <= moved[name] <= high, name
            assert moved[name] == (max(low, push) if push < 0 else min(high, moved[name]))
    for bounds, low in (({}, 0), ({"voltage_adaptation": None}, -3)):
        other = host.layers.ALIF(F, learnable="voltage_adaptation", bounds=bounds)
        updates, _ = project(host.bounds(other, X)).update(
            jax.tree.map(lambda p: jnp.full_like(p, -3.0), host.params(other, X)), None, host.params(other, X)
        )
        assert by_name(updates)["voltage_adaptation"] == low


@pytest.mark.parametrize(("decay_input", "least"), [(True, -1.0), (False, -0.25)])
def test_below_which_voltage_adaptation_a_potential_runs_away(decay_input, least):
    """A little more and it comes back to rest, as with 0 and above, where it is kept; a little less and it grows."""

    def end(voltage_adaptation):
        fixed = {"adapts": "input", "decay": 0.75, "decay_input": decay_input, "adaptation_decay": 0.9}
        layer = Nnx.layers.ALIF(1, voltage_adaptation=voltage_adaptation, **fixed)
        (v, _), _ = layer(layer.initialize_carry((1, 1)), jnp.zeros((3000, 1, 1)).at[0].set(-1.0))
        return float(jnp.abs(v).max())

    assert end(least - 0.05) > 10
    assert all(end(c) < 1e-3 for c in (least + 0.05, 0.0, 1.0, 30.0))


@adapts
@pytest.mark.parametrize("reset_delay", [False, True])
def test_a_neuron_that_may_not_fire_and_a_broken_one(adapts, reset_delay):
    """-inf stays -inf and has a gradient of 0; NaN shows in the neuron that has it, and in no other."""
    layer = Nnx.layers.ALIF(F, adapts=adapts, reset_delay=reset_delay, learnable="spike_adaptation")
    graphdef, params = nnx.split(layer, nnx.Param)
    xs = X.at[2, :, 0].set(-jnp.inf)

    def run(params, xs):
        carry, ys = nnx.merge(graphdef, params)(layer.initialize_carry((B, F)), xs)
        return ys.sum(), (carry, ys)

    (grads, gx), (carry, ys) = jax.grad(run, (0, 1), has_aux=True)(params, xs)
    v, a = carry[0][0] if reset_delay else carry[0], carry[1]
    assert np.isfinite(a).all()
    assert np.isneginf(v[:, 0]).all()
    assert not ys[2:, :, 0].any()
    assert np.isfinite(gx).all()
    assert np.isfinite(jax.tree.leaves(grads)[0])
    _, (carry, ys) = run(params, X.at[2, :, 0].set(jnp.nan))
    assert np.isnan(ys[2:, :, 0]).all()
    assert np.isfinite(ys[..., 1:]).all()
    assert all(np.isnan(leaf[:, 0]).all() for leaf in jax.tree.leaves(carry))


def test_the_states_of_brainstate_by_name():
    names = {False: ["v", "a"], True: ["v", "s", "a"]}
    for delayed, expected in names.items():
        layer = Brainstate.layers.ALIF(F, reset_delay=delayed)
        layer.init_state(B)
        assert [path[-1] for path in layer.states(brainstate.HiddenState)] == sorted(expected)
        layer(X)
        assert layer.a.value.any()
        saved = {path: state.value for path, state in layer.states(brainstate.HiddenState).items()}
        following = layer(X)
        twin = Brainstate.layers.ALIF(F, reset_delay=delayed)
        twin.init_state(B)
        twin.states(brainstate.HiddenState).assign_dict_values(saved)
        equal(twin(X), following)
        layer.reset_state(B)
        assert not any(state.value.any() for state in layer.states(brainstate.HiddenState).values())


def test_a_carry_of_another_layer():
    adaptive, plain = all_at_once(Nnx), Nnx.layers.ALIF(F)
    with pytest.raises(ValueError, match=r"carry like .*, v, a of shapes \(\(2, 3\), \(2, 3\)\), got \(2, 3\)"):
        plain(jnp.zeros((B, F)), X)
    with pytest.raises(ValueError, match=r"carry like .*, v, s.* of shapes .*, got"):
        adaptive(plain.initialize_carry((B, F)), X)
    with pytest.raises(ValueError, match="ALIF: expected one time step of the input to have the shape of the carry"):
        plain(plain.initialize_carry((B + 1, F)), X)
    with pytest.raises(ValueError, match=r"carry like .*, v, s.* of shapes .*, got"):
        Nnx.layers.LIF(F, reset_delay=True)(jnp.zeros((B, F)), X)


@every_host
@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"adapts": "voltage"}, ValueError, "expected adapts to be one of 'threshold', 'input', got 'voltage'"),
        ({"adapts": None}, ValueError, "expected adapts to be one of"),
        ({"reset_delay": 1}, TypeError, "expected reset_delay to be True or False, got 1"),
        ({"reset_delay": None}, TypeError, "expected reset_delay to be True or False, got None"),
        ({"decay_input": "yes"}, TypeError, "expected decay_input to be True or False, got 'yes'"),
        ({"adaptation_decay": 1.5}, ValueError, r"adaptation_decay = 1.5 is outside \[0.0, 1.0\]"),
        ({"adaptation_decay": np.ones(2)}, ValueError, "adaptation_decay to be one number or 3"),
        ({"spike_adaptation": "1"}, TypeError, "spike_adaptation to be a real number or array, got '1'"),
        ({"spike_adaptation": -1.0, "learnable": "spike_adaptation"}, ValueError, "spike_adaptation = -1.0 is outside"),
        ({"voltage_adaptation": np.inf}, ValueError, "expected voltage_adaptation to be finite"),
        ({"learnable": "adaptation"}, ValueError, "is not a parameter of it, which has decay, threshold, adaptation_d"),
        ({"tau_a": 200.0}, TypeError, "it is adaptation_decay here"),
    ],
)
def test_wrong_arguments(host, wrong, error, message):
    for layer in (host.layers.ALIF, host.layers.ALIFCell):
        with pytest.raises(error, match=f"^{layer._neuron_class.__name__}.*{message}"):
            layer(F, **wrong)


def bellec(alpha, rho, beta, **_):
    """V(t+1) = alpha V(t) + (1 - alpha) I(t) - B(t) z(t), B = 1 + beta b, b(t+1) = rho b(t) + (1 - rho) z(t)."""
    v, b, z = np.zeros((B, F)), np.zeros((B, F)), np.zeros((B, F))
    while True:
        x = yield z, v - (1 + beta * b)
        v = alpha * v + (1 - alpha) * x - (1 + beta * b) * z
        b = rho * b + (1 - rho) * z
        z = (v > 1 + beta * b).astype(float)


def bittar_garner(alpha, beta, a, b, **_):
    """w[t] = beta w[t-1] + a u[t-1] + b s[t-1], u[t] = alpha (u[t-1] - s[t-1]) + (1 - alpha) (I[t] - w[t])."""
    u, w, s = np.zeros((B, F)), np.zeros((B, F)), np.zeros((B, F))
    while True:
        x = yield s, u - 1
        w = beta * w + a * u + b * s
        u = alpha * (u - s) + (1 - alpha) * (x - w)
        s = (u > 1).astype(float)


def baronig(alpha, beta, a, b, **_):
    """u' = alpha u + (1 - alpha) (I - w), u = u' (1 - S), w = beta w + (1 - beta) (a u + b S), with the new u and S."""
    u, w, s, distance = np.zeros((B, F)), np.zeros((B, F)), np.zeros((B, F)), np.ones((B, F))
    while True:
        x = yield s, distance
        u = alpha * u + (1 - alpha) * (x - w)
        s, distance = (u > 1).astype(float), u - 1
        u = u * (1 - s)
        w = beta * w + (1 - beta) * (a * u + b * s)


PAPERS = {"Bellec": bellec, "Bittar": bittar_garner, "Baronig": baronig}
LETTERS = {"alpha": 0.8, "rho": 0.95, "beta": 0.9, "a": 0.4, "b": 0.7}


@pytest.mark.parametrize("paper", PAPERS)
def test_spikes_are_those_of_the_papers(paper):
    """The row of docs/neurons.md, where no potential is so near to its threshold that rounding decides."""
    (here,) = re.findall(rf"^\| {paper}[^|]*\| `(.*)` \|$", NEURONS.read_text(), re.MULTILINE)
    layer = eval(here, {"ALIF": Nnx.layers.ALIF, "n": F} | LETTERS)
    xs = np.random.default_rng(0).uniform(-2, 8, (60, B, F)).astype(np.float32)
    loop = PAPERS[paper](**LETTERS)
    next(loop)
    expected, distances = map(np.stack, zip(*map(loop.send, xs.astype(float)), strict=True))
    assert np.abs(distances).min() > bound(600, 8)
    assert 0.1 < expected.mean() < 0.6
    equal(layer(layer.initialize_carry((B, F)), jnp.asarray(xs))[1], expected)


def test_the_more_it_fires_the_less():
    """Bellec et al. 2018: with the same input, intervals between spikes grow to a steady value."""
    for words in ("threshold", "input"):
        layer = Nnx.layers.ALIF(1, adapts=words, adaptation_decay=0.95, spike_fn=bs.Arctan())
        _, ys = layer(layer.initialize_carry((1, 1)), jnp.full((200, 1, 1), 0.5))
        gaps = np.diff(np.flatnonzero(ys.ravel()))
        assert gaps[0] < gaps[-1]
        assert len(set(gaps[-3:])) <= 2
