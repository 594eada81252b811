"""The studies: each runs, quickly, and trains what it says; the network for sequences, and its noise."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import brainsurr as bs
from benchmarks.lib.study import finished, rows
from benchmarks.lib.training import firing_rate, with_gains
from benchmarks.studies import comparison, data, sequences, settings, weights
from benchmarks.studies.comparison import Grid, Trials
from benchmarks.studies.entrants import ENTRANTS, PRESENT
from brainsurr.nnx import LIF, diagnose

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("lenient")]
RECIPE = sequences.Recipe(hidden=8, classes=2, epochs=4, batch=8)


def run_twice(study, path, *command):
    """Run a study quickly; give its rows. A second time it trains nothing."""
    command = [*command, "--quick", "--out", str(path.parent)]
    study.main(command)
    before = path.read_bytes()
    study.main(command)
    assert path.read_bytes() == before
    return rows(path)


@pytest.fixture
def images(monkeypatch):
    """Ten patterns in noise, in the place of Fashion-MNIST."""
    rng, labels = np.random.default_rng(0), np.arange(15_000) % 10
    noise = rng.integers(0, 128, (len(labels), 28, 28, 1), np.uint8)
    part = rng.integers(0, 128, (10, 28, 28, 1), np.uint8)[labels] + noise, labels
    monkeypatch.setattr(data, "load", lambda folder: (part, part, part))


def test_a_quick_comparison_explores_what_is_deep(images, tmp_path, monkeypatch):
    shallow = settings.of_images("deep", "folder", sizes=(784, 16, 16, 16, 10), gain=1.4)
    monkeypatch.setattr(settings, "setting", lambda *_: shallow)
    table = run_twice(comparison, tmp_path / "deep.json", "deep", "--fashion", "folder")
    assert all(0 <= row["test"] <= 1 and 0 <= row["firing"] <= 1 and row["loss"] > 0 for row in table)
    assert {row["gain"] for row in table} == {1.4, *comparison.QUICK.gains}
    grid = finished(tmp_path / "deep.json", "compare")
    assert grid["entrants"].keys() == grid["best"].keys() == set(comparison.QUICK.entrants)


@pytest.mark.parametrize("name", [name for name, need in settings.NEEDS.items() if need != "speech"])
def test_settings_fit_together(images, name):
    """Shapes alone: data, networks, outputs and scores, with an alpha that each network can tell apart."""
    setting = settings.setting(name, name)
    parts = [tuple(values[:50] for values in part) for part in setting.parts(0)]
    gains = (setting.gain,) * setting.layers
    outcome = jax.eval_shape(partial(comparison.train.__wrapped__, setting, bs.Arctan()), 0.1, gains, 0, parts)
    assert {value.shape for value in outcome.values()} == {()}
    net = setting.network(jax.random.key(0), [bs.Arctan(1.0 + i) for i in range(setting.layers)])
    alphas = [layer.spike_fn.surrogate.alpha for layer in net.layers if isinstance(layer, LIF)]
    assert alphas == [1.0 + i for i in range(setting.layers)]


@pytest.mark.parametrize(
    ("target", "tried", "best"),
    [(3e-3, [], 3e-3), (3.3e-4, [3.33333e-4, 1.11111e-4], 3.33333e-4), (1.0, [0.09, 0.27], 0.27)],
)
def test_a_best_rate_on_an_edge_is_looked_for_outside(tmp_path, monkeypatch, target, tried, best):
    """Twice at most; rates of all entrants are weighed for the setting's own, by their median."""

    def train(setting, surrogate, rate, gains, seed, parts):
        worse = 0.5 if surrogate == ENTRANTS[PRESENT] else abs(math.log10(rate / target)) / 10
        return dict.fromkeys(comparison.MEASURED, 1 - worse)

    monkeypatch.setattr(comparison, "train", train)
    grid = Grid()
    Trials(settings.scaled(1.0)._replace(data=lambda seed: []), tmp_path / "a.json", grid).compare()
    found = finished(tmp_path / "a.json", "compare")
    assert {found["best"][name] for name in ENTRANTS if name != PRESENT} == {best}
    assert found["edges"] == [name for name in ENTRANTS if name == PRESENT or best == 0.27]
    assert found["own"] == min(grid.rates, key=lambda rate: abs(math.log(rate / target)))
    rates = {row["rate"] for row in rows(tmp_path / "a.json") if row["entrant"] != PRESENT}
    assert rates == {*grid.rates, *tried}


def test_the_rule_of_the_gain_reaches_its_target(images, tmp_path):
    setting = settings.of_images("three layers", "folder", sizes=(784, 32, 32, 32, 10))
    trials = Trials(setting, tmp_path / "a.json", Grid())
    xs = setting.show(trials.parts(1000)[0][0][:128])
    gains = trials.by_potential(2.0)
    net = with_gains(setting.network(jax.random.split(jax.random.key(1000))[0], [bs.Arctan()] * 3), gains)
    report = diagnose(net, lambda net: net(net.initialize_carry(xs.shape[1:]), xs)[1].sum())
    for layer in report.values():
        assert math.sqrt(layer.rms**2 - layer.membrane**2) == pytest.approx(2.0, rel=0.1)


def test_fluctuation_driven_gains_are_those_of_the_formula(images):
    """Of layers that spikes go to; and of inputs that change, as rows of pixels do. Weights are as Flax draws them."""
    power = sum(0.81**k for k in range(settings.STEPS))
    xs = data.load("folder")[0][0][:50]
    _, (first, *gains) = weights.fluctuating(weights.setting("layers-6", "folder"), xs, 2.0)
    assert (first, len(gains)) == (1.0, 5)
    for gain in gains:
        np.testing.assert_allclose(gain, np.full((1, 64), 1 / (2 * np.sqrt(weights.RATE * power))), rtol=1e-5)
    made, (gain,) = weights.fluctuating(weights.setting("rows", "folder"), xs, 2.0)
    power = (np.linspace(0.5, 0.95, 128) ** (2 * np.arange(28)[:, None])).sum(0)
    rate = np.square(xs / 255).mean()
    np.testing.assert_allclose(gain[0], np.sqrt(0.9 / (rate * power)) / 2, rtol=1e-3)
    recurrent = made.network(jax.random.key(0), [bs.Arctan()]).layers[1].recurrent_kernel[...]
    np.testing.assert_allclose(recurrent.std(0), np.sqrt(0.1 / (128 * weights.RATE * power)) / 2, rtol=0.4)
    for name in ("convolution", "recall"):
        made = weights.setting(name, "folder")
        parts = [tuple(values[:50] for values in part) for part in made.parts(0)]
        made, gains = weights.fluctuating(made, parts[0][0], 2.0)
        assert jax.eval_shape(partial(comparison.train.__wrapped__, made, bs.Arctan()), 0.1, gains, 0, parts)


def test_first_weights_are_compared_quickly(tmp_path):
    """The page has a row for each kind, at its own rate."""
    table = run_twice(weights, tmp_path / "randman.json", "randman")
    assert {row["gain"] for row in table} == {"x 1", "x 1.4", "x 2", "xi 1", "xi 2"}
    assert len(table) == 5 * (2 + 2)
    text = weights.section(tmp_path)
    assert [text.count(each) for each in ("### First weights: randman", "### ", "| xi 1", "| xi 2")] == [1, 1, 1, 1]
    assert weights.section(tmp_path / "none") == ""


def test_firing_is_the_mean_over_layers_of_all_spikes():
    """Weights so large that each neuron fires at each step where its input is positive, or never."""
    net = settings.feedforward(jax.random.key(0), [bs.Arctan()] * 2, (64, 16, 16, 10))
    first, _, second, *_ = with_gains(net, [1e4, 1e4]).layers
    xs = np.random.default_rng(0).uniform(size=(4, 64)).astype(np.float32)
    fired = np.asarray(xs @ first.kernel[...] > 0)
    expected = (fired.mean() + np.asarray(fired @ second.kernel[...] > 0).mean()) / 2
    np.testing.assert_allclose(firing_rate(net, jnp.broadcast_to(xs, (50, 4, 64))), expected, atol=0.04)


# The network for sequences, and the noise it is trained on


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
