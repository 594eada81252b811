"""Networks over sequences, and the noise they are trained on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import brainsurr as bs
from benchmarks.studies import sequences

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("lenient")]

RECIPE = sequences.Recipe(hidden=8, classes=2, epochs=4, batch=8)


def test_a_spiking_network_has_the_size_that_it_says():
    """Counted by hand: 3 features, 8 hidden, 2 classes; test_studies_data.py counts the others."""
    net = sequences.lif(jax.random.key(0), (5, 3), RECIPE, bs.LogTailedRelu())
    weights = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(net, nnx.Param)))
    assert weights == (3 * 8 + 8) + 8 * 8 + (8 * 2 + 2)


def test_without_noise_nothing_changes():
    inputs = jnp.arange(24.0).reshape(2, 4, 3)
    np.testing.assert_array_equal(sequences.augment(jax.random.key(0), inputs, RECIPE), inputs)


def test_shifted_examples_are_those_of_a_slice():
    inputs = np.random.default_rng(0).normal(size=(64, 10, 1)).astype(np.float32)
    shifted = np.asarray(sequences.augment(jax.random.key(0), jnp.asarray(inputs), RECIPE._replace(shift=2)))
    shifts = []
    for before, after in zip(inputs, shifted, strict=True):
        padded = np.concatenate([before[:1]] * 2 + [before] + [before[-1:]] * 2)
        shifts.append([k for k in range(5) if np.array_equal(padded[k : k + 10], after)])
    assert all(len(places) == 1 for places in shifts)
    assert {places[0] for places in shifts} == {0, 1, 2, 3, 4}


def test_a_mask_blanks_one_stretch_of_time_and_one_of_features():
    masked = sequences.augment(jax.random.key(1), jnp.ones((256, 9, 7)), RECIPE._replace(mask=3))
    lengths = []
    for example in np.asarray(masked):
        time, features = (example == 0).all(1), (example == 0).all(0)
        np.testing.assert_array_equal(example == 0, time[:, None] | features[None, :])
        for blank in (time, features):
            lengths.append(blank.sum())
            assert np.abs(np.diff(blank.astype(int))).sum() <= 2
    assert set(lengths) == {0, 1, 2, 3}


def test_noise_has_its_deviation():
    noisy = sequences.augment(jax.random.key(0), jnp.zeros((100, 20, 10)), RECIPE._replace(noise=0.3))
    np.testing.assert_allclose(float(noisy.std()), 0.3, rtol=0.02)


def test_the_longest_mask_reaches_the_end_and_not_beyond():
    last = sequences.blanked(jnp.array([0.99]), jnp.array([0.99]), 9, 3)
    assert last.tolist() == [False] * 6 + [True] * 3
    assert not sequences.blanked(jnp.array([0.2]), jnp.array([0.5]), 9, 3).any()


@pytest.mark.parametrize("noise", [{"dropout": 0.5}, {"noise": 0.3, "dropout": 0.0}], ids=str)
def test_evaluation_is_without_noise_and_dropout(noise):
    recipe = RECIPE._replace(**noise)
    net = sequences.lif(jax.random.key(0), (5, 3), recipe, bs.LogTailedRelu(0.1))
    inputs, logits = jnp.ones((4, 5, 3)), sequences.logits(recipe)
    once, again = (logits(net, inputs, jax.random.key(key)) for key in (0, 1))
    assert np.abs(once - again).max() > 0
    still = logits(net, inputs, None)
    np.testing.assert_array_equal(still, logits(net, inputs, None))
