"""The studies on data from outside: what they read, how they split it, and quick runs on data that the test makes.

What needs a library that the test extra leaves out runs in `make test-data`.
"""

import ast
import json
import os
import subprocess
import sys
import wave

import numpy as np
import pytest
from comparisons import check, check_picture, needs

import brainsurr as bs
from benchmarks.lib import study
from benchmarks.studies import comparison, neurons, sequences, speech, spoken_digits, vowels
from benchmarks.studies.reports import neurons as neurons_report
from benchmarks.studies.reports import speech as speech_report
from benchmarks.studies.reports import vowels as vowels_report
from docs.ports import PORTS

if os.environ.get("CI") != "true":  # at home a missing library skips, in CI it is an error
    pytest.importorskip("kaldi_native_fbank")

pytestmark = pytest.mark.usefixtures("lenient")


# Spoken digits


def tone(digit, samples, rng):
    """A digit as its own pitch, in a little noise."""
    wave = 3000 * np.sin(2 * np.pi * (300 + 300 * digit) * np.arange(samples) / 8000)
    return (wave + rng.normal(0, 300, samples)).astype(np.int16)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """A folder of WAV files like the public one: ten digits, two speakers, 14 takes."""
    folder, rng, written = tmp_path_factory.mktemp("recordings"), np.random.default_rng(0), {}
    for digit in range(10):
        for speaker in ("ann", "bob"):
            for take in range(14):
                samples = tone(digit, rng.integers(1500, 2500), rng)
                written[f"{digit}_{speaker}_{take}"] = samples
                write(folder / f"{digit}_{speaker}_{take}.wav", samples)
    return folder, written


def write(path, samples, rate=8000, channels=1):
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, 2, rate, 0, "NONE", ""))
        file.writeframes(samples.astype("<i2").tobytes())


@pytest.fixture(scope="module")
def spoken(recordings, tmp_path_factory):
    path = tmp_path_factory.mktemp("spoken") / "spoken.npz"
    spoken_digits.main([str(recordings[0]), "--out", str(path)])
    return path


def test_spoken_digits_are_those_of_the_files(recordings, spoken):
    _, written = recordings
    with np.load(spoken, allow_pickle=False) as file:
        assert (int(file["rate"]), file["samples"].dtype, file["lengths"].dtype) == (8000, np.int16, np.int32)
        parts = np.split(file["samples"], np.cumsum(file["lengths"])[:-1])
        names = [f"{d}_{s}_{t}" for d, s, t in zip(file["digit"], file["speaker"], file["take"], strict=True)]
    assert names == sorted(written, key=lambda name: name + ".wav")
    assert names[:3] == ["0_ann_0", "0_ann_1", "0_ann_10"]
    for name, samples in zip(names, parts, strict=True):
        np.testing.assert_array_equal(samples, written[name])


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("7_ann_0.wav", {"rate": 16000}, "7_ann_0.wav: expected 8000 Hz, 1 channel, 16 bits, got 16000, 1, 16"),
        ("7_ann_0.wav", {"channels": 2}, "got 8000, 2, 16"),
        ("seven.wav", {}, "expected a file called digit_speaker_take.wav, got seven.wav"),
        ("seven.mp3", {}, "found no WAV file there"),
    ],
)
def test_other_recordings_are_refused_in_one_line(name, kind, message, tmp_path, capsys):
    write(tmp_path / name, np.zeros(8, np.int16), **kind)
    with pytest.raises(SystemExit):
        spoken_digits.main([str(tmp_path)])
    error = capsys.readouterr().err.split("error: ")[1]
    assert message in error
    assert len(error.strip().splitlines()) == 1


def test_features_are_logarithms_of_mel_bands():
    """The band that a tone falls into, by Kaldi's formula of the mel scale; twice as loud is the same."""

    def mel(hertz):
        return 1127 * np.log(1 + hertz / 700)

    low, high = mel(20), mel(4000)
    centres = low + (high - low) / 33 * np.arange(1, 33)
    noise = np.random.default_rng(0).normal(0, 1000, 3000)
    for hertz in (440, 1000, 2500):
        samples = 3000 * np.sin(2 * np.pi * hertz * np.arange(3000) / 8000) + noise
        features = speech.log_mel(samples)
        assert features.shape == (32, 32)
        assert features.dtype == np.float32
        assert abs(features.mean(0).argmax() - np.abs(centres - mel(hertz)).argmin()) <= 1
        np.testing.assert_allclose(features, speech.log_mel(2 * samples), atol=1e-3)
        assert abs(features.mean()) < 0.2


def test_silence_is_no_feature():
    assert (speech.log_mel(np.zeros(800)) == 0).all()


def test_splits_of_speech(spoken):
    _, _, speaker, take = speech.load(spoken)
    split = speech.by_take(take)
    assert {part: len(rows) for part, rows in split.items()} == {"train": 80, "validation": 100, "test": 100}
    assert set(take[split["test"]]) == {0, 1, 2, 3, 4}
    assert set(take[split["validation"]]) == {5, 6, 7, 8, 9}
    assert set(take[split["train"]]) == {10, 11, 12, 13}
    for name, held_out in zip(("ann", "bob"), speech.by_speaker(speaker, take), strict=True):
        assert (speaker[held_out["test"]] == name).sum() == 140
        assert name not in set(speaker[held_out["train"]])


def test_a_file_of_another_rate_is_refused(tmp_path):
    np.savez(tmp_path / "other.npz", rate=16000)
    with pytest.raises(ValueError, match=r"other.npz: expected recordings at 8000 Hz, got 16000"):
        speech.load(tmp_path / "other.npz")


@pytest.mark.slow
def test_speech_learns_writes_all_and_goes_on(spoken, tmp_path, environment, saved):
    """A quick run in a process of its own; compiled without optimisation, which is most of its time."""

    def run():
        command = [sys.executable, "-m", "benchmarks.studies.speech", str(spoken), "--quick", "--out", str(tmp_path)]
        flags = environment["XLA_FLAGS"] + " --xla_backend_optimization_level=0"
        quickly = environment | {"XLA_FLAGS": flags}
        subprocess.run(command, check=True, capture_output=True, text=True, env=quickly)
        return json.loads((tmp_path / "result.json").read_text())

    result = run()
    check(result, "speech", chance=0.1)
    assert result["settings"]["split"] == {"train": 80, "validation": 100, "test": 100}
    assert str(spoken) not in json.dumps(result)
    unseen = result["runs"]["LogTailedRelu, unseen speakers"]
    assert np.shape(unseen["test"]) == (1, 2, 1)
    speech_report.draw(result, tmp_path)
    check_picture(result, saved["speech.png"])
    assert "| LIF, `InvSquareGrad(" in speech_report.tables(result)
    assert len(list(speech_report.claims(result))) >= 4

    # Gone on with after its last configuration was lost: the same numbers.
    *kept, last = result["runs"]
    (tmp_path / "result.json").write_text(json.dumps(result | {"runs": {key: result["runs"][key] for key in kept}}))
    again = run()["runs"][last]
    assert {k: v for k, v in again.items() if "seconds" not in k} == {
        k: v for k, v in result["runs"][last].items() if "seconds" not in k
    }


# Neurons


@pytest.mark.slow
def test_neurons_learn(spoken, tmp_path, environment):
    """A quick run of three, compiled without optimisation."""
    command = [sys.executable, "-m", "benchmarks.studies.neurons", str(spoken), "--quick", "--out", str(tmp_path)]
    flags = environment["XLA_FLAGS"] + " --xla_backend_optimization_level=0"
    subprocess.run(command, check=True, capture_output=True, text=True, env=environment | {"XLA_FLAGS": flags})
    result = json.loads((tmp_path / "result.json").read_text())
    assert str(spoken) not in json.dumps(result)
    runs = result["runs"]
    trained = 'ALIF(learnable=("decay", "adaptation_decay", "spike_adaptation"))'
    assert list(runs) == ["LIF()", "LI - LIF() - Delay", trained]
    weights = (32 * 32 + 32) + 32 * 32 + (32 * 10 + 10)
    assert [run["parameters"] for run in runs.values()] == [weights, weights, weights + 32 + 1 + 1]
    for run in runs.values():
        assert len(run["test"]) == len(run["rate"]) == 2
        assert min(run["test"]) > 0.4
        assert 0 < min(run["rate"]) <= max(run["rate"]) < 0.9
    table, summary = neurons_report.tables(result), neurons_report.summary(result)
    worst = min(runs, key=lambda name: sum(runs[name]["test"]))
    assert f"{50 * sum(runs[worst]['test']):.1f}%" in summary
    for name, run in runs.items():
        (row,) = (line for line in table.splitlines() if f"`{name}`" in line)
        assert f"| {sum(run['test']) / 2:.3f} ± " in row
        assert f" {run['parameters']} |" in row


def test_each_neuron_of_a_port_is_trained():
    """The layers of docs/ports.py, with their switches, whatever their numbers."""
    numbers = {"decay", "adaptation_decay", "spike_adaptation", "voltage_adaptation"}
    trained = set()
    for neuron in neurons.NEURONS:
        flags = frozenset((name, value) for name, value in neuron.options.items() if name not in numbers)
        trained.add(("LI",) * neuron.current + ((neuron.layer.__name__, flags),) + ("Delay",) * neuron.late)
    for port in PORTS:
        tree = ast.parse(port.here, mode="eval").body
        layers = []
        for call in tree.elts if isinstance(tree, ast.List) else [tree]:
            name = call.func.id
            flags = {k.arg: ast.literal_eval(k.value) for k in call.keywords if k.arg not in numbers}
            layers.append((name, frozenset(flags.items())) if name in ("LIF", "ALIF") else name)
        assert tuple(layers) in trained or layers == ["LI"], port.here


# The comparison


def test_a_point_is_chosen_by_validation_never_by_test(monkeypatch, tmp_path):
    """Of three points the second is best in validation and worst in test."""
    points = [bs.LogTailedRelu(alpha) for alpha in (0.0, 0.1, 0.2)]
    accuracies = {"validation": [0.1, 0.9, 0.2], "test": [0.9, 0.1, 0.8]}

    def run(task, name, points, splits, seeds, epochs):
        place = {"points": list(map(str, points))}
        return place | {k: [[[v] * len(seeds)] * len(splits) for v in values] for k, values in accuracies.items()}

    monkeypatch.setattr(comparison, "try_points", run)
    made = study.Study("comparison", {}, tmp_path, total=1)
    task = comparison.Task(np.zeros((4, 2, 1)), np.zeros(4), speech.RECIPE, short=1)
    best = comparison.compare(made, task, comparison.Grids({"LogTailedRelu": points}), [{}], {}, [0], [1, 2])
    assert best["LogTailedRelu"].surrogate == bs.LogTailedRelu(0.1)
    assert made.result["runs"]["LogTailedRelu, best"]["points"] == ["LogTailedRelu(alpha=0.1)"]
    assert best["GRU"].rate == comparison.Grids({}).rates[1]
    assert len(made.result["runs"]) == comparison.Grids({"LogTailedRelu": points}).size() == 9


def test_standardised_by_the_training_examples_alone():
    rng = np.random.default_rng(0)
    inputs = rng.normal(3, 2, (20, 5, 4))
    train = np.arange(12)
    xs = sequences.standardised(inputs, train)
    np.testing.assert_allclose(xs[train].mean((0, 1)), 0, atol=1e-12)  # float64
    np.testing.assert_allclose(xs[train].std((0, 1)), 1, atol=1e-6)  # which is added to the deviation
    other = np.concatenate([inputs[:12], 1e3 * inputs[12:]])
    np.testing.assert_array_equal(sequences.standardised(other, train)[train], xs[train])


# Japanese vowels


@pytest.mark.slow
def test_vowels_runs_on_series_of_that_shape(monkeypatch, tmp_path, saved):
    """Nine speakers, each a level of its own; the loader of the data itself is tested by `make test-data`."""
    rng, labels = np.random.default_rng(0), np.arange(180) % 9
    series = (rng.normal(0, 0.5, (180, 25, 12)) + np.eye(9, 12)[labels][:, None]).astype(np.float32)
    split = {"train": np.arange(108), "test": np.arange(108, 180)}
    monkeypatch.setattr(vowels, "load", lambda: (series, labels, split, "made here"))
    vowels.main(["--quick", "--out", str(tmp_path)])
    result = json.loads((tmp_path / "result.json").read_text())
    check(result, "vowels", chance=1 / 9)
    assert np.shape(result["runs"]["LogTailedRelu, grid"]["validation"]) == (2, 3, 1)
    assert "validation" not in result["runs"]["LogTailedRelu, best"]
    vowels_report.draw(result, tmp_path)
    check_picture(result, saved["vowels.png"])
    assert "±" in vowels_report.tables(result)
    assert len(list(vowels_report.claims(result))) == 3  # without LeakyRelu, none about it


def test_folds_share_nothing_and_are_stratified():
    labels = np.repeat(np.arange(10), 10)
    split = {"train": np.arange(10, 100), "test": np.arange(10)}
    folds = vowels.folds(labels, split)
    assert sorted(np.concatenate([fold["validation"] for fold in folds])) == list(range(10, 100))
    for fold in folds:
        assert not set(fold["train"]) & set(fold["validation"])
        assert len(fold["train"]) == 60
        assert set(np.bincount(labels[fold["validation"]])[1:]) <= {3, 4}


@pytest.mark.peers
def test_vowels_of_aeon():
    needs("aeon")
    series, labels, split, source = vowels.load()
    assert (series.shape, len(split["train"]), len(split["test"])) == ((640, 25, 12), 270, 370)
    assert np.bincount(labels[split["train"]]).tolist() == [30] * 9
    assert np.bincount(labels[split["test"]]).tolist() == [31, 35, 88, 44, 29, 24, 40, 50, 29]
    assert source.startswith("aeon ")
