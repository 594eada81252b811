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
from libraries import needs

from benchmarks.lib.runs import rows
from benchmarks.studies import family, neurons, others, sequences, settings, speech, spoken_digits, vowels
from benchmarks.studies.reports import neurons as neurons_report
from benchmarks.studies.reports import others as others_report
from benchmarks.studies.shapes import Call
from brainsurr import _other_libraries

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
    _, _, _, take = speech.load(spoken)
    split = speech.by_take(take)
    assert {part: len(rows) for part, rows in split.items()} == {"train": 80, "validation": 100, "test": 100}
    assert set(take[split["test"]]) == {0, 1, 2, 3, 4}
    assert set(take[split["validation"]]) == {5, 6, 7, 8, 9}
    assert set(take[split["train"]]) == {10, 11, 12, 13}


def test_a_file_of_another_rate_is_refused(tmp_path):
    np.savez(tmp_path / "other.npz", rate=16000)
    with pytest.raises(ValueError, match=r"other.npz: expected recordings at 8000 Hz, got 16000"):
        speech.load(tmp_path / "other.npz")


@pytest.mark.slow
def test_networks_that_do_not_spike_learn_speech(spoken, tmp_path):
    """A GRU and an MLP after ten epochs, and logistic regression; a second run trains nothing."""
    others.main(["speech", "--speech", str(spoken), "--quick", "--out", str(tmp_path)])
    path = tmp_path / "speech.json"
    table, before = list(rows(path)), path.read_bytes()
    assert str(spoken) not in path.read_text()
    assert {row["entrant"] for row in table} == {"GRU", "MLP", "logistic regression"}
    gru = 3 * (32 * 64 + 64 * 64 + 64) + 64 * 10 + 10  # two gates and the candidate; the readout
    mlp = 32 * 32 * 128 + 128 + 128 * 128 + 128 + 128 * 10 + 10
    weights = {row["entrant"]: row["weights"] for row in table}
    assert weights == {"GRU": gru, "MLP": mlp, "logistic regression": 32 * 32 * 10 + 10}
    tests = {name: np.mean([row["test"] for row in table if row["entrant"] == name]) for name in weights}
    assert min(tests.values()) > 0.3, tests
    others.main(["speech", "--speech", str(spoken), "--quick", "--out", str(tmp_path)])
    assert path.read_bytes() == before
    assert "| GRU " in others_report.tables(others_report.load(tmp_path), {})


def test_the_setting_of_speech_is_the_split(spoken):
    setting = settings.setting("speech", spoken)
    assert [len(labels) for _, labels in setting.data(0)] == [80, 100, 100]
    assert setting.layers == 1


# Neurons


@pytest.mark.slow
def test_neurons_learn(spoken, tmp_path, unoptimized):
    """A quick run of three."""
    command = [sys.executable, "-m", "benchmarks.studies.neurons", str(spoken), "--quick", "--out", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True, text=True, env=unoptimized)
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
    """The layers of every port, with their switches, whatever their numbers."""
    numbers = {"decay", "adaptation_decay", "spike_adaptation", "voltage_adaptation"}
    trained = set()
    for neuron in neurons.NEURONS:
        flags = frozenset((name, value) for name, value in neuron.options.items() if name not in numbers)
        trained.add(("LI",) * neuron.current + ((neuron.layer.__name__, flags),) + ("Delay",) * neuron.late)
    for port in filter(lambda row: row.here, _other_libraries.rows("neuron")):
        tree = ast.parse(port.here, mode="eval").body
        layers = []
        for call in tree.elts if isinstance(tree, ast.List) else [tree]:
            name = call.func.id
            flags = {k.arg: ast.literal_eval(k.value) for k in call.keywords if k.arg not in numbers}
            layers.append((name, frozenset(flags.items())) if name in ("LIF", "ALIF") else name)
        assert tuple(layers) in trained or layers == ["LI"], port.here


# Sequences


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
def test_vowels_are_learnt_from_series_of_that_shape(monkeypatch):
    """Nine speakers, each a level of its own; the loader of the data itself is tested by `make test-data`."""
    rng, labels = np.random.default_rng(0), (np.arange(180) % 9).astype(np.int32)
    series = (rng.normal(0, 0.5, (180, 25, 12)) + np.eye(9, 12)[labels][:, None]).astype(np.float32)
    split = {"train": np.arange(108), "test": np.arange(108, 180)}
    monkeypatch.setattr(vowels, "load", lambda: (series, labels, split, "made here"))
    setting = settings.japanese_vowels()._replace(epochs=10, batch=16)
    assert [len(part[1]) for part in setting.data(0)] == [72, 36, 72]
    assert not np.array_equal(setting.data(0)[1][0], setting.data(1)[1][0])
    assert np.array_equal(setting.data(0)[2][0], setting.data(1)[2][0])
    surrogate = Call("LogTailedRelu", 0.01, 0.5).surrogate
    parts = setting.parts(0)
    outcome = family.train(setting, None, [surrogate], setting.rate, 1.0, 0, parts)
    assert outcome["test"] > 1 / 9 + 0.3
    assert 0 < outcome["firing"] < 0.9


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
