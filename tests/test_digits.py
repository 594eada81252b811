"""The main job: it learns, it repeats itself, it writes what it promises, and it refuses nonsense in one line."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import brainsurr as bs
from benchmarks.digits import __main__ as digits
from benchmarks.digits import brainstate as digits_brainstate
from benchmarks.digits import linen as digits_linen
from benchmarks.digits import nnx as digits_nnx
from benchmarks.digits import report, task, training
from benchmarks.lib import results

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("lenient")]


@pytest.fixture(scope="module")
def out(tmp_path_factory, environment):
    """A short run, in its own process as a user would start it."""
    out = tmp_path_factory.mktemp("digits")
    command = [sys.executable, "-m", "benchmarks.digits", "--seeds", "2", "--epochs", "8", "--out", str(out)]
    run = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    (out / "stdout").write_text(run.stdout)
    (out / "stderr").write_text(run.stderr)
    return out


@pytest.fixture(scope="module")
def result(out):
    return json.loads((out / "result.json").read_text())


def test_learns_well_above_chance(result):
    for name, accuracy in result["test_accuracy"].items():
        assert accuracy["mean"] > 0.9, name
        assert accuracy["seeds"] == [run["test_accuracy"] for run in result["runs"][name]]
        np.testing.assert_allclose(accuracy["mean"], np.mean(accuracy["seeds"]))


def test_result_says_where_it_came_from(result):
    assert {"versions", "device", "commit", "python", "seconds", "epochs", "surrogate"} <= set(result)
    assert {"jax", "flax", "optax", "scikit-learn"} <= set(result["versions"])
    assert [run["seed"] for run in result["runs"]["LIF"]] == [0, 1]


def test_neurons_fire_and_alpha_is_trained_in_one_network_alone(result):
    for name in ("LIF", "LIF, trained"):
        for run in result["runs"][name]:
            assert all(0.01 < rate < 0.9 for rate in run["firing_rate"])
            assert all(0 <= share < 0.5 for share in run["silent"])
            before, after = run["parameters"]["before"], run["parameters"]["after"]
            assert (before == after) == (name == "LIF")
            assert all(0 <= layer["alpha"] <= 1 for layer in after)


def test_table_and_progress(out):
    stdout, stderr = (out / "stdout").read_text(), (out / "stderr").read_text()
    rows = [line for line in stdout.splitlines() if line.startswith("|")]
    assert len(rows) == 5
    assert len({len(row) for row in rows}) == 1, "columns align"
    assert "alpha 0.1 -> " in stdout
    assert "48/48" in stderr
    assert all(line.startswith("training: ") for line in stderr.strip().splitlines()), "nothing but the bar"


def test_checkpoints_are_gone_in_the_end(out):
    assert {path.name for path in out.iterdir() if path.is_dir()} == set()


def test_pictures_are_written(out):
    assert {path.stem for path in out.glob("*.png")} == {"surrogate", "raster", "training"}


def test_pictures_show_the_numbers(tmp_path, saved):
    curves = {"loss": ([4.0, 1.0], [2.0, 1.0]), "test_accuracy": ([0.91, 0.95], [0.93, 0.97])}
    runs = {"LIF": [{"curve": {name: curve[seed] for name, curve in curves.items()}} for seed in (0, 1)]}
    spikes = [np.eye(5, 3), np.zeros((5, 2))]
    report.draw(tmp_path, bs.LogTailedRelu(0.1), runs, spikes, digit=7)
    assert {path.name for path in tmp_path.iterdir()} == set(saved) == {"surrogate.png", "raster.png", "training.png"}
    for axis, expected in zip(saved["training.png"].axes, ([3, 1], [0.92, 0.96]), strict=True):
        assert axis.lines[0].get_label() == "LIF"
        np.testing.assert_allclose(axis.lines[0].get_ydata(), expected)
    assert [len(axis.collections[0].get_segments()) for axis in saved["raster.png"].axes] == [3, 0]
    assert "a 7" in saved["raster.png"].get_suptitle()
    x, y = saved["surrogate.png"].axes[1].lines[0].get_data()
    assert set(y[x < 0]) == {np.float32(0.1)}


def test_same_seed_same_numbers():
    def train():
        return training.train(task.load(), digits_nnx.Network(bs.LogTailedRelu(0.1), (), 0, 20), 0, 2)[0]

    assert train() == train()


def test_split_is_stratified():
    data = task.load()
    assert (data.train_images.shape, data.test_images.shape) == ((1347, 64), (450, 64))
    assert np.bincount(data.test_labels).tolist() == [45, 46, 44, 46, 45, 46, 45, 45, 43, 45]


@pytest.mark.parametrize("surrogate", [bs.LogTailedRelu(0.1), None], ids=["LIF", "ReLU"])
def test_frameworks_train_alike_from_the_same_weights(surrogate, monkeypatch):
    # Without Dropout, whose masks are each host's own, the frameworks do the same: one network, one order, one noise.
    monkeypatch.setattr(task, "DROPOUT", 0.0)
    digits_linen.build.cache_clear()
    hosts, learnable = (digits_nnx, digits_linen, digits_brainstate), ("alpha",) if surrogate else ()
    runs = [training.train(task.load(), host.Network(surrogate, learnable, 0, 20), 0, 2) for host in hosts]
    digits_linen.build.cache_clear()
    (reference, spikes), *others = runs
    for run, other_spikes in others:
        np.testing.assert_allclose(run["curve"]["loss"], reference["curve"]["loss"], rtol=2e-3)
        np.testing.assert_allclose(run["test_accuracy"], reference["test_accuracy"], atol=0.01)
        for mine, theirs in zip(run["parameters"]["after"], reference["parameters"]["after"], strict=True):
            np.testing.assert_allclose(mine["alpha"], theirs["alpha"], rtol=1e-2)
        for mine, theirs in zip(other_spikes, spikes, strict=True):
            assert (mine != theirs).mean() < 0.02


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--surrogate", "Nothing"], "'Nothing' is not one of"),
        (["--alpha", "3"], "alpha = 3.0 is outside [0.0, 1.0]"),
        (["--alpha", "x"], "invalid float value: 'x'"),
        (["--epochs", "0"], "expected a positive integer, got 0"),
        (["--seeds", "-1"], "expected a positive integer, got -1"),
        (["--learnable", "beta"], "learnable='beta' is not a parameter"),
        (["--framework", "torch"], "invalid choice: 'torch'"),
        (["--dtype", "float16"], "invalid choice: 'float16'"),
        (["--save-every", "0"], "expected a positive integer, got 0"),
        (["--nonsense"], "unrecognized arguments"),
        (["--out", __file__], "--out: expected a folder to write into, got"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_arguments_get_one_line(arguments, message, capsys):
    with pytest.raises(SystemExit):
        digits.parse(arguments)
    error = capsys.readouterr().err.split("python -m benchmarks.digits: error: ")[1]
    assert message in error
    assert len(error.strip().splitlines()) == 1


def test_arguments(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    args = digits.parse(["--surrogate", "LeakyRelu", "--alpha", "0.2", "--learnable", "alpha", "beta", "--seeds", "3"])
    assert (args.surrogate, args.learnable, args.seeds) == (bs.LeakyRelu(0.2), ["alpha", "beta"], 3)
    assert digits.parse([]).surrogate == bs.LogTailedRelu(0.1)
    assert list(digits.parse([]).out.iterdir()) == []
    assert digits.parse([]).out == Path("runs/digits")
    assert digits.parse(["--learnable"]).learnable == []


def test_help(capsys):
    with pytest.raises(SystemExit):
        digits.parse(["--help"])
    shown = capsys.readouterr().out
    for option in ("seeds", "epochs", "alpha", "learnable", "surrogate", "framework", "dtype", "out", "save-every"):
        assert f"--{option} " in shown
    assert "--resume" in shown


def test_table_aligns():
    text = results.table(["a", "bb"], [["x", "1"], ["longer", "22"]])
    assert text.splitlines() == ["| a      | bb |", "| :----- | -: |", "| x      |  1 |", "| longer | 22 |"]


def test_write_is_whole_or_not_at_all(tmp_path, monkeypatch):
    path, whole = tmp_path / "deep" / "result.json", Path.write_text

    def half(self, text):
        whole(self, text[: len(text) // 2])
        raise OSError("No space left on device")

    results.write(path, {"a": 1})
    monkeypatch.setattr(Path, "write_text", half)
    with pytest.raises(OSError, match="No space"):
        results.write(path, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 1}
