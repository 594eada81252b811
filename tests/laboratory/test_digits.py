"""The demo learns, shows and writes what it promises, and resumes exactly."""

import json
import shutil
import subprocess
import sys
from unittest.mock import Mock

import jax
import numpy as np
import pytest
from cases import all_but

import brainsurr as bs
from benchmarks.digits import __main__ as digits
from benchmarks.digits import report, task, training
from benchmarks.digits.network import Network
from benchmarks.lib import FRAMEWORKS, checkpoints

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("lenient", "one_device")]
RUN = ["--seeds=2", "--epochs=3", "--save-every=1", "--resume"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, unoptimized):
    """The folder of a short run in a process, and its output."""
    out = tmp_path_factory.mktemp("digits")
    command = [sys.executable, "-m", "benchmarks.digits", *RUN, f"--out={out}"]
    return out, subprocess.run(command, capture_output=True, text=True, check=True, env=unoptimized).stdout


@pytest.fixture(scope="module")
def result(undisturbed):
    return json.loads((undisturbed[0] / "result.json").read_text())


def test_learns_well_above_chance(result):
    for name, runs in result["runs"].items():
        assert [run["seed"] for run in runs] == [0, 1]
        assert np.mean([run["test_accuracy"] for run in runs]) > 0.85, name
        for run in runs if name != "ReLU" else ():
            assert len(run["firing_rate"]) == len(run["silent"]) == 2
            assert all(0.01 < rate < 0.9 for rate in run["firing_rate"])
            before, after = run["parameters"]["before"], run["parameters"]["after"]
            assert (before == after) == (name == "LIF")


def test_shows_and_leaves_what_it_promises(undisturbed, result, capsys, monkeypatch):
    out, stdout = undisturbed
    assert report.table(result) in stdout
    assert {path.name for path in out.iterdir()} == {"result.json", "training.png"}
    monkeypatch.setattr(jax, "device_count", lambda: result["about"]["devices"])
    digits.main([*RUN, f"--out={out}"])
    assert "nothing to resume" in capsys.readouterr().out


@pytest.mark.parametrize("framework", all_but(FRAMEWORKS[:1], FRAMEWORKS))
def test_every_framework_goes_on_exactly(framework, tmp_path):
    first, second = (Network(framework, bs.LogTailedRelu(0.1), ("alpha",), 0, 30) for _ in range(2))
    data, seen = task.load_validated(), []
    with checkpoints.manager(tmp_path) as kept:
        through = training.train(data, first, 0, 3, kept=kept, every=2)
    shutil.rmtree(tmp_path / "3")
    second.train_epoch = Mock(wraps=second.train_epoch)
    with checkpoints.manager(tmp_path) as kept:
        resumed = training.train(data, second, 0, 3, lambda *epoch: seen.append(epoch), kept)
    assert second.train_epoch.call_count == 1
    assert resumed == through
    assert seen == list(zip(*resumed["curve"].values(), strict=True))
