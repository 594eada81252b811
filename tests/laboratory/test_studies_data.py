"""The data of the studies: what is drawn, read and split, and a quick run on recordings that the test makes."""

import itertools
import os
import wave

import jax
import numpy as np
import pytest
from flax import nnx
from pages import cells
from test_studies import run_twice

from benchmarks.lib import results
from benchmarks.lib.study import finished, of_seeds, rows
from benchmarks.studies import data, neurons, settings, speech, trained

if os.environ.get("CI") != "true":  # at home a missing library skips, in CI it is an error
    pytest.importorskip("kaldi_native_fbank")

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("lenient")]


def write(path, samples):
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
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
    table = {row[0].strip("`"): row[2].split()[0] for row in cells(neurons.part(tmp_path).split("\n\n")[0])[2:]}
    assert table == {name: f"{run['test'].mean():.3f}" for name, run in runs.items()}


def test_images_to_train_on_and_for_validation_differ(monkeypatch):
    """A seed has its own of both; the test is the same for all."""
    images = np.arange(5000)
    monkeypatch.setattr(data, "load", lambda folder: ((images, images), None, "test"))
    (xs, ys), (held_out, _), test = data.images("folder", 500, 1)
    assert (len(xs), len(held_out), test) == (500, data.VALIDATION, "test")
    assert not set(xs) & set(held_out)
    np.testing.assert_array_equal(xs, ys)
    assert set(ys) != set(data.images("folder", 500, 2)[0][1])


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


def network(made):
    return made.network(jax.random.key(0), [trained.SURROGATE])


def test_decays_and_delays_are_trained_quickly(spoken, tmp_path, monkeypatch):
    """Every network of a study has the same size within 3 %, and every scale starts from the same decays."""
    scales, delays = trained.scales(spoken[0]), trained.delays(spoken[0])
    for (task, entry), made in scales.items():
        layers = [network(made).layers[1] for made in (made, scales[task, "fixed"])]
        decays = [getattr(layer, "neuron", layer).neuron.decay for layer in layers]
        np.testing.assert_allclose(*decays, rtol=1e-5, err_msg=entry)
    monkeypatch.setattr(trained, "SEEDS", [0, 1])
    monkeypatch.setattr(trained, "RATES", (1e-3,))
    monkeypatch.setattr(
        trained, "scales", lambda _: {("speech", "logit"): scales["speech", "logit"]._replace(epochs=1)}
    )
    monkeypatch.setattr(trained, "delays", lambda _: {key: made._replace(epochs=1) for key, made in delays.items()})
    path = tmp_path / "result.json"
    trained.main(["--speech", str(spoken[0]), "--out", str(tmp_path)])
    assert {np.shape(row["test"]) for row in rows(path)} == {(2,)}
    counts = finished(path, "trained")["parameters"]
    for task, inputs in (("speech", 32), ("interval", 20)):
        assert counts[f"{task}, trained delays"] == 2 * inputs * 64 + 64 * 10 + 10
        others = [counts[f"{task}, {entry}"] / counts[f"{task}, trained delays"] for entry in ("wider", "recurrent")]
        assert others == pytest.approx([1, 1], abs=0.03)


def test_delays_train_faster_and_become_narrower():
    net = nnx.Dict(layers=nnx.List([trained.delayed(20, 4, nnx.Rngs(0))]))
    params = nnx.state(net, nnx.Param)
    tx = trained.faster(0.1, 100, 0.0)
    updates = tx.update(jax.tree.map(lambda x: 0 * x + 1, params), tx.init(params), params)[0]["layers"][0]
    np.testing.assert_allclose(updates["delay"][...], 10 * updates["kernel"][...], rtol=1e-5)
    widths = [trained.narrower(net)["layers"][0]["width"][...] for _ in range(15)]
    assert (widths[0], widths[-1]) == (pytest.approx(4.0), 0.5)


def test_the_class_is_the_time_between_two_volleys():
    for spikes, lag in trained.intervals(0):
        first, last = (part.sum(-1).argmax(1) for part in np.split(spikes.astype(int), 2, -1))
        assert np.mean(last - first == lag) > 0.99


def test_a_tuned_rate_is_chosen_by_validation(tmp_path):
    """t = 4.303 is the quantile of 0.975 for three seeds."""
    made = [
        ["task", "one", rate, [good] * 3, test, 0, 0, 0]
        for rate, good, test in ((0.1, 1, [0.1, 0.2, 0.3]), (0.3, 0, [0.5, 0.6, 0.7]))
    ]
    written = {
        "finished": {"trained": {"parameters": {"task, one": 7}}},
        "rows": made,
        "environments": [results.environment()],
    }
    results.write(tmp_path / "result.json", written | {"columns": [*trained.KEY, *trained.MEASURED, "environment"]})
    *_, row = [row for row in cells(trained.section(tmp_path / "result.json")) if row]
    half = f"{100 * 4.303 * 0.1 / 3**0.5:.1f}"
    assert row == ["task, one", "7", f"40.0 ± {half}", f"20.0 ± {half} (0.1)"]
