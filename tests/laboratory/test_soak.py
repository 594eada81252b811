"""The long run, shortly: it compiles nothing after its first tour and leaves nothing behind on the device."""

import copy

import jax
import pytest

from benchmarks.robustness import soak
from benchmarks.robustness.reports import soak as report

pytestmark = pytest.mark.slow

SHAPES = ((3, 4), (2, 8))
TOUR = len(SHAPES) * len(soak.FRAMEWORKS)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):  # as `lenient`, for the module
        return soak.soak(SHAPES, 0, tmp_path_factory.mktemp("soak"))


def test_compiles_nothing_later_and_leaves_nothing_behind(measured):
    assert len(measured["programs"]) == 2 * TOUR
    assert 0 < measured["programs"][0] < measured["programs"][TOUR - 1] == measured["programs"][-1]
    for name in ("arrays", "on_device", "files"):
        assert measured[name][-1] <= measured[name][TOUR - 1], name
    assert measured["on_disk"][-1] <= 1.25 * measured["on_disk"][TOUR - 1]  # an optimiser's first zeros compress well


def test_the_report_counts_what_was_measured(measured):
    measured = copy.deepcopy(measured) | {"resident": [100.0 + i for i in range(2 * TOUR)]}
    settings = {"frameworks": soak.FRAMEWORKS, "shapes": SHAPES, "steps_a_round": 2 * soak.TRAIN_STEPS}

    def said():
        return " ".join(report.section({"settings": settings, "summary": soak.summary(measured, TOUR)}).split())

    assert f"12 rounds, so {12 * 2 * soak.TRAIN_STEPS} training steps and 12 checkpoints read back." in said()
    assert f"{measured['programs'][-1]} programs were compiled in the first 6 rounds" in said()
    assert "grew by 1024.0 KB a round" in said()
    assert "| memory of the process, MB | 102.5 | 101.0 | 102.5 | 108.5 | 111.0 |" in said()
    assert "and 0 after them" in said()
    measured["programs"][-1] += 7
    measured["on_disk"] = [0.0] * 12
    assert "and 7 after them" in said()
    assert "checkpoints read back" not in said()
