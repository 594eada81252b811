"""The data of the studies: what is drawn, read and split, and a quick run on recordings that the test makes."""

import itertools
import os
import wave

import numpy as np
import pytest
from test_studies import run_twice

from benchmarks.lib.study import of_seeds
from benchmarks.studies import data, neurons, settings, speech

if os.environ.get("CI") != "true":  # at home a missing library skips, in CI it is an error
    pytest.importorskip("kaldi_native_fbank")

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("lenient")]


def write(path, samples, rate=8000, channels=1):
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, 2, rate, 0, "NONE", ""))
        file.writeframes(samples.astype("<i2").tobytes())


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    """The file of recordings like the public ones: ten digits as pitches in a little noise, two speakers, 14 takes."""
    folder, rng, written = tmp_path_factory.mktemp("recordings"), np.random.default_rng(0), {}
    for digit, speaker, take in itertools.product(range(10), ("ann", "bob"), range(14)):
        tone = 3000 * np.sin(2 * np.pi * (300 + 300 * digit) * np.arange(rng.integers(1500, 2500)) / 8000)
        name = f"{digit}_{speaker}_{take}.wav"
        written[name] = (tone + rng.normal(0, 300, len(tone))).astype(np.int16)
        write(folder / name, written[name])
    speech.main([str(folder), "--out", str(folder / "spoken.npz")])
    return folder / "spoken.npz", written


def test_spoken_digits_are_those_of_the_files_split_by_take(spoken):
    path, written = spoken
    with np.load(path, allow_pickle=False) as file:
        parts = np.split(file["samples"], np.cumsum(file["lengths"])[:-1])
        names = [f"{d}_{s}_{t}.wav" for d, s, t in zip(file["digit"], file["speaker"], file["take"], strict=True)]
        takes = {part: set(file["take"][rows].tolist()) for part, rows in speech.by_take(file["take"]).items()}
    assert names == sorted(written)
    assert all(np.array_equal(samples, written[name]) for name, samples in zip(names, parts, strict=True))
    assert takes == {"train": {10, 11, 12, 13}, "validation": {5, 6, 7, 8, 9}, "test": {0, 1, 2, 3, 4}}
    assert [len(labels) for _, labels in settings.setting("speech", path).data(0)] == [80, 100, 100]


@pytest.mark.parametrize("hertz", [440, 1000, 2500])
def test_features_are_logarithms_of_mel_bands(hertz):
    """The band that a tone falls into, by Kaldi's formula of the mel scale; twice as loud is the same."""
    low, high, tone = 1127 * np.log(1 + np.array([20, 4000, hertz]) / 700)
    samples = 3000 * np.sin(2 * np.pi * hertz * np.arange(3000) / 8000)
    samples += np.random.default_rng(0).normal(0, 1000, 3000)
    features = speech.log_mel(samples)
    assert (features.shape, features.dtype) == ((32, 32), np.float32)
    assert abs(features.mean(0).argmax() - (33 * (tone - low) / (high - low) - 1)) <= 1.5
    np.testing.assert_allclose(features, speech.log_mel(2 * samples), atol=1e-3)


def test_standardised_by_the_training_examples_alone():
    inputs, train = np.random.default_rng(0).normal(3, 2, (20, 5, 4)), np.arange(12)
    xs = data.standardised(inputs, train)
    expected = (inputs - inputs[:12].mean((0, 1))) / inputs[:12].std((0, 1))
    np.testing.assert_allclose(xs, expected, rtol=1e-6)  # which is added to the deviation


def test_neurons_learn(spoken, tmp_path):
    """A quick run of three; a second one trains nothing."""
    runs = of_seeds(run_twice(neurons, tmp_path / "result.json", "--speech", str(spoken[0])), [0, 1], "neuron")
    assert str(spoken[0]) not in (tmp_path / "result.json").read_text()
    trained = 'ALIF(learnable=("decay", "adaptation_decay", "spike_adaptation"))'
    weights = (32 * 32 + 32) + 32 * 32 + (32 * 10 + 10)
    parameters = {"LIF()": weights, "LI - LIF() - Delay": weights, trained: weights + 32 + 1 + 1}
    assert {name: run["parameters"][0] for name, run in runs.items()} == parameters
    for run in runs.values():
        assert min(run["test"]) > 0.4
        assert 0 < min(run["firing"]) <= max(run["firing"]) < 0.9
    assert f"{min(run['test'].mean() for run in runs.values()):.1%}" in neurons.parts(tmp_path)[0]


def test_randman_is_the_published_manifold():
    """A sum of sines with weights that fall as a power; one unit of a class, before it is scaled to the duration."""
    parts = [times.reshape(10, -1, 20) for times, _ in data.randman(3, train=40, held_out=(50, 50))]
    assert [part.shape[1] for part in parts] == [40, 50, 50]
    times = np.concatenate(parts, axis=1)
    assert times.min(1).max() == 0, "each unit's earliest spike of a class is at the first step"
    assert times.max(1).min() == data.SPAN - 1
    rng = np.random.default_rng(3)
    theta, phi, psi = rng.uniform(size=(3, 10, 1, 20, 10))[:, 4, 0, 7].tolist()
    values = [
        sum(theta[i] / (i + 1) ** 3 * np.sin(2 * np.pi * (i * x * phi[i] + psi[i])) for i in range(10))
        for x in rng.uniform(size=(10, 140, 1, 1))[4].ravel()
    ]
    assert times[4, 5, 7] == int((values[5] - min(values)) / (max(values) - min(values)) * 50)


def test_images_to_train_on_and_for_validation_differ(monkeypatch):
    """A seed has its own of both; the test is the same for all."""
    images = np.arange(5000)
    monkeypatch.setattr(data, "load", lambda folder: ((images, images), None, "test"))
    (xs, ys), (held_out, _), test = data.images("folder", 500, 1)
    assert (len(xs), len(held_out), test) == (500, data.VALIDATION, "test")
    assert not set(xs) & set(held_out)
    np.testing.assert_array_equal(xs, ys)
    assert set(ys) != set(data.images("folder", 500, 2)[0][1])


def test_a_brighter_pixel_spikes_earlier_a_black_one_never():
    times = data.latency(np.array([[[255], [128], [1], [0]]], np.uint8))[:, 0]
    assert times.sum(0).tolist() == [1, 1, 1, 0]
    assert times.argmax(0).tolist() == [0, 4, 8, 0]


def test_the_bit_to_be_told_is_the_one_that_was_stored():
    """Of the four groups of lines, told apart by their spikes in each period."""
    for xs, bits in data.store_recall(0):
        groups = xs.reshape(-1, data.PERIODS, data.RECALL, data.BITS, data.LINES).sum((2, 4))
        stored, every = groups[..., 2].argmax(1), np.arange(len(xs))
        assert ((groups[..., 2] > 0).sum(1) == 1).all()
        assert set(stored) == {0, 1, 2}
        np.testing.assert_array_equal(groups[every, stored, :2].argmax(1), bits)
        assert not groups[:, -1, :3].any()
        assert (groups[..., 3] > 0).sum(0).tolist() == [0] * (data.PERIODS - 1) + [len(xs)]


def test_bits_that_differ_are_told_in_the_first_and_a_late_period():
    for xs, differ in data.delayed_xor(0):
        groups = xs.reshape(-1, data.WAIT // data.RECALL, data.RECALL, data.BITS, data.LINES).mean((2, 4))
        first, last = groups[:, 0, :2], groups[:, -2, 2:]
        told = (first.argmax(1) != last.argmax(1)).astype(int)
        assert (told == differ).mean() > 0.99
        assert abs(differ.mean() - 0.5) < 0.05
        assert groups[:, 1:-2].mean() == pytest.approx(data.NOISE, rel=0.1)
        assert first.max(1).mean() == pytest.approx(0.4, rel=0.1)


def test_examples_are_drawn_into_one_part_each():
    xs = np.arange(30)
    parts = data.drawn(xs, 2 * xs, 10, 5, 0)
    assert [len(ys) for _, ys in parts] == [10, 5, 15]
    assert sorted(np.concatenate([x for x, _ in parts])) == xs.tolist()
    assert all((2 * x == y).all() for x, y in parts)
    assert set(parts[0][0]) != set(data.drawn(xs, xs, 10, 5, 1)[0][0])


def test_series_are_those_of_both_files(tmp_path):
    """The features of a line stand behind one another, then its class, whose name may be any."""
    for part, line in (("TRAIN", "1,2.5,3:4,5,6:b"), ("TEST", "7,8,9:0,-1,-2:a")):
        (tmp_path / f"Few_{part}.ts").write_text(f"#about: it\n@data\n{line}\n")
    xs, classes = data.series(tmp_path, "Few")
    np.testing.assert_array_equal(xs, [[[1, 4], [2.5, 5], [3, 6]], [[7, 0], [8, -1], [9, -2]]])
    assert (xs.dtype, classes.tolist()) == (np.float32, [1, 0])


def test_windows_of_a_person_are_in_one_part(packages):
    """The file of the test tells person and exercise in the first features; each series has 40 windows of every 2nd."""
    parts = data.watch(packages, 0)
    assert [len(ys) for _, ys in parts] == list(data.WINDOWS)
    people = [set(xs[:, 0, 0].tolist()) for xs, _ in parts]
    assert [len(worn) for worn in people] == list(data.WORN)
    assert len(set.union(*people)) == 10
    for xs, exercises in parts:
        np.testing.assert_array_equal(xs[:, :, 1], np.tile(exercises, (data.WINDOW, 1)).T)
        np.testing.assert_array_equal(np.diff(xs[:, :, 2]), 2)


def test_mackey_glass_is_the_published_equation():
    """One series by a loop over its own values, its first one the only thing taken from the code's generator."""
    parts = data.mackey_glass(2)
    (x,) = np.random.default_rng(2).uniform(0.5, 1.3, (1, sum(len(xs) for xs, _ in parts)))[:, 7:8].tolist()
    values = x * 171
    while len(values) < 171 + 10 * 410:
        values.append(values[-1] + 0.1 * (0.2 * values[-171] / (1 + values[-171] ** 10) - 0.1 * values[-1]))
    series = np.array(values[::-10][:110][::-1]) - 0.9
    xs, targets = parts[0][0][7], parts[0][1][7]
    np.testing.assert_allclose(xs[:, 0], series[:100], atol=1e-5)
    np.testing.assert_allclose(targets, series[10:], atol=1e-5)
    assert xs.std() > 0.1
