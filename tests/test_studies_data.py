"""The studies on data from outside: what they read, how they split it, and quick runs on data that the test makes.

What needs a library that the test extra leaves out runs under ``pytest -m peers``.
"""

import json
import os
import subprocess
import sys
import wave

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import brainsurr as bs
from benchmarks import contest, events, nmnist, sequences, shd, speech, spoken_digits, study, vowels
from benchmarks.reports import speech as speech_report
from benchmarks.reports import vowels as vowels_report

if os.environ.get("CI") != "true":  # at home a missing library skips, in CI it is an error
    pytest.importorskip("kaldi_native_fbank")

pytestmark = pytest.mark.usefixtures("lenient")

RECIPE = sequences.Recipe(hidden=8, classes=2, epochs=4, batch=8)


def needs(library):
    """In the environment of the peers it is an error if a library is missing and CI is set."""
    return __import__(library) if os.environ.get("CI") == "true" else pytest.importorskip(library)


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


def test_stretched_is_linear_interpolation():
    series = np.array([[0.0, 10.0], [1.0, 10.0], [4.0, 10.0]])
    expected = np.array([[0, 10], [0.5, 10], [1, 10], [2.5, 10], [4, 10]], np.float32)
    np.testing.assert_array_equal(sequences.stretched(series, 5), expected)


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


def test_speech_learns_writes_all_and_goes_on(spoken, tmp_path):
    """A quick run in a process of its own; compiled without optimisation, which is most of its time."""

    def run():
        command = [sys.executable, "-m", "benchmarks.speech", str(spoken), "--quick", "--out", str(tmp_path)]
        environment = os.environ | {"XLA_FLAGS": "--xla_backend_optimization_level=0"}
        subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        return json.loads((tmp_path / "result.json").read_text())

    result = run()
    check(result, "speech", chance=0.1)
    assert result["settings"]["split"] == {"train": 80, "validation": 100, "test": 100}
    assert str(spoken) not in json.dumps(result)
    unseen = result["runs"]["LogTailedRelu, unseen speakers"]
    assert np.shape(unseen["test"]) == (1, 2, 1)
    speech_report.draw(result, tmp_path)
    assert (tmp_path / "speech.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert "| LIF, `InvSquareGrad(" in speech_report.tables(result)
    assert len(list(speech_report.claims(result))) >= 4

    # Gone on with after its last configuration was lost: the same numbers.
    *kept, last = result["runs"]
    (tmp_path / "result.json").write_text(json.dumps(result | {"runs": {key: result["runs"][key] for key in kept}}))
    again = run()["runs"][last]
    assert {k: v for k, v in again.items() if "seconds" not in k} == {
        k: v for k, v in result["runs"][last].items() if "seconds" not in k
    }


def check(result, name, chance):
    """What every contest writes."""
    assert result["study"] == name
    runs = result["runs"]
    names = ["InvSquareGrad", "LogTailedRelu", "GRU", "MLP"]
    assert {f"{n}, best" for n in names} <= set(runs)
    for key, run in runs.items():
        assert {"points", "test", "seconds", "cpu_seconds"} <= set(run), key
        assert 0 <= np.min(run["test"]) <= np.max(run["test"]) <= 1
        if "regression" not in key:
            assert run["weights"] > 0
            assert np.isfinite(run["loss"]).all()
    for n in names:
        assert np.shape(runs[f"{n}, best"]["test"]) == (1, 1, 2)
        assert np.min(runs[f"{n}, best"]["test"]) > 3 * chance, n
    assert 0 < np.min(runs["InvSquareGrad, best"]["rate"]) < 0.9
    assert "rate" not in runs["GRU, best"]
    assert runs["LogTailedRelu, best"]["points"][0] in runs["LogTailedRelu, grid"]["points"]
    assert len(runs["LogTailedRelu, every alpha"]["points"]) == len(runs["LogTailedRelu, grid"]["points"]) == 2


# The contest


def test_a_point_is_chosen_by_validation_never_by_test(monkeypatch, tmp_path):
    """Of three points the second is best in validation and worst in test."""
    points = [bs.LogTailedRelu(alpha) for alpha in (0.0, 0.1, 0.2)]
    accuracies = {"validation": [0.1, 0.9, 0.2], "test": [0.9, 0.1, 0.8]}

    def run(task, name, points, splits, seeds, epochs):
        place = {"points": list(map(str, points))}
        return place | {k: [[[v] * len(seeds)] * len(splits) for v in values] for k, values in accuracies.items()}

    monkeypatch.setattr(contest, "run", run)
    made = study.Study("contest", {}, tmp_path, total=1)
    task = contest.Task(np.zeros((4, 2, 1)), np.zeros(4), RECIPE, short=1)
    best = contest.contest(made, task, contest.Grids({"LogTailedRelu": points}), [{}], {}, [0], [1, 2])
    assert best["LogTailedRelu"].surrogate == bs.LogTailedRelu(0.1)
    assert made.result["runs"]["LogTailedRelu, best"]["points"] == ["LogTailedRelu(alpha=0.1)"]
    assert best["GRU"].rate == contest.Grids({}).rates[1]
    assert len(made.result["runs"]) == contest.Grids({"LogTailedRelu": points}).size() == 9


def test_standardised_by_the_training_examples_alone():
    rng = np.random.default_rng(0)
    inputs = rng.normal(3, 2, (20, 5, 4))
    train = np.arange(12)
    xs = contest.standardised(inputs, train)
    np.testing.assert_allclose(xs[train].mean((0, 1)), 0, atol=1e-6)
    np.testing.assert_allclose(xs[train].std((0, 1)), 1, atol=1e-5)
    other = np.concatenate([inputs[:12], 1e3 * inputs[12:]])
    np.testing.assert_array_equal(contest.standardised(other, train)[train], xs[train])


def test_networks_have_the_size_that_they_say():
    """Counted by hand: 3 features, 8 hidden, 2 classes, 5 steps."""
    task = contest.Task(np.zeros((16, 5, 3), np.float32), np.zeros(16, np.int32), RECIPE, short=1)
    split = {"train": np.arange(8), "test": np.arange(8, 16)}
    gru = 3 * (3 * 8 + 8 * 8 + 8)  # two gates and the candidate
    expected = {
        "LogTailedRelu": (3 * 8 + 8) + 8 * 8 + (8 * 2 + 2),
        "GRU": gru + (8 * 2 + 2),
        "MLP": (15 * 16 + 16) + (16 * 16 + 16) + (16 * 2 + 2),
    }
    for name, size in expected.items():
        point = contest.Point(bs.LogTailedRelu() if name == "LogTailedRelu" else None)
        outcome = contest.run(task, name, [point], [split], [0], epochs=1)
        assert outcome["weights"] == size, name
        assert outcome["test"].shape == (1, 1, 1)


# Noise on the inputs


def test_without_noise_nothing_changes():
    inputs = jnp.arange(24.0).reshape(2, 4, 3)
    np.testing.assert_array_equal(sequences.augment(jax.random.key(0), inputs, RECIPE), inputs)


def test_shifted_examples_are_those_of_a_slice():
    inputs = np.random.default_rng(0).normal(size=(64, 10, 1)).astype(np.float32)
    shifted = np.asarray(sequences.augment(jax.random.key(0), jnp.asarray(inputs), RECIPE._replace(shift=2)))
    found = []
    for before, after in zip(inputs, shifted, strict=True):
        padded = np.concatenate([before[:1]] * 2 + [before] + [before[-1:]] * 2)
        found.append([k for k in range(5) if np.array_equal(padded[k : k + 10], after)])
    assert all(len(places) == 1 for places in found)
    assert {places[0] for places in found} == {0, 1, 2, 3, 4}


def test_a_mask_blanks_one_stretch_of_time_and_one_of_features():
    masked = sequences.augment(jax.random.key(1), jnp.ones((256, 9, 7)), RECIPE._replace(mask=3))
    lengths = []
    for example in np.asarray(masked):
        time, features = (example == 0).all(1), (example == 0).all(0)
        np.testing.assert_array_equal(example == 0, time[:, None] | features[None, :])
        for blank in (time, features):
            lengths.append(blank.sum())
            assert np.abs(np.diff(blank.astype(int))).sum() <= 2
    assert set(lengths) == {0, 1, 2, 3}


def test_noise_has_its_deviation():
    noisy = sequences.augment(jax.random.key(0), jnp.zeros((100, 20, 10)), RECIPE._replace(noise=0.3))
    np.testing.assert_allclose(float(noisy.std()), 0.3, rtol=0.02)


def test_the_longest_mask_reaches_the_end_and_not_beyond():
    last = sequences.blanked(jnp.array([0.99]), jnp.array([0.99]), 9, 3)
    assert last.tolist() == [False] * 6 + [True] * 3
    assert not sequences.blanked(jnp.array([0.2]), jnp.array([0.5]), 9, 3).any()


@pytest.mark.parametrize("noise", [{"dropout": 0.5}, {"noise": 0.3, "dropout": 0.0}], ids=str)
def test_evaluation_is_without_noise_and_dropout(noise):
    recipe = RECIPE._replace(**noise)
    net = sequences.lif(jax.random.key(0), (5, 3), recipe, bs.LogTailedRelu(0.1))
    inputs, logits = jnp.ones((4, 5, 3)), sequences.logits(recipe)
    once, again = (logits(net, inputs, jax.random.key(key)) for key in (0, 1))
    assert np.abs(once - again).max() > 0
    still = logits(net, inputs, None)
    np.testing.assert_array_equal(still, logits(net, inputs, None))
    np.testing.assert_allclose(still, sequences.logits_and_rates(net, inputs)[0], rtol=1e-6)


# Japanese vowels


def test_vowels_runs_on_series_of_that_shape(monkeypatch, tmp_path):
    """Nine speakers, each a level of its own; the loader of the data itself is tested beside the peers."""
    rng, labels = np.random.default_rng(0), np.arange(90) % 9
    series = (rng.normal(0, 0.5, (90, 25, 12)) + np.eye(9, 12)[labels][:, None]).astype(np.float32)
    split = {"train": np.arange(54), "test": np.arange(54, 90)}
    monkeypatch.setattr(vowels, "load", lambda: (series, labels, split, "made here"))
    vowels.main(["--quick", "--out", str(tmp_path)])
    result = json.loads((tmp_path / "result.json").read_text())
    check(result, "vowels", chance=1 / 9)
    assert np.shape(result["runs"]["LogTailedRelu, grid"]["validation"]) == (2, 3, 1)
    assert "validation" not in result["runs"]["LogTailedRelu, best"]
    vowels_report.draw(result, tmp_path)
    assert (tmp_path / "vowels.png").exists()
    assert "±" in vowels_report.tables(result)
    assert len(list(vowels_report.claims(result))) == 2


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


# Events


def test_counts_are_those_of_a_loop():
    rng = np.random.default_rng(0)
    kind = events.Kind("none", ("", ""), lambda some: some["x"] // 2, units=5, window=100, steps=4)
    made = np.zeros(300, [("t", int), ("x", int)])
    made["t"], made["x"] = rng.integers(0, 600, 300), rng.integers(0, 10, 300)
    expected = np.zeros((4, 5), int)
    for t, x in made:
        if t < 400:
            expected[t // 100, x // 2] += 1
    counts = events.counts(made, kind)
    np.testing.assert_array_equal(counts, expected)
    assert counts.dtype == np.uint8
    many = np.zeros(300, made.dtype)
    assert events.counts(many, kind)[0, 0] == 255


def test_every_pixel_and_channel_has_its_unit():
    pixels = np.stack(np.meshgrid(range(34), range(34), range(2), indexing="ij"), -1).reshape(-1, 3)
    made = np.zeros(len(pixels), [("x", int), ("y", int), ("p", int)])
    made["x"], made["y"], made["p"] = pixels.T
    assert np.bincount(nmnist.KIND.place(made)).tolist() == [4] * nmnist.KIND.units
    channels = np.zeros(700, [("x", int)])
    channels["x"] = np.arange(700)
    assert np.bincount(shd.KIND.place(channels)).tolist() == [5] * shd.KIND.units


def make_shd(folder, rng, classes=4, each=10):
    """Files in the format of the Heidelberg digits; a class fires in its own band of channels."""
    h5py = needs("h5py")
    (folder / "SHD").mkdir()
    times, units, labels = [], [], []
    for part in ("train", "test"):
        labels = np.repeat(np.arange(classes), each)
        times = [np.sort(rng.uniform(0, 1, 200)).astype(np.float16) for _ in labels]
        units = [(rng.integers(0, 100, 200) + 150 * label).astype(np.uint16) for label in labels]
        with h5py.File(folder / "SHD" / f"shd_{part}.h5", "w") as file:
            for name, several, kind in (("times", times, np.float16), ("units", units, np.uint16)):
                made = file.create_dataset(f"spikes/{name}", (len(labels),), h5py.vlen_dtype(kind))
                for i, one in enumerate(several):
                    made[i] = one
            file["labels"] = labels.astype(np.uint16)
            file["extra/speaker"] = np.zeros(len(labels), np.uint16)
            file["extra/keys"] = np.array([b"zero", b"one"])
    return times, units, labels


def make_nmnist(folder, rng, classes=4, each=10):
    """Files in the format of N-MNIST, 40 bits an event; a class is bright in its own rows."""
    examples = []
    for part in ("Train", "Test"):
        for label in range(classes):
            where = folder / "NMNIST" / part / str(label)
            where.mkdir(parents=True)
            for i in range(each):
                x, y = rng.integers(0, 34, 150), rng.integers(0, 8, 150) + 8 * label
                p, t = rng.integers(0, 2, 150), np.sort(rng.integers(0, 300_000, 150))
                high = p << 7 | t >> 16
                (where / f"{i:05}.bin").write_bytes(
                    np.stack([x, y, high, t >> 8 & 255, t & 255], 1).astype(np.uint8).tobytes()
                )
                examples.append((x, y, p, t, label))
    return examples


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
def test_shd_reads_what_was_written_and_learns(tmp_path):
    needs("tonic")
    times, units, labels = make_shd(tmp_path, np.random.default_rng(0))
    inputs, classes, split = events.load(shd.KIND, tmp_path)
    assert (inputs.shape, inputs.dtype) == ((80, 120, 140), np.uint8)
    assert classes[split["test"]].tolist() == labels.tolist()
    assert (len(split["train"]), len(split["validation"])) == (36, 4)
    last = np.zeros((120, 140), int)
    for t, unit in zip(times[-1].astype(float), units[-1], strict=True):
        last[int(int(t * 1e6) // 10_000), unit // 5] += 1
    np.testing.assert_array_equal(inputs[-1], last)
    assert len(events.load(shd.KIND, tmp_path, examples=30)[1]) == 60

    shd.main([str(tmp_path), "--quick", "--out", str(tmp_path / "out")])
    result = json.loads((tmp_path / "out/result.json").read_text())
    check(result, "shd", chance=0.25)


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
def test_nmnist_reads_what_was_written_and_learns(tmp_path):
    needs("tonic")
    examples = make_nmnist(tmp_path, np.random.default_rng(0))
    inputs, classes, _ = events.load(nmnist.KIND, tmp_path)
    assert inputs.shape == (80, 20, 2 * 17 * 17)
    x, y, p, t, label = examples[-1]
    last = np.zeros((20, 2, 17, 17), int)
    for i in range(150):
        if t[i] < 320_000:
            last[t[i] // 16_000, p[i], y[i] // 2, x[i] // 2] += 1
    np.testing.assert_array_equal(inputs[-1].reshape(20, 2, 17, 17), last)
    assert classes[-1] == label

    nmnist.main([str(tmp_path), "--quick", "--out", str(tmp_path / "out")])
    check(json.loads((tmp_path / "out/result.json").read_text()), "nmnist", chance=0.25)


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("main", [shd.main, nmnist.main], ids=["shd", "nmnist"])
def test_nothing_is_fetched_unasked(main, tmp_path, monkeypatch):
    tonic = needs("tonic")

    def fetched(self):
        raise AssertionError("fetched")

    for source in (tonic.datasets.SHD, tonic.datasets.NMNIST):
        monkeypatch.setattr(source, "download", fetched)
    with pytest.raises(SystemExit, match="--download lets tonic fetch the data set"):
        main([str(tmp_path), "--quick"])
    with pytest.raises(AssertionError, match="fetched"):
        main([str(tmp_path), "--quick", "--download"])
