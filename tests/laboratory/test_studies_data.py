"""The data of the studies: what is read, how it is split, and quick runs on recordings that the test makes.

What needs a library that the test extra leaves out runs in `make test-data`.
"""

import ast
import os
import wave

import numpy as np
import pytest
from cases import needs
from test_studies import run_twice

from benchmarks.lib.study import of_seeds
from benchmarks.studies import data, neurons, others, settings, speech
from brainsurr import _other_libraries

if os.environ.get("CI") != "true":  # at home a missing library skips, in CI it is an error
    pytest.importorskip("kaldi_native_fbank")

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("lenient")]


# Spoken digits


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """A folder of WAV files like the public one: ten digits as pitches in a little noise, two speakers, 14 takes."""
    folder, rng, written = tmp_path_factory.mktemp("recordings"), np.random.default_rng(0), {}
    for digit in range(10):
        for speaker in ("ann", "bob"):
            for take in range(14):
                length = rng.integers(1500, 2500)
                tone = 3000 * np.sin(2 * np.pi * (300 + 300 * digit) * np.arange(length) / 8000)
                samples = (tone + rng.normal(0, 300, length)).astype(np.int16)
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
    speech.main([str(recordings[0]), "--out", str(path)])
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


OTHER_RECORDINGS = [
    ("7_ann_0.wav", {"rate": 16000}, "7_ann_0.wav: expected 8000 Hz, 1 channel, 16 bits, got 16000, 1, 16"),
    ("7_ann_0.wav", {"channels": 2}, "got 8000, 2, 16"),
    ("seven.wav", {}, "expected a file called digit_speaker_take.wav, got seven.wav"),
    ("seven.mp3", {}, "found no WAV file there"),
]


@pytest.mark.parametrize(("name", "kind", "message"), OTHER_RECORDINGS)
def test_other_recordings_are_refused_in_one_line(name, kind, message, tmp_path, capsys):
    write(tmp_path / name, np.zeros(8, np.int16), **kind)
    with pytest.raises(SystemExit):
        speech.main([str(tmp_path)])
    error = capsys.readouterr().err.split("error: ")[1]
    assert message in error
    assert len(error.strip().splitlines()) == 1


def test_features_are_logarithms_of_mel_bands(tmp_path):
    """The band that a tone falls into, by Kaldi's formula of the mel scale; twice as loud is the same."""

    def mel(hertz):
        return 1127 * np.log(1 + hertz / 700)

    low, high = mel(20), mel(4000)
    centres = low + (high - low) / 33 * np.arange(1, 33)
    noise = np.random.default_rng(0).normal(0, 1000, 3000)
    for hertz in (440, 1000, 2500):
        samples = 3000 * np.sin(2 * np.pi * hertz * np.arange(3000) / 8000) + noise
        features = speech.log_mel(samples)
        assert (features.shape, features.dtype) == ((32, 32), np.float32)
        assert abs(features.mean(0).argmax() - np.abs(centres - mel(hertz)).argmin()) <= 1
        np.testing.assert_allclose(features, speech.log_mel(2 * samples), atol=1e-3)
        assert abs(features.mean()) < 0.2
    assert (speech.log_mel(np.zeros(800)) == 0).all(), "silence is no feature"
    np.savez(tmp_path / "other.npz", rate=16000)
    with pytest.raises(ValueError, match=r"other.npz: expected recordings at 8000 Hz, got 16000"):
        speech.load(tmp_path / "other.npz")


def test_the_setting_of_speech_is_split_by_take(spoken):
    _, _, _, take = speech.load(spoken)
    split = speech.by_take(take)
    takes = {part: set(take[rows].tolist()) for part, rows in split.items()}
    assert takes == {"train": {10, 11, 12, 13}, "validation": {5, 6, 7, 8, 9}, "test": {0, 1, 2, 3, 4}}
    assert [len(labels) for _, labels in settings.setting("speech", spoken).data(0)] == [80, 100, 100]


@pytest.mark.slow
def test_networks_that_do_not_spike_learn_speech(spoken, tmp_path):
    """A GRU and an MLP after ten epochs, and logistic regression; a second run trains nothing."""
    path = tmp_path / "speech.json"
    table = run_twice(others, path, "speech", "--speech", str(spoken))
    assert str(spoken) not in path.read_text()
    gru = 3 * (32 * 64 + 64 * 64 + 64) + 64 * 10 + 10  # two gates and the candidate; the readout
    mlp = 32 * 32 * 128 + 128 + 128 * 128 + 128 + 128 * 10 + 10
    weights = {row["entrant"]: row["weights"] for row in table}
    assert weights == {"GRU": gru, "MLP": mlp, "logistic regression": 32 * 32 * 10 + 10}
    tests = {name: np.mean([row["test"] for row in table if row["entrant"] == name]) for name in weights}
    assert min(tests.values()) > 0.3, tests
    assert "| GRU " in others.tables(others.load(tmp_path), {})


# Neurons


@pytest.mark.slow
def test_neurons_learn(spoken, tmp_path):
    """A quick run of three; a second one trains nothing."""
    path = tmp_path / "result.json"
    runs = of_seeds(run_twice(neurons, path, "--speech", str(spoken)), [0, 1], "neuron")
    assert str(spoken) not in path.read_text()
    trained = 'ALIF(learnable=("decay", "adaptation_decay", "spike_adaptation"))'
    weights = (32 * 32 + 32) + 32 * 32 + (32 * 10 + 10)
    parameters = {"LIF()": weights, "LI - LIF() - Delay": weights, trained: weights + 32 + 1 + 1}
    assert {name: run["parameters"][0] for name, run in runs.items()} == parameters
    for run in runs.values():
        assert min(run["test"]) > 0.4
        assert 0 < min(run["firing"]) <= max(run["firing"]) < 0.9
    assert f"{min(run['test'].mean() for run in runs.values()):.1%}" in neurons.parts(tmp_path)[0]


def test_each_neuron_of_a_port_is_trained():
    """Each layer of a port, and each of its switches, whatever its numbers."""
    trained = {"LI", "Delay", *(neuron.layer.__name__ for neuron in neurons.NEURONS)}
    trained |= {(name, value) for neuron in neurons.NEURONS for name, value in neuron.options.items()}
    trained |= {("recurrent", True), ("learnable", "decay")}
    for port in filter(lambda row: row.here, _other_libraries.rows("neuron")):
        tree = ast.parse(port.here, mode="eval").body
        for call in tree.elts if isinstance(tree, ast.List) else [tree]:
            switches = {k.arg: k.value.value for k in call.keywords if isinstance(k.value, ast.Constant)}
            numbers = {name for name, value in switches.items() if type(value) in (int, float)}
            assert {call.func.id, *((name, switches[name]) for name in switches.keys() - numbers)} <= trained, port.here


# Randman and Japanese vowels


def test_randman_is_the_published_manifold():
    """A sum of sines with weights that fall as a power; one example, by a loop, before it is scaled to the duration."""
    (times, classes), validation, test = data.randman(3, train=40)
    assert times.shape == (400, 20)
    assert np.bincount(classes).tolist() == [40] * 10
    assert validation[0].shape == test[0].shape == (500, 20)
    everything = np.concatenate([part[0].reshape(10, -1, 20) for part in ((times,), validation, test)], axis=1)
    assert everything.min(1).max() == 0, "each unit's earliest spike of a class is at the first step"
    assert everything.max(1).min() == data.STEPS - 1

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


def test_standardised_by_the_training_examples_alone():
    rng = np.random.default_rng(0)
    inputs = rng.normal(3, 2, (20, 5, 4))
    train = np.arange(12)
    xs = data.standardised(inputs, train)
    np.testing.assert_allclose(xs[train].mean((0, 1)), 0, atol=1e-12)  # float64
    np.testing.assert_allclose(xs[train].std((0, 1)), 1, atol=1e-6)  # which is added to the deviation
    other = np.concatenate([inputs[:12], 1e3 * inputs[12:]])
    np.testing.assert_array_equal(data.standardised(other, train)[train], xs[train])


def test_stretched_is_linear_interpolation():
    series = np.array([[0.0, 10.0], [1.0, 10.0], [4.0, 10.0]])
    expected = np.array([[0, 10], [0.5, 10], [1, 10], [2.5, 10], [4, 10]], np.float32)
    np.testing.assert_array_equal(data.stretched(series, 5), expected)


def test_vowels_are_split_anew_by_seed_but_for_the_test(monkeypatch):
    """Nine speakers; the loader of the data itself is tested by `make test-data`."""
    series, labels = np.random.default_rng(0).normal(size=(180, 25, 12)), (np.arange(180) % 9).astype(np.int32)
    split = {"train": np.arange(108), "test": np.arange(108, 180)}
    monkeypatch.setattr(data, "vowels", lambda: (series.astype(np.float32), labels, split))
    setting = settings.japanese_vowels()
    assert [len(part[1]) for part in setting.data(0)] == [72, 36, 72]
    assert not np.array_equal(setting.data(0)[1][0], setting.data(1)[1][0])
    assert np.array_equal(setting.data(0)[2][0], setting.data(1)[2][0])


def test_folds_share_nothing_and_are_stratified():
    labels = np.repeat(np.arange(10), 10)
    split = {"train": np.arange(10, 100), "test": np.arange(10)}
    folds = data.folds(labels, split)
    assert sorted(np.concatenate([fold["validation"] for fold in folds])) == list(range(10, 100))
    for fold in folds:
        assert not set(fold["train"]) & set(fold["validation"])
        assert len(fold["train"]) == 60
        assert set(np.bincount(labels[fold["validation"]])[1:]) <= {3, 4}


@pytest.mark.peers
def test_vowels_of_aeon():
    needs("aeon")
    series, labels, split = data.vowels()
    assert (series.shape, len(split["train"]), len(split["test"])) == ((640, 25, 12), 270, 370)
    assert np.bincount(labels[split["train"]]).tolist() == [30] * 9
    assert np.bincount(labels[split["test"]]).tolist() == [31, 35, 88, 44, 29, 24, 40, 50, 29]
