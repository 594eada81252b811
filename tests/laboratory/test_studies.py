"""The studies: each runs, quickly, and trains what it says."""

import itertools
import math
from functools import partial

import jax
import numpy as np
import pytest
from flax import nnx
from pages import cells

import brainsurr as bs
from benchmarks.lib.study import finished, rows
from benchmarks.studies import causes, comparison, data, settings, weights
from benchmarks.studies.comparison import Grid, Trials
from benchmarks.studies.entrants import ENTRANTS, PRESENT
from brainsurr.nnx import LIF

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("lenient")]


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
    for name, rate in found["best"].items():
        assert {seed for *of, seed in ran if of == [name, rate]} == {0, 1, 1000, 1001}


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


def test_first_weights_are_compared_quickly(tmp_path):
    table = run_twice(weights, tmp_path / "randman.json", "randman")
    found = finished(tmp_path / "randman.json", "weights")
    runs = {(r["gain"], r["rate"], r["seed"]): r["test"] for r in table}
    assert len(runs) == 5 * (2 + 2)
    one, *_ = cells(weights.section(tmp_path))[2:]
    for kind, cell in zip(("x 1", "x 1.4", "x 2", "xi 1", "xi 2"), one[1:], strict=False):
        mean = np.mean([runs[kind, found["best"][kind], seed] for seed in found["seeds"]])
        assert float(cell.split()[0]) == pytest.approx(100 * mean, abs=0.051)


def test_causes_are_measured_quickly(tmp_path):
    """The width that follows is another run, and both have a number for each epoch and layer."""
    table = run_twice(causes, tmp_path / "counts.json", "counts")
    assert [row["width"] for row in table] == list(causes.WIDTHS)
    assert {np.shape(row[name]) for row in table for name in ("far", "flat")} == {(1, 2)}
    assert table[0]["loss"] != table[1]["loss"]
