"""What docs/write-your-own-neuron.md shows runs and does what it says."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from close import assert_close
from pages import DOCS, run_blocks

import brainsurr as bs

pytestmark = pytest.mark.usefixtures("lenient")  # nnx.Linear, optax


@pytest.fixture(scope="module")
def page():
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        return run_blocks(DOCS / "write-your-own-neuron.md")


def test_the_page(page):
    assert page["ys"].shape == (30, 8, 4)
    assert 0.05 < page["spikes"].mean() < 0.95
    assert page["slope"] != 0
    trained = page["neuron"]
    assert trained.rate != np.float32(0.2)
    assert 0.5 <= trained.spike_fn.alpha <= 10
    xs = page["xs"]
    summing = page["Integrator"]()
    state, ys = summing(summing.initial_state(xs[0]), xs)
    assert_close(ys, jnp.stack([xs[: t + 1].sum(0) for t in range(30)]), 30)
    assert_close(state, xs.sum(0), 30)


def test_project_keeps_the_neuron_inside(page):
    neuron, tx = page["neuron"], page["tx"]
    for slope, edges in ((100.0, (0.0, 0.5)), (-100.0, (1.0, 10.0))):
        grads = jax.tree.map(lambda leaf, slope=slope: jnp.full_like(leaf, slope), neuron)
        moved = optax.apply_updates(neuron, tx.update(grads, tx.init(neuron), neuron)[0])
        assert (moved.rate, moved.spike_fn.alpha) == edges


def test_a_refractory_neuron_rests_as_long_as_it_says(page):
    neuron = page["RefractoryLIF"](refractory=3)
    _, spikes = neuron(neuron.initial_state(jnp.zeros(1)), jnp.full((12, 1), 2.0))
    np.testing.assert_array_equal(spikes[:, 0], [1, 0, 0, 0] * 3)


def test_a_resonating_neuron_fires_at_its_own_rhythm(page):
    """Pulses of half the threshold, one in each turn or one in each half of it."""
    neuron = page["ResonateAndFire"](frequency=2 * np.pi / 12, decay=0.95)
    counts = []
    for period in (12, 6):
        xs = jnp.where(jnp.arange(120) % period == 0, 0.75, 0.0)[:, None]
        counts.append(neuron(neuron.initial_state(xs[0]), xs)[1].sum())
    assert counts[0] > 0
    assert counts[1] == 0


@pytest.mark.parametrize("name", ["QIF", "RefractoryLIF", "ResonateAndFire"])
def test_its_gradients_are_right(page, name):
    xs = page["xs"][:6, :2, :4]
    neuron = jax.tree.map(jnp.float32, page[name]())

    def loss(params):
        neuron, xs = params
        return jnp.sum(neuron(neuron.initial_state(xs[0]), xs)[1] * jnp.arange(4.0))

    report = bs.check_gradients((neuron, xs), loss)
    assert {parameter.status for parameter in report.values()} <= {"fine", "reset"}, report
