"""Quantities of brainunit: a dimensionless one is a number everywhere, one with a unit is refused."""

import brainunit as u
import jax.numpy as jnp
import numpy as np
import pytest
from cases import label
from close import assert_close
from pages import DOCS, run_blocks

import brainsurr as bs
from brainsurr import neurons
from tools.frameworks import HOSTS

pytestmark = pytest.mark.usefixtures("lenient")  # brainunit's own arithmetic

XS = jnp.linspace(0.0, 2.0, 24).reshape(4, 2, 3)
HALF, EACH = u.Quantity(0.5), u.Quantity(jnp.array([0.25, 0.5, 0.75]))
every_host = pytest.mark.parametrize("host", [host() for host in HOSTS], ids=label)
NUMBERS = {
    "surrogate": bs.ReluGrad,
    "replace": lambda n: bs.Arctan(2.0).replace(alpha=n),
    "scaled": lambda n: bs.Arctan(2.0).scaled(width=n, height=n),
    "times": lambda n: bs.Arctan(2.0) * n,
    "neuron": lambda n: neurons.ALIF(decay=n, threshold=n, adaptation_decay=n, spike_fn=bs.ReluGrad(n)),
    "inside": lambda n: Own(n),
}


class Own(bs.Surrogate):
    def __init__(self, alpha):
        self.alphas = {"a": [alpha, 1.0]}


@pytest.mark.parametrize("make", NUMBERS.values(), ids=NUMBERS)
@pytest.mark.parametrize("q", [HALF, EACH], ids=["number", "array"])
def test_a_dimensionless_quantity_is_a_number(make, q):
    assert make(q) == make(q.mantissa)


@pytest.mark.parametrize("neuron", [neurons.LIF(0.5), neurons.Delay(1)], ids=["LIF", "Delay"])
def test_inputs_are_numbers_too(neuron):
    def run(xs):
        return neuron(neuron.initial_state(xs[0]), xs)[1]

    np.testing.assert_array_equal(run(u.Quantity(XS)), run(XS))
    with pytest.raises(TypeError, match="expected a dimensionless xs, got one with the unit mV: divide by it"):
        neuron(neuron.initial_state(XS[0]), XS * u.mV)


@every_host
@pytest.mark.parametrize("given", [{}, {"learnable": "decay"}], ids=["fixed", "trained"])
def test_in_a_layer(host, given):
    def outputs(decay, threshold):
        layer = host.layers.LIF(3, decay=decay, **({"threshold": threshold} if host.name == "linen" else {}), **given)
        if host.name != "linen":  # whose modules stay as they are
            layer.threshold = threshold
        return host.grad(layer, lambda carry, ys: ys.sum(), XS)[0][1]

    np.testing.assert_array_equal(outputs(EACH, HALF), outputs(EACH.mantissa, 0.5))


@every_host
def test_a_time_constant_is_answered_as_tau_is(host):
    def answer(make):
        with pytest.raises(TypeError) as error:
            make()
        return str(error.value).rpartition(": ")[2]

    formula = answer(lambda: host.layers.ALIF(3, tau=20.0))
    assert formula.startswith("give decay=exp(-dt / tau), or ")
    for name in ("decay", "adaptation_decay"):
        tau = {name: 20.0 * u.ms}
        for make in (
            lambda tau=tau: host.layers.ALIF(3, **tau),
            lambda tau=tau, name=name: host.layers.ALIF(3, **tau, learnable=name),
            lambda tau=tau: neurons.ALIF(**tau),
        ):
            assert answer(make) == formula.replace("decay=", f"{name}=", 1)


REFUSED = [
    lambda: bs.ReluGrad(0.3 * u.mV),
    lambda: bs.Arctan(2.0).scaled(width=1.0 * u.mV),
    lambda: neurons.LIF(threshold=1.0 * u.mV),
    lambda: neurons.RF(frequency=10.0 * u.Hz),
    lambda: bs.nnx.LIF(3, threshold=1.0 * u.mV, learnable="threshold"),
]


@pytest.mark.parametrize("make", REFUSED, ids=range(len(REFUSED)))
def test_any_other_unit_is_refused(make):
    with pytest.raises(TypeError, match=r"docs/units\.md says what to divide by$"):
        make()


def test_page():
    """Against the equations with units, in a loop."""
    text = (DOCS / "units.md").read_text()
    assert len(text.partition("```")[0].split()) < 200
    scope = run_blocks(DOCS / "units.md")
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
