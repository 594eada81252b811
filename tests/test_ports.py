"""Neurons of other libraries: the row of `docs/ports.py` has the same spikes, each step, as what the library documents.

jaxpike and brainpy.state are installed and asked themselves, gradients included; the others in test_ports_peers.py.
"""

import re

import brainpy
import brainstate
import braintools
import brainunit as u
import jax
import jax.numpy as jnp
import jaxpike
import numpy as np
import ports
import pytest
from close import assert_close
from flax import nnx
from ports import KEYS, VALUES, WEIGHT, T

import brainsurr as bs
import brainsurr.nnx
from brainsurr._equivalent import NEURONS
from docs.ports import ABOUT_NETWORKS, AROUND, LIBRARIES, NETWORKS, NO_PORTS, PORTS

F = bs.Arctan(2.0)


@pytest.mark.parametrize("key", KEYS)
def test_spikes_are_those_of_the_documented_loop(key):
    xs = ports.inputs(key)
    ys, _ = ports.spikes_and_gradient(ports.ours(key), xs)
    expected, near, scale = ports.loop(key, xs)
    if key in ("spyx.LI((n,), beta)", "jaxpike.LeakyIntegrator(tau, dt=dt)"):
        assert_close(ys, expected, 10 * T)
        return
    ports.far_enough(near, scale)
    assert 0.05 < expected.mean() < 0.9
    np.testing.assert_array_equal(ys, expected)


def test_where_a_potential_stays_above_threshold_snntorch_has_no_port():
    """Undelayed, the threshold is taken off before the spike is decided: 2.5 fires, leaves 1.5, and is silent there."""
    key = "snntorch.Leaky(beta, reset_delay=False)"
    xs = np.zeros_like(ports.X)
    xs[0] = 2.5
    ys, _ = ports.spikes_and_gradient(ports.ours(key), xs)
    expected, near, scale = ports.loop(key, xs)
    ports.far_enough(near, scale)
    np.testing.assert_array_equal(ys[:2, 0, 0], [1, 1])
    np.testing.assert_array_equal(expected[:2, 0, 0], [1, 0])


def jaxpikes(key):
    make = {name: getattr(jaxpike, name) for name in ("LIF", "ALIF", "LeakyIntegrator")}
    make |= {name: lambda *a, cls=make[name], **k: cls(*a, surrogate=F, **k) for name in ("LIF", "ALIF")}
    neuron = eval(ports.row(key).original, make | VALUES["jaxpike"])

    def run(xs):
        return jax.lax.scan(lambda state, x: neuron(state, x), neuron.init_state(xs.shape[1:]), xs)[1]

    return run


def brainpys(key):
    values = VALUES["brainpy"]
    names = {name: values[name] * u.ms for name in ("tau", "tau_a")} | {"beta": values["beta"] * u.mV, "n": ports.N}
    make = {n: lambda *a, cls=getattr(brainpy.state, n), **k: cls(*a, spk_fun=F, **k) for n in ("LIF", "ALIF")}
    neuron = eval(ports.row(key).original, make | names)

    def run(xs):
        neuron.init_state(xs.shape[1])
        with brainstate.environ.context(dt=values["dt"] * u.ms):
            return brainstate.transform.for_loop(lambda x: neuron(x * u.mA), xs)

    return run


@pytest.mark.usefixtures("lenient")
@pytest.mark.filterwarnings("ignore")  # their own affair
@pytest.mark.parametrize("key", [key for key in KEYS if key.startswith(("jaxpike", "brainpy"))])
def test_spikes_and_gradient_are_those_of_the_library(key):
    xs = ports.inputs(key)
    theirs = (jaxpikes if key.startswith("jaxpike") else brainpys)(key)
    expected, pull = jax.vjp(theirs, jnp.asarray(xs))
    gradient = pull(jnp.asarray(WEIGHT))[0]
    if "Integrator" in key:
        ys, gx = ports.spikes_and_gradient(ports.ours(key), xs)
        assert_close((ys, gx), (expected, gradient), 10 * T)
        return
    ys, gx = ports.spikes_and_gradient(ports.ours(key, spike_fn=F), xs)
    np.testing.assert_array_equal(ys, expected)
    if "hard" in key:  # as the remark says
        assert np.abs(gx - gradient).max() > 0.01 * np.abs(gradient).max()
    else:
        assert np.abs(gradient).max() > 0.1
        assert_close(gx, gradient, 10 * T)


@pytest.mark.usefixtures("lenient")  # flax's Linear
@pytest.mark.parametrize("library", NETWORKS)
def test_a_network_here_is_run(library):
    exec(NETWORKS[library][1], scope := {})
    ys = scope["run"](jnp.ones((T, 2, 16)))
    assert (ys.shape, ys.dtype) == ((T, 2, 4), jnp.float32)


@pytest.mark.usefixtures("lenient")
@pytest.mark.parametrize("port", AROUND, ids=lambda port: f"{port.library}.{port.original.partition('(')[0]}")
def test_an_encoder_or_loss_is_what_is_documented(port):
    result, expected = ports.around(port), ports.documented_around(port)
    if "Poisson" in port.original or "rate(x" in port.original:
        drawn = np.asarray(result, np.float64)
        if drawn.ndim == 1:
            assert drawn.shape == (3,)
            return
        # The mean of n draws, within five standard deviations.
        np.testing.assert_array_less(np.abs(drawn.mean(0) - expected), 5 * 0.5 / np.sqrt(len(drawn)))
    else:
        assert_close(result, expected, 7 * 5 * 3)


@pytest.mark.usefixtures("lenient")
@pytest.mark.filterwarnings("ignore")  # brainpy's own affair
def test_a_potential_at_rest_that_is_not_0_is_counted_from():
    """And the surrogate of brainpy gets (V - V_th) / (V_th - V_reset)."""
    seen = []
    volts = {"V_rest": -0.5, "V_reset": -0.5, "V_th": 0.75}
    volts = {name: value * u.mV for name, value in volts.items()}
    start = braintools.init.Constant(-0.5 * u.mV)
    f = lambda x: (seen.append(x), F(x))[1]  # noqa: E731
    neuron = brainpy.state.LIF(ports.N, tau=6 * u.ms, spk_fun=f, V_initializer=start, **volts)
    neuron.init_state(ports.B)
    xs, spikes = 6 * ports.X, []
    with brainstate.environ.context(dt=1 * u.ms):
        for x in jnp.asarray(xs):
            spikes.append(neuron(x * u.mA))
            scaled = (neuron.V.value / u.mV - 0.75) / 1.25
            np.testing.assert_allclose(seen[-1], scaled, atol=1e-5)
    lif = bs.nnx.LIF(ports.N, decay=np.exp(-1 / 6), decay_input=True, threshold=1.25)
    _, ours = lif(lif.initialize_carry((ports.B, ports.N)), xs)
    np.testing.assert_array_equal(ours, jnp.stack(spikes))
    assert 0.02 < ours.mean() < 0.9


def test_the_initial_weights_of_torch():
    """Uniform up to 1 / sqrt(inputs), and those of flax are sqrt(3) times as large."""
    (code,) = re.findall(r"`kernel_init=(.*?)`", ABOUT_NETWORKS)
    draw = eval(code, {"nnx": nnx})
    torch, flax = draw(jax.random.key(0), (256, 512)), nnx.Linear(256, 512, rngs=nnx.Rngs(0)).kernel[...]
    bound = 256**-0.5
    assert 0.999 * bound < np.abs(torch).max() <= bound
    np.testing.assert_allclose(torch.std(), bound / 3**0.5, rtol=0.01)
    np.testing.assert_allclose(flax.std() / torch.std(), 3**0.5, rtol=0.01)


def test_the_table_is_about_libraries_that_have_a_title():
    assert {port.library for port in PORTS} == set(LIBRARIES) == set(VALUES)
    assert {library for library, _, _ in NO_PORTS} <= set(LIBRARIES)
    assert len(set(KEYS)) == len(KEYS)


def test_an_equivalent_of_a_neuron_points_to_the_table():
    names = {}
    for port in PORTS:
        names.setdefault(port.library, set()).add(port.original.partition("(")[0])
    assert {library: set(there.split()) for library, there in NEURONS.items()} == names
    for library, there in names.items():
        for name in there:
            with pytest.raises(
                ValueError, match=rf"^{library}\.{name} is a neuron, not a surrogate: docs/coming-from-else"
            ):
                bs.equivalent(library, name, beta=0.9)


@pytest.mark.parametrize("layers", [brainsurr.linen, brainsurr.brainstate], ids=["linen", "brainstate"])
def test_a_row_reads_the_same_in_every_framework(layers):
    for key in KEYS:
        assert ports.ours(key, layers).layers
