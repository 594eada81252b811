"""Each study that is a table of configurations runs, quickly; that a stopped one goes on is in test_study.py."""

import importlib
import json
import subprocess
import sys

import numpy as np
import pytest

from benchmarks.studies import neurons, randman, speech

STUDIES = ("learn_alpha",)


def run_study(name, out, environment):
    """A quick run in a process of its own, as a user starts it."""
    command = [sys.executable, "-m", f"benchmarks.studies.{name}", "--quick", "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return json.loads((out / "result.json").read_text())


@pytest.fixture(scope="module", params=STUDIES)
def study(request, tmp_path_factory, unoptimized):
    out = tmp_path_factory.mktemp(request.param)
    return request.param, out, run_study(request.param, out, unoptimized)


@pytest.mark.slow
def test_a_study(study, saved):
    """One test a study: with several workers, a fixture is made by each that runs a test of it."""
    name, out, result = study
    assert {"study", "settings", "python", "versions", "device", "commit", "uncommitted_changes"} <= set(result)
    assert result["study"] == name
    assert len(result["settings"]["seeds"]) == 2
    for outcome in result["runs"].values():
        assert {"test", "validation", "loss", "seconds", "cpu_seconds"} <= set(outcome)
        test = np.array(outcome["test"])
        assert test.shape == np.shape(outcome["validation"])
        assert test.shape[-1] == len(result["settings"]["seeds"])
        assert ((test >= 0) & (test <= 1)).all()
    globals()[f"check_{name}"](result["runs"])
    report = importlib.import_module(f"benchmarks.studies.reports.{name}")
    report.draw(result, out)
    assert set(saved) == {path.name for path in out.glob("*.png")}
    globals()[f"drawn_{name}"](result, saved)
    assert "±" in report.tables(result)


def check_learn_alpha(runs):
    """A fixed alpha stays, a scheduled one ends where its schedule does, a learned one moves and stays inside."""
    fixed = runs["digits, fixed"]
    alphas = np.array(fixed["alpha"]["mean"])
    expected = np.broadcast_to(np.array(fixed["starts"])[:, None, None], alphas.shape)
    np.testing.assert_allclose(alphas, expected, rtol=256 * np.finfo(np.float32).eps)  # means over 256 neurons at most
    assert np.max(runs["digits, 3 steps, then 0"]["alpha"]["max"]) == 0
    learned = runs["digits, learned, projected"]
    assert np.min(learned["alpha"]["min"]) >= 0
    assert np.max(learned["alpha"]["max"]) <= 1
    moved = np.array(learned["alpha"]["mean"]) - np.array(learned["starts"])[:, None, None]
    assert np.abs(moved).max() > 1e-3
    assert np.abs(np.array(runs["digits, hypergradient"]["alpha"]["mean"])[1] - 0.1).max() > 1e-3
    assert np.mean(fixed["test"]) > 0.5


def drawn_learn_alpha(result, saved):
    axis = saved["learn-alpha.png"].axes[0]
    rules = [key.removeprefix("digits, ") for key in result["runs"] if key.startswith("digits, ")]
    assert [label.get_text() for label in axis.get_yticklabels()] == [rule for rule in rules if rule != "fixed"]
    means = [np.mean(test) for test in result["runs"][f"digits, {rules[1]}"]["test"]]
    bars = [line.get_xdata()[0] for line in axis.lines if line.get_marker() == "|"]
    assert bars[: len(means)] == means


def test_neurons_started_again_train_nothing(tmp_path, monkeypatch):
    """With a training that takes no time, on recordings of noise."""
    takes = np.arange(20)
    recordings = np.random.default_rng(0).normal(size=(20, 3, 2)), takes % 10, np.zeros_like(takes), takes
    monkeypatch.setattr(speech, "load", lambda path: recordings)
    monkeypatch.setattr(importlib.metadata, "version", lambda package: "1.0")
    trained = []
    monkeypatch.setattr(neurons, "train", lambda neuron, *how: trained.append(str(neuron)) or {"test": [0.5]})
    command = ["recordings.npz", "--quick", "--out", str(tmp_path)]
    neurons.main(command)
    before = (tmp_path / "result.json").read_bytes()
    assert list(json.loads(before)["runs"]) == trained
    assert len(trained) == 3
    neurons.main(command)
    assert len(trained) == 3
    assert (tmp_path / "result.json").read_bytes() == before


def test_randman_is_the_published_manifold():
    """A sum of sines with weights that fall as a power; one example, by a loop, before it is scaled to the duration."""
    (times, classes), validation, test = randman.sample(3, train=40)
    assert times.shape == (400, 20)
    assert np.bincount(classes).tolist() == [40] * 10
    assert validation[0].shape == test[0].shape == (500, 20)
    everything = np.concatenate([part[0].reshape(10, -1, 20) for part in (randman.sample(3, train=40))], axis=1)
    assert everything.min((0, 1)).max() == 0, "each unit's earliest spike of a class is at the first step"
    assert everything.max() == randman.STEPS - 1

    rng = np.random.default_rng(3)
    theta, phi, psi = rng.uniform(size=(3, 10, 1, 20, 10))
    x = rng.uniform(size=(10, 140, 1, 1))

    def value(c, example, unit):
        total = 0.0
        for i in range(10):
            phase = i * x[c, example, 0, 0] * phi[c, 0, unit, i] + psi[c, 0, unit, i]
            total += theta[c, 0, unit, i] / (i + 1) ** 3 * np.sin(2 * np.pi * phase)
        return total

    values = [value(4, example, 7) for example in range(140)]
    scaled = (values[5] - min(values)) / (max(values) - min(values))
    assert times[4 * 40 + 5, 7] == int(scaled * 50)
