"""The studies: each runs, quickly, and trains what it says; the network for sequences, and its noise."""

import itertools
import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import brainsurr as bs
from benchmarks.lib.study import finished, rows
from benchmarks.lib.training import firing_rate, squared_error, train_and_test, with_gains
from benchmarks.studies import causes, comparison, data, regret, sequences, settings, weights
from benchmarks.studies.comparison import Grid, Trials
from benchmarks.studies.entrants import ENTRANTS, PRESENT
from brainsurr.nnx import LI, LIF, SpikingActivation, SpikingSequential

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


def test_a_quick_comparison_runs_every_rate_and_seed(images, tmp_path, monkeypatch):
    shallow = settings.of_images("deep", "folder", sizes=(784, 16, 16, 10), gain=1.4)
    monkeypatch.setattr(settings, "setting", lambda *_: shallow)
    table = run_twice(comparison, tmp_path / "deep.json", "deep", "--fashion", "folder")
    shares = [row[name] for row in table for name in ("validation", "half", "test", "firing")]
    assert 0 <= min(shares) <= max(shares) <= 1
    found, of = finished(tmp_path / "deep.json", "compare"), comparison.QUICK
    assert found["entrants"].keys() == found["best"].keys() == set(of.entrants)
    ran = {(row["entrant"], row["rate"], row["seed"]) for row in table}
    assert ran >= set(itertools.product(of.entrants, of.rates, of.choosing))
    seeds = {
        name: {seed for other, rate, seed in ran if (other, rate) == (name, found["best"][name])}
        for name in of.entrants
    }
    assert seeds == {name: {0, 1, 1000, 1001} for name in of.entrants}


def test_half_of_the_epochs_is_scored_too():
    """Four epochs of one batch of all examples: half-way is where two epochs end."""
    xs = jnp.asarray(np.random.default_rng(0).normal(size=(8, 3)), jnp.float32)

    def of(epochs):
        net = nnx.Linear(3, 1, rngs=nnx.Rngs(0))
        how = {"epochs": epochs, "batch": 8, "optimizer": optax.sgd(0.1), "loss": squared_error, "score": squared_error}
        parts = [(xs, xs[:, :1])] * 3
        return train_and_test(net, lambda net, xs, key: net(xs), jax.random.key(0), parts, **how)[1]

    two, four = of(2), of(4)
    np.testing.assert_allclose(four["half"], two["validation"], rtol=1e-5)
    assert four["validation"] < four["half"] < two["half"]


def test_what_trains_is_momentum_or_adam_by_their_formulas():
    """Two steps of a gradient of 3, then -1, far beyond the norm that others clip to."""
    by = {"momentum": settings.momentum(0.01, 4, 0.0), "adam": settings.plain_adam(0.01, 4, 0.0)}
    moved = {}
    for name, tx in by.items():
        first, state = tx.update(jnp.float32(3.0), tx.init(jnp.float32(0.0)))
        moved[name] = float(first), float(tx.update(jnp.float32(-1.0), state)[0])
    later = 0.3 * (1 + math.cos(math.pi / 4)) / 2
    assert moved["momentum"] == pytest.approx((-0.3 * 3, -later * (0.9 * 3 - 1)), rel=1e-5)
    mean, square = (0.9 * 0.3 - 0.1) / (1 - 0.9**2), (0.999 * 0.009 + 0.001) / (1 - 0.999**2)
    assert moved["adam"] == pytest.approx((-0.01, -0.01 * mean / math.sqrt(square)), rel=1e-4)


def test_networks_are_those_of_the_plan(images, packages):
    """Normalisation before each layer of neurons, and what leaks."""
    nets = {}
    for name in ("batch", "layer", "residual", "counts", "sums", "vowels"):
        made = settings.setting(name, packages)
        nets[name] = made.network(jax.random.key(0), [bs.Arctan()] * made.layers)
    before = {name: list(map(type, nets[name].layers)) for name in ("batch", "layer")}
    assert before["batch"][:-2] == [nnx.Linear, nnx.BatchNorm, LIF] * 12
    assert before["layer"][:-2] == [nnx.Linear, nnx.LayerNorm, LIF] * 10
    kinds = [type(module) for _, module in nnx.iter_modules(nets["residual"])]
    assert (kinds.count(nnx.BatchNorm), kinds.count(LIF)) == (6, 6)
    leaks = {name: {layer.decay for layer in nets[name].layers if isinstance(layer, LIF)} for name in nets}
    assert (leaks["counts"], leaks["sums"], leaks["vowels"]) == ({0.9}, {1.0}, {1.0})


def test_counts_are_of_summed_pools_and_all_steps():
    xs = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1)).astype(np.uint8)
    four = xs.reshape(3, 4, 2, 4, 2, 1).sum((2, 4), dtype=int)
    np.testing.assert_array_equal(settings.summed(jnp.asarray(xs, jnp.float32)), four)
    net = settings.counting(jax.random.key(0), [bs.Arctan()] * 2, 0.9)
    shown = settings.pictures(xs, settings.STEPS)
    spikes = net(net.initialize_carry(shown.shape[1:]), shown)[1]
    counts = settings.setting("counts").outputs(net, xs, None)
    np.testing.assert_allclose(counts, np.asarray(spikes).sum(0), atol=1e-5)


def test_windows_make_a_linear_layer_a_convolution_in_steps_of_two():
    xs = jax.random.normal(jax.random.key(0), (2, 3, 6, 4, 2))
    convolution, linear = nnx.Conv(2, 5, (3, 3), strides=2, rngs=nnx.Rngs(1)), nnx.Linear(18, 5, rngs=nnx.Rngs(1))
    np.testing.assert_array_equal(linear.kernel[...], convolution.kernel[...].reshape(18, 5))
    np.testing.assert_allclose(linear(settings.windows(xs)), convolution(xs), atol=1e-5)  # sums of 18 in another order


@pytest.mark.parametrize("name", [name for name, need in settings.NEEDS.items() if need != "speech"])
def test_settings_fit_together(images, packages, name):
    """Shapes alone: data, networks, outputs and scores, with an alpha that each network can tell apart."""
    setting = settings.setting(name, packages)
    parts = [tuple(values[:50] for values in part) for part in setting.parts(0)]
    gains = (setting.gain,) * setting.layers
    outcome = jax.eval_shape(partial(comparison.train.__wrapped__, setting, bs.Arctan()), 0.1, gains, 0, parts)
    assert {value.shape for value in outcome.values()} == {()}
    net = setting.network(jax.random.key(0), [bs.Arctan(1.0 + i) for i in range(setting.layers)])
    alphas = {layer.spike_fn.surrogate.alpha for _, layer in nnx.iter_modules(net) if isinstance(layer, LIF)}
    assert alphas == {1.0 + i for i in range(setting.layers)}


@pytest.mark.parametrize(
    ("target", "tried", "best"),
    [(3e-3, [], 3e-3), (3.3e-4, [3.33333e-4, 1.11111e-4], 3.33333e-4), (1.0, [0.09, 0.27], 0.27)],
)
def test_a_best_rate_on_an_edge_is_looked_for_outside(tmp_path, monkeypatch, target, tried, best):
    """Twice at most; by the mean of the seeds, of which some find the smallest rate best, others the largest."""

    def train(setting, surrogate, rate, gains, seed, parts):
        worse = 0.5 if surrogate == ENTRANTS[PRESENT] else abs(math.log10(rate / target)) / 10
        apart = (seed - 1001.5) * math.log10(rate) if seed >= 1000 else 0
        return dict.fromkeys(comparison.MEASURED, 1 - worse + apart)

    monkeypatch.setattr(comparison, "train", train)
    grid = Grid()
    Trials(settings.scaled(1.0)._replace(data=lambda seed: []), tmp_path / "a.json", grid).compare()
    found = finished(tmp_path / "a.json", "compare")
    assert {found["best"][name] for name in grid.entrants if name != PRESENT} == {best}
    assert found["edges"] == [name for name in grid.entrants if name == PRESENT or best == 0.27]
    rates = {row["rate"] for row in rows(tmp_path / "a.json") if row["entrant"] != PRESENT}
    assert rates == {*grid.rates, *tried}
    for name in ("dense", "deep"):
        (tmp_path / f"{name}.json").write_bytes((tmp_path / "a.json").read_bytes())
    outcome = regret.load(tmp_path)["deep"]
    assert (outcome.edges, np.isfinite(outcome.tuned).sum()) == (found["edges"], 13 * 15), "what the report reads"


@pytest.mark.parametrize(("more", "best"), [(0.0, 3e-3), (1e-4, 1e-2)])
def test_of_equal_rates_the_smallest_is_best(tmp_path, monkeypatch, more, best):
    """Accuracies of 300 examples: equal means over four seeds, but for the six digits of the file; or not."""
    right = {3e-3: (260, 250, 250, 250), 1e-2: (260, 260, 240, 250)}
    scores = {rate: np.float32(of) / np.float32(300) + np.float32(more * (rate > 3e-3)) for rate, of in right.items()}

    def train(setting, surrogate, rate, gains, seed, parts):
        return dict.fromkeys(comparison.MEASURED, scores[rate][seed - 1000] if rate in scores else 0.5)

    monkeypatch.setattr(comparison, "train", train)
    trials = Trials(settings.scaled(1.0)._replace(data=lambda seed: []), tmp_path / "a.json", Grid())
    assert trials.best_rate(PRESENT) == best


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
    """The page has a line for each setting, and says by how much the better of one kind is ahead."""
    table = run_twice(weights, tmp_path / "randman.json", "randman")
    assert {row["gain"] for row in table} == {"x 1", "x 1.4", "x 2", "xi 1", "xi 2"}
    assert len(table) == 5 * (2 + 2)
    text = weights.section(tmp_path)
    found = finished(tmp_path / "randman.json", "weights")
    of = {(r["gain"], r["rate"], r["seed"]): r for r in table}
    runs = {kind: [of[kind, rate, seed] for seed in found["seeds"]] for kind, rate in found["best"].items()}
    means = {
        kind: {what: np.mean([run[what] for run in of]) for what in ("validation", "test")} for kind, of in runs.items()
    }
    gain, xi = (max([k for k in means if k.startswith(a)], key=lambda k: means[k]["validation"]) for a in ("x ", "xi "))
    assert f"by {100 * (means[xi]['test'] - means[gain]['test']):+.1f} in *randman* points" in " ".join(text.split())
    (line,) = (line for line in text.splitlines() if line.startswith("| randman"))
    assert f"| {100 * means['x 1']['test']:.1f} ± " in line
    assert weights.section(tmp_path / "none") == ""


def test_distances_and_slopes_are_those_of_a_loop():
    """Of a convolution, without a leak, and of a layer behind it: each step in NumPy, and Arctan's slope by hand."""
    alpha, scaled = 4.0, bs.Arctan(4.0).scaled(width=jnp.full((), 0.5))
    net = settings.counting(jax.random.key(0), [SpikingActivation(scaled) for _ in range(2)], 1.0)
    xs = settings.pictures(np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1)).astype(np.uint8), 5)
    convolution, _, *between, _ = net.layers
    first, distance = map(np.asarray, causes.potentials(SpikingSequential([*net.layers, LI(10)]), xs))
    spikes = jnp.asarray(first >= 0, jnp.float32)
    behind = between[-1](settings.flat(settings.summed(spikes)))
    for inputs, found in ((convolution(xs), first), (behind, distance)):
        v = 0
        for step, x in zip(np.asarray(inputs), found, strict=True):
            np.testing.assert_allclose(x, v + step - 1, atol=2e-5)
            v = v + step - (x >= 0)
    slopes = 1 / (1 + (math.pi / 2 * alpha * np.asarray(distance) / 0.5) ** 2)
    assert 0 < (slopes < 1e-3).mean() < 1
    assert float(causes.flat(scaled, distance)) == pytest.approx((slopes < 1e-3).mean(), abs=1e-3)
    assert causes.flat(scaled, jnp.array([0.0, jnp.nan])) == 0.5


def test_causes_are_measured_quickly(tmp_path):
    """The width that follows is another run, and both have a number for each epoch and layer."""
    table = run_twice(causes, tmp_path / "counts.json", "counts")
    assert [row["width"] for row in table] == list(causes.WIDTHS)
    assert {np.shape(row[name]) for row in table for name in ("far", "flat")} == {(1, 2)}
    assert table[0]["loss"] != table[1]["loss"]


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
