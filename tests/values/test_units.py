"""Quantities of brainunit: a dimensionless one is a number everywhere, one with a unit is refused."""

import brainunit as u
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import label
from close import assert_close
from pages import DOCS, blocks, run

import brainsurr as bs
from brainsurr import neurons
from tools.frameworks import HOSTS

pytestmark = pytest.mark.usefixtures("lenient")  # brainunit's own arithmetic

XS = jnp.linspace(0.0, 2.0, 24).reshape(4, 2, 3)
HALF, EACH = u.Quantity(0.5), u.Quantity(jnp.array([0.25, 0.5, 0.75]))
every_host = pytest.mark.parametrize("host", [host() for host in HOSTS], ids=label)


class Own(bs.Surrogate):
    def __init__(self, alpha):
        self.alphas = {"a": [alpha, 1.0]}


def taking(n):
    """Values that take a number each."""
    neuron = neurons.ALIF(decay=n, threshold=n, adaptation_decay=n, spike_fn=bs.ReluGrad(n))
    return bs.Arctan(2.0).replace(alpha=n), bs.Arctan(2.0).scaled(width=n, height=n), bs.Arctan(2.0) * n, neuron, Own(n)


@pytest.mark.parametrize("q", [HALF, EACH], ids=["number", "array"])
def test_a_dimensionless_quantity_is_a_number(q):
    assert taking(q) == taking(q.mantissa)


def test_inputs_are_numbers_too():
    f, x = bs.LogTailedRelu(0.1), jnp.array([-1.0, 2.0])
    np.testing.assert_array_equal(f(x * u.mV / (2 * u.mV)), [0, 1])
    assert_close(jax.grad(lambda v: jnp.sum(f(u.Quantity(v))))(x), [0.1, 0.5], 2, each=True)
    with pytest.raises(TypeError, match="dimensionless x, got the unit mV"):
        f(x * u.mV)
    for neuron in (neurons.LIF(0.5), neurons.Delay(1)):
        state = neuron.initial_state(XS[0])
        np.testing.assert_array_equal(neuron(state, u.Quantity(XS))[1], neuron(state, XS)[1])
        with pytest.raises(TypeError, match="dimensionless xs, got the unit mV"):
            neuron(state, XS * u.mV)


@every_host
@pytest.mark.parametrize("given", [{}, {"learnable": "decay"}], ids=["fixed", "trained"])
def test_in_a_layer(host, given):
    def outputs(decay, threshold):
        stays = host.name in ("linen", "equinox")
        layer = host.layers.LIF(3, decay=decay, **({"threshold": threshold} if stays else {}), **given)
        if not stays:
            layer.threshold = threshold
        return host.grad(layer, lambda carry, ys: ys.sum(), XS)[0][1]

    np.testing.assert_array_equal(outputs(EACH, HALF), outputs(EACH.mantissa, 0.5))


@every_host
def test_a_unit_is_refused_and_the_argument_named(host):
    layer = lambda **arguments: host.layers.ALIF(3, **arguments)  # noqa: E731
    for make, name in (
        (lambda: layer(decay=20.0 * u.ms), "decay"),
        (lambda: layer(adaptation_decay=20.0 * u.ms, learnable="adaptation_decay"), "adaptation_decay"),
        (lambda: neurons.RF(frequency=10.0 * u.Hz), "frequency"),
        (lambda: bs.Arctan(2.0).scaled(width=1.0 * u.mV), "width"),
    ):
        with pytest.raises(TypeError, match=rf"{name}, got the unit .*docs/cookbook\.md"):
            make()


@pytest.mark.slow
def test_page():
    """Against the equations with units, in a loop."""
    first, *others = blocks(DOCS / "cookbook.md")
    (units,) = [block for block in others if "brainunit" in block]
    scope = run(first, units)
    dt, tau, rest, threshold = (scope[name] for name in ("dt", "tau", "v_rest", "v_th"))
    keep, v, left = np.exp(-float(dt / tau)), rest * np.ones((8, 16)), np.zeros((8, 16))
    for current, spikes in zip(scope["currents"], scope["spikes"], strict=True):
        moved = rest + keep * (v - rest) + (1 - keep) * 40 * u.Mohm * current
        v = u.math.where(left > 0, v, moved)
        fires = np.asarray((v >= threshold) & (left == 0))
        np.testing.assert_array_equal(spikes, fires)
        v, left = u.math.where(fires, v - (threshold - rest), v), np.where(fires, 2, np.maximum(left - 1, 0))
    assert 0.01 < scope["spikes"].mean() < 0.5
    assert_close((scope["v_rest"] + scope["v"] * scope["scale"]) / u.mV, v / u.mV, 8 * 50)
