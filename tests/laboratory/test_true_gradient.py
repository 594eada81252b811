"""The study of the true gradient: probabilities, the gradient of the expected loss, and what agreement means."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from close import assert_close, largest

import brainsurr as bs
from benchmarks.studies import true_gradient as study

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("lenient")]


class Opposite(bs.Surrogate):
    """The sigmoid with its gradient turned around."""

    def surrogate_fun(self, x):
        return -jax.nn.sigmoid(study.STEEPNESS * x)


@pytest.fixture(scope="module")
def small_network():
    return study.problem(jax.random.key(0))


def replayed(weights, xs, pattern):
    """The network in NumPy: its loss, and the probability of these spikes."""
    v, output, probability = np.zeros((study.LAYERS, study.NEURONS)), 0.0, 1.0
    for x, spikes in zip(np.asarray(xs, float), pattern, strict=True):
        for layer, kernel in enumerate(weights[:-1]):
            u = study.DECAY * v[layer] + x @ np.asarray(kernel, float)
            p = 1 / (1 + np.exp(-study.STEEPNESS * (u - 1)))
            probability *= np.prod(np.where(spikes[layer] == 1, p, 1 - p))
            x = spikes[layer]
            v[layer] = u - x
        output += (x @ np.asarray(weights[-1], float))[0]
    return (output - 1) ** 2, probability


def replayed_expectation(weights, xs):
    outcomes = np.array([replayed(weights, xs, pattern) for pattern in study.PATTERNS])
    return outcomes[:, 1].sum(), outcomes.prod(1).sum()


def test_the_expected_loss_is_the_sum_over_all_spikes(small_network):
    """4096 terms whose probabilities add up to 1, in float32 to 4096 times its rounding."""
    total, expected = replayed_expectation(*small_network)
    assert total == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(study.expected_loss(*small_network), expected, rtol=4096 * 1.2e-7)


def test_the_true_gradient_is_that_of_the_expected_loss(small_network):
    """Central differences of the NumPy sum in float64, in one weight of each layer: error of the order of 1e-8."""
    weights, xs = small_network
    gradient = jax.grad(study.expected_loss)(weights, xs)
    for layer in range(len(weights)):
        values = []
        for step in (1e-4, -1e-4):
            moved = [np.array(kernel, float) for kernel in weights]
            moved[layer][0, 0] += step
            values.append(replayed_expectation(moved, xs)[1])
        expected = (values[0] - values[1]) / 2e-4
        # A sum over all spikes, in float32, of terms that cancel.
        assert_close(gradient[layer][0, 0], expected, len(study.PATTERNS), scale=largest(gradient[layer]))


def test_the_surrogate_gradient_of_the_readout_is_the_true_one(small_network):
    """The spikes do not depend on the readout's weights, so that there no surrogate is used."""
    true = jax.grad(study.expected_loss)(*small_network)
    ours = study.expected_surrogate_gradient(bs.Arctan(), *small_network)
    assert_close(ours[-1], true[-1], len(study.PATTERNS))
    assert not np.allclose(ours[0], true[0], rtol=0.05)


def test_an_opposite_gradient_points_away(small_network):
    """In the last hidden layer, where one spike lies between weight and readout; before it two turn the sign twice."""
    true = jax.grad(study.expected_loss)(*small_network)[-2]
    surrogates = bs.Sigmoid(study.STEEPNESS), Opposite()
    good, bad = (study.expected_surrogate_gradient(f, *small_network)[-2] for f in surrogates)
    assert jnp.sum(true * good) > 0 > jnp.sum(true * bad)


def test_agreement_is_of_signs_and_of_directions(monkeypatch):
    """In the place of the surrogate gradient the true one, then the same with one sign of all turned."""
    monkeypatch.setattr(study, "expected_surrogate_gradient", lambda f, *given: jax.grad(study.expected_loss)(*given))
    agreed = study.agreement.__wrapped__(bs.Arctan(), 0, 2)
    np.testing.assert_allclose([agreed["sign"], agreed["cosine"]], 1, rtol=1e-5)

    def turned(f, *given):
        first, *others = jax.grad(study.expected_loss)(*given)
        return [-first, *others]

    monkeypatch.setattr(study, "expected_surrogate_gradient", turned)
    assert study.agreement.__wrapped__(bs.Arctan(), 0, 2)["sign"] == pytest.approx(4 / 10, abs=0.15)  # 4 of 10 weights
