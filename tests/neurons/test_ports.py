"""Neurons of other libraries: the layers in their row have the same spikes at every step, and the same gradient.

As what the library documents, in float64; and as the library itself, where it is installed: jaxpike and brainpy.state
in every run, the others by ``pytest -m peers``, which skips those that are missing.
"""

import contextlib
import importlib
import math
import re
from functools import partial

import brainpy
import brainstate
import braintools
import brainunit as u
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from cases import TORCH, outputs_and_gradient, with_library
from close import assert_close, bound, distances
from flax import nnx
from pages import DOCS

import brainsurr as bs
import brainsurr.nnx
from brainsurr._other_libraries import rows, table
from brainsurr.nnx import LIF, Delay, SpikingSequential

PORTS = {f"{row.library}.{row.there}": (row.here, row.step) for row in rows("neuron") if row.here}
SYNAPTIC = "LIFParameters(tau_syn_inv=tau_syn_inv, tau_mem_inv=tau_mem_inv), dt=dt)"
STEP = "v = v + (x - v) / tau; s = fire(v - 1); v = v * (1 - s)"
NOTES = {  # what the notes say
    'snntorch.Leaky(beta=beta, reset_mechanism="zero", reset_delay=False)': (
        'LIF(n, decay=beta, reset="zero", reset_grad=True)',
        "v = beta * v * (v <= 1) + x; s = fire(v - 1)",
    ),
    "spikingjelly.LIFNode(tau, detach_reset=True)": (
        'LIF(n, decay=1 - 1 / tau, decay_input=True, reset="zero", reset_grad=False)',
        STEP,
    ),
    "spikingjelly.LIFNode(tau, v_reset=-0.5, v_threshold=0.5)": (
        'LIF(n, decay=1 - 1 / tau, decay_input=True, threshold=1.0, reset="zero", reset_grad=True)',
        STEP,
    ),
    "norse.LIFBoxCell(LIFBoxParameters(tau_mem_inv=tau_mem_inv, reset_method=reset_subtract), dt=dt)": (
        "LIF(n, decay=1 - dt * tau_mem_inv, decay_input=True)",
        "v = v + dt * tau_mem_inv * (x - v); s = fire(v - 1); v = v - s",
    ),
    f"norse.LIF({SYNAPTIC}": PORTS[f"norse.LIFCell({SYNAPTIC}"],
}
HERE, STEPS = ({key: row[i] for key, row in (PORTS | NOTES).items()} for i in range(2))
T, B, N = 40, 2, 4
VALUES = {
    "snntorch": {"beta": 0.9, "alpha": 0.75},
    "spikingjelly": {"tau": 5.0},
    "norse": {"tau_mem_inv": 100.0, "tau_syn_inv": 200.0, "dt": 1e-3},
    "spyx": {"beta": 0.9, "alpha": 0.75, "gamma": 0.95},
    "jaxpike": {"tau": 6.0, "tau_a": 20.0, "beta": 1.8, "dt": 1.0},
    "brainpy": {"tau": 6.0, "tau_a": 20.0, "beta": 0.3, "dt": 1.0},
}
RNG = np.random.default_rng(5)  # the first with which every potential is far enough from each threshold
# Below the threshold, so that no potential is above it after a reset: there one port ends.
X = RNG.uniform(-0.4, 1.0, (T, B, N)).astype(np.float32)
WEIGHT = RNG.normal(size=(T, B, N)).astype(np.float32)


def inputs(key):
    """Inputs that make a neuron fire, but not always, whatever it does to them."""
    x = X * np.float32(6 if "decay_input=True" in HERE[key] else 1)
    return x * np.float32(0.3) if HERE[key].startswith("[LI(") else x


def network(key, layers=brainsurr.nnx, **more):
    """The layers of a row, as it says them, in a network of a framework; more goes to each layer that fires."""
    names = {name: getattr(layers, name) for name in ("LI", "Delay")}
    names |= {name: lambda *a, make=getattr(layers, name), **k: make(*a, **k | more) for name in ("LIF", "ALIF")}
    net = eval(HERE[key], names | {"exp": math.exp, "n": N} | VALUES[key.partition(".")[0]])
    return layers.SpikingSequential(net if isinstance(net, list) else [net])


def spikes_and_gradient(net, xs):
    """Spikes over time, and the gradient of sum(WEIGHT * spikes) in the inputs."""

    @jax.jit
    def both(carry, xs):
        ys, pull = jax.vjp(lambda xs: net(carry, xs)[1], xs)
        return ys, pull(jnp.asarray(WEIGHT))[0]

    return both(net.initialize_carry((B, N)), jnp.asarray(xs))


# What the libraries document -----------------------------------------------------------------------------------


def loop(key, xs):
    """Outputs over time, where no potential is so near to its threshold that rounding could carry it across."""
    near = []

    def fire(distance):
        near.append(distance)
        return (distance > 0).astype(float)

    state = {"fire": fire, "exp": math.exp} | VALUES[key.partition(".")[0]]
    state |= {name: np.zeros((B, N)) for name in ("v", "i", "a")}
    ys = []
    for x in xs.astype(np.float64):
        exec(STEPS[key], state | {"x": x}, state)
        ys.append(state["s"])
    scale = np.abs(xs).max() + np.abs(state["v"]).max() + np.abs(state["i"]).max()
    if near:  # some ten operations a step
        assert np.abs(near).min() > bound(10 * T, scale)
    return np.stack(ys)


@pytest.mark.parametrize("key", HERE)
def test_spikes_are_those_of_the_documented_loop(key):
    xs = inputs(key)
    ys, _ = spikes_and_gradient(network(key), xs)
    expected = loop(key, xs)
    if "fire" not in STEPS[key]:
        assert_close(ys, expected, 10 * T)
    else:
        assert 0.05 < expected.mean() < 0.9
        np.testing.assert_array_equal(ys, expected)


def test_snntorch_has_no_port_for_potentials_above_threshold():
    """Undelayed, the threshold is taken off before the spike is decided: 2.5 fires, leaves 1.5, and is silent there."""
    key, xs = "snntorch.Leaky(beta=beta, reset_delay=False)", np.zeros_like(X)
    xs[0] = 2.5
    ys, _ = spikes_and_gradient(network(key), xs)
    np.testing.assert_array_equal(ys[:2, 0, 0], [1, 1])
    np.testing.assert_array_equal(loop(key, xs)[:2, 0, 0], [1, 0])


@pytest.mark.parametrize("layers", [brainsurr.linen, brainsurr.brainstate], ids=["linen", "brainstate"])
def test_a_row_reads_the_same_in_every_framework(layers):
    for key in PORTS:
        assert network(key, layers).layers


# The libraries themselves --------------------------------------------------------------------------------------


def surrogate(library):
    """The arguments that give a neuron there its surrogate, and the same surrogate here."""
    if library == "snntorch":
        fast_sigmoid = importlib.import_module("snntorch.surrogate").fast_sigmoid(slope=4)
        return {"spike_grad": fast_sigmoid}, bs.InvSquareGrad(4.0)
    if library == "spikingjelly":
        sigmoid = importlib.import_module("spikingjelly.activation_based.surrogate").Sigmoid(alpha=4.0)
        return {"surrogate_function": sigmoid}, bs.Sigmoid(4.0)
    if library == "norse":
        return {}, bs.InvSquareGrad(1.0)
    if library == "spyx":
        superspike = importlib.import_module("spyx").axn.superspike(4)
        return {"activation": superspike, "rngs": nnx.Rngs(0)}, bs.InvSquareGrad(4.0)
    return {{"jaxpike": "surrogate", "brainpy": "spk_fun"}[library]: bs.Arctan(2.0)}, bs.Arctan(2.0)


def make(library, there):
    """The neuron as a row says it, with its surrogate."""
    module = pytest.importorskip(table()[library]["neurons"])
    values = dict(VALUES[library])
    if library == "norse":
        torch = importlib.import_module("torch")
        values |= {name: torch.as_tensor(value) for name, value in values.items() if name != "dt"}
        values["reset_subtract"] = importlib.import_module("norse.torch.functional.reset").reset_subtract
    if library == "brainpy":
        values |= {name: values[name] * u.ms for name in ("tau", "tau_a")} | {"beta": values["beta"] * u.mV}
    name = there.partition("(")[0]
    cls = getattr(module, name)
    more = {k: v for k, v in surrogate(library)[0].items() if k in cls.__init__.__code__.co_varnames}
    return eval(there, vars(module) | {name: lambda *args, **kwargs: cls(*args, **kwargs, **more), "n": N} | values)


def in_brainpy(neuron, state, x):
    if state is None:
        neuron.init_state(len(x))
    with brainstate.environ.context(dt=VALUES["brainpy"]["dt"] * u.ms):
        return neuron(x * u.mA), neuron


def in_snntorch(neuron, state, x):
    y, *state = neuron(x, *(state or ()))
    return y, state


STEPS_THERE = {  # ``(neuron, state, x) -> (output, state)``, with a state that is None at first
    "snntorch": in_snntorch,
    "spikingjelly": lambda neuron, state, x: (neuron(x), None),
    "norse": lambda neuron, state, x: neuron(x, state),
    "spyx": lambda neuron, state, x: neuron(x, neuron.initial_state(len(x)) if state is None else state),
    "jaxpike": lambda neuron, state, x: neuron(neuron.init_state(x.shape) if state is None else state, x)[::-1],
    "brainpy": in_brainpy,
}


def over_time(library, step):
    """Outputs over time of ``(state, x) -> (y, state)``, as a function of the inputs."""

    def run(xs):
        state, ys = None, []
        for x in xs:
            y, state = step(state, x)
            ys.append(y)
        return importlib.import_module("torch").stack(ys) if library in TORCH else jnp.stack(ys)

    return run


def of_library(key, xs):
    """Spikes and gradient of a neuron there."""
    library, _, there = key.partition(".")
    neuron = make(library, there)
    if key.startswith("norse.LIF("):  # a layer over time
        return outputs_and_gradient(library, lambda xs: neuron(xs)[0], xs, WEIGHT)
    run = over_time(library, partial(STEPS_THERE[library], neuron))
    return outputs_and_gradient(library, run, xs, WEIGHT)


@with_library(HERE)
def test_spikes_and_gradient_are_those_of_the_library(key):
    """And what it documents is what it does."""
    xs, fires = inputs(key), "fire" in STEPS[key]
    expected, gradient = of_library(key, xs)
    ys, gx = spikes_and_gradient(network(key, spike_fn=surrogate(key.partition(".")[0])[1]), xs)
    assert np.abs(gradient).max() > 0.1 or not fires
    for outputs in (ys, loop(key, xs)):
        if fires:
            np.testing.assert_array_equal(outputs, expected)
        else:
            assert_close(np.asarray(outputs, np.float32), np.asarray(expected), 10 * T)
    if "hard" in key:  # as the note says
        assert np.abs(gx - gradient).max() > 0.01 * np.abs(gradient).max()
    else:
        assert_close(gx, gradient, 10 * T)


@with_library(["spyx.RLIF", "snntorch.RLeaky"])
def test_the_recurrent_neurons_of_the_notes(key):
    library, _, name = key.partition(".")
    cls = getattr(pytest.importorskip(table()[library]["neurons"]), name)
    options, spike_fn = surrogate(library)
    options["beta"] = 0.9
    here = {"decay": 0.9, "reset_delay": True, "recurrent": True, "rngs": nnx.Rngs(0), "spike_fn": spike_fn}
    if library == "spyx":
        neuron, after, bias = cls((N,), **options), [Delay(N, 1)], 0
        kernel, run = neuron.recurrent_w[...], over_time(library, partial(STEPS_THERE[library], neuron))
    else:
        importlib.import_module("torch").manual_seed(0)
        neuron, after, here["reset_grad"] = cls(linear_features=N, **options), [], False
        kernel, bias = (part.detach().numpy() for part in (neuron.recurrent.weight.T, neuron.recurrent.bias))
        run = over_time(library, lambda state, x: ((y := neuron(x, *(state or ())))[0], y))
    lif = LIF(N, **here, recurrent_kernel_init=lambda *_: jnp.asarray(kernel))
    expected, gradient = outputs_and_gradient(library, run, X, WEIGHT)
    with distances() as near:
        ys, gx = spikes_and_gradient(SpikingSequential([lif, *after]), X + bias)
    assert min(near) > bound(20 * T, 4)
    assert 0.05 < expected.mean() < 0.9
    np.testing.assert_array_equal(ys, expected)
    assert_close(gx, gradient, 20 * T)


@pytest.mark.usefixtures("lenient")
@pytest.mark.filterwarnings("ignore")  # brainpy's own affair
def test_a_potential_at_rest_that_is_not_0_is_counted_from():
    """And the surrogate of brainpy gets (V - V_th) / (V_th - V_reset)."""
    seen, spikes, xs = [], [], 6 * X
    volts = {"V_rest": -0.5 * u.mV, "V_reset": -0.5 * u.mV, "V_th": 0.75 * u.mV}
    volts["V_initializer"] = braintools.init.Constant(-0.5 * u.mV)
    neuron = brainpy.state.LIF(N, tau=6 * u.ms, spk_fun=lambda x: (seen.append(x), bs.Arctan()(x))[1], **volts)
    neuron.init_state(B)
    with brainstate.environ.context(dt=1 * u.ms):
        for x in jnp.asarray(xs):
            spikes.append(neuron(x * u.mA))
            np.testing.assert_allclose(seen[-1], (neuron.V.value / u.mV - 0.75) / 1.25, atol=1e-5)
    lif = LIF(N, decay=np.exp(-1 / 6), decay_input=True, threshold=1.25)
    _, ours = lif(lif.initialize_carry((B, N)), xs)
    np.testing.assert_array_equal(ours, jnp.stack(spikes))
    assert 0.02 < ours.mean() < 0.9


# The networks of the page --------------------------------------------------------------------------------------


def networks():
    """The two programs of each section: by library, there and here."""
    titles = {about["title"]: library for library, about in table().items() if library != "argument"}
    programs = {}
    for section in (DOCS / "coming-from-elsewhere.md").read_text().split("### A model of ")[1:]:
        title = section.partition("\n")[0].removeprefix("braintools and ")
        programs[titles[title]] = re.findall(r"```python\n(.*?)```", section.partition("\n## ")[0], re.DOTALL)
    return programs


NETWORKS = networks()


@pytest.mark.usefixtures("lenient")  # flax's Linear
@pytest.mark.parametrize("library", NETWORKS)
def test_a_network_here_is_run(library):
    exec(NETWORKS[library][1], scope := {})
    ys = scope["run"](jnp.ones((T, 3, 16)))
    assert (ys.shape, ys.dtype) == ((T, 3, 4), jnp.float32)


SEED = 0  # of weights with which no potential is near enough to its threshold for rounding to decide
SCALE = {"norse": 8, "spikingjelly": 4}  # of weights with which the neurons fire


@with_library(NETWORKS)
def test_a_network_gives_the_same_on_both_sides(key):
    pytest.importorskip(key)
    if key in TORCH:
        pytest.importorskip("torch").manual_seed(SEED)
    there, here = {}, {}
    exec(NETWORKS[key][0], there)
    exec(NETWORKS[key][1], here)
    xs = np.random.default_rng(0).normal(size=(T, 3, 16)).astype(np.float32)
    if key in TORCH:
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
    if key in ("snntorch", "spikingjelly"):  # whose outputs are spikes
        assert 0.02 < expected.mean() < 0.9
        np.testing.assert_array_equal(ys, expected)
    else:
        assert np.abs(expected).max() > 0.1
        assert np.std(expected) > 0.01
        assert_close(ys, expected, 10 * T)


def test_the_initial_weights_of_torch():
    """Uniform up to 1 / sqrt(inputs), and those of flax are sqrt(3) times as large."""
    (code,) = re.findall(r"`kernel_init=(.*?)`", (DOCS / "coming-from-elsewhere.md").read_text())
    torch, flax = eval(code)(jax.random.key(0), (256, 512)), nnx.Linear(256, 512, rngs=nnx.Rngs(0)).kernel[...]
    assert 0.999 * 256**-0.5 < np.abs(torch).max() <= 256**-0.5
    np.testing.assert_allclose(torch.std(), 256**-0.5 / 3**0.5, rtol=0.01)
    np.testing.assert_allclose(flax.std() / torch.std(), 3**0.5, rtol=0.01)


# Encoders and losses -------------------------------------------------------------------------------------------

FUNCTIONS = {f"{row.library}.{row.name}": row for row in rows("function")}
CLASSES = np.array([2, 0, 1, 2, 0])
TRACES = RNG.normal(size=(7, 5, 3)).astype(np.float32)
# What the names in the rows stand for.
ARGUMENTS = {"x": np.array([0.1, 0.5, 0.9], np.float32), "num_steps": 20_000, "seq_length": 20_000, "f_max": 400.0}
ARGUMENTS |= {"dt": 1e-3, "smoothing": 0.3, "spikes": (TRACES > 0).astype(np.float32), "ys": TRACES, "y": CLASSES}


def cross_entropy(z, labels):
    z = np.asarray(z, np.float64)
    return -(labels * (z - np.log(np.exp(z).sum(-1, keepdims=True)))).sum(-1).mean()


LABELS, SPIKES = np.eye(3)[CLASSES], ARGUMENTS["spikes"]
# What the libraries document: the mean of a loss, or the probability of each spike.
DOCUMENTED = {
    "snntorch.spikegen.rate": ARGUMENTS["x"],
    "norse.PoissonEncoder": 0.4 * ARGUMENTS["x"],
    "spikingjelly.encoding.PoissonEncoder": ARGUMENTS["x"],
    "snntorch.functional.ce_rate_loss": np.mean([cross_entropy(s, LABELS) for s in SPIKES]),
    "snntorch.functional.ce_count_loss": cross_entropy(SPIKES.sum(0), LABELS),
    "snntorch.functional.accuracy_rate": np.mean(SPIKES.sum(0).argmax(-1) == CLASSES),
    "spyx.fn.integral_crossentropy": cross_entropy(TRACES.sum(0, dtype=float), 0.7 * LABELS + 0.3 / 3),
}


def assert_as_documented(key, draw):
    """That a loss is what is documented, or the mean of 20 000 draws, or of 4000 calls for one time step each."""
    result = draw()
    if np.ndim(result):
        drawn = np.asarray(result) if np.ndim(result) > 1 else np.stack([np.asarray(draw()) for _ in range(4000)])
        # Within five standard deviations.
        np.testing.assert_array_less(np.abs(drawn.mean(0) - DOCUMENTED[key]), 5 * 0.5 / np.sqrt(len(drawn)))
    else:
        assert_close(np.float32(result), DOCUMENTED[key], 7 * 5 * 3)


@pytest.mark.usefixtures("lenient")
@pytest.mark.parametrize("key", FUNCTIONS)
def test_an_encoder_or_loss_is_what_is_documented(key):
    names = {"jax": jax, "jnp": jnp, "optax": optax, "smooth_labels": optax.smooth_labels, "one_hot": jax.nn.one_hot}
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
    for part in ("functional", "spikegen", "encoding", "fn"):
        with contextlib.suppress(ModuleNotFoundError):
            names[part] = importlib.import_module(f"{module}.{part}")
    values = ARGUMENTS
    if library in TORCH:
        torch = pytest.importorskip("torch")
        torch.manual_seed(SEED)
        values = {name: torch.tensor(v) if isinstance(v, np.ndarray) else v for name, v in values.items()}
    assert_as_documented(key, lambda: eval(FUNCTIONS[key].there, names | values))
