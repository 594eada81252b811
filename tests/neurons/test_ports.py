"""Neurons of other libraries: the layers in their row have the same spikes at every step, and the same gradient.

As what the library documents, in float64; and as the library itself, where it is installed: jaxpike and brainpy.state
in every run, the others by ``pytest -m peers``, which skips those that are missing. `tools.ports` runs more steps and
neurons, and writes what the page says of each row.
"""

import contextlib
import dataclasses
import functools
import importlib
import json
import re

import braintools
import brainunit as u
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from cases import first_quick, with_library
from close import assert_close, bound, distances
from flax import nnx
from pages import DOCS

import brainsurr as bs
import brainsurr.nnx
from brainsurr import encoders
from tools import ports
from tools.other_libraries import rows, table
from tools.ports import TORCH, VALUES, network, with_gradient_here

PORTS = ports.ports()
T, B, N = 40, 2, 4


# What the libraries document -----------------------------------------------------------------------------------


def loop(row, xs, kernel):
    """Outputs over time; and whether no potential is so near to its threshold that rounding could carry it across."""
    near = [np.inf]

    def fire(distance):
        near.append(np.abs(distance).min())
        return (distance > 0).astype(float)

    def fire_often(v):
        near.append(np.abs(v - np.maximum(np.rint(v), 1)).min())
        return np.maximum(np.floor(v), 0)

    kernel = kernel * (1 - np.eye(N)) if "self_connections=False" in row.here else kernel
    state = {"fire": fire, "fire_often": fire_often, "maximum": np.maximum, "w": kernel.astype(float)}
    state |= ports.MATHS | VALUES[row.library] | {name: np.zeros((B, N)) for name in ("u", "v", "i", "a", "s", "left")}
    ys, largest = [], 0.0
    for x in xs.astype(np.float64):
        exec(row.step, state | {"x": x}, state)
        ys.append(state["s"])
        largest = max(largest, *(np.abs(state[name]).max() for name in ("u", "v", "i")))
    return np.stack(ys), min(near) > bound(10 * T, np.abs(xs).max() + largest)  # some ten operations a step


@functools.cache
def documented(row):
    """The first random data with which rounding decides nothing, and the outputs."""
    for seed in range(20):
        data = ports.drawn(np.random.default_rng(seed), T, B, N)
        ys, far = loop(row, ports.inputs(row, data), data.kernel)
        if far:
            return data, ys
    raise AssertionError("near its threshold in all of them")


def outputs(row, data):
    net, xs = network(row, data), ports.inputs(row, data)
    return net(net.initialize_carry(xs.shape[1:]), xs)[1]  # not compiled as a whole: rows share what neurons compile


@pytest.mark.parametrize("key", PORTS)
def test_spikes_are_those_of_the_documented_loop(key):
    row = PORTS[key]
    data, expected = documented(row)
    ys = outputs(row, data)
    if "fire" not in row.step:
        assert_close(ys, expected, 10 * T)
    else:
        assert 0.02 < expected.mean() < 0.99
        assert expected.max() > 1 or "fire_often" not in row.step
        np.testing.assert_array_equal(ys, expected)


CONDITIONS = {key: row for key, row in PORTS.items() if row.unmet}


@pytest.mark.parametrize("key", [key for key, row in CONDITIONS.items() if "inputs" in row.unmet])
def test_spikes_differ_where_the_condition_is_not_met(key):
    row = ports.unmet(CONDITIONS[key])
    data, expected = documented(row)
    assert np.any(outputs(row, data) != expected)


def test_snntorch_has_no_port_for_potentials_above_threshold():
    """Undelayed, the threshold is taken off before the spike is decided: 2.5 fires, leaves 1.5, and is silent there."""
    row = PORTS["snntorch.Leaky(beta=beta, reset_delay=False)"]
    data = ports.drawn(np.random.default_rng(0), T, B, N)
    xs = np.zeros_like(data.xs)
    xs[0] = 2.5
    ys, _ = with_gradient_here(network(row, data), xs, data.weight)
    np.testing.assert_array_equal(ys[:2, 0, 0], [1, 1])
    np.testing.assert_array_equal(loop(row, xs, data.kernel)[0][:2, 0, 0], [1, 0])


# The libraries themselves --------------------------------------------------------------------------------------


@pytest.mark.slow
@with_library(PORTS)
def test_spikes_and_gradient_are_those_of_the_library(key):
    """And what it documents is what it does."""
    row = PORTS[key]
    data, said = documented(row)
    skip_without(row.library)
    expected, gradient = ports.of_library(row, data, ports.inputs(row, data))
    ys, gx = with_gradient_here(
        network(row, data, spike_fn=ports.surrogate(row)[1]), ports.inputs(row, data), data.weight
    )
    fires = "fire" in row.step
    assert np.abs(gradient).max() > 0.1 or not fires
    for outputs in (ys, said):
        if fires:
            np.testing.assert_array_equal(outputs, expected)
        else:
            assert_close(np.asarray(outputs, np.float32), np.asarray(expected), 10 * T)
    if row.gradient:
        assert np.abs(gx - gradient).max() > 0.01 * np.abs(gradient).max()
    else:
        assert_close(gx, gradient, 10 * T)


def skip_without(library):
    for name in [*table()[library]["neurons"], *["torch"] * (library in TORCH)]:
        pytest.importorskip(name)


@pytest.mark.slow
@with_library(CONDITIONS)
def test_the_library_differs_where_the_condition_is_not_met(key):
    """And does there what it documents."""
    row, on_other_inputs = ports.unmet(CONDITIONS[key]), "inputs" in CONDITIONS[key].unmet
    skip_without(row.library)
    data = documented(row)[0] if on_other_inputs else ports.drawn(np.random.default_rng(0), 200, 2, 64)
    expected, _ = ports.of_library(row, data, ports.inputs(row, data))
    assert np.any(outputs(row, data) != np.asarray(expected))
    if on_other_inputs:
        np.testing.assert_array_equal(documented(row)[1], expected)


def test_the_page_is_of_runs_of_every_row():
    """With the library that the row names, 25,600 outputs; no spike differs, and no gradient that it doesn't say."""
    result = json.loads(ports.RESULT.read_text())["rows"]
    assert list(result) == list(PORTS)
    for key, row in PORTS.items():
        run = ports.Difference(*(result[key][field] for field in ports.Difference._fields))
        assert (run.version, run.outputs, run.differ) == (row.version, 25_600, 0)
        assert 0.02 < run.rate < 0.99 or "fire" not in row.step
        assert (run.gradient > 1e-4) == bool(row.gradient)
        assert bool(run.unmet) == bool(row.unmet)


@pytest.mark.slow
@with_library(["brainpy.LIF(n, tau=tau)"])
def test_a_potential_at_rest_that_is_not_0_is_counted_from(key, monkeypatch):
    """And the surrogate of brainpy gets (V - V_th) / (V_th - V_reset)."""
    volts = {"rest": -0.5 * u.mV, "top": 0.75 * u.mV, "init": braintools.init.Constant(-0.5 * u.mV)}
    monkeypatch.setitem(VALUES, "brainpy", VALUES["brainpy"] | volts)
    there = "LIF(n, tau=tau, V_rest=rest, V_reset=rest, V_th=top, V_initializer=init)"
    data = ports.drawn(np.random.default_rng(0), T, B, N)
    row = dataclasses.replace(PORTS[key], there=there, here=PORTS[key].here[:-1] + ", threshold=1.25)")
    f, xs = bs.Arctan(2.0).scaled(height=1 / 1.25, width=1.25), ports.inputs(row, data)
    expected, gradient = ports.of_library(row, data, xs)
    ys, gx = with_gradient_here(network(row, data, spike_fn=f), xs, data.weight)
    np.testing.assert_array_equal(ys, expected)
    assert 0.02 < ys.mean() < 0.9
    assert_close(gx, gradient, 10 * T)


# The networks of the page --------------------------------------------------------------------------------------


PAGE = (DOCS / "models-side-by-side.md").read_text()


def networks():
    """The two programs of each section: by library, there and here."""
    titles = {about["title"]: library for library, about in table().items() if library != "argument"}
    programs = {}
    for section in PAGE.split("## From ")[1:]:
        title, _, what = section.partition("\n")[0].removeprefix("braintools and ").partition(" with ")
        key = f"{titles[title]}.{what}".strip(".")
        programs[key] = re.findall(r"```python\n(.*?)```", section.partition("\n## ")[0], re.DOTALL)
    return programs


NETWORKS, SHAPES = networks(), {"snntorch.images": (8, 8, 2)}


@pytest.mark.usefixtures("lenient")  # flax's Linear
@pytest.mark.parametrize("library", first_quick(NETWORKS))
def test_a_network_here_is_run(library):
    exec(NETWORKS[library][1], scope := {})
    ys = scope["run"](jnp.ones((T, 3, *SHAPES.get(library, (16,)))))
    assert (ys.shape, ys.dtype) == ((T, 3, 4), jnp.float32)


@pytest.mark.usefixtures("lenient")  # flax's Linear
def test_hidden_spikes_are_those_of_the_loop_on_the_page(capsys):
    (block,) = re.findall(r"## Hidden spikes .*?```python\n(.*?)```", PAGE, re.DOTALL)
    exec(NETWORKS["snntorch"][1] + block, scope := {})
    assert capsys.readouterr().out == "0.0\n"
    assert 0.02 < np.mean(scope["hidden"]) < 0.9


SEED = 0  # of weights with which no potential is near enough to its threshold for rounding to decide
SCALE = {"norse": 8, "spikingjelly": 4}  # of weights with which the neurons fire


@with_library(NETWORKS)
def test_a_network_gives_the_same_on_both_sides(key):
    library, _, images = key.partition(".")
    pytest.importorskip(library)
    if library in TORCH:
        pytest.importorskip("torch").manual_seed(SEED)
    there, here = {}, {}
    exec(NETWORKS[key][0], there)
    exec(NETWORKS[key][1], here)
    xs = np.random.default_rng(0).normal(size=(T, 3, *SHAPES.get(key, (16,)))).astype(np.float32)
    if images:
        here["port"](there["conv"], there["fc"])
        expected = there["run"](importlib.import_module("torch").tensor(np.moveaxis(xs, -1, 2))).detach().numpy()
    elif library in TORCH:
        for name in ("fc1", "fc2"):
            there[name].weight.data *= SCALE.get(key, 1)
            here[name].kernel[...] = jnp.asarray(there[name].weight.detach().numpy().T)
            here[name].bias[...] = jnp.asarray(there[name].bias.detach().numpy())
        expected = there["run"](importlib.import_module("torch").tensor(xs)).detach().numpy()
    else:  # the same seed gives the same weights
        expected = there["run"](jnp.asarray(xs))
    with distances() as near:
        ys = here["run"](jnp.asarray(xs))
    assert min(near) > bound(20, 4)
    if library in ("snntorch", "spikingjelly"):  # whose outputs are spikes
        assert 0.02 < expected.mean() < 0.9
        np.testing.assert_array_equal(ys, expected)
    else:
        assert np.abs(expected).max() > 0.1
        assert np.std(expected) > 0.01
        assert_close(ys, expected, 10 * T)


def test_the_initial_weights_of_torch():
    """Uniform up to 1 / sqrt(inputs), and those of flax are sqrt(3) times as large."""
    (code,) = re.findall(r"`kernel_init=(.*?)`", PAGE)
    torch, flax = eval(code)(jax.random.key(0), (256, 512)), nnx.Linear(256, 512, rngs=nnx.Rngs(0)).kernel[...]
    assert 0.999 * 256**-0.5 < np.abs(torch).max() <= 256**-0.5
    np.testing.assert_allclose(torch.std(), 256**-0.5 / 3**0.5, rtol=0.01)
    np.testing.assert_allclose(flax.std() / torch.std(), 3**0.5, rtol=0.01)


# Encoders and losses -------------------------------------------------------------------------------------------

FUNCTIONS = {f"{row.library}.{row.there}": row for row in rows("function")}
CLASSES, X = np.array([2, 0, 1, 2, 0]), np.random.default_rng(4).uniform(size=(1, 12))
T21, COUNT, WIDTH = 21, 4, 0.2
TRACES = np.random.default_rng(5).normal(size=(7, 5, 3)).astype(np.float32)
# What the names in the rows stand for.
ARGUMENTS = {"x": X.astype(np.float32), "num_steps": 20_000, "seq_length": 20_000, "f_max": 400.0, "max_r": 0.6}
ARGUMENTS |= {"dt": 1e-3, "smoothing": 0.3, "spikes": (TRACES > 0).astype(np.float32), "ys": TRACES, "y": CLASSES}
ARGUMENTS |= {"T": T21, "tau": 5.0, "threshold": 0.2, "xs": TRACES, "count": COUNT, "width": WIDTH}


def cross_entropy(z, labels):
    z = np.asarray(z, np.float64)
    return -(labels * (z - np.log(np.exp(z).sum(-1, keepdims=True)))).sum(-1).mean()


LABELS, SPIKES = np.eye(3)[CLASSES], ARGUMENTS["spikes"]


def one_spike(times):
    """A spike at each time, rounded to a step."""
    return (np.arange(T21)[:, None, None] == np.rint(times)).astype(float)


def tuned(width):
    """The activations of neurons that prefer 0, 1 / 3, 2 / 3 and 1."""
    return np.exp(-(((X[..., None] - np.arange(COUNT) / 3) / width) ** 2) / 2)


SILENT = np.where(X > 0.2, 0.0, np.inf)
CHANGE = np.diff(TRACES, axis=0, prepend=TRACES[:1])
# What the libraries document, by the beginning of the row: the probability of each spike, or what comes out.
PROBABILITIES = {
    "snntorch.spikegen.rate": X,
    "norse.PoissonEncoder": 0.4 * X,
    "spikingjelly.encoding.PoissonEncoder": X,
    "spikingjelly.encoding.PopSpikeEncoderRandom": tuned(WIDTH),
    "spyx.data.rate_code": 0.6 * X,
}
DOCUMENTED = {
    "snntorch.spikegen.latency(x, T, tau": one_spike(SILENT + 5 * np.log(X / np.maximum(X - 0.2, 1e-9))),
    "snntorch.spikegen.latency(x, T, threshold": one_spike(SILENT + 20 * (1 - X)),
    "snntorch.spikegen.delta": 1.0 * (CHANGE >= 0.2) - (CHANGE <= -0.2),
    "spikingjelly.encoding.LatencyEncoder(T, step": one_spike(20 * (1 - X)),
    "spikingjelly.encoding.LatencyEncoder(T, 'log'": one_spike(20 - np.log((np.exp(20) - 1) * X + 1)),
    "spikingjelly.encoding.PopEncoder": np.stack([tuned(WIDTH).reshape(1, -1)] * T21),
    "norse.PopulationEncoder": tuned(1.0),
    "spyx.data.latency_code": one_spike(SILENT + 20 * (1 - X)),
    "snntorch.functional.ce_rate_loss": np.mean([cross_entropy(s, LABELS) for s in SPIKES]),
    "snntorch.functional.ce_count_loss": cross_entropy(SPIKES.sum(0), LABELS),
    "snntorch.functional.accuracy_rate": np.mean(SPIKES.sum(0).argmax(-1) == CLASSES),
    "spyx.fn.integral_crossentropy": cross_entropy(TRACES.sum(0, dtype=float), 0.7 * LABELS + 0.3 / 3),
}


def assert_as_documented(key, draw):
    """That what comes out is, or the mean of 20 000 draws, or of 4000 calls for one time step each."""
    table = PROBABILITIES | DOCUMENTED
    (expected,) = (table[start] for start in table if key.startswith(start))
    result = np.asarray(draw(), np.float32)
    if any(key.startswith(start) for start in PROBABILITIES):
        drawn = result if result.size > expected.size else np.stack([np.asarray(draw()) for _ in range(4000)])
        drawn = drawn.reshape(-1, expected.size)
        # Within five standard deviations.
        np.testing.assert_array_less(np.abs(drawn.mean(0) - expected.ravel()), 5 * 0.5 / np.sqrt(len(drawn)))
    else:
        assert_close(result, expected, 7 * 5 * 3)


@pytest.mark.slow
@pytest.mark.usefixtures("lenient")
@pytest.mark.parametrize("key", FUNCTIONS)
def test_an_encoder_or_loss_is_what_is_documented(key):
    names = {"jnp": jnp, "optax": optax, "smooth_labels": optax.smooth_labels, "one_hot": jax.nn.one_hot}
    names["encoders"] = encoders
    names["cross_entropy"] = optax.softmax_cross_entropy_with_integer_labels
    names |= {name: jnp.asarray(v) if isinstance(v, np.ndarray) else v for name, v in ARGUMENTS.items()}
    keys = iter(jax.random.split(jax.random.key(0), 5000))
    code = compile(FUNCTIONS[key].here, key, "eval")
    assert_as_documented(key, lambda: eval(code, names | {"key": next(keys)}))


@with_library(FUNCTIONS)
def test_an_encoder_or_loss_is_that_of_the_library(key):
    library = key.partition(".")[0]
    module = {"norse": "norse.torch", "spikingjelly": "spikingjelly.activation_based"}.get(library, library)
    names = dict(vars(pytest.importorskip(module)))
    for part in ("functional", "spikegen", "encoding", "fn", "data"):
        with contextlib.suppress(ModuleNotFoundError):
            names[part] = importlib.import_module(f"{module}.{part}")
    values = ARGUMENTS | {"key": jax.random.key(SEED)}
    if library in TORCH:
        torch = pytest.importorskip("torch")
        torch.manual_seed(SEED)
        values = {name: torch.tensor(v) if isinstance(v, np.ndarray) else v for name, v in values.items()}

    def draw():
        result = eval(FUNCTIONS[key].there, names | values)
        return result.detach() if hasattr(result, "detach") else result

    assert_as_documented(key, draw)
