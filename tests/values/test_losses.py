"""First-spike times: against a search in NumPy, numbers of snnTorch, and finite differences of the definition."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from close import assert_close

from brainsurr import losses

SPIKES = (np.random.default_rng(0).random((12, 8, 5)) < 0.15).astype(np.float32)
SPIKES[:, 0] = 0
LABELS = jnp.arange(8) % 5


def test_times_are_those_of_a_search():
    first = np.where(SPIKES.any(0), SPIKES.argmax(0), len(SPIKES))
    for spikes in (SPIKES, SPIKES.astype(bool), SPIKES.astype(jnp.bfloat16)):
        np.testing.assert_array_equal(losses.first_spike_times(spikes), first)
        np.testing.assert_array_equal(losses.never_fires(spikes), ~SPIKES.any(0))


def test_a_spike_more_or_less_changes_the_time_by_the_gradient():
    """In each entry, the time is linear, so that the gradient is the difference of the times with 1 and with 0."""
    gradient = jax.grad(lambda s: losses.first_spike_times(s).sum())(jnp.asarray(SPIKES))
    for m in range(len(SPIKES)):
        ones, zeros = SPIKES.copy(), SPIKES.copy()
        ones[m], zeros[m] = 1, 0
        np.testing.assert_array_equal(gradient[m], losses.first_spike_times(ones) - losses.first_spike_times(zeros))
    second = jax.grad(lambda s: losses.never_fires(s).sum())(jnp.zeros((3, 2)))
    np.testing.assert_array_equal(second, -np.ones((3, 2)))


def test_cross_entropy_is_that_of_optax_on_times():
    times = np.where(SPIKES.any(0), SPIKES.argmax(0), len(SPIKES)).astype(np.float32)
    expected = optax.softmax_cross_entropy_with_integer_labels(jnp.asarray(-times / 4), LABELS)
    assert_close(losses.first_spike_cross_entropy(SPIKES, LABELS, tau=4.0), expected, 16)


def test_cross_entropy_is_that_of_snntorch():
    """The numbers are those of ``snntorch.functional.ce_temporal_loss`` 1.0.0 (reduction="none") on these spikes."""
    fires = [[5, 2, 9], [1, 1, 4], [0, 7, 3]]
    spikes = np.zeros((10, 3, 3), np.float32)
    for example, times in enumerate(fires):
        spikes[times, example, range(3)] = 1
        spikes[9, example] = 1  # later spikes don't matter
    expected = np.float32([0.049455538, 0.71773589, 3.0494556])
    assert_close(losses.first_spike_cross_entropy(spikes, jnp.array([1, 0, 2])), expected, 16)


def test_nan_stays():
    spikes = SPIKES.copy()
    spikes[3, 2, 1] = np.nan
    assert np.isnan(losses.first_spike_times(spikes)).sum() == 1


@pytest.mark.parametrize(
    ("spikes", "error", "match"),
    [
        (np.zeros((0, 3), np.float32), ValueError, "at least one time step"),
        (np.float32(1), ValueError, "at least one time step"),
        (np.zeros((300, 2), jnp.bfloat16), ValueError, "bfloat16"),
        ("spikes", TypeError, "spikes"),
    ],
)
def test_bad_spikes(spikes, error, match):
    for f in (losses.first_spike_times, losses.never_fires):
        with pytest.raises(error, match=match):
            f(spikes)
    with pytest.raises(ValueError, match="tau"):
        losses.first_spike_cross_entropy(SPIKES, LABELS, tau=0.0)
    with pytest.raises(ValueError, match="one for each example"):
        losses.first_spike_cross_entropy(SPIKES, LABELS[:1])
