"""The recurrent network for sequences, and the noise it is trained on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import brainsurr as bs
from benchmarks.studies import sequences

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("lenient")]

RECIPE = sequences.Recipe(hidden=8, classes=2, epochs=4, batch=8)


def test_shifted_examples_are_those_of_a_slice():
    inputs = np.random.default_rng(0).normal(size=(64, 10, 1)).astype(np.float32)
    shifted = np.asarray(sequences.augment(jax.random.key(0), jnp.asarray(inputs), RECIPE._replace(shift=2)))
    padded = np.pad(inputs, [(0, 0), (2, 2), (0, 0)], "edge")
    fits = np.stack([(padded[:, k : k + 10] == shifted).all((1, 2)) for k in range(5)])
    assert (fits.sum(0) == 1).all()
    assert fits.any(1).all()


def test_a_mask_blanks_one_stretch_of_time_and_one_of_features():
    blank = np.asarray(sequences.augment(jax.random.key(1), jnp.ones((256, 9, 7)), RECIPE._replace(mask=3)) == 0)
    time, features = blank.all(2), blank.all(1)
    np.testing.assert_array_equal(blank, time[:, :, None] | features[:, None, :])
    for stretches in (time, features):
        assert set(stretches.sum(1)) == {0, 1, 2, 3}
        assert np.abs(np.diff(stretches.astype(int))).sum(1).max() <= 2
        assert stretches.any(0).all(), "at the ends too"


@pytest.mark.parametrize("noise", [{"dropout": 0.5}, {"noise": 0.3, "dropout": 0.0}], ids=str)
def test_evaluation_is_without_noise_and_dropout(noise):
    net = sequences.lif(jax.random.key(0), 3, RECIPE._replace(**noise), bs.LogTailedRelu(0.1))
    inputs, logits = jnp.ones((4, 5, 3)), sequences.logits(RECIPE._replace(**noise))
    once, again = (logits(net, inputs, jax.random.key(key)) for key in (0, 1))
    assert np.abs(once - again).max() > 0
    np.testing.assert_array_equal(logits(net, inputs, None), logits(net, inputs, None))
