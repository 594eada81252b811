"""The rows of `docs/ports.py` against the libraries themselves, where they are installed: ``pytest -m peers``.

They don't all fit into one environment. A library that is missing is skipped, and the summary names it.
"""

import contextlib
import importlib
import importlib.metadata
import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import ports
import pytest
from close import assert_close, bound, distances
from flax import nnx
from ports import KEYS, VALUES, WEIGHT, N, T

import brainsurr as bs
from brainsurr.nnx import LIF, Delay, SpikingSequential
from docs.ports import AROUND, LIBRARIES, NETWORKS, PORTS, Port

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("lenient")]
NORSE_LIF = "norse.LIFCell(LIFParameters(tau_syn_inv, tau_mem_inv), dt)"
PEERS = ("snntorch", "spikingjelly", "norse", "spyx")


def by_torch(step, xs):
    """Outputs over time of ``(state, x) -> (y, state)``, and the gradient of sum(WEIGHT * outputs)."""
    torch = pytest.importorskip("torch")
    inputs, state, ys = torch.tensor(xs, requires_grad=True), None, []
    for x in inputs:
        y, state = step(state, x)
        ys.append(y)
    ys = torch.stack(ys)
    (ys * torch.tensor(WEIGHT)).sum().backward()
    return ys.detach().numpy(), inputs.grad.numpy()


def snntorch(original, xs):
    library = pytest.importorskip("snntorch")
    spike_grad = pytest.importorskip("snntorch.surrogate").fast_sigmoid(slope=4)
    # Their parameters are in other places: by name, so that the text of the row can say them by themselves.
    original = original.replace("(alpha, beta", "(alpha=alpha, beta=beta").replace("(beta", "(beta=beta")
    make = {n: lambda cls=getattr(library, n), **k: cls(spike_grad=spike_grad, **k) for n in ("Leaky", "Synaptic")}
    neuron = eval(original, make | VALUES["snntorch"])

    def step(state, x):
        y, *state = neuron(x, *(state or ()))
        return y, state

    return by_torch(step, xs)


def spikingjelly(original, xs):
    library = pytest.importorskip("spikingjelly.activation_based.neuron")
    sigmoid = pytest.importorskip("spikingjelly.activation_based.surrogate").Sigmoid(alpha=4.0)
    names = ("LIFNode", "IFNode")
    make = {n: lambda *a, cls=getattr(library, n), **k: cls(*a, surrogate_function=sigmoid, **k) for n in names}
    neuron = eval(original, make | VALUES["spikingjelly"])
    return by_torch(lambda state, x: (neuron(x), None), xs)


def norse(original, xs):
    library = pytest.importorskip("norse.torch")
    torch = pytest.importorskip("torch")
    values = {name: torch.as_tensor(value) for name, value in VALUES["norse"].items() if name != "dt"}
    by_name = ", ".join(f"{name}={name}" for name in re.findall(r"tau_\w+", original))  # they are fields of a tuple
    original = re.sub(r"tau_\w+(, tau_\w+)?", by_name, original, count=1).replace(", dt)", ", dt=dt)")
    names = ("LIFBoxCell", "LIFCell", "LIFBoxParameters", "LIFParameters", "LIF")
    make = {name: getattr(library, name) for name in names}
    make["reset_subtract"] = pytest.importorskip("norse.torch.functional.reset").reset_subtract
    neuron = eval(original, make | values | {"dt": VALUES["norse"]["dt"]})
    if original.startswith("LIF("):  # over time
        inputs = torch.tensor(xs, requires_grad=True)
        ys, _ = neuron(inputs)
        (ys * torch.tensor(WEIGHT)).sum().backward()
        return ys.detach().numpy(), inputs.grad.numpy()
    return by_torch(lambda state, x: neuron(x, state), xs)


def spyx_over_time(neuron, xs):
    """Outputs of a neuron of spyx."""

    def step(state, x):
        y, state = neuron(x, state)
        return state, y

    return jax.lax.scan(step, neuron.initial_state(xs.shape[1]), xs)[1]


def spyx(original, xs):
    library = pytest.importorskip("spyx")
    own = {"rngs": nnx.Rngs(0)}
    act = {"activation": library.axn.superspike(4)}
    original = original.replace("(n,), alpha, beta", "(n,), alpha=alpha, beta=beta").replace(", beta)", ", beta=beta)")
    original = original.replace("(n,), beta, gamma", "(n,), beta=beta, gamma=gamma")
    fire = ("LIF", "CuBaLIF", "ALIF")
    names = {n: lambda *a, cls=getattr(library.nn, n), **k: cls(*a, **k, **own, **act) for n in fire}
    names["LI"] = lambda *a, **k: library.nn.LI(*a, **k, **own)
    neuron = eval(original, names | {"n": N} | VALUES["spyx"])

    ys, pull = jax.vjp(partial(spyx_over_time, neuron), jnp.asarray(xs))
    return ys, pull(jnp.asarray(WEIGHT))[0]


# The same surrogate here.
SURROGATES = {
    "snntorch": bs.InvSquareGrad(4.0),
    "spikingjelly": bs.Sigmoid(4.0),
    "norse": bs.InvSquareGrad(1.0),
    "spyx": bs.InvSquareGrad(4.0),
}


@pytest.mark.parametrize("key", [key for key in KEYS if key.startswith(PEERS)])
def test_spikes_and_gradient_are_those_of_the_library(key):
    library, _, original = key.partition(".")
    xs = ports.inputs(key)
    expected, gradient = globals()[library](original, xs)
    ys, gx = ports.spikes_and_gradient(ports.ours(key, spike_fn=SURROGATES[library]), xs)
    assert np.abs(gradient).max() > 0.1
    if ".LI(" in key:
        assert_close((ys, gx), (expected, gradient), 10 * T)
        return
    np.testing.assert_array_equal(ys, expected)
    assert_close(gx, gradient, 10 * T)


# What the remarks say.
VARIANTS = [
    Port(
        "snntorch",
        'Leaky(beta, reset_mechanism="zero", reset_delay=False)',
        'LIF(n, decay=beta, reset="zero", reset_grad=True)',
    ),
    Port(
        "spikingjelly",
        "LIFNode(tau, detach_reset=True)",
        'LIF(n, decay=1 - 1 / tau, decay_input=True, reset="zero", reset_grad=False)',
    ),
    Port(
        "spikingjelly",
        "LIFNode(tau, v_reset=-0.5, v_threshold=0.5)",
        'LIF(n, decay=1 - 1 / tau, decay_input=True, threshold=1.0, reset="zero", reset_grad=True)',
    ),
    Port(
        "norse",
        "LIFBoxCell(LIFBoxParameters(tau_mem_inv, reset_method=reset_subtract), dt)",
        "LIF(n, decay=1 - dt * tau_mem_inv, decay_input=True)",
    ),
    Port("norse", "LIF(LIFParameters(tau_syn_inv, tau_mem_inv), dt)", PORTS[KEYS.index(NORSE_LIF)].here),
]


@pytest.mark.parametrize("port", VARIANTS, ids=lambda port: f"{port.library}.{port.original}")
def test_what_the_remarks_say(port):
    xs = np.float32(2 if port.library == "norse" and "LIF(" in port.original else 6) * ports.X
    xs = xs / 6 if port.library == "snntorch" else xs
    expected, gradient = globals()[port.library](port.original, xs)
    with distances() as near:
        ys, gx = ports.spikes_and_gradient(ports.network(port, spike_fn=SURROGATES[port.library]), xs)
    assert min(near) > bound(10 * T, 6)
    assert 0.05 < expected.mean() < 0.9
    np.testing.assert_array_equal(ys, expected)
    assert_close(gx, gradient, 10 * T)


def spyx_recurrent(xs):
    """Outputs and gradient of RLIF; the layers here, and their inputs."""
    library = pytest.importorskip("spyx")
    neuron = library.nn.RLIF((N,), beta=0.9, activation=library.axn.superspike(4), rngs=nnx.Rngs(0))

    ys, pull = jax.vjp(partial(spyx_over_time, neuron), jnp.asarray(xs))
    lif = recurrent(neuron.recurrent_w[...], spike_fn=bs.InvSquareGrad(4.0))
    return (ys, pull(jnp.asarray(WEIGHT))[0]), [lif, Delay(N, 1)], xs


def snntorch_recurrent(xs):
    library, torch = pytest.importorskip("snntorch"), pytest.importorskip("torch")
    torch.manual_seed(0)
    spike_grad = pytest.importorskip("snntorch.surrogate").fast_sigmoid(slope=4)
    neuron = library.RLeaky(beta=0.9, linear_features=N, spike_grad=spike_grad)

    def step(state, x):
        state = neuron(x, *(state or ()))
        return state[0], state

    weight, bias = (part.detach().numpy() for part in (neuron.recurrent.weight, neuron.recurrent.bias))
    lif = recurrent(weight.T, reset_grad=False, spike_fn=bs.InvSquareGrad(4.0))
    return by_torch(step, xs), [lif], xs + bias


def recurrent(kernel, **neuron):
    init = {"recurrent_kernel_init": lambda *_: jnp.asarray(kernel), "rngs": nnx.Rngs(0)}
    return LIF(N, decay=0.9, reset_delay=True, recurrent=True, **init, **neuron)


@pytest.mark.parametrize("make", [spyx_recurrent, snntorch_recurrent])
def test_the_recurrent_neurons_of_the_remarks(make):
    (expected, gradient), layers, xs = make(ports.X)
    with distances() as near:
        ys, gx = ports.spikes_and_gradient(SpikingSequential(layers), xs)
    assert min(near) > bound(20 * T, 4)
    assert 0.05 < expected.mean() < 0.9
    np.testing.assert_array_equal(ys, expected)
    assert_close(gx, gradient, 20 * T)


@pytest.mark.parametrize("key", [key for key in KEYS if key.startswith(PEERS)])
def test_the_documented_loop_is_the_library(key):
    """So what the tests of every run compare with is no reading of a document alone."""
    library, _, original = key.partition(".")
    xs = ports.inputs(key)
    expected, _, _ = ports.loop(key, xs)
    ys, _ = globals()[library](original, xs)
    if ".LI(" in key:
        assert_close(np.asarray(ys), expected, 10 * T)
    else:
        np.testing.assert_array_equal(ys, expected)


SEED = 0  # of weights with which no potential is near enough to its threshold for rounding to decide
OF_TORCH = ("snntorch", "norse", "spikingjelly")
SCALE = {"norse": 8, "spikingjelly": 4}  # of weights with which the neurons fire


@pytest.mark.parametrize("library", NETWORKS)
def test_a_network_gives_the_same_on_both_sides(library):
    pytest.importorskip(library)
    if library in OF_TORCH:
        pytest.importorskip("torch").manual_seed(SEED)
    there, here = {}, {}
    exec(NETWORKS[library][0], there)
    exec(NETWORKS[library][1], here)
    xs = np.random.default_rng(0).normal(size=(T, 3, 16)).astype(np.float32)
    if library in OF_TORCH:
        for name in ("fc1", "fc2"):
            there[name].weight.data *= SCALE.get(library, 1)
            here[name].kernel[...] = jnp.asarray(there[name].weight.detach().numpy().T)
            here[name].bias[...] = jnp.asarray(there[name].bias.detach().numpy())
        expected = there["run"](pytest.importorskip("torch").tensor(xs)).detach().numpy()
    else:  # the same seed gives the same weights
        expected = there["run"](jnp.asarray(xs))
    with distances() as near:
        ys = here["run"](jnp.asarray(xs))
    assert min(near) > bound(20, 4)
    if library in ("snntorch", "spikingjelly"):
        assert 0.02 < expected.mean() < 0.9
        np.testing.assert_array_equal(ys, expected)
    else:
        assert np.abs(expected).max() > 0.1
        assert np.std(expected) > 0.01
        assert_close(ys, expected, 10 * T)


@pytest.mark.parametrize("port", AROUND, ids=lambda port: f"{port.library}.{port.original.partition('(')[0]}")
def test_an_encoder_or_loss_is_that_of_the_library(port):
    """Also where it is drawn: then the mean of many draws, which differs by chance."""
    module = {"norse": "norse.torch", "spikingjelly": "spikingjelly.activation_based"}.get(port.library, port.library)
    names, values = vars(pytest.importorskip(module)), dict(ports.AROUND)
    for part in ("functional", "spikegen", "encoding", "fn"):
        with contextlib.suppress(ModuleNotFoundError):
            names |= {part: importlib.import_module(f"{module}.{part}")}
    if port.library in OF_TORCH:
        torch = pytest.importorskip("torch")
        torch.manual_seed(SEED)
        values = {name: torch.tensor(v) if isinstance(v, np.ndarray) else v for name, v in values.items()}
    theirs = eval(port.original, names | values)
    if np.ndim(theirs) == 1:  # one step
        theirs = np.mean([np.asarray(eval(port.original, names | values)) for _ in range(4000)], 0)
        np.testing.assert_array_less(np.abs(theirs - ports.documented_around(port)), 5 * 0.5 / np.sqrt(4000))
    elif np.ndim(theirs):
        assert theirs.shape == ports.around(port).shape
        np.testing.assert_array_less(
            np.abs(np.mean(np.asarray(theirs), 0) - ports.documented_around(port)), 5 * 0.5 / np.sqrt(20_000)
        )
    else:
        assert_close(ports.around(port), float(theirs), 7 * 5 * 3)


@pytest.mark.parametrize("library", PEERS)
def test_the_version_is_the_one_that_the_table_names(library):
    pytest.importorskip(library)
    assert importlib.metadata.version(library) == LIBRARIES[library][1]
