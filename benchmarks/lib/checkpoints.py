"""Checkpoints of a training run: orbax writes them in the background; they restore the same bits or are refused."""

import fcntl
import hashlib
import json
import logging
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from operator import itemgetter
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from .results import make_writable

# orbax logs each error, which is also raised here, and each leftover of an old write.
logging.getLogger("absl").setLevel(logging.CRITICAL)

UNFINISHED = ".orbax-checkpoint-tmp"  # in the name of a folder until orbax has written all of it
FORMAT = 1  # of the record that is written beside the arrays


class CheckpointError(ValueError):
    """A checkpoint is damaged or belongs to another run, or a folder cannot hold checkpoints."""


class Checkpoints:
    """The newest checkpoints of one run, in a folder of their own.

    orbax writes in the background under a temporary name and renames the folder at the end. So a killed process leaves
    complete checkpoints, and at most one whose name shows that it is not. The SHA-256 of the arrays is saved with them,
    because orbax does not notice every flipped bit. The files of the arrays are numbered, because an array may have a
    name that is not valid for a file.

    Args:
      folder: for this run alone; the first `save` creates it.
      about: a description of the run, as JSON. A checkpoint with another description is refused, and no checkpoint is
        written beside it.
      keep: how many to keep; `save` deletes older ones.

    Example:
      >>> import tempfile, jax.numpy as jnp
      >>> folder = tempfile.TemporaryDirectory()
      >>> with Checkpoints(Path(folder.name) / "run", {"seed": 0}) as checkpoints:
      ...     checkpoints.save(10, {"w": jnp.ones(2)}, {"losses": [0.5]})
      >>> Checkpoints(Path(folder.name) / "run", {"seed": 0}).restore({"w": jnp.zeros(2)})
      (10, {'w': Array([1., 1.], dtype=float32)}, {'losses': [0.5]})
      >>> folder.cleanup()
    """

    def __init__(self, folder: Path, about: Mapping[str, Any], keep: int = 2):
        self.folder, self.about, self.keep = folder.resolve(), _as_json(about), keep
        self._is_ours = False  # whether the newest checkpoint in the folder was compared with `about`

    @cached_property
    def _manager(self) -> ocp.CheckpointManager:
        # Without OCDBT: with it each save of these few arrays leaks 20 KB of memory (tensorstore 0.1.86).
        handlers = {"run": ocp.JsonCheckpointHandler(), "arrays": ocp.PyTreeCheckpointHandler(use_ocdbt=False)}
        options = ocp.CheckpointManagerOptions(max_to_keep=self.keep)
        return ocp.CheckpointManager(self.folder, options=options, item_handlers=handlers)

    def save(self, step: int, arrays: Any, progress: Mapping[str, Any]) -> None:
        """Copy a state now and write it in the background, after the previous write.

        Args:
          step: later than that of the newest checkpoint.
          arrays: a pytree of arrays, PRNG keys included, at least one and none of them empty.
          progress: everything else that is needed to continue, as JSON.

        Raises:
          ValueError: the folder holds this step or a later one; there is no array, an empty one, or a name twice.
          CheckpointError: the folder holds another run's checkpoints, or a damaged one; or it cannot be written, an
            error that may only be raised by the next `save` or by `close`.
        """
        values = _arrays_by_name(arrays)
        if not values:
            raise ValueError(f"expected arrays to save, got {arrays}")
        if empty := [name for name, value in values.items() if not value.size]:
            raise ValueError(f"expected arrays to save, got {', '.join(empty)} without elements")
        if not self._is_ours and (newest := self.latest()) is not None:
            self._read_record(self.folder / str(newest))
        self._is_ours = True
        with self._writing():  # if it is not writable, orbax 0.12 waits for twenty minutes
            make_writable(self.folder)
        record = {
            "format": FORMAT,
            "about": self.about,
            "progress": _as_json(progress),
            "leaves": _dtypes_and_shapes(arrays),
            "arrays": digest(values),
        }
        record["sha256"] = _sha256_of_json(record)
        files = {str(place): value for place, value in enumerate(values.values())}
        items = ocp.args.Composite(run=ocp.args.JsonSave(record), arrays=ocp.args.PyTreeSave(files))
        with self._writing():
            saved = self._manager.save(step, args=items)
        if not saved:
            raise ValueError(
                f"expected a step after {self._manager.latest_step()}, the newest in {self.folder}: {step}"
            )

    def restore(self, template: Any) -> tuple[int, Any, Any] | None:
        """Read and check the newest checkpoint; nothing on the disk is changed.

        Args:
          template: a pytree of the names, shapes and dtypes that were saved; the arrays are placed on the devices of
            its arrays.

        Returns:
          Its step, arrays and progress, or None if there is none yet.

        Raises:
          CheckpointError: it is damaged, another run's, or none of this class. The message names the folder.
        """
        if (step := self.latest()) is None:
            return None
        path, wanted = self.folder / str(step), _dtypes_and_shapes(template)
        record = self._read_record(path)
        if record["leaves"] != wanted:
            raise _other_run_error(path, record["leaves"], wanted)
        values: dict[str, np.ndarray] = {}
        # One by one: if one of many fails, orbax 0.12 does not cancel the others, which print tracebacks later.
        for place, name in enumerate(wanted):
            file = str(place)
            one = {"item": {file: 0}, "restore_args": {file: ocp.RestoreArgs(restore_type=np.ndarray)}}
            values[name] = self._read_item(path, arrays=ocp.args.PyTreeRestore(**one, partial_restore=True))[file]
        if record["arrays"] != digest(values):
            raise _damage_error(path, "its arrays are not what was saved")
        leaves = [_place_like(values[name], leaf) for name, leaf in _leaves(template)]
        return step, jax.tree.unflatten(jax.tree.structure(template), leaves), record["progress"]

    def latest(self) -> int | None:
        """Return the step of the newest checkpoint, or None.

        Raises:
          CheckpointError: the folder holds something else.
        """
        if self.folder.exists() and not self.folder.is_dir():
            raise CheckpointError(f"expected a folder of checkpoints, {self.folder} is a file: move it elsewhere")
        entries = list(self.folder.iterdir()) if self.folder.exists() else []
        if strangers := sorted(p.name for p in entries if not (p.name.isdecimal() or p.name.endswith(UNFINISHED))):
            raise CheckpointError(
                f"expected checkpoints of this run alone in {self.folder}, it holds {', '.join(strangers)}: "
                "move them elsewhere, or give another folder"
            )
        return max((int(p.name) for p in entries if p.name.isdecimal()), default=None)

    def _read_record(self, path: Path) -> dict[str, Any]:
        """Read the record beside the arrays of a checkpoint, which must be one of this run."""
        record = self._read_item(path, run=ocp.args.JsonRestore())
        if not isinstance(record, dict) or record.pop("sha256", None) != _sha256_of_json(record):
            raise _damage_error(path, "what it says of its run is not what was saved")
        if record.get("format") != FORMAT:
            raise CheckpointError(
                f"{path} has format {record.get('format')}, expected {FORMAT}: it is of another version of {__name__}. "
                "Go on with that one, or give another folder"
            )
        if record["about"] != self.about:
            raise _other_run_error(path, record["about"], self.about)
        self._is_ours = True
        return record

    def _read_item(self, path: Path, **item: Any) -> Any:
        """Read one item of a checkpoint. With a damaged file, orbax may raise any exception."""
        try:
            return next(iter(self._manager.restore(int(path.name), args=ocp.args.Composite(**item)).values()))
        except Exception as error:
            raise _damage_error(path, _one_line(error)) from error

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Turn every error of a write into one that names the folder."""
        try:
            yield
        except Exception as error:
            raise CheckpointError(f"no checkpoint could be written into {self.folder}: {_one_line(error)}") from error

    def close(self) -> None:
        """Wait until all checkpoints are on the disk."""
        if "_manager" in self.__dict__:
            with self._writing():
                self._manager.close()

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


def digest(tree: Any) -> str:
    """Compute the SHA-256 of the arrays of a pytree: of their names, dtypes, shapes and bits.

    Example:
      >>> digest({"w": np.zeros(2, np.float32)}) == digest(
      ...     {"w": np.array([0.0, -0.0], np.float32)}
      ... )
      False
    """
    sha256 = hashlib.sha256()
    for name, value in _arrays_by_name(tree).items():
        sha256.update(f"{name} {value.dtype} {value.shape} ".encode() + value.tobytes())
    return sha256.hexdigest()


@contextmanager
def exclusive_folder(folder: Path) -> Iterator[None]:
    """Lock a folder for this process, or raise a `CheckpointError` if another process has locked it.

    Example:
      >>> with exclusive_folder(Path()), exclusive_folder(Path()):  # as if by two processes
      ...     pass
      Traceback (most recent call last):
      benchmarks.lib.checkpoints.CheckpointError: another process is at work in .: wait for it, or give another folder
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # unlocked by the system when the process ends
        except BlockingIOError:
            message = f"another process is at work in {folder}: wait for it, or give another folder"
            raise CheckpointError(message) from None
        yield
    finally:
        os.close(handle)


def differences(theirs: Any, ours: Any) -> str:
    """List the differences between two trees of JSON.

    Example:
      >>> differences(
      ...     {"seed": 0, "versions": {"numpy": "2.0"}},
      ...     {"seed": 0, "versions": {"numpy": "2.1"}, "epochs": 3},
      ... )
      "epochs was not there, now it is 3; versions.numpy was '2.0', now it is '2.1'"
    """
    before, now = ({name: repr(value) for name, value in _flatten(tree).items()} for tree in (theirs, ours))
    names = sorted({name for name, _ in before.items() ^ now.items()})
    absent = "not there"
    return "; ".join(f"{name} was {before.get(name, absent)}, now it is {now.get(name, absent)}" for name in names)


@contextmanager
def catch_signals() -> Iterator[list[signal.Signals]]:
    """Collect SIGTERM and SIGINT in a list, in place of their effect; a loop reads it where it can stop.

    Example:
      >>> with catch_signals() as caught:
      ...     signal.raise_signal(signal.SIGTERM)
      ...     caught
      [<Signals.SIGTERM: 15>]
    """
    caught: list[signal.Signals] = []

    def handler(number, frame):
        caught.append(signal.Signals(number))

    before = {number: signal.signal(number, handler) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield caught
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def _leaves(tree: Any) -> list[tuple[str, Any]]:
    """Return the leaves of a pytree with their paths as names, all different."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    named = [(jax.tree_util.keystr(path, simple=True, separator="/"), leaf) for path, leaf in leaves]
    if len(dict(named)) < len(named):
        raise ValueError(f"expected arrays of different names, got {', '.join(name for name, _ in named)}")
    return named


def _dtypes_and_shapes(tree: Any) -> dict[str, str]:
    """Return the dtype and shape of each leaf by name."""
    leaves = ((name, leaf if hasattr(leaf, "dtype") else np.asarray(leaf)) for name, leaf in _leaves(tree))
    return {name: f"{leaf.dtype}{list(leaf.shape)}" for name, leaf in sorted(leaves, key=itemgetter(0))}


def _arrays_by_name(tree: Any) -> dict[str, np.ndarray]:
    """Copy the arrays of a pytree to the host, sorted by name; a PRNG key becomes its numbers."""
    leaves = sorted(_leaves(tree), key=itemgetter(0))
    return {name: np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf) for name, leaf in leaves}


def _place_like(value: np.ndarray, like: Any) -> Any:
    """Make an array or a PRNG key on the devices of another."""
    if _is_key(like):
        return jax.random.wrap_key_data(value, impl=jax.random.key_impl(like))
    return jax.device_put(value, like.sharding) if isinstance(like, jax.Array) else value


def _is_key(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Return the values of nested JSON objects by path, such as ``"versions.numpy"``."""
    if not isinstance(tree, dict) or not tree:
        return {prefix: tree}
    return {k: v for name, inner in tree.items() for k, v in _flatten(inner, f"{prefix}.{name}".lstrip(".")).items()}


def _as_json(tree: Any) -> Any:
    """Return a tree as JSON gives it back: tuples become lists."""
    return json.loads(json.dumps(tree))


def _sha256_of_json(tree: Any) -> str:
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()


def _one_line(error: Exception) -> str:
    first = next(iter(str(error).splitlines()), "")
    return f"{type(error).__name__}: {first[:200]}"


def _damage_error(path: Path, what: str) -> CheckpointError:
    return CheckpointError(
        f"{path} is damaged, or no checkpoint of {__name__}: {what}. Nothing was changed; move it elsewhere to go on "
        "from the checkpoint before it, or from the start if there is none"
    )


def _other_run_error(path: Path, theirs: Any, ours: Mapping[str, Any]) -> CheckpointError:
    return CheckpointError(
        f"{path} is of another run: {differences(theirs, ours)}. Go on with the same, or give another folder"
    )
