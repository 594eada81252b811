"""A run that was stopped comes to the same bits, and a checkpoint that it cannot go on from is refused as it lies."""

import doctest
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

import brainsurr as bs
from benchmarks.digits import __main__ as digits
from benchmarks.digits import brainstate as digits_brainstate
from benchmarks.digits import linen as digits_linen
from benchmarks.digits import nnx as digits_nnx
from benchmarks.digits import task, training
from benchmarks.lib import checkpoints
from benchmarks.lib.checkpoints import UNFINISHED, CheckpointError, Checkpoints, catch_signals, digest
from benchmarks.robustness import kills
from benchmarks.robustness.reports import kills as report

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("lenient")]
ABOUT = {"program": "test", "seed": 0}
RUN = ["--seeds", "1", "--epochs", "3", "--save-every", "1", "--learnable"]


def state(value):
    """Arrays of several dtypes, small ones and a large one."""
    rng = np.random.default_rng(value)
    return {
        "w": jnp.asarray(rng.normal(size=(200, 300)), jnp.float32),
        "half": [jnp.full(3, value, jnp.bfloat16)],
        "key": jax.random.key(value),
        "count": np.uint32(value),
    }


def bits(tree):
    """Every leaf as bytes."""
    tree = jax.tree.map(lambda x: jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x, tree)
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(tree)]


def on_disk(folder):
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}


@pytest.fixture
def folder(tmp_path):
    """Checkpoints of steps 1 and 2."""
    with Checkpoints(tmp_path / "run", ABOUT) as kept:
        for step in (1, 2):
            kept.save(step, state(step), {"losses": [0.1 * step], "order": {"state": 2**100}})
    return tmp_path / "run"


def restore(folder, about=ABOUT):
    return Checkpoints(folder, about).restore(state(0))


def test_gives_back_what_was_saved(folder):
    step, arrays, progress = restore(folder)
    assert (step, progress) == (2, {"losses": [0.2], "order": {"state": 2**100}})
    assert bits(arrays) == bits(state(2))
    assert jax.tree.map(lambda x: x.dtype, arrays) == jax.tree.map(lambda x: x.dtype, state(2))


def test_what_changes_after_save_is_not_saved(tmp_path):
    array = np.ones(300_000, np.float32)
    with Checkpoints(tmp_path, ABOUT) as kept:
        kept.save(1, {"w": array}, {})
        array[:] = 2
    assert (Checkpoints(tmp_path, ABOUT).restore({"w": array})[1]["w"] == 1).all()


def test_arrays_go_where_those_of_the_template_are(tmp_path):
    mesh = jax.make_mesh((4,), ("x",))
    sharded = jax.device_put(jnp.arange(8.0), jax.NamedSharding(mesh, jax.P("x")))
    with Checkpoints(tmp_path, ABOUT) as kept:
        kept.save(1, {"w": sharded}, {})
    restored = Checkpoints(tmp_path, ABOUT).restore({"w": sharded})[1]["w"]
    assert restored.sharding == sharded.sharding
    assert restored.tolist() == list(range(8))


def test_names_that_no_disk_takes(tmp_path):
    outside = tmp_path / "outside"
    tree = {str(outside): 1, "a": 2, "a/0": 3, "_METADATA": 4, "A": 5, "x" * 300: 6, "": 7, "../b": 8, "a/.zarray": 9}
    tree = {name: jnp.full(2, value) for name, value in tree.items()}
    with Checkpoints(tmp_path / "run", ABOUT) as kept:
        kept.save(1, tree, {})
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    restored = Checkpoints(tmp_path / "run", ABOUT).restore(jax.tree.map(jnp.zeros_like, tree))[1]
    assert {name: int(value[0]) for name, value in restored.items()} == {n: int(v[0]) for n, v in tree.items()}


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({}, "expected arrays to save, got {}"),
        ({"w": np.ones(2), "none": np.ones((0, 3))}, "got none without elements"),
        ({"a": {"b": np.ones(1)}, "a/b": np.ones(1)}, "expected arrays of different names, got a/b, a/b"),
    ],
)
def test_what_can_not_be_saved_is_refused_and_nothing_written(tmp_path, tree, message):
    with Checkpoints(tmp_path / "run", ABOUT) as kept, pytest.raises(ValueError, match=message):
        kept.save(1, tree, {})
    assert not (tmp_path / "run").exists()


def test_files_are_not_those_that_leak_memory(folder):
    # tensorstore's OCDBT keeps some memory of each save; see `Checkpoints._manager`.
    assert list(folder.rglob("arrays/*/.zarray"))
    assert not list(folder.rglob("*.ocdbt"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"w": jnp.zeros((200, 301))}, "w was 'float32[200, 300]', now it is 'float32[200, 301]'"),
        ({"w": jnp.zeros((200, 300), jnp.bfloat16)}, "w was 'float32[200, 300]', now it is 'bfloat16[200, 300]'"),
        ({"half": []}, "half/0 was 'bfloat16[3]', now it is not there"),
        ({"more": jnp.zeros(())}, "more was not there, now it is 'float32[]'"),
        ({"key": jax.random.key(0, impl="rbg")}, "key was 'key<fry>[]', now it is 'key<rbg>[]'"),
    ],
)
def test_a_template_of_another_network_is_refused_with_what_differs(folder, change, message):
    before = on_disk(folder)
    with pytest.raises(CheckpointError) as error:
        Checkpoints(folder, ABOUT).restore(state(0) | change)
    assert f"2 is of another run: {message}. Go on" in str(error.value)
    assert on_disk(folder) == before


def test_nothing_is_saved_beside_another_run(folder):
    before = on_disk(folder)
    with Checkpoints(folder, ABOUT | {"seed": 1}) as kept, pytest.raises(CheckpointError, match="seed was 0, now it"):
        kept.save(5, state(5), {})
    assert on_disk(folder) == before


def test_keeps_the_newest(folder):
    with Checkpoints(folder, ABOUT, keep=2) as kept:
        kept.save(7, state(7), {})
    assert {p.name for p in folder.iterdir()} == {"2", "7"}


def test_nothing_is_written_before_the_first_save(tmp_path):
    with Checkpoints(tmp_path / "run", ABOUT) as kept:
        assert kept.restore(state(0)) is None
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("step", [1, 2])
def test_an_old_step_is_refused(folder, step):
    before = on_disk(folder)
    with Checkpoints(folder, ABOUT) as kept, pytest.raises(ValueError, match="expected a step after 2"):
        kept.save(step, state(5), {})
    assert on_disk(folder) == before


def test_what_a_write_or_a_removal_left_is_passed_over(folder):
    shutil.copytree(folder / "2", folder / f"3{UNFINISHED}")
    shutil.rmtree(folder / f"3{UNFINISHED}" / "arrays" / "0")
    shutil.rmtree(folder / "1" / "arrays")
    assert restore(folder)[0] == 2
    with Checkpoints(folder, ABOUT) as kept:
        kept.save(3, state(3), {})
    assert {p.name for p in folder.iterdir()} == {"2", "3"}
    assert bits(restore(folder)[1]) == bits(state(3))


def test_a_write_that_was_cut_off_is_no_checkpoint(folder):
    (folder / "2").rename(folder / f"2{UNFINISHED}")
    shutil.rmtree(folder / "1")
    assert restore(folder) is None


DAMAGE = {
    "missing": lambda data: None,
    "empty": lambda data: b"",
    "cut": lambda data: data[: len(data) // 2],
    "first byte": lambda data: bytes([data[0] ^ 1]) + data[1:],
    "middle byte": lambda data: data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 4]) + data[len(data) // 2 + 1 :],
}


def attempt(folder):
    """The bits that come back, or what was said."""
    try:
        return bits(restore(folder)[1])
    except CheckpointError as error:
        return str(error)


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_file_is_an_error_or_without_effect(folder, damage):
    # orbax does not read every file that it writes; what comes back is exact, or nothing does.
    sound, refused = bits(restore(folder)[1]), []
    for path in [path for path in (folder / "2").rglob("*") if path.is_file()]:
        data = path.read_bytes()
        new = damage(data)
        path.unlink() if new is None else path.write_bytes(new)
        before = on_disk(folder)
        answer = attempt(folder)
        if answer != sound:
            assert f"{folder / '2'} is damaged" in answer
            assert "move it elsewhere to go on from the checkpoint before" in answer
            refused.append(path)
        assert on_disk(folder) == before
        path.write_bytes(data)
    assert {"run", "arrays"} <= {path.relative_to(folder / "2").parts[0] for path in refused}
    assert max((folder / "2" / "arrays").rglob("*"), key=lambda path: path.stat().st_size) in refused


def test_arrays_of_another_step_are_seen(folder):
    # Every file is sound, so that orbax has nothing to object to.
    shutil.rmtree(folder / "2" / "arrays")
    shutil.copytree(folder / "1" / "arrays", folder / "2" / "arrays")
    with pytest.raises(CheckpointError, match="its arrays are not what was saved"):
        restore(folder)


def test_a_curve_that_was_changed_is_seen(folder):
    path = folder / "2" / "run" / "metadata"
    path.write_text(path.read_text().replace("0.2", "0.3"))
    with pytest.raises(CheckpointError, match="what it says of its run is not what was saved"):
        restore(folder)


def test_after_a_damaged_one_is_moved_the_one_before_is_taken(folder, tmp_path):
    (folder / "2").rename(tmp_path / "elsewhere")
    assert restore(folder)[0] == 1


def empty(folder):
    (folder / "9").mkdir()
    return "9 is damaged, or no checkpoint"


def junk(folder):
    (folder / "9").mkdir()
    (folder / "9" / "model.pt").write_bytes(b"PK")
    return "9 is damaged, or no checkpoint"


def of_orbax_alone(folder):
    with ocp.CheckpointManager(folder) as manager:
        manager.save(9, args=ocp.args.StandardSave({"w": np.ones(2)}))
    return "9 is damaged, or no checkpoint"


def beside(folder):
    (folder / "checkpoint_3.msgpack").write_bytes(b"x")
    return "it holds checkpoint_3.msgpack"


def file(folder):
    shutil.rmtree(folder)
    folder.write_text("x")
    return f"{folder} is a file"


@pytest.mark.parametrize("make", [empty, junk, of_orbax_alone, beside, file])
def test_what_is_no_checkpoint_of_ours_is_refused_as_it_lies(folder, make):
    message, before = make(folder), on_disk(folder)
    with pytest.raises(CheckpointError) as error:
        restore(folder)
    assert message in str(error.value)
    assert on_disk(folder) == before


def test_another_run_is_refused_with_what_differs(folder):
    before = on_disk(folder)
    with pytest.raises(CheckpointError) as error:
        restore(folder, ABOUT | {"seed": 1, "epochs": 3})
    assert "2 is of another run: epochs was not there, now it is 3; seed was 0, now it is 1" in str(error.value)
    assert on_disk(folder) == before


def test_of_what_is_nested_the_difference_alone_is_said(tmp_path):
    about = {"versions": {"numpy": "2.0", "jax": "0.9"}}
    with Checkpoints(tmp_path, about) as kept:
        kept.save(1, state(1), {})
    about["versions"]["numpy"] = "2.1"
    with pytest.raises(CheckpointError, match=r"run: versions\.numpy was '2\.0', now it is '2\.1'\. Go on"):
        restore(tmp_path, about)


def test_another_format_is_refused_as_it_lies(folder, monkeypatch):
    before = on_disk(folder)
    monkeypatch.setattr(checkpoints, "FORMAT", 2)
    with pytest.raises(CheckpointError, match="2 has format 1, expected 2: it is of another version of"):
        restore(folder)
    assert on_disk(folder) == before


def test_where_nothing_can_be_written_it_says_so_at_once(folder, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    with pytest.raises(CheckpointError, match=r"written into .*file/run: NotADirectoryError"):
        Checkpoints(tmp_path / "file" / "run", ABOUT).save(1, state(1), {})

    def read_only(**_):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(tempfile, "TemporaryFile", read_only)
    before = on_disk(folder)
    kept = Checkpoints(folder, ABOUT)
    assert kept.restore(state(0))[0] == 2, "it can be read"
    with pytest.raises(CheckpointError, match=r"no checkpoint could be written into .*run: OSError: .*Read-only file"):
        kept.save(3, state(3), {})
    assert on_disk(folder) == before


@pytest.mark.parametrize("method", ["save", "close"])
def test_a_failed_write_names_the_folder(tmp_path, monkeypatch, method):
    def full(*_, **__):
        raise ValueError("RESOURCE_EXHAUSTED: No space left on device\nand more")

    kept = Checkpoints(tmp_path, ABOUT)
    kept.save(1, state(1), {})
    kept._manager.wait_until_finished()
    with monkeypatch.context() as patch:
        patch.setattr(kept._manager, method, full)
        with pytest.raises(CheckpointError, match=r"into .*: ValueError: RESOURCE_EXHAUSTED: No space left on device$"):
            kept.save(2, state(2), {}) if method == "save" else kept.close()
    kept.close()
    assert restore(tmp_path)[0] == 1


def test_a_folder_is_for_one_process(tmp_path):
    code = (
        "import sys, benchmarks.lib.checkpoints as c\n"
        "with c.exclusive_folder(sys.argv[1]): print(1, flush=True); input()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "1\n"
    with pytest.raises(SystemExit, match=f"error: another process is at work in {tmp_path}: wait for it"):
        digits.main([*RUN, "--out", str(tmp_path)])
    process.kill()
    process.communicate()
    with checkpoints.exclusive_folder(tmp_path):
        assert list(tmp_path.iterdir()) == []


def test_digest_sees_name_dtype_shape_and_every_bit():
    tree = {"a": np.zeros((2, 3), np.float32)}
    changed = [
        {"b": tree["a"]},
        {"a": tree["a"].astype(np.int32)},
        {"a": tree["a"].reshape(3, 2)},
        {"a": np.where(np.arange(6).reshape(2, 3) == 5, -0.0, 0.0).astype(np.float32)},
    ]
    assert len({digest(other) for other in (tree, *changed)}) == 5
    assert digest({"a": jnp.zeros((2, 3))}) == digest(tree)


def test_signals_are_caught_and_handlers_put_back():
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with catch_signals() as caught:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.raise_signal(number)
    assert caught == [signal.SIGTERM, signal.SIGINT]
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


@pytest.mark.parametrize("host", [digits_nnx, digits_linen, digits_brainstate], ids=["nnx", "linen", "brainstate"])
def test_every_framework_goes_on_exactly(host, tmp_path):
    data, make = task.load(), lambda: host.Network(bs.LogTailedRelu(0.1), ("alpha",), 0, 30)
    with Checkpoints(tmp_path, ABOUT) as kept:
        through = training.train(data, make(), 0, 3, checkpoints=kept, every=2)
    assert {p.name for p in tmp_path.iterdir()} == {"2", "3"}
    shutil.rmtree(tmp_path / "3")
    seen = []
    with Checkpoints(tmp_path, ABOUT) as kept:
        resumed = training.train(data, make(), 0, 3, lambda *epoch: seen.append(epoch), kept)
    assert resumed[0] == through[0]
    assert all((a == b).all() for a, b in zip(resumed[1], through[1], strict=True))
    assert seen == list(zip(*resumed[0]["curve"].values(), strict=True))


class OnSecondLook(list):
    """A signal that comes between the first look and the second."""

    looks = 0

    def __bool__(self):
        self.looks += 1
        return self.looks > 1


@pytest.mark.parametrize("stop", [[], OnSecondLook()])
def test_stopped_in_any_epoch_it_saves_that_epoch(tmp_path, stop):
    images, labels = np.zeros((task.BATCH, 64)), np.zeros(task.BATCH, int)
    data = SimpleNamespace(train_images=images, train_labels=labels, test_images=images, test_labels=labels)
    network = SimpleNamespace(
        train_epoch=lambda *_: 0.5, evaluate=lambda *_: (0.25, []), surrogates=list, state=lambda: {"w": np.ones(2)}
    )
    epochs = []

    def on_epoch(loss, accuracy):
        epochs.append(loss)
        if len(epochs) == 2:
            stop.append(signal.SIGTERM)

    with Checkpoints(tmp_path, ABOUT) as kept:
        training.train(data, network, 0, 5, on_epoch, kept, every=10, stop=stop)
    step, _, progress = Checkpoints(tmp_path, ABOUT).restore(network.state())
    assert (step, progress["losses"], progress["accuracies"]) == (2, [0.5, 0.5], [0.25, 0.25])


def start(out):
    """A process that trains, as soon as it has written another checkpoint."""
    command = [sys.executable, "-m", "benchmarks.digits", *RUN, "--out", str(out), "--resume"]
    before, end = whole(out), time.monotonic() + 300
    # Compile as this process does: outcomes are compared to the bit.
    unoptimized = str(int(jax.config.read("jax_disable_most_optimizations")))
    environment = os.environ | {"JAX_DISABLE_MOST_OPTIMIZATIONS": unoptimized}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    while process.poll() is None and whole(out) <= before:
        assert time.monotonic() < end
        time.sleep(0.002)
    return process


def whole(out):
    return {path for path in out.glob("checkpoints/*/*") if path.name.isdigit()}


def outcome(out):
    result = json.loads((out / "result.json").read_text())
    return {name: value for name, value in result.items() if name not in kills.APART}


def test_a_folder_with_anything_else_is_refused_as_it_lies(tmp_path):
    for name in ("LIF-1", "LIF-trained-0", "mine"):
        place = tmp_path / name / "checkpoints" / name
        place.mkdir(parents=True)
        (place / "file").write_text("x")
        before = on_disk(tmp_path)
        with pytest.raises(SystemExit, match=f"checkpoints holds {name}, no part of this run: give another folder"):
            digits.main([*RUN, "--out", str(tmp_path / name), "--resume"])
        assert on_disk(tmp_path) == before


def test_killed_then_terminated_it_ends_as_if_undisturbed(tmp_path, capsys):
    out = tmp_path / "disturbed"
    process = start(out)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL

    before = on_disk(out)
    with pytest.raises(SystemExit, match="holds an unfinished run: --resume goes on with it, --out takes another"):
        digits.main([*RUN, "--out", str(out)])
    with pytest.raises(SystemExit, match=r"another run: surrogate was 'LogTailedRelu\(alpha=0.1\)', now it is 'LogT"):
        digits.main([*RUN, "--alpha", "0.2", "--out", str(out), "--resume"])
    with jax.default_matmul_precision("highest"), pytest.raises(SystemExit, match=r"matmul_precision was 'None', now"):
        digits.main([*RUN, "--out", str(out), "--resume"])
    assert on_disk(out) == before

    process = start(out)
    process.terminate()
    _, errors = process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
    *progress, last = errors.strip().splitlines()
    assert all(line.startswith("training: ") for line in progress), "no log lines"
    assert last == f"SIGTERM: saved in {out / 'checkpoints'}; continue with --resume"
    assert not (out / "result.json").exists()

    digits.main([*RUN, "--out", str(out), "--resume"])
    digits.main([*RUN, "--out", str(tmp_path / "undisturbed")])
    assert outcome(out) == outcome(tmp_path / "undisturbed")
    assert [path for path in out.iterdir() if path.is_dir()] == []

    before = on_disk(out)
    capsys.readouterr()
    digits.main([*RUN, "--out", str(out), "--resume"])
    assert "result.json is finished: nothing to resume" in capsys.readouterr().out
    for name, other in {
        "surrogate": ["--alpha", "0.2"],
        "seeds": ["--seeds", "2"],
        "learnable": ["--learnable", "alpha"],
        "jax.jax_default_matmul_precision": [],
    }.items():
        precision = None if other else "highest"
        with (
            jax.default_matmul_precision(precision),
            pytest.raises(SystemExit, match=rf"is the result of another run: {name} was [^;]*\. --out takes another"),
        ):
            digits.main([*RUN, *other, "--out", str(out), "--resume"])
    assert on_disk(out) == before
    assert json.loads(before["result.json"])["resumed"]
    assert not json.loads((tmp_path / "undisturbed" / "result.json").read_text())["resumed"]
    for text in ("{", "{}", "[]"):
        (out / "result.json").write_text(text)
        with pytest.raises(SystemExit, match="is no result of this program"):
            digits.main([*RUN, "--out", str(out), "--resume"])


def test_examples():
    assert doctest.testmod(checkpoints).failed == 0


def test_what_the_page_says_of_kills_is_counted():
    one = {"kills": 2, "in_write": 1, "before_first_checkpoint": 1, "resumptions": 1}
    ends = {"runs_killed": 1, "runs_killed_identical": 1, "undisturbed_identical": True}
    good = one | ends | {"terminated": {"exit_status": 143, "identical": True}}
    result = {"settings": {"epochs": 3, "networks": ["LIF"]}, "frameworks": {"a": good, "b": good}}
    assert report.total(result) == {name: 2 * good[name] for name in report.COUNTS}
    assert "is the same in all of them" in report.section(result)
    for bad in (
        {"runs_killed_identical": 0},
        {"undisturbed_identical": False},
        {"terminated": {"exit_status": 143, "identical": False}},
    ):
        assert "is NOT the same" in report.section(result | {"frameworks": {"a": good, "b": good | bad}})
