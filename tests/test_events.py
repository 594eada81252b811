"""SHD and N-MNIST on files of their formats that the test writes; what reads them, tonic, needs `make test-data`."""

import numpy as np
import pytest
from libraries import needs

from benchmarks.studies import events, family, settings
from benchmarks.studies.sequences import Recipe, lif
from benchmarks.studies.shapes import Call

pytestmark = pytest.mark.usefixtures("lenient")
SHD, NMNIST = events.DATA_SETS["shd"], events.DATA_SETS["nmnist"]


def test_counts_are_those_of_a_loop():
    rng = np.random.default_rng(0)
    recipe = Recipe(hidden=1, classes=2, epochs=1, batch=1)
    how = {"recipe": recipe, "lif": lif}
    kind = events.DataSet("none", "none", ("", ""), lambda some: some["x"] // 2, units=5, window=100, steps=4, **how)
    recorded = np.zeros(300, [("t", int), ("x", int)])
    recorded["t"], recorded["x"] = rng.integers(0, 600, 300), rng.integers(0, 10, 300)
    expected = np.zeros((4, 5), int)
    for t, x in recorded:
        if t < 400:
            expected[t // 100, x // 2] += 1
    counts = events.counts(recorded, kind)
    np.testing.assert_array_equal(counts, expected)
    assert counts.dtype == np.uint8
    many = np.zeros(300, recorded.dtype)
    assert events.counts(many, kind)[0, 0] == 255


def test_every_pixel_and_channel_has_its_unit():
    pixels = np.stack(np.meshgrid(range(34), range(34), range(2), indexing="ij"), -1).reshape(-1, 3)
    recorded = np.zeros(len(pixels), [("x", int), ("y", int), ("p", int)])
    recorded["x"], recorded["y"], recorded["p"] = pixels.T
    assert np.bincount(NMNIST.place(recorded)).tolist() == [4] * NMNIST.units
    channels = np.zeros(700, [("x", int)])
    channels["x"] = np.arange(700)
    assert np.bincount(SHD.place(channels)).tolist() == [5] * SHD.units


def make_shd(folder, rng, classes=4, each=20):
    """Files in the format of the Heidelberg digits; a class fires in its own band of channels."""
    h5py = needs("h5py")
    (folder / "SHD").mkdir()
    times, units, labels = [], [], []
    for part in ("train", "test"):
        labels = np.repeat(np.arange(classes), each)
        times = [np.sort(rng.uniform(0, 1, 200)).astype(np.float16) for _ in labels]
        units = [(rng.integers(0, 100, 200) + 150 * label).astype(np.uint16) for label in labels]
        with h5py.File(folder / "SHD" / f"shd_{part}.h5", "w") as file:
            for name, values, kind in (("times", times, np.float16), ("units", units, np.uint16)):
                dataset = file.create_dataset(f"spikes/{name}", (len(labels),), h5py.vlen_dtype(kind))
                for i, one in enumerate(values):
                    dataset[i] = one
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


def check_that_it_learns(name, folder):
    """As a setting of the comparison: four classes, in a few steps of small batches."""
    setting = settings.setting(name, folder)._replace(epochs=10, batch=32)
    parts = setting.parts(0)
    outcome = family.train(setting, None, [Call("Arctan", None, 0.5).surrogate], setting.rate, 1.0, 0, parts)
    assert outcome["test"] > 0.55
    assert 0 < outcome["firing"] < 0.9


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
def test_shd_reads_what_was_written_and_learns(tmp_path):
    needs("tonic")
    times, units, labels = make_shd(tmp_path, np.random.default_rng(0))
    inputs, classes, split = events.load(SHD, tmp_path)
    assert (inputs.shape, inputs.dtype) == ((160, 120, 140), np.uint8)
    assert classes[split["test"]].tolist() == labels.tolist()
    assert (len(split["train"]), len(split["validation"])) == (72, 8)
    last = np.zeros((120, 140), int)
    for t, unit in zip(times[-1].astype(float), units[-1], strict=True):
        last[int(int(t * 1e6) // 10_000), unit // 5] += 1
    np.testing.assert_array_equal(inputs[-1], last)
    assert len(events.load(SHD, tmp_path, examples=60)[1]) == 120

    check_that_it_learns("shd", tmp_path)


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
def test_nmnist_reads_what_was_written_and_learns(tmp_path):
    needs("tonic")
    examples = make_nmnist(tmp_path, np.random.default_rng(0))
    inputs, classes, _ = events.load(NMNIST, tmp_path)
    assert inputs.shape == (80, 20, 2 * 17 * 17)
    x, y, p, t, label = examples[-1]
    last = np.zeros((20, 2, 17, 17), int)
    for i in range(150):
        if t[i] < 320_000:
            last[t[i] // 16_000, p[i], y[i] // 2, x[i] // 2] += 1
    np.testing.assert_array_equal(inputs[-1].reshape(20, 2, 17, 17), last)
    assert classes[-1] == label

    check_that_it_learns("nmnist", tmp_path)


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", events.DATA_SETS)
def test_nothing_is_fetched_unasked(name, tmp_path, monkeypatch):
    tonic = needs("tonic")

    def fetched(self):
        raise AssertionError("fetched")

    for source in (tonic.datasets.SHD, tonic.datasets.NMNIST):
        monkeypatch.setattr(source, "download", fetched)
    with pytest.raises(SystemExit, match=rf"studies.events {name} .* lets tonic fetch the data set"):
        family.main([name, f"--{name}", str(tmp_path), "--out", str(tmp_path / "out")])
    with pytest.raises(AssertionError, match="fetched"):
        events.main([name, str(tmp_path)])
