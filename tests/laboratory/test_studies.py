"""The studies beside the comparison: each runs, quickly, and reports what has run, and no more; their networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import brainsurr as bs
from benchmarks.lib.study import Runs, rows
from benchmarks.lib.training import firing_rate
from benchmarks.studies import learn_alpha, others, sequences
from benchmarks.studies.settings import setting
from benchmarks.studies.shapes import Call

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


def test_firing_is_the_mean_over_layers_of_all_spikes():
    """Weights so large that each neuron fires at each step where its input is positive, or never."""
    here = setting("depth-2")
    net = here.network(jax.random.key(0), [Call("Arctan", None, 0.5).surrogate] * 2, 1e4)
    images = np.random.default_rng(0).uniform(size=(4, 64)).astype(np.float32)
    first = np.asarray(images @ net.layers[0].kernel[...] > 0)
    second = np.asarray(first @ net.layers[2].kernel[...] > 0)
    expected = (first.mean() + second.mean()) / 2
    np.testing.assert_allclose(firing_rate(net, here.show(images)), expected, atol=0.02)  # one step until it fires


@pytest.mark.slow
def test_alphas_end_where_their_rule_says(tmp_path, saved):
    """A fixed one stays, a scheduled one ends where its schedule does, a learned one moves and stays inside."""
    run_twice(learn_alpha, tmp_path / "result.json")
    studied = learn_alpha.load(tmp_path)
    outcome = studied["digits"]
    ends = outcome.alphas
    for start, alphas in ends["fixed"].items():
        np.testing.assert_allclose(alphas, start, rtol=256 * np.finfo(np.float32).eps)  # means over 256 neurons at most
    assert np.max(list(ends["3 steps, then 0"].values())) == 0
    learned = ends["learned, projected"]
    assert 0 <= np.min(list(learned.values())) <= np.max(list(learned.values())) <= 1
    assert max(np.abs(alphas - start).max() for start, alphas in learned.items()) > 1e-3
    assert np.abs(ends["hypergradient"][0.1] - 0.1).max() > 1e-3
    assert outcome.best > 0.5
    assert "±" in learn_alpha.tables(studied)
    learn_alpha.draw(studied, tmp_path)
    bars = [line.get_xdata()[0] for line in saved["learn-alpha.png"].axes[0].lines if line.get_marker() == "|"]
    assert bars == [test.mean() for by_start in outcome.others.values() for test in by_start.values()]


# Reports, of runs that take no time


@pytest.mark.parametrize("study", [others, learn_alpha])
def test_what_has_not_run_is_not_finished(tmp_path, study):
    outcomes = ({},) if study is others else ()
    assert "not been finished" in study.parts(study.load(tmp_path), *outcomes)[-1]
    assert list(study.claims({}, *outcomes)) == []


def test_others_are_shown_at_the_rate_that_validation_chose(tmp_path):
    """What a wider grid or a new entrant adds waits until it is finished."""
    runs = Runs(tmp_path / "vowels.json", {}, others.KEY, others.MEASURED)
    grid = {"rates": [1.0, 3.0], "strengths": [0.1], "choosing": [100], "seeds": [0, 1]}

    def run(entrant, rate, seed, validation, test):
        runs.run(lambda: dict(zip(others.MEASURED, (validation, test, 0.0, 7), strict=True)), entrant, rate, seed)

    for rate, validation in ((1.0, 0.5), (3.0, 0.9)):
        run("GRU", rate, 100, validation, 0.0)
    for seed in grid["seeds"]:
        run("GRU", 3.0, seed, 0.9, 0.8)
    runs.finish("compare", **grid)
    for seed in grid["seeds"]:
        run("GRU", 9.0, seed, 1.0, 1.0)  # of a wider grid
    run("LSTM", 1.0, 100, 1.0, 1.0)
    run("LSTM", 1.0, 0, 1.0, 1.0)
    (entrants,) = others.load(tmp_path).values()
    assert {name: (tests.tolist(), weights) for name, (tests, weights) in entrants.items()} == {"GRU": ([80, 80], 7)}
    run("GRU", 9.0, 100, 1.0, 1.0)
    runs.finish("compare", **grid | {"rates": [1.0, 3.0, 9.0]})
    (entrants,) = others.load(tmp_path).values()
    assert entrants["GRU"][0].tolist() == [100, 100]


# Networks over sequences, and the noise they are trained on


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
