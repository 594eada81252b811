"""The studies that add to a table of runs beside the comparison: widths and sparse networks."""

import numpy as np
import pytest

from benchmarks.lib.runs import Runs, rows
from benchmarks.studies import family, sparse, widths
from benchmarks.studies.choice import GRID
from benchmarks.studies.reports import widths as report

pytestmark = pytest.mark.usefixtures("lenient")


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
                for seed in GRID.seeds:
                    test = accuracy(call, gain) + (0.01 if seed % 2 else -0.01)
                    runs.run(lambda test=test: dict.fromkeys(family.MEASURED, test), call, 1.0, gain, seed)
    runs.run(lambda: dict.fromkeys(family.MEASURED, 0.5), "Circ width=1", 1.0, 9.0, 0)
    runs.finish("widths", seeds=GRID.seeds)
    return report.load(folder)


def with_better(better):
    """Accuracies: the knee at .25 gains so much, and so does calibration at the largest gain."""

    def accuracy(call, gain):
        return 0.5 + better * ("width=0.25" in call or ("calibrated" in call and gain == 2.8)) + 0.1 * (gain < 2.8)

    return accuracy


def test_the_table_has_each_call_and_gain(tmp_path):
    knees, gains = report.tables(studied(tmp_path, with_better(0.08))).split("\n\n")
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
    found = list(report.claims(studied(tmp_path, with_better(better))))
    assert [claim.holds for claim in found] == holds
    assert f"{50 + 100 * better:.1f}" in found[1].numbers
