"""Loihi's integers and neurons, against loops over integers in NumPy; with Lava itself in `test_nir_installs.py`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainsurr import Arctan
from brainsurr._nir.loihi import LoihiLI, LoihiLIF, integers
from brainsurr.neurons import LI, LIF

RNG = np.random.default_rng(0)
W, RECURRENT = (RNG.normal(0, 0.3, (6, n)).astype(np.float32) for n in (4, 6))
CASES = {  # of what limits the scale: weights, recurrent ones, a threshold, a bias that its shift can't hold
    "weights": {"weights": [W], "bias": np.zeros(4, np.float32), "threshold": 1.0},
    "four bits": {"weights": [W], "bias": np.float32([0.1, -0.2, 0.3, 0.0]), "threshold": 0.7, "bits": 4},
    "recurrent": {"weights": [W[:, :1].repeat(6, 1) / 9, RECURRENT], "bias": 0.0, "threshold": 0.7, "synapse": 0.6},
    "threshold": {"weights": [W / 999], "bias": np.float32([0.1, -0.2, 0.3, 0.0]), "threshold": 2.0},
    "bias": {"weights": [W / 99], "bias": np.float32([0.1, -0.2, 0.3, 0.0]), "threshold": 0.7},
    "no synapse": {"weights": [W], "bias": 0.0, "threshold": 0.7, "decay": 0.0, "synapse": 0.0},
    "no leak": {"weights": [W], "bias": 0.0, "threshold": 0.7, "decay": 1.0, "synapse": 1.0},
}


def by_hand(weights, bias, threshold, decay=0.9, synapse=0.0, bits=8):
    """In float64: weights are n bits with a sign, and the chip shifts them to 8 bits, and all by 1."""
    last = 2 ** (bits - 1) - 1
    shift = 2 ** (9 - bits)
    largest = max(np.abs(w).max() for w in weights)
    scale = min(last * shift / largest, 131071 / threshold, 8190 / max(np.abs(bias).max(), 1e-9))
    weights = [shift * np.round(np.float64(w) * scale / shift) for w in weights]
    bias, exponent = np.float64(bias) * scale * 64, 0
    while np.abs(bias).max() > 4095 * 2**exponent:
        exponent += 1
    mantissa = np.round(bias / 2**exponent)
    assert exponent <= 7
    assert np.abs(mantissa).max() <= 4095
    du, dv = max(round(4096 * (1 - synapse)), 1), min(round(4096 * (1 - decay)), 4095)
    return weights, mantissa * 2**exponent, round(threshold * scale), (4096 - dv) / 4096, (4096 - du) / 4096, scale


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_layer_is_rounded_as_loihi_holds_it(case):
    weights, bias, threshold, decay, synapse, scale = by_hand(**case)
    found = integers(**{"decay": 0.9} | case)
    for one, other in zip(found.weights, weights, strict=True):
        np.testing.assert_array_equal(one, 64 * other)
    np.testing.assert_array_equal(found.bias, bias)
    assert (found.threshold, found.decay, found.synapse) == (64 * threshold + 0.5, decay, synapse)
    np.testing.assert_allclose(found.scale, 64 * scale, rtol=1e-6)


def decayed(v, lost):
    """A product of integers without its last 12 bits, toward 0."""
    product = v * (4096 - lost)
    return np.sign(product) * (np.abs(product) >> 12)


def test_neurons_compute_in_integers_as_loihi():
    """Potentials up to their ends, of which float32 holds no product with a decay."""
    xs = RNG.integers(-300_000, 310_000, (200, 16)) + np.linspace(0, 60_000, 16).astype(int)
    lost, lost_current, threshold = 37, 1205, 64 * 65_000
    u = v = np.zeros(16, int)
    expected, currents = [], []
    for x in xs:
        u = decayed(u, lost_current) + x
        v = np.clip(decayed(v, lost) + u, -(2**23) + 1, 2**23 - 1)
        s = v > threshold
        v = np.where(s, 0, v)
        expected.append(s)
        currents.append(u)
    zero, inputs = jnp.zeros(16), jnp.float32(xs)
    us = LoihiLI(decay=(4096 - lost_current) / 4096)(zero, inputs)[1]
    np.testing.assert_array_equal(us, currents)
    end, found = LoihiLIF(decay=(4096 - lost) / 4096, threshold=threshold + 0.5, reset="zero")(zero, us)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(end, v)
    assert 0.02 < np.mean(expected) < 0.5
    assert np.abs(v).max() > 2**20


def test_the_gradient_is_that_of_what_is_not_rounded():
    """In the units of the layer, at nearly the same potential: by the state, weights, bias, threshold and decays."""
    x, v = jnp.float32([1, 0, 1, 1, 0, 1]), jnp.float32([0.5, 0.25, 0.75, 0.125])
    spike_fn, bias = Arctan(2.0), jnp.float32([0.1, -0.2, 0.3, 0.0])

    def spikes(v, weights, bias, threshold, decay, synapse, chip):
        li, kind, scale = LI, LIF, {}
        if chip:
            (weights,), bias, threshold, decay, synapse, one = integers([weights], bias, threshold, decay, synapse)
            li, kind, scale, v = LoihiLI, LoihiLIF, {"scale": one}, v * one
        neuron = kind(decay=decay, threshold=threshold, spike_fn=spike_fn, reset="zero", **scale)
        current = li(decay=synapse).step(v, x @ weights + bias)[1]
        return jnp.sum(neuron.step(v, current)[1])

    given = v, jnp.asarray(W), bias, *map(jnp.float32, (1.0, 0.875, 0.5))
    exact, coarse = (jax.grad(spikes, range(6))(*given, chip) for chip in (False, True))
    for one, other in zip(exact, coarse, strict=True):
        np.testing.assert_allclose(one, other, rtol=0.02)
        assert np.abs(one).max() > 0.1
