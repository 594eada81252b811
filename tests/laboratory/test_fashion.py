"""Fashion-MNIST: what is read and what is refused, and that seed and validation alone decide what is reported."""

import gzip
import struct
from unittest.mock import Mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from close import assert_close
from flax import nnx
from pages import cells

from benchmarks.fashion import __main__ as fashion
from benchmarks.fashion import data, networks, report, training
from benchmarks.lib.study import Runs, finished, rows

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("lenient", "one_device")]
SMALL = networks.Network("ReLU", (32,), 4, 8, 3e-2, 3e-2, 0.3)


def written(values):
    return struct.pack(f">{1 + values.ndim}I", 0x0800 + values.ndim, *values.shape) + values.tobytes()


@pytest.fixture(scope="module")
def made():
    """Images of ten patterns in noise, in as many copies as Fashion-MNIST has, by the name of their file."""
    rng, arrays = np.random.default_rng(0), {}
    patterns = rng.integers(0, 200, (10, 28, 28), np.uint8)
    for name, count in data.PARTS.items():
        labels = rng.permutation(count).astype(np.int32) % 10
        noise = rng.integers(0, 55, (1000, 28, 28), np.uint8)
        arrays[f"{name}-images-idx3-ubyte"] = patterns[labels] + noise[np.arange(count) % 1000]
        arrays[f"{name}-labels-idx1-ubyte"] = labels.astype(np.uint8)
    return arrays


@pytest.fixture(scope="module")
def folder(made, tmp_path_factory):
    """Their files, those of labels gzipped."""
    folder = tmp_path_factory.mktemp("idx")
    for name, values in made.items():
        if "labels" in name:
            (folder / f"{name}.gz").write_bytes(gzip.compress(written(values)))
        else:
            (folder / name).write_bytes(written(values))
    return folder


@pytest.fixture(scope="module")
def few(folder):
    """Two batches to train, and to validate and to test one and a part of one."""
    return [[array[:count] for array in part] for part, count in zip(data.load(folder), (512, 300, 300), strict=True)]


def test_images_are_those_of_the_files(made, folder):
    images, labels, test_images, test_labels = made.values()
    expected = (images[:-5000], labels[:-5000]), (images[-5000:], labels[-5000:]), (test_images, test_labels)
    for part, of_part in zip(data.load(folder), expected, strict=True):
        np.testing.assert_array_equal(part[0][..., 0], of_part[0])
        np.testing.assert_array_equal(part[1], of_part[1])


T10K = "t10k-labels-idx1-ubyte"
LABELS = (np.arange(10_000) % 10).astype(np.uint8)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "got neither"),
        (written(LABELS[:-1]), "9999"),
        (written(LABELS).replace(b"\x08", b"\x09", 1), "2305"),
        (written(LABELS)[:-1], "9,999"),
        (gzip.compress(written(LABELS))[:-9], "gzip"),
        (written(LABELS // 2), "10 classes"),
    ],
    ids=["missing", "count", "type", "short", "gzip", "classes"],
)
def test_other_files_are_refused(folder, tmp_path, content, message):
    for path in folder.iterdir():
        if not path.name.startswith(T10K):
            (tmp_path / path.name).symlink_to(path)
    if content is not None:
        (tmp_path / T10K).write_bytes(content)
    with pytest.raises(data.DataError, match=message):
        data.load(tmp_path)


SPIKES = {
    "dense": [(8, 2, 256), (8, 2, 256)],
    "rows": [(28, 2, 128)],
    "convolution": [(4, 2, 28, 28, 16), (4, 2, 14, 14, 32), (4, 2, 128)],
    "residual": [(4, 2, n, n, c) for n, c in ((14, 16), (14, 16), (14, 16), (7, 32), (7, 32), (4, 64), (4, 64))],
    "attention": [(4, 2, 14, 14, 16), *2 * [(4, 2, 7, 7, 48)]]
    + 2 * [(4, 2, 49, size) for size in (3 * 48, 48, 48, 4 * 48, 48)],
}


@pytest.mark.parametrize("spiking", [True, False], ids=["LIF", "twin"])
@pytest.mark.parametrize("name", networks.NETWORKS)
def test_layers(name, spiking):
    """Shapes alone; the twin sees a still image once."""
    net = nnx.eval_shape(lambda: networks.Classifier(name, networks.NETWORKS[name], spiking, nnx.Rngs(0)))
    images = jax.ShapeDtypeStruct((2, 28, 28, 1), np.uint8)
    logits, spikes = nnx.eval_shape(lambda net, images: net(images), net, images)
    assert logits.shape == (2, 10)
    assert [layer.shape for layer in spikes] == (SPIKES[name] if spiking else [])
    assert net.steps == (None if name == "rows" else SPIKES[name][0][0] if spiking else 1)


def test_attention_of_the_twin():
    rng = np.random.default_rng(0)
    parts = rng.normal(size=(3, 2, 5, networks.HEADS, 2)).astype(np.float32)  # of Q, K, V: examples, tokens
    q, k, v = np.moveaxis(parts, 3, 2)
    weights = np.exp(q @ np.swapaxes(k, -1, -2) / np.sqrt(2))
    expected = np.moveaxis(weights / weights.sum(-1, keepdims=True) @ v, 1, 2).reshape(1, 2, 5, -1)
    qkv = np.moveaxis(parts, 0, 2).reshape(1, 2, 5, -1)
    assert_close(networks.softmax_attention(jnp.asarray(qkv)), expected, 20)


def test_seed_and_validation_alone_decide(few):
    """The same seed gives the same numbers, whatever the test images are; these change the test alone."""
    train, validation, (images, labels) = few
    runs = [
        training.train("dense", SMALL, True, seed, (train, validation, (images, of_test)))
        for seed, of_test in ((7, labels), (7, labels), (7, (labels + 1) % 10), (8, labels))
    ]
    first, again, other_test, other_seed = ({**run, "epoch_seconds": 0} for run in runs)
    assert set(first) == set(training.MEASURED)
    assert str(first) == str(again)
    changed = {name for name in first if str(first[name]) != str(other_test[name])}
    assert changed == {"test", "confusion"}
    assert first["losses"] != other_seed["losses"]
    counts = first["confusion"].reshape(10, 10)
    np.testing.assert_array_equal(counts.sum(1), np.bincount(labels))
    np.testing.assert_array_equal(other_test["confusion"].reshape(10, 10), np.roll(counts, 1, 0))
    assert counts.trace() / 300 == first["test"]
    assert first["test"] > 0.3, "ten patterns in noise are learned"


@pytest.mark.parametrize("spiking", [True, False], ids=["LIF", "twin"])
@pytest.mark.parametrize("name", networks.SEEDS)
def test_statistics_change_in_training_alone(name, spiking, few):
    """An image is answered alike whatever is beside it, and as before."""
    (images, labels), *_ = few
    small = networks.NETWORKS[name]._replace(sizes=(4, 4, 4, 4)[: len(networks.NETWORKS[name].sizes)])
    net = networks.Classifier(name, small, spiking, nnx.Rngs(0))
    optimizer = nnx.Optimizer(net, training.adamw(1e-3, 10, 0.0), wrt=nnx.Param)

    def statistics():
        return [np.array(leaf[...]) for _, leaf in nnx.to_flat_state(nnx.state(net, nnx.BatchStat))]

    before = statistics()
    net.train()
    training.train_step(net, optimizer, images[:256], labels[:256])
    after = statistics()
    assert all(np.any(one != other) for one, other in zip(before, after, strict=True))
    answers = training.classify_all(net, images[:300])
    alone, beside = training.classify_all(net, images[:200]), training.classify_all(net, images[200:400])
    jax.tree.map(lambda few, all_: np.testing.assert_array_equal(few, all_[:200]), alone, answers)
    jax.tree.map(lambda few, all_: np.testing.assert_array_equal(few[:100], all_[200:]), beside, answers)
    jax.tree.map(np.testing.assert_array_equal, statistics(), after)


def test_the_weights_of_the_epoch_that_validates_best_are_tested(few):
    """With wrong labels to validate, that is an early one: what is learned makes them worse."""
    train, (images, labels), test = few
    wrong, tested = (labels + 1) % 10, []
    run = training.train("dense", SMALL, False, 0, (train, (images, wrong), test), lambda *given: tested.append(given))
    best = max(run["validations"])
    assert run["validations"][run["best_epoch"] - 1] == run["validation"] == best > run["validations"][-1]
    assert (training.classify_all(tested[0][0], images)[0] == wrong).mean() == best
    assert run["loss"] == run["losses"][-1] < run["losses"][0]


VALUES = dict.fromkeys(training.MEASURED, 0.5) | {"firing": [], "confusion": np.ones(100, int)}
VALUES |= {"losses": [2.0, 1.0], "validations": [0.4, 0.5]}


def test_a_stopped_run_goes_on(folder, tmp_path, monkeypatch, capsys):
    """Behind the last network that was finished; what is there is not trained again."""

    def run(*outcomes):
        monkeypatch.setattr(fashion, "train", train := Mock(side_effect=outcomes))
        fashion.main(["dense", "--quick", f"--data={folder}", f"--out={tmp_path}"])
        assert train.call_count == len(outcomes)
        return [(name, spiking, seed) for (name, _, spiking, seed, *_), _ in train.call_args_list]

    with pytest.raises(KeyboardInterrupt):
        run(VALUES, KeyboardInterrupt)
    assert [(row["kind"], row["seed"]) for row in rows(tmp_path / "result.json")] == [("LIF", 0)]
    assert run(VALUES, VALUES, VALUES) == [("dense", False, 0), ("dense", True, 1), ("dense", False, 1)]
    assert run() == []
    assert report.summary(tmp_path) in capsys.readouterr().out
    held = finished(tmp_path / "result.json", "temporaries")
    steps, batch, inputs = 8, 256, 28 * 28
    assert 0 < held["dense, ReLU"] < held["dense, LIF"] < 3 * 4 * steps * batch * inputs, "float32 at every step"
    assert len(rows(tmp_path / "result.json")) == 4


def test_every_network_trains(folder, tmp_path, capsys):
    fashion.main(["--quick", "--seeds=1", f"--data={folder}", f"--out={tmp_path}"])
    table = rows(tmp_path / "result.json")
    layers = {"dense": 2, "rows": 1, "convolution": 3, "residual": 7, "attention": 13}
    assert {row["network"]: len(row["firing"]) for row in table if row["kind"] == "LIF"} == layers
    assert {row["network"] for row in table if row["kind"] == networks.NETWORKS[row["network"]].twin} == layers.keys()
    assert all(0 < row["firing"][0] < 1 for row in table if row["kind"] == "LIF")
    pictures = {f"raster-{name}.png" for name in networks.NETWORKS} | {"curves.png", "confusion.png"}
    assert {path.name for path in tmp_path.iterdir()} == {"result.json", *pictures}
    assert report.summary(tmp_path) in capsys.readouterr().out


def test_the_tables_by_hand(tmp_path):
    settings = {"networks": {name: network._asdict() for name, network in networks.NETWORKS.items()}}
    measured = ("test", "firing", "epoch_seconds", "seconds", "cpu_seconds")
    runs = Runs(tmp_path / "result.json", settings, ("network", "kind", "seed"), measured)
    for kind, seed, test in (("LIF", 0, 0.9), ("LIF", 1, 0.92), ("ReLU", 0, 0.905), ("ReLU", 1, 0.925)):
        firing = [0.1, 0.2 + 0.1 * seed] if kind == "LIF" else []
        values = {"test": test, "firing": firing, "epoch_seconds": 2.5}
        runs.run(lambda values=values: values, "convolution", kind, seed)
    runs.run(lambda: {"test": 0.5, "firing": [0.5], "epoch_seconds": 1}, "dense", "LIF", 0)
    runs.finish("temporaries", **{"convolution, LIF": 12_900_000})
    assert cells(report.summary(tmp_path))[2:] == [
        ["dense", "LIF", "1", "50.00", "", "0.50", "1", ""],
        ["convolution", "LIF", "2", "91.00 ± 1.41", "-0.50", "0.10, 0.25", "2.5", "13"],
        ["convolution", "ReLU", "2", "91.50 ± 1.41", "", "", "2.5", ""],
    ]
    rows_of = networks.NETWORKS["rows"]
    shown = ["rows", "128", "28", str(rows_of.epochs), f"{rows_of.rate:g}", f"{rows_of.twin_rate:g}", "0.3"]
    assert shown in cells(report.section(tmp_path))
