"""Each study runs, quickly: what is dead is at chance, and what is known to learn learns.

That a stopped one goes on is in test_study.py, and in test_studies_data.py for a whole study.
"""

import importlib
import json
import subprocess
import sys

import numpy as np
import pytest

import brainsurr as bs
from benchmarks.lib.report import CHANCE
from benchmarks.studies import randman
from benchmarks.studies.grid import GRID, members

STUDIES = ("randman", "depth", "dynamic_range", "learn_alpha")


def run(name, out, environment):
    """A quick run in a process of its own, as a user starts it."""
    command = [sys.executable, "-m", f"benchmarks.studies.{name}", "--quick", "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return json.loads((out / "result.json").read_text())


@pytest.fixture(scope="module", params=STUDIES)
def study(request, tmp_path_factory, environment):
    out = tmp_path_factory.mktemp(request.param)
    return request.param, out, run(request.param, out, environment)


@pytest.mark.slow
def test_a_study(study, saved):
    """One test a study: with several workers, a fixture is made by each that runs a test of it."""
    name, out, result = study
    assert {"study", "settings", "python", "versions", "device", "commit", "uncommitted_changes"} <= set(result)
    assert result["study"] == name
    assert len(result["settings"]["seeds"]) == 2
    for key, outcome in result["runs"].items():
        assert {"test", "validation", "loss", "seconds", "cpu_seconds"} <= set(outcome)
        test = np.array(outcome["test"])
        assert test.shape == np.shape(outcome["validation"])
        assert test.shape[-1] == len(result["settings"]["choosing_seeds" if key.endswith("grid") else "seeds"])
        assert ((test >= 0) & (test <= 1)).all()
    globals()[f"check_{name}"](result["runs"])
    report = importlib.import_module(f"benchmarks.studies.reports.{name}")
    report.draw(result, out)
    assert set(saved) == {path.name for path in out.glob("*.png")}
    globals()[f"drawn_{name}"](result, saved)
    assert "±" in report.tables(result)


def check_choice(runs, suffix, setting=slice(None)):
    """What goes on to more seeds is what validation likes best of the grid, in the setting where it chooses."""
    chosen = {key.removesuffix(f", {suffix}"): run for key, run in runs.items() if key.endswith(f", {suffix}")}
    assert chosen
    for name, run in chosen.items():
        grid = runs[f"{name}, grid"]
        means = [np.mean(np.array(values)[setting]) for values in grid["validation"]]
        assert run["surrogates"] == [grid["surrogates"][int(np.argmax(means))]], name


def check_randman(runs):
    """At a tenth of the usual weights LogTailedRelu(0) is dead; SuperSpike learns at the usual ones."""
    check_choice(runs, "best", setting=1)
    dead = runs["LogTailedRelu, grid"]
    assert dead["surrogates"][0] == "LogTailedRelu(alpha=0.0)"
    assert np.max(np.array(dead["test"])[0, 0]) <= CHANCE
    assert np.max(np.array(dead["rate"])[0, 0]) == 0
    assert np.min(np.array(runs["InvSquareGrad, best"]["test"])[0, 1]) > 0.3


def curve(axis, label):
    """The heights of the line of that name."""
    (line,) = (line for line in axis.lines if line.get_label() == label)
    return line.get_ydata()


def drawn_randman(result, saved):
    best = result["runs"]["InvSquareGrad, best"]["test"][0]
    np.testing.assert_array_equal(curve(saved["randman-scale.png"].axes[0], "InvSquareGrad"), np.mean(best, axis=-1))
    panels = {axis.get_title(): axis.images[0].get_array() for axis in saved["randman-grid.png"].axes if axis.images}
    assert set(panels) == {key.removesuffix(", grid") for key in result["runs"] if key.endswith(", grid")}
    grid = result["runs"]["LogTailedRelu, grid"]["test"]
    np.testing.assert_array_equal(panels["LogTailedRelu"], np.mean(grid, axis=-1))


def check_depth(runs):
    check_choice(runs, "3 layers")
    for run in runs.values():
        assert np.shape(run["before"]["gradient"])[-1] == np.shape(run["rates"])[-1] == 3
        assert (np.array(run["before"]["gradient"]) >= 0).all()
    assert np.mean(runs["InvSquareGrad, 3 layers"]["test"]) > 0.5


def drawn_depth(result, saved):
    accuracies, gradients, rates = saved["depth.png"].axes
    depths = result["settings"]["depths"]
    means = [np.mean(result["runs"][f"InvSquareGrad, {depth} layers"]["test"]) for depth in depths]
    np.testing.assert_array_equal(curve(accuracies, "InvSquareGrad"), means)
    for axis in (gradients, rates):
        assert len(curve(axis, "InvSquareGrad")) == depths[-1]


def check_dynamic_range(runs):
    """Without a spread digits are easy."""
    check_choice(runs, "best")
    assert np.mean(np.array(runs["LogTailedRelu, best"]["test"])[0, 0]) > 0.8


def drawn_dynamic_range(result, saved):
    examples = saved["dynamic-range.png"].axes[0]
    between = [i for i, (_, channels) in enumerate(result["settings"]["spreads"]) if not channels]
    means = np.mean(result["runs"]["LogTailedRelu, best"]["test"][0], axis=-1)[between]
    np.testing.assert_array_equal(curve(examples, "LogTailedRelu"), means)


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


def test_the_family_is_whole():
    classes = {name: getattr(bs, name) for name in bs.__all__ if isinstance(getattr(bs, name), type)}
    surrogates = {name for name, exported in classes.items() if issubclass(exported, bs.Surrogate)}
    assert set(GRID) == surrogates - {"Surrogate", "Scaled"}
    for name, surrogates in members().items():
        assert len({repr(f) for f in surrogates}) == len(GRID[name][1]), name
        defaults = getattr(bs, name)()
        others = set(defaults.named_parameters()[1]) - {GRID[name][0]}
        assert all(getattr(f, other) == getattr(defaults, other) for f in surrogates for other in others)


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
