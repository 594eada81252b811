"""Fashion-MNIST: what is read and what is refused, and that seed and validation alone decide what is reported."""

import gzip
import struct

import numpy as np
import pytest
from pages import cells

from benchmarks.fashion import __main__ as fashion
from benchmarks.fashion import data, networks, report, training
from benchmarks.lib.study import Runs, rows

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


def test_seed_and_validation_alone_decide(few):
    """The same seed gives the same numbers, whatever the test images are; these change the test alone."""
    train, validation, (images, labels) = few
    given = ((7, labels), (7, labels), (7, (labels + 1) % 10), (8, labels))
    runs = (training.train("dense", SMALL, True, seed, (train, validation, (images, of))) for seed, of in given)
    first, again, other_test, other_seed = ({**run, "epoch_seconds": 0} for run in runs)
    assert str(first) == str(again)
    assert {name for name in first if str(first[name]) != str(other_test[name])} == {"test", "confusion"}
    assert first["losses"] != other_seed["losses"]
    counts = first["confusion"].reshape(10, 10)
    np.testing.assert_array_equal(counts.sum(1), np.bincount(labels))
    assert counts.trace() / 300 == first["test"] > 0.3, "ten patterns in noise are learned"


def test_the_weights_of_the_epoch_that_validates_best_are_tested(few):
    """With wrong labels to validate, that is an early one: what is learned makes them worse."""
    train, (images, labels), test = few
    wrong, tested = (labels + 1) % 10, []
    run = training.train("dense", SMALL, False, 0, (train, (images, wrong), test), lambda *given: tested.append(given))
    best = max(run["validations"])
    assert run["validations"][run["best_epoch"] - 1] == run["validation"] == best > run["validations"][-1]
    assert (training.classify_all(tested[0][0], images)[0] == wrong).mean() == best
    assert run["loss"] == run["losses"][-1] < run["losses"][0]


def test_every_network_trains(folder, tmp_path, capsys):
    fashion.main(["--quick", f"--data={folder}", f"--out={tmp_path}"])
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
