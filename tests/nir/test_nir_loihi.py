"""Loihi's integers and neurons, against loops over integers in NumPy, and networks of them against Lava itself."""

import functools

import jax
import jax.numpy as jnp
import nir
import numpy as np
import pytest
from flax import nnx
from test_nir import outputs_of, sequential
from test_nir_installs import ROWS, installed
from test_nir_rounding import value

from benchmarks.nir import peers
from brainsurr import Arctan
from brainsurr import nnx as layers
from brainsurr._nir.on_chip import LoihiLI, LoihiLIF
from brainsurr.nir import quantized, rounding, to_nir

pytestmark = pytest.mark.usefixtures("lenient")  # flax's Linear
N, EACH = 6, np.linspace(0.5, 0.95, 16).astype(np.float32)
RNG = np.random.default_rng(0)
W, RECURRENT = (RNG.normal(0, 0.3, (6, n)).astype(np.float32) for n in (4, 6))
BIAS = np.float32([0.1, -0.2, 0.3, 0.0])
CASES = {  # of what limits the scale: weights, recurrent ones, a threshold, a bias that its shift can't hold
    "weights": {"threshold": 1.0},
    "four bits": {"bias": BIAS, "bits": 4},
    "recurrent": {"weights": W[:, :1].repeat(6, 1) / 9, "recurrent": RECURRENT, "bits": 4},
    "threshold": {"weights": W / 9999, "bias": BIAS / 10, "threshold": 2.0},
    "bias": {"weights": W / 99, "bias": BIAS},
    "a threshold for each": {"bias": BIAS, "threshold": EACH[::4]},
    "synapse": {"synapse": 0.6},
    "no synapse": {"decay": 0.0, "synapse": 0.0},
    "no leak": {"decay": 1.0, "synapse": 1.0},
    "decay_input": {"synapse": 0.5, "decay_input": True},
}


def linear(inputs, n, bias=True):
    how = {"use_bias": bias, "bias_init": nnx.initializers.normal(0.2)}
    return nnx.Linear(inputs, n, **how, rngs=nnx.Rngs(inputs))


def lif(n, **how):
    return layers.LIF(n, **{"reset": "zero", "threshold": 0.7, "rngs": nnx.Rngs(1)} | how)


def one_layer(weights=W, bias=None, recurrent=None, synapse=None, decay_input=False, **how):
    """A network of one layer with these numbers."""
    n = weights.shape[1]
    first, fires = linear(N, n, bias is not None), lif(n, recurrent=recurrent is not None, **how)
    for layer, name, numbers in (
        (first, "kernel", weights),
        (first, "bias", bias),
        (fires, "recurrent_kernel", recurrent),
    ):
        if numbers is not None:
            getattr(layer, name)[...] = numbers
    slow = {"decay": synapse, "decay_input": decay_input, "learnable": how.get("learnable", ())[:1]}
    return sequential(first, *([] if synapse is None else [layers.LI(n, **slow)]), fires)


def by_hand(weights, bias, threshold, decay, synapse, bits):
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
    given, bits = {"weights": W, "threshold": 0.7, "decay": 0.9} | case, case.get("bits", 8)
    net = one_layer(**{name: number for name, number in given.items() if name != "bits"})
    held, *currents, fires = quantized(net, reader="lava", bits=bits).layers
    unit = given["threshold"] if np.ndim(given["threshold"]) else np.float32(1)
    gain, synapse = 0.5 if "decay_input" in case else 1.0, case.get("synapse", 0.0)
    threshold, bias = np.max(given["threshold"] / unit) / gain, case.get("bias", np.zeros(1)) / unit
    kernels = [given[name] / unit for name in ("weights", "recurrent") if name in given]
    kernels, bias, threshold, decay, synapse, scale = by_hand(kernels, bias, threshold, given["decay"], synapse, bits)
    found = [held.kernel, *([fires.recurrent_kernel] if "recurrent" in case else [])]
    for one, other in zip(found, kernels, strict=True):
        np.testing.assert_array_equal(value(one), other)
    assert held.bias is None if "bias" not in case else np.all(value(held.bias) == bias / 64)
    assert (value(fires.threshold), value(fires.decay)) == (threshold + 1 / 128, decay)
    assert [value(layer.decay) for layer in currents] == [synapse] * ("synapse" in case)
    np.testing.assert_allclose(value(fires.scale), scale / gain / unit, rtol=1e-6)
    weights, *_, membrane = rounding(net, reader="lava", bits=bits).values()
    assert (weights.largest, membrane.held) == (np.abs(kernels[0]).max(), decay)
    np.testing.assert_allclose(weights.scale, scale / gain / unit, rtol=1e-6)


def decayed(v, lost):
    """A product of integers without its last 12 bits, toward 0."""
    product = v * (4096 - lost)
    return np.sign(product) * (np.abs(product) >> 12)


def test_neurons_compute_in_integers_as_loihi():
    """Up to the ends, where potentials stop and currents wrap; float32 holds no product of them with a decay."""
    xs = RNG.integers(-300_000, 310_000, (200, 16)) + np.linspace(0, 60_000, 16).astype(int)
    lost, lost_current, threshold = 37, 1205, 64 * 65_000
    xs[:, :2] += np.array([2_450_000, -2_450_000])
    u = v = np.zeros(16, int)
    expected, currents = [], []
    for x in xs:
        u = decayed(u, lost_current) + x
        u = u - 2**24 * (u > 2**23) + 2**24 * (u <= -(2**23))
        v = np.clip(decayed(v, lost) + u, -(2**23) + 1, 2**23 - 1)
        s = v > threshold
        v = np.where(s, 0, v)
        expected.append(s)
        currents.append(u)
    zero, inputs = jnp.zeros(16), jnp.float32(xs) / 64
    us = LoihiLI(decay=(4096 - lost_current) / 4096)(zero, inputs)[1]
    np.testing.assert_array_equal(us * 64, currents)
    how = {"decay": (4096 - lost) / 4096, "threshold": (threshold + 0.5) / 64, "reset": "zero"}
    for inputs in (us, jnp.where(us < 0, us + 2**18, us), jnp.where(us > 0, us - 2**18, us)):
        end, found = LoihiLIF(scale=1.0, **how)(zero, inputs)
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(end * 64, v)
    assert 0.02 < np.mean(expected) < 0.5
    assert np.abs(v).max() > 2**20


@pytest.mark.parametrize("case", [{"bias": BIAS}, {"synapse": 0.5}], ids=str)
def test_the_gradient_is_that_of_what_is_not_rounded(case):
    """In the units of the layer, at nearly the same potential: by the state, weights, bias, threshold and decays."""
    x, v = jnp.float32([[[1, 0, 1, 1, 0, 1]]]), jnp.float32([[0.5, 0.25, 0.75, 0.125]])
    how = {"decay": 0.875, "threshold": 1.0, "spike_fn": Arctan(2.0), "learnable": ("decay", "threshold")}
    net = one_layer(**how, **case)

    def spikes(net, v, chip):
        there = quantized(net, reader="lava") if chip else net
        v = v * there.layers[-1].scale[...] if chip else v
        return jnp.sum(there(jax.tree.map(lambda _: v, there.initialize_carry((1, N))), x)[1])

    exact, coarse = (jax.tree.leaves(nnx.grad(spikes, argnums=(0, 1))(net, v, chip)) for chip in (False, True))
    for one, other in zip(exact, coarse, strict=True):
        np.testing.assert_allclose(one, other, rtol=0.02)
        assert np.abs(one).max() > 0.1


# Networks ------------------------------------------------------------------------------------------------------------


def inhibiting(key, shape, dtype, **_):
    return nnx.initializers.normal(0.3)(key, shape, dtype).at[:, 0].set(-1.0)


NETWORKS = {
    "currents that wrap": lambda: [
        *(linear(N, 600), lif(600), nnx.Linear(600, 5, use_bias=False, kernel_init=inhibiting, rngs=nnx.Rngs(0))),
        *(layers.LI(5, decay=0.9), lif(5)),
    ],
    "biases": lambda: [linear(N, 16), lif(16), linear(16, 5), lif(5)],
    "no leak": lambda: [linear(N, 16, bias=False), lif(16, decay=1.0, threshold=2.0), linear(16, 5), lif(5)],
    "synapses": lambda: [linear(N, 16, bias=False), layers.LI(16, decay=0.6), lif(16), linear(16, 5), lif(5)],
    "recurrent": lambda: [linear(N, 16, bias=False), lif(16, recurrent=True), linear(16, 5), lif(5)],
    "a threshold for each": lambda: [linear(N, 16), lif(16, threshold=EACH), linear(16, 5), lif(5)],
    "decay_input": lambda: [
        *(linear(N, 16, bias=False), layers.LI(16, decay=0.5, decay_input=True), lif(16, threshold=0.2)),
        *(linear(16, 5), lif(5, decay_input=True, threshold=0.07)),
    ],
}
XS = (RNG.random((60, 4, N)) < 0.4).astype(np.float32)


@functools.cache
def network(name):
    """A network and what it is rounded to, for some bits, compiled as a whole."""
    net = sequential(*NETWORKS[name]())
    return net, functools.cache(lambda bits: nnx.jit(functools.partial(quantized, reader="lava", bits=bits))(net))


def test_thresholds_that_are_the_same_are_one():
    """In a trace, where they can't be told apart, too."""
    one, same = (sequential(linear(N, 16), lif(16, threshold=threshold)) for threshold in (0.7, np.full(16, 0.7, "f")))
    for rounds in (quantized, nnx.jit(quantized, static_argnames="reader")):
        first, second = (rounds(net, reader="lava").layers for net in (one, same))
        np.testing.assert_array_equal(value(first[0].kernel), value(second[0].kernel))
        np.testing.assert_array_equal(value(first[1].threshold), value(second[1].threshold))


@pytest.mark.peers
def test_lava_computes_the_same_spikes(tmp_path, monkeypatch):
    """In an environment that is made by the line of the page, in floats and in integers."""
    python, _ = installed(ROWS["lava"], tmp_path / "env")
    monkeypatch.setenv("LAVA", str(python))
    for name in NETWORKS:
        net, there = network(name)
        nir.write(tmp_path / "net.nir", to_nir(net, (N,), dt=peers.LAVA_DT, reader="lava"))
        for bits in (None, 8, 4):
            ours = outputs_of(net if bits is None else there(bits), XS)
            np.testing.assert_array_equal(
                peers.lava_reads(tmp_path / "net.nir", XS, bits=bits), ours, f"{name}, {bits}"
            )
            assert 0.02 < ours.mean() < 0.9
            assert name != "currents that wrap" or ours[..., 0].any() == (bits is not None)
