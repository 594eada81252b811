"""The demo learns, shows and writes what it promises, and goes on exactly after `kill -9`."""

import json
import shutil
import signal
import subprocess
import sys
import time
from unittest.mock import Mock

import jax
import numpy as np
import pytest
from cases import all_but

import brainsurr as bs
from benchmarks.digits import __main__ as digits
from benchmarks.digits import report, task, training
from benchmarks.digits.job import Folder, FolderError
from benchmarks.digits.network import Network
from benchmarks.lib import FRAMEWORKS, checkpoints

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("lenient", "one_device")]
RUN = ["--seeds=2", "--epochs=3", "--save-every=1", "--resume"]


def start(out, environment):
    """Start a process as a user would."""
    command, pipe = [sys.executable, "-m", "benchmarks.digits", *RUN, f"--out={out}"], subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment)


@pytest.fixture(scope="module")
def undisturbed(once, unoptimized):
    """The folder of a short run, and what it printed."""

    def run(folder):
        process = start(folder / "out", unoptimized)
        for name, text in zip(("stdout", "stderr"), process.communicate(), strict=True):
            (folder / name).write_text(text)
        assert process.returncode == 0, (folder / "stderr").read_text()

    folder = once("digits", run)
    return folder / "out", (folder / "stdout").read_text(), (folder / "stderr").read_text()


@pytest.fixture(scope="module")
def result(undisturbed):
    return json.loads((undisturbed[0] / "result.json").read_text())


def test_learns_well_above_chance(result):
    for name, accuracy in result["test_accuracy"].items():
        runs = result["runs"][name]
        assert [run["seed"] for run in runs] == [0, 1]
        assert accuracy["seeds"] == [run["test_accuracy"] for run in runs]
        assert accuracy["mean"] == pytest.approx(np.mean(accuracy["seeds"]))
        assert accuracy["mean"] > 0.85, name
        for run in runs if name != "ReLU" else ():
            assert len(run["firing_rate"]) == len(run["silent"]) == 2
            assert all(0.01 < rate < 0.9 for rate in run["firing_rate"])
            before, after = run["parameters"]["before"], run["parameters"]["after"]
            assert (before == after) == (name == "LIF")


def test_shows_and_leaves_what_it_promises(undisturbed, result, capsys, monkeypatch):
    out, stdout, _ = undisturbed
    assert report.table(result) in stdout
    assert {path.name for path in out.iterdir()} == {"result.json", "surrogate.png", "raster.png", "training.png"}
    monkeypatch.setattr(jax, "device_count", lambda: result["about"]["devices"])
    digits.main([*RUN, f"--out={out}"])
    assert "nothing to resume" in capsys.readouterr().out


def test_killed_at_any_time_it_ends_as_if_undisturbed(result, tmp_path, unoptimized):
    """In the middle of a write, and after a checkpoint; before the first there is nothing to go on with."""
    for moment in ("checkpoints/*/*tmp*", "checkpoints/*/[0-9]"):
        before, end = set(tmp_path.glob(moment)), time.monotonic() + 300
        process = start(tmp_path, unoptimized)
        while process.poll() is None and set(tmp_path.glob(moment)) <= before:
            assert time.monotonic() < end
            time.sleep(0.001)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        assert not (tmp_path / "result.json").exists()
    _, errors = start(tmp_path, unoptimized).communicate()
    ended = json.loads((tmp_path / "result.json").read_text())
    assert (ended["runs"], ended["test_accuracy"]) == (result["runs"], result["test_accuracy"])
    assert (ended["resumed"], result["resumed"]) == (True, False)
    assert not list(tmp_path.glob("checkpoints")), errors


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
    assert resumed[0] == through[0]
    assert all((a == b).all() for a, b in zip(resumed[1], through[1], strict=True))
    assert seen == list(zip(*resumed[0]["curve"].values(), strict=True))


def test_another_run_is_refused_as_it_lies(tmp_path):
    folder, other = (Folder(tmp_path, {"epochs": 3, "surrogate": name}) for name in ("A", "B"))
    assert folder.begin(resume=True) is None
    folder.checkpoints.mkdir()
    with pytest.raises(FolderError, match="--resume"):
        folder.begin(resume=False)
    with pytest.raises(FolderError, match=r"unfinished\.json .*'A'.*'B'"):
        other.begin(resume=True)
    assert folder.checkpoints.exists()
    folder.finish({"runs": 1})
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]
    assert folder.begin(resume=True)["runs"] == 1
    folder.checkpoints.mkdir()
    with pytest.raises(SystemExit, match="checkpoints is of no unfinished run"):
        digits.main(["--out", str(tmp_path)])
