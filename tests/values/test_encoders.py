"""Encoders: beside formulas in NumPy; beside other libraries, tests/neurons/test_ports.py."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from close import assert_close

from brainsurr import encoders

KEY = jax.random.key(0)
X = np.random.default_rng(0).uniform(size=(4, 3)).astype(np.float32)
X[0] = [0.0, 1.0, 0.01]


def near(drawn, probability):
    """Whether the mean of draws is within five standard deviations."""
    deviation = np.sqrt(probability * (1 - probability) / len(drawn))
    return np.all(np.abs(np.asarray(drawn, np.float64).mean(0) - probability) <= 5 * deviation)


@pytest.mark.parametrize("dtype", [None, jnp.uint8, jnp.bool_])
def test_rates_are_the_values(dtype):
    spikes = encoders.rate(X, 4000, key=KEY, dtype=dtype)
    assert (spikes.shape, spikes.dtype) == ((4000, 4, 3), dtype or np.float32)
    assert set(np.unique(spikes)) == {0, 1}
    assert near(spikes, X)
    pairs = np.asarray(spikes[1:]) * np.asarray(spikes[:-1])  # steps are independent
    assert near(pairs[::2], X.astype(np.float64) ** 2)


def test_a_small_rate_in_half_precision():
    """Numbers of bfloat16 at random are 0 in one case of 128."""
    x = jnp.full(4, 0.002, jnp.bfloat16)
    spikes = encoders.rate(x, 4000, key=KEY)
    assert spikes.dtype == jnp.bfloat16
    assert near(spikes, np.asarray(x, np.float64))


def one_spike(times, silent, steps):
    """Spikes at rounded times, none of what is silent or fires after the last step."""
    times = np.where(silent, steps, np.rint(times))
    return (np.arange(steps).reshape(-1, 1, 1) == times).astype(np.float32)


@pytest.mark.parametrize("threshold", [0.01, 0.0, np.float32([0.1, 0.2, 0.9])], ids=str)
def test_linear_latency(threshold):
    expected = one_spike(15 * (1 - X.astype(np.float64)), np.float32(threshold) >= X, 16)
    np.testing.assert_array_equal(encoders.latency(X, 16, threshold=threshold), expected)


@pytest.mark.parametrize(("tau", "threshold"), [(4.0, 0.2), (np.float32([20.0, 2.0, 9.0]), 0.3)])
def test_latency_of_a_charged_potential(tau, threshold):
    """When u' = (x - u) / tau reaches the threshold, by steps of a hundredth; what is not charged so far is silent."""
    x = np.linspace(0, 1, 600, dtype=np.float32).reshape(200, 3)
    u, times = np.zeros(x.shape), np.full(x.shape, 99.0)
    for step in range(1, 1601):
        u += (x - u) * (1 - np.exp(-0.01 / np.asarray(tau, np.float64)))
        times = np.where((u >= threshold) & (times == 99), 0.01 * step, times)
    expected = one_spike(times, times == 99, 16)
    told = np.abs(times % 1 - 0.5) > 0.02
    assert 300 < expected.sum() < x.size
    np.testing.assert_array_equal(encoders.latency(x, 16, tau=tau, threshold=threshold)[:, told], expected[:, told])


SERIES = np.float32([[0.5, 0.5], [0.75, 0.0], [0.75, 0.125], [1.0, 0.25], [0.25, 0.5]])


@pytest.mark.parametrize("threshold", [0.25, np.float32([0.5, 0.125])], ids=str)
@pytest.mark.parametrize("off", [True, False])
def test_changes(threshold, off):
    """The first step has none; a change of just the threshold counts."""
    change = np.diff(SERIES, axis=0, prepend=SERIES[:1])
    expected = (change >= threshold) * 1.0 - (change <= -threshold) * off
    assert set(np.unique(expected)) == {-1.0, 0.0, 1.0} - ({-1.0} if not off else set())
    spikes = encoders.delta(SERIES, threshold, off=off)
    assert spikes.dtype == np.float32
    np.testing.assert_array_equal(spikes, expected)
    dtype = jnp.int8 if off else jnp.uint8
    np.testing.assert_array_equal(encoders.delta(SERIES, threshold, off=off, dtype=dtype), expected.astype(dtype))


@pytest.mark.parametrize("off", [True, False])
def test_the_logarithm_of_0_is_a_number_that_changes(off):
    np.testing.assert_array_equal(
        encoders.delta(jnp.log(jnp.array([1.0, 1e-9, 0, 0, 1])), off=off), [0, -off, -off, 0, 1]
    )


@pytest.mark.parametrize(("count", "width"), [(5, None), (3, 0.2), (1, None), (3, np.float32([0.1, 0.2, 0.4]))])
def test_a_population(count, width):
    centres, given = np.arange(count) / max(count - 1, 1), 1 / max(count - 1, 1) if width is None else width
    expected = np.exp(-(((X[..., None].astype(np.float64) - centres) / given) ** 2) / 2).reshape(4, 3 * count)
    activations = encoders.population(X, count, width=width)
    assert_close(activations, expected.astype(np.float32), 16)
    one = jax.eval_shape(partial(encoders.population, count=count, width=width), jnp.bfloat16(0.5))
    assert (one.shape, one.dtype) == ((count,), jnp.bfloat16)


ALL = {
    "rate": partial(encoders.rate, steps=5, key=KEY),
    "latency": partial(encoders.latency, steps=5),
    "tau": partial(encoders.latency, steps=5, tau=2.0, threshold=0.2),
    "delta": encoders.delta,
    "population": partial(encoders.population, count=3),
}


@pytest.mark.parametrize("encode", ALL.values(), ids=ALL)
def test_traced_values_that_are_none_show(encode):
    """By NaN; a change is of any number."""
    x, bad = X.copy(), np.zeros(X.shape, bool)
    x[1], bad[1] = [np.nan, 1.5, -0.5], [True, True, True]
    if encode is encoders.delta:
        bad[1:3] = [True, False, False]
    elif encode is ALL["population"]:
        bad = np.repeat(bad, 3, -1)
    encoded, alone = jax.jit(encode)(x), encode(np.where(np.abs(x - 0.5) <= 0.5, x, X))
    np.testing.assert_array_equal(np.isnan(encoded), np.broadcast_to(bad, encoded.shape))
    if encode is not encoders.delta:
        np.testing.assert_array_equal(*(np.where(bad, 0, values) for values in (encoded, alone)))


@pytest.mark.parametrize(("name", "axis", "out"), [("latency", 0, 1), ("delta", 1, 1), ("population", 0, 0)])
def test_a_batch_by_vmap(name, axis, out):
    np.testing.assert_array_equal(jax.jit(jax.vmap(ALL[name], axis, out))(X), ALL[name](X))
