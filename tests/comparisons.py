"""What every comparison writes, and how a library is asked for that the test extra leaves out."""

import os

import numpy as np
import pytest


def needs(library):
    """A library; where it is missing the test is skipped at home and fails in CI."""
    return __import__(library) if os.environ.get("CI") == "true" else pytest.importorskip(library)


def check_picture(result, figure):
    """Each entrant has its bar, at the mean of its seeds."""
    axis = figure.axes[0]
    names = [label.get_text() for label in axis.get_yticklabels()]
    bars = [line.get_xdata()[0] for line in axis.lines if line.get_marker() == "|"]
    assert dict(zip(names, bars, strict=True)) == {
        key.removesuffix(", best"): np.mean(run["test"])
        for key, run in result["runs"].items()
        if key.endswith(", best")
    }


def check(result, name, chance):
    """Every field of a quick run, and that what can learn has learnt."""
    assert result["study"] == name
    runs = result["runs"]
    names = ["InvSquareGrad", "LogTailedRelu", "GRU", "MLP"]
    assert {f"{n}, best" for n in names} <= set(runs)
    for key, run in runs.items():
        assert {"points", "test", "seconds", "cpu_seconds"} <= set(run), key
        assert 0 <= np.min(run["test"]) <= np.max(run["test"]) <= 1
        if "regression" not in key:
            assert run["weights"] > 0
            assert np.isfinite(run["loss"]).all()
    for n in names:
        assert np.shape(runs[f"{n}, best"]["test"]) == (1, 1, 2)
        assert np.min(runs[f"{n}, best"]["test"]) > chance + 0.3, n
    assert 0 < np.min(runs["InvSquareGrad, best"]["rate"]) < 0.9
    assert "rate" not in runs["GRU, best"]
    assert runs["LogTailedRelu, best"]["points"][0] in runs["LogTailedRelu, grid"]["points"]
    assert len(runs["LogTailedRelu, every alpha"]["points"]) == len(runs["LogTailedRelu, grid"]["points"]) == 2
