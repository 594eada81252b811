"""The studies beside the comparison: each runs, quickly, and reports what has run, and no more."""

import contextlib
import itertools

import jax
import numpy as np
import pytest

from benchmarks.lib.study import Runs, rows
from benchmarks.lib.training import firing_rate
from benchmarks.studies import family, learn_alpha, others, sparse, true_gradient, widths
from benchmarks.studies.settings import setting
from benchmarks.studies.shapes import Call

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("lenient")]
SEEDS = tuple(range(10))  # of the file: a report takes those that it has


def run_twice(study, path, *command):
    """Run a study quickly; give its rows. A second time it trains nothing."""
    command = [*command, "--quick", "--out", str(path.parent)]
    study.main(command)
    before = path.read_bytes()
    study.main(command)
    assert path.read_bytes() == before
    return rows(path)


@pytest.mark.slow
def test_calibrated_widths_fit_each_gain(tmp_path, monkeypatch):
    """The grid of twelve layers, in two, of one call: larger weights, larger potentials, larger widths."""
    both, gains = (family.PILOTS[0], widths.calibrated(family.PILOTS[0])), (1.4, 2.0, 2.8)
    monkeypatch.setitem(widths.GRIDS, "depth-2", [(both, gains)])
    table = run_twice(widths, tmp_path / "depth-2.json", "depth-2")
    assert all(0 <= row["test"] <= 1 and 0 <= row["firing"] <= 1 for row in table)
    ends = {(row["call"], row["gain"]): row["width"] for row in table}
    fixed, fitted = ([ends[str(call), gain] for gain in gains] for call in both)
    assert np.ptp(fixed) == 0
    assert fitted[0] < fitted[1] < fitted[2]


@pytest.mark.slow
def test_a_strong_penalty_silences(tmp_path):
    table = run_twice(sparse, tmp_path / "depth-2.json", "depth-2")
    firing = {strength: np.mean([r["firing"] for r in table if r["strength"] == strength]) for strength in (0.0, 10.0)}
    assert firing[10.0] < 0.5 * firing[0.0]
    assert len(table) == 2 * 2 * 2


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
def test_a_quick_run_of_the_true_gradient(tmp_path):
    table = run_twice(true_gradient, tmp_path / "result.json")
    assert {row["call"].split()[0] for row in table} == {"Arctan", "Circ"}
    assert all(0 <= row["sign"] <= 1 and -1 <= row["cosine"] <= 1 for row in table)
    assert len({row["sign"] for row in table}) > 1


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


def make_widths(folder, better):
    """The knee at .25 gains so much, and so does calibration at the largest gain; one more run lacks seeds."""
    runs = Runs(folder / "depth-12.json", {}, family.KEY, family.MEASURED)
    for calls, gains in widths.GRIDS["depth-12"]:
        for call, gain, seed in itertools.product(map(str, calls), gains, SEEDS):
            gained = better * ("width=0.25" in call or ("calibrated" in call and gain == 2.8)) + 0.1 * (gain < 2.8)
            test = 0.5 + gained + (0.01 if seed % 2 else -0.01)
            runs.run(lambda test=test: dict.fromkeys(family.MEASURED, test), call, 1.0, gain, seed)
    runs.run(lambda: dict.fromkeys(family.MEASURED, 0.5), "Circ width=1", 1.0, 9.0, 0)
    runs.finish("widths", seeds=SEEDS)
    return widths.load(folder)


@pytest.mark.parametrize(("better", "holds"), [(0.08, [True, True]), (0.02, [False, True]), (-0.08, [False, False])])
def test_widths_are_shown_and_claimed_by_their_numbers(tmp_path, better, holds):
    studied = make_widths(tmp_path, better)
    claims = list(widths.claims(studied))
    assert [claim.holds for claim in claims] == holds
    assert f"{50 + 100 * better:.1f}" in claims[1].numbers
    assert f"| {60 + 100 * better:.1f} ± 1.1 |" in widths.tables(studied)


class Stopped(Exception):
    """Stands for what stops a study between two runs."""


def measured_until(stop, names):
    """A training that takes no time, and stops when it is called for the n-th time."""
    count = itertools.count(1)

    def train(*_):
        if next(count) == stop:
            raise Stopped
        return dict.fromkeys(names, 0.5)

    return train


@pytest.mark.parametrize("stop", [None, 5])
def test_sparse_networks_are_reported_when_they_are_finished(tmp_path, monkeypatch, stop):
    """A study that is stopped after its first call is named, and has no number on the page."""
    monkeypatch.setattr(sparse, "train", measured_until(stop, sparse.MEASURED))
    with pytest.raises(Stopped) if stop else contextlib.nullcontext():
        sparse.main(["depth-2", "--quick", "--out", str(tmp_path)])
    studied = sparse.load(tmp_path)
    text = "\n\n".join(sparse.parts(studied))
    names = ["digits", "Randman"] if stop else ["Randman"]
    assert f"not been finished: {', '.join(names)}." in text
    assert ("50.0" in text) == ("sparse.png" in text) == (not stop)
    assert len(list(sparse.claims(studied))) == (not stop)


@pytest.mark.parametrize("study", [sparse, true_gradient, widths, others, learn_alpha])
def test_what_has_not_run_is_not_finished(tmp_path, study):
    outcomes = ({},) if study is others else ()
    assert "not been finished" in study.parts(study.load(tmp_path), *outcomes)[-1]
    if study is not true_gradient:
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
