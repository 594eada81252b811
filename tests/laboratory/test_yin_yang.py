"""The Yin-Yang data set, and a small run of its study."""

import json

import numpy as np
import pytest
from pages import cells

from benchmarks.studies import yin_yang


def test_the_classes_are_those_of_the_figure():
    """Turning the figure by half a turn swaps yin and yang; the dots are 8 % of the circle."""
    xy = np.random.default_rng(0).random((100_000, 2))
    found, turned = yin_yang.classes(xy), yin_yang.classes(1 - xy)
    np.testing.assert_array_equal(turned, np.array([1, 0, 2, -1])[found])
    np.testing.assert_allclose(
        np.bincount(found + 1) / len(xy), np.array([4 / np.pi - 1, 0.46, 0.46, 0.08]) * np.pi / 4, atol=0.01
    )
    at = np.array([[0.5, 0.9], [0.1, 0.45], [0.5, 0.1], [0.9, 0.55], [0.25, 0.55], [0.75, 0.45]])
    assert yin_yang.classes(at).tolist() == [0, 0, 1, 1, 2, 2]


def test_points_have_their_class_and_each_class_a_third():
    xy, labels = yin_yang.points(3000, 0)
    np.testing.assert_array_equal(yin_yang.classes(np.asarray(xy, float)), labels)
    np.testing.assert_allclose(np.bincount(labels) / 3000, 1 / 3, atol=0.03)


def test_larger_values_fire_earlier():
    spikes = np.asarray(yin_yang.inputs(np.array([[0.2, 0.7]], np.float32), "first spike"))[:, 0]
    assert spikes.sum(0).tolist() == [1] * 5
    assert np.argsort(spikes.argmax(0)).tolist() == [4, 2, 1, 3, 0]  # the bias, 1 - x = 0.8, y, 1 - y = 0.3, x


@pytest.mark.slow
@pytest.mark.usefixtures("lenient")
def test_a_small_run_learns_and_the_best_rate_is_shown(monkeypatch, tmp_path):
    """Networks that are read by their spikes learn more slowly. A made-up row wins by its validation accuracy."""
    monkeypatch.setattr(yin_yang, "RATES", dict.fromkeys(yin_yang.RATES, (0.005,)))
    monkeypatch.setattr(yin_yang, "SEEDS", [0, 1, 2])
    monkeypatch.setitem(yin_yang.HOW, "updates", 100)
    yin_yang.main(["--out", str(tmp_path)])
    path = tmp_path / "result.json"
    result = json.loads(path.read_text())
    assert [row[0] for row in result["rows"]] == sorted(yin_yang.RATES)
    assert all(np.mean(row[2]) > 0.4 for row in result["rows"])  # chance is a third
    assert all(min(row[2]) > 0.5 for row in result["rows"] if "spike" not in row[0])
    assert all(np.shape(row[3]) == (3,) for row in result["rows"])
    result["rows"] += [["ReLU network", 0.1, [1.0] * 3, [0.1, 0.2, 0.3], 0, 0, 0]]
    path.write_text(json.dumps(result))
    shown = {row[0]: row[1:] for row in cells(yin_yang.section(path)) if row}
    half = 100 * 4.303 * 0.1 / 3**0.5  # the quantile of 0.975 for three seeds
    assert shown["ReLU network"] == [f"20.0 ± {half:.1f}", "0.1"]
