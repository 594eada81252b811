"""The rows of `docs/ports.py` against the libraries themselves, where they are installed: ``pytest -m peers``.

They don't all fit into one environment. A library that is missing is skipped, and the summary names it.
"""

import importlib.metadata

import jax
import jax.numpy as jnp
import numpy as np
import ports
import pytest
from close import assert_close
from flax import nnx
from ports import KEYS, VALUES, WEIGHT, N, T

import brainsurr as bs
from docs.ports import LIBRARIES

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("lenient")]
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
    names = ("tau_syn_inv, tau_mem_inv", "tau_mem_inv")
    for name in names:  # a tuple of many: by name
        original = original.replace(f"({name})", "(" + ", ".join(f"{n}={n}" for n in name.split(", ")) + ")")
    make = {name: getattr(library, name) for name in ("LIFBoxCell", "LIFCell", "LIFBoxParameters", "LIFParameters")}
    neuron = eval(original.replace(", dt)", ", dt=dt)"), make | values | {"dt": VALUES["norse"]["dt"]})
    return by_torch(lambda state, x: neuron(x, state), xs)


def spyx(original, xs):
    library = pytest.importorskip("spyx")
    own = {"rngs": nnx.Rngs(0)}
    act = {"activation": library.axn.superspike(4)}
    original = original.replace("(n,), alpha, beta", "(n,), alpha=alpha, beta=beta").replace(", beta)", ", beta=beta)")
    names = {n: lambda *a, cls=getattr(library.nn, n), **k: cls(*a, **k, **own, **act) for n in ("LIF", "CuBaLIF")}
    names["LI"] = lambda *a, **k: library.nn.LI(*a, **k, **own)
    neuron = eval(original, names | {"n": N} | VALUES["spyx"])

    def run(xs):
        def step(state, x):
            y, state = neuron(x, state)
            return state, y

        return jax.lax.scan(step, neuron.initial_state(xs.shape[1]), xs)[1]

    ys, pull = jax.vjp(run, jnp.asarray(xs))
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
    ys, gx = ports.run(ports.ours(key, spike_fn=SURROGATES[library]), xs)
    assert np.abs(gradient).max() > 0.1
    if ".LI(" in key:
        assert_close((ys, gx), (expected, gradient), 10 * T)
        return
    np.testing.assert_array_equal(ys, expected)
    assert_close(gx, gradient, 10 * T)


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


@pytest.mark.parametrize("library", PEERS)
def test_the_version_is_the_one_that_the_table_names(library):
    pytest.importorskip(library)
    assert importlib.metadata.version(library) == LIBRARIES[library][1]
