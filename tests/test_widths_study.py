"""The studies that add to a table of runs beside the comparison: widths, sparse networks and the true gradient."""

import contextlib
import itertools

import numpy as np
import pytest

from benchmarks.lib.runs import Runs, rows
from benchmarks.studies import family, others, sparse, true_gradient, widths
from benchmarks.studies.reports import learn_alpha as learn_alpha_report
from benchmarks.studies.reports import others as others_report
from benchmarks.studies.reports import sparse as sparse_report
from benchmarks.studies.reports import true_gradient as true_gradient_report
from benchmarks.studies.reports import widths as widths_report

pytestmark = pytest.mark.usefixtures("lenient")
SEEDS = tuple(range(10))  # of the file: a report takes those that it has


@pytest.fixture
def shallow(monkeypatch):
    """The grid of twelve layers, in two, of one call."""
    both = (family.PILOTS[0], widths.calibrated(family.PILOTS[0]))
    monkeypatch.setitem(widths.GRIDS, "depth-2", [(both, (1.4, 2.0, 2.8))])


@pytest.mark.slow
@pytest.mark.parametrize("study", [widths, sparse])
@pytest.mark.usefixtures("shallow")
def test_a_quick_run(tmp_path, study):
    """A second one trains nothing. Calibration fits each gain: larger weights, larger potentials, larger widths."""
    command = ["depth-2", "--quick", "--out", str(tmp_path)]
    study.main(command)
    path = tmp_path / "depth-2.json"
    table, before = list(rows(path)), path.read_bytes()
    assert len(table) > 4
    assert all(0 <= row["test"] <= 1 and 0 <= row["firing"] <= 1 for row in table)
    study.main(command)
    assert path.read_bytes() == before
    if study is widths:
        ends = {(row["call"], row["gain"]): row["width"] for row in table}
        fixed, fitted = (
            [ends[how(family.PILOTS[0]), gain] for gain in (1.4, 2.0, 2.8)] for how in (str, widths.calibrated)
        )
        assert np.ptp(fixed) == 0
        assert fitted[0] < fitted[1] < fitted[2]


def studied(folder, accuracy):
    """The table of a setting with ``accuracy(call, gain)`` from all seeds, and of one more run that lacks seeds."""
    runs = Runs(folder / "depth-12.json", {}, family.KEY, family.MEASURED)
    for calls, gains in widths.GRIDS["depth-12"]:
        for call in map(str, calls):
            for gain in gains:
                for seed in SEEDS:
                    test = accuracy(call, gain) + (0.01 if seed % 2 else -0.01)
                    runs.run(lambda test=test: dict.fromkeys(family.MEASURED, test), call, 1.0, gain, seed)
    runs.run(lambda: dict.fromkeys(family.MEASURED, 0.5), "Circ width=1", 1.0, 9.0, 0)
    runs.finish("widths", seeds=SEEDS)
    return widths_report.load(folder)


def with_better(better):
    """Accuracies: the knee at .25 gains so much, and so does calibration at the largest gain."""

    def accuracy(call, gain):
        return 0.5 + better * ("width=0.25" in call or ("calibrated" in call and gain == 2.8)) + 0.1 * (gain < 2.8)

    return accuracy


def test_the_table_has_each_call_and_gain(tmp_path):
    knees, gains = widths_report.tables(studied(tmp_path, with_better(0.08))).split("\n\n")
    assert [cell.strip() for cell in knees.splitlines()[2].split("|")[1:-1]] == [
        "depth-12, gain 1.4",
        "60.0 ± 1.1",
        "68.0 ± 1.1",
    ]
    header, _, *lines = gains.splitlines()
    assert "9" not in header
    assert [line.split("|")[4].strip() for line in lines] == ["50.0 -> 58.0"] * len(family.PILOTS)
    assert [line.split("|")[2].strip() for line in lines] == ["60.0 -> 60.0"] * len(family.PILOTS)


@pytest.mark.parametrize(("better", "holds"), [(0.08, [True, True]), (0.02, [False, True]), (-0.08, [False, False])])
def test_a_claim_holds_by_its_numbers(tmp_path, better, holds):
    claims = list(widths_report.claims(studied(tmp_path, with_better(better))))
    assert [claim.holds for claim in claims] == holds
    assert f"{50 + 100 * better:.1f}" in claims[1].numbers


# What is not finished


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
    studied = sparse_report.load(tmp_path)
    text = "\n\n".join(sparse_report.parts(studied))
    names = ["digits", "Randman"] if stop else ["Randman"]
    assert f"not been finished: {', '.join(names)}." in text
    assert ("50.0" in text) == ("sparse.png" in text) == (not stop)
    assert len(list(sparse_report.claims(studied))) == (not stop)
    sparse_report.draw(studied, tmp_path)
    assert (tmp_path / "sparse.png").exists() == (not stop)


@pytest.mark.parametrize("stop", [None, 2])
def test_the_true_gradient_is_reported_when_it_is_finished(tmp_path, monkeypatch, stop):
    monkeypatch.setattr(true_gradient, "agreement", measured_until(stop, true_gradient.MEASURED))
    with pytest.raises(Stopped) if stop else contextlib.nullcontext():
        true_gradient.main(["--quick", "--out", str(tmp_path)])
    text = "\n\n".join(true_gradient_report.parts(true_gradient_report.load(tmp_path / "result.json")))
    assert ("not been finished" in text) == bool(stop)
    assert ("0.500" in text) == (not stop)


@pytest.mark.parametrize(
    ("report", "outcomes"),
    [(sparse_report, ()), (true_gradient_report, ()), (widths_report, ()), (others_report, ({},))],
    ids=lambda value: getattr(value, "__name__", "").rpartition(".")[2],
)
def test_what_has_not_run_is_not_finished(tmp_path, report, outcomes):
    (text,) = report.parts(report.load(tmp_path / "result.json"), *outcomes)
    assert "not been finished" in text
    if report in (widths_report, others_report):
        assert list(report.claims({}, *outcomes)) == []


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
    (entrants,) = others_report.load(tmp_path).values()
    assert {name: (tests.tolist(), weights) for name, (tests, weights) in entrants.items()} == {"GRU": ([80, 80], 7)}
    run("GRU", 9.0, 100, 1.0, 1.0)
    runs.finish("compare", **grid | {"rates": [1.0, 3.0, 9.0]})
    (entrants,) = others_report.load(tmp_path).values()
    assert entrants["GRU"][0].tolist() == [100, 100]


@pytest.mark.parametrize("rules", [0, 1, 2, 5])
def test_learning_alpha_is_reported_for_what_has_run(tmp_path, rules):
    """A second task of which some rules have run; its numbers are those of the first."""
    starts = [0.01, learn_alpha_report.START]
    run = {"starts": starts, "test": [[0.5, 0.7], [0.6, 0.8]], "optimiser": "adam"}
    run["alpha"] = {"mean": [[[0.1], [0.2]], [[0.3], [0.4]]]}
    names = ["fixed", *learn_alpha_report.SHOWN, "learned"]
    result = {"runs": {f"first, {name}": run for name in names}}
    result["runs"] |= {f"second, {name}": run for name in names[:rules]}
    text = learn_alpha_report.tables(result)
    assert ("not been finished: second." in text) == (0 < rules < 4)
    assert len(list(learn_alpha_report.ends(result))) == (2 if rules >= 4 else 1)
    assert len(list(learn_alpha_report.claims(result))) == (4 if rules >= 4 else 2)
    learn_alpha_report.draw(result, tmp_path)
    assert (tmp_path / "learn-alpha.png").exists()
