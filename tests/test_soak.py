"""The long run, shortly: it compiles nothing after its first tour and leaves nothing behind on the device."""

import threading

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
        return soak.soak(SHAPES, 0, 2, tmp_path_factory.mktemp("soak"))


def test_compiles_nothing_after_the_first_tour(measured):
    programs = measured["programs"]
    assert len(programs) == 2 * TOUR
    assert programs[0] > 0
    assert programs[TOUR - 1] == programs[-1]


def test_leaves_nothing_behind(measured):
    for name in ("arrays", "on_device", "files"):
        first, second = measured[name][TOUR - 1], measured[name][-1]
        assert second <= first, name
    assert measured["on_disk"][-1] <= 1.25 * measured["on_disk"][TOUR - 1]  # an optimiser's first zeros compress well


def test_ends_each_thread_it_starts(tmp_path, monkeypatch):
    started, start = [], threading.Thread.start
    monkeypatch.setattr(threading.Thread, "start", lambda thread: (started.append(thread), start(thread)))
    soak.Model("nnx").save_and_resume(tmp_path)
    assert started
    for thread in started:
        thread.join(10)
    assert not [thread for thread in started if thread.is_alive()]


def test_learns_nothing_from_noise_but_stays_finite(measured):
    assert all(0 < loss < 100 for loss in measured["loss"])


def test_the_report_counts_what_was_measured(measured):
    settings = {"frameworks": soak.FRAMEWORKS, "shapes": SHAPES, "steps_a_round": 2 * soak.TRAIN_STEPS}
    text = report.section({"settings": settings, "measured": measured})
    assert f"{2 * TOUR} rounds" in text
    assert f"{measured['programs'][TOUR - 1]} programs" in text
    assert "checkpoints read back" in text
    assert "checkpoints read back" not in report.section(
        {"settings": settings, "measured": measured | {"on_disk": [0.0] * len(measured["on_disk"])}}
    )
    grown = measured | {"programs": [*measured["programs"][:-1], measured["programs"][-1] + 7]}
    assert "and 0 after\nthem" in text
    assert "and 7 after\nthem" in report.section({"settings": settings, "measured": grown})
