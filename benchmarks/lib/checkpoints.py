"""Checkpoints of a training run: written by orbax beside the training, exact when read back, refused when damaged."""

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

logging.getLogger("absl").setLevel(
    logging.CRITICAL
)  # orbax logs what is raised here, and each old folder that it meets

UNFINISHED = ".orbax-checkpoint-tmp"  # what orbax calls a folder until all of it is written
FORMAT = 1  # of what is written beside the arrays


class CheckpointError(ValueError):
    """A checkpoint that the run cannot go on from, damaged or another run's, or a folder that takes none."""


class Checkpoints:
    """The newest checkpoints of one run, in a folder of their own.

    orbax writes in the background under another name and renames the folder when all is there, so a process that is
    killed leaves whole checkpoints, and at most one that is seen to be unfinished. The SHA-256 of what was saved is
    saved with it, because not every flipped bit makes orbax fail. The files of the arrays are numbered, since a name
    may be none that a disk takes.

    Args:
      folder: of this run alone; made by the first `save`.
      about: what the run is, as JSON. A checkpoint that says anything else is refused, and none is written beside it.
      keep: how many are kept; `save` deletes older ones.

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
        self.folder, self.about, self.keep = folder.resolve(), _plain(about), keep
        self._is_ours = False  # whether what the folder held has been looked at

    @cached_property
    def _manager(self) -> ocp.CheckpointManager:
        # Without OCDBT: with it each save of these few arrays leaves 20 KB in the process (tensorstore 0.1.86).
        handlers = {"run": ocp.JsonCheckpointHandler(), "arrays": ocp.PyTreeCheckpointHandler(use_ocdbt=False)}
        options = ocp.CheckpointManagerOptions(max_to_keep=self.keep)
        return ocp.CheckpointManager(self.folder, options=options, item_handlers=handlers)

    def save(self, step: int, arrays: Any, progress: Mapping[str, Any]) -> None:
        """Copy a state now and write it in the background; the write before it is waited for.

        Args:
          step: later than that of the newest checkpoint.
          arrays: a pytree of arrays, PRNG keys included, at least one and none of them empty.
          progress: what else it takes to go on, as JSON.

        Raises:
          ValueError: the folder holds this step or a later one; there is no array, an empty one, or a name twice.
          CheckpointError: the folder holds another run's checkpoints, or a damaged one; or nothing can be written
            there, which may show at the next `save` or at `close`.
        """
        values = _named(arrays)
        if not values:
            raise ValueError(f"expected arrays to save, got {arrays}")
        if empty := [name for name, value in values.items() if not value.size]:
            raise ValueError(f"expected arrays to save, got {', '.join(empty)} without elements")
        if not self._is_ours and (newest := self.latest()) is not None:
            self._run(self.folder / str(newest))
        self._is_ours = True
        with self._writing():  # where it can't, orbax 0.12 would wait for twenty minutes
            make_writable(self.folder)
        run = {
            "format": FORMAT,
            "about": self.about,
            "progress": _plain(progress),
            "leaves": _described(arrays),
            "arrays": digest(values),
        }
        run["sha256"] = _sha256_of_json(run)
        files = {str(place): value for place, value in enumerate(values.values())}
        items = ocp.args.Composite(run=ocp.args.JsonSave(run), arrays=ocp.args.PyTreeSave(files))
        with self._writing():
            saved = self._manager.save(step, args=items)
        if not saved:
            raise ValueError(
                f"expected a step after {self._manager.latest_step()}, the newest in {self.folder}: {step}"
            )

    def restore(self, template: Any) -> tuple[int, Any, Any] | None:
        """The newest checkpoint, checked; nothing is changed on the disk.

        Args:
          template: a pytree of the names, shapes and dtypes that were saved; the arrays go where its arrays are.

        Returns:
          Its step, arrays and progress, or None if there is none yet.

        Raises:
          CheckpointError: it is damaged, another run's, or none of this class. The message names the folder.
        """
        if (step := self.latest()) is None:
            return None
        path, wanted = self.folder / str(step), _described(template)
        run = self._run(path)
        if run["leaves"] != wanted:
            raise _another(path, run["leaves"], wanted)
        values: dict[str, np.ndarray] = {}
        # One by one: where one of many fails, orbax 0.12 leaves reads behind that end in tracebacks of their own.
        for place, name in enumerate(wanted):
            file = str(place)
            one = {"item": {file: 0}, "restore_args": {file: ocp.RestoreArgs(restore_type=np.ndarray)}}
            values[name] = self._read(path, arrays=ocp.args.PyTreeRestore(**one, partial_restore=True))[file]
        if run["arrays"] != digest(values):
            raise _damaged(path, "its arrays are not what was saved")
        leaves = [_placed(values[name], leaf) for name, leaf in _leaves(template)]
        return step, jax.tree.unflatten(jax.tree.structure(template), leaves), run["progress"]

    def latest(self) -> int | None:
        """The step of the newest checkpoint, or None.

        Raises:
          CheckpointError: the folder holds something else.
        """
        if self.folder.exists() and not self.folder.is_dir():
            raise CheckpointError(f"expected a folder of checkpoints, {self.folder} is a file: move it elsewhere")
        found = list(self.folder.iterdir()) if self.folder.exists() else []
        if strangers := sorted(p.name for p in found if not (p.name.isdecimal() or p.name.endswith(UNFINISHED))):
            raise CheckpointError(
                f"expected checkpoints of this run alone in {self.folder}, it holds {', '.join(strangers)}: "
                "move them elsewhere, or give another folder"
            )
        return max((int(p.name) for p in found if p.name.isdecimal()), default=None)

    def _run(self, path: Path) -> dict[str, Any]:
        """What a checkpoint says of its run, which must be this one."""
        run = self._read(path, run=ocp.args.JsonRestore())
        if not isinstance(run, dict) or run.pop("sha256", None) != _sha256_of_json(run):
            raise _damaged(path, "what it says of its run is not what was saved")
        if run.get("format") != FORMAT:
            raise CheckpointError(
                f"{path} has format {run.get('format')}, expected {FORMAT}: it is of another version of {__name__}. "
                "Go on with that one, or give another folder"
            )
        if run["about"] != self.about:
            raise _another(path, run["about"], self.about)
        self._is_ours = True
        return run

    def _read(self, path: Path, **item: Any) -> Any:
        """One item of a checkpoint. What a damaged file makes orbax raise may be anything."""
        try:
            return next(iter(self._manager.restore(int(path.name), args=ocp.args.Composite(**item)).values()))
        except Exception as error:
            raise _damaged(path, _one_line(error)) from error

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """What goes wrong on the way to the disk, as an error that names the folder."""
        try:
            yield
        except Exception as error:
            raise CheckpointError(f"no checkpoint could be written into {self.folder}: {_one_line(error)}") from error

    def close(self) -> None:
        """Wait until what was saved is on the disk."""
        if "_manager" in self.__dict__:
            with self._writing():
                self._manager.close()

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


def digest(tree: Any) -> str:
    """The SHA-256 of the arrays of a pytree: their names, dtypes, shapes and bits.

    Example:
      >>> digest({"w": np.zeros(2, np.float32)}) == digest({"w": np.array([0.0, -0.0], np.float32)})
      False
    """
    sha256 = hashlib.sha256()
    for name, value in _named(tree).items():
        sha256.update(f"{name} {value.dtype} {value.shape} ".encode() + value.tobytes())
    return sha256.hexdigest()


@contextmanager
def exclusive_folder(folder: Path) -> Iterator[None]:
    """A folder for this process alone, until it ends; a `CheckpointError` if another process has it.

    Example:
      >>> with exclusive_folder(Path()), exclusive_folder(Path()):  # as if by two processes
      ...     pass
      Traceback (most recent call last):
      benchmarks.lib.checkpoints.CheckpointError: another process is at work in .: wait for it, or give another folder
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the system gives it back when the process ends
        except BlockingIOError:
            message = f"another process is at work in {folder}: wait for it, or give another folder"
            raise CheckpointError(message) from None
        yield
    finally:
        os.close(handle)


def differences(theirs: Any, mine: Any) -> str:
    """In what two trees of JSON differ.

    Example:
      >>> differences({"seed": 0, "versions": {"numpy": "2.0"}}, {"seed": 0, "versions": {"numpy": "2.1"}, "epochs": 3})
      "epochs was not there, now it is 3; versions.numpy was '2.0', now it is '2.1'"
    """
    before, now = ({name: repr(value) for name, value in _flat(tree).items()} for tree in (theirs, mine))
    names = sorted({name for name, _ in before.items() ^ now.items()})
    absent = "not there"
    return "; ".join(f"{name} was {before.get(name, absent)}, now it is {now.get(name, absent)}" for name in names)


@contextmanager
def catch_signals() -> Iterator[list[signal.Signals]]:
    """The SIGTERM and SIGINT that came so far, in place of their effect; a loop looks at them when it can stop.

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
    """The leaves of a pytree with their paths as names, which must tell them apart."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    named = [(jax.tree_util.keystr(path, simple=True, separator="/"), leaf) for path, leaf in leaves]
    if len(dict(named)) < len(named):
        raise ValueError(f"expected arrays of different names, got {', '.join(name for name, _ in named)}")
    return named


def _described(tree: Any) -> dict[str, str]:
    """The dtype and shape of each leaf by its name."""
    leaves = ((name, leaf if hasattr(leaf, "dtype") else np.asarray(leaf)) for name, leaf in _leaves(tree))
    return {name: f"{leaf.dtype}{list(leaf.shape)}" for name, leaf in sorted(leaves, key=itemgetter(0))}


def _named(tree: Any) -> dict[str, np.ndarray]:
    """The arrays of a pytree by their path, in its order, on the host; of a PRNG key its numbers."""
    leaves = sorted(_leaves(tree), key=itemgetter(0))
    return {name: np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf) for name, leaf in leaves}


def _placed(value: np.ndarray, like: Any) -> Any:
    if _is_key(like):
        return jax.random.wrap_key_data(value, impl=jax.random.key_impl(like))
    return jax.device_put(value, like.sharding) if isinstance(like, jax.Array) else value


def _is_key(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    """What a tree of JSON objects says, by the way to it, ``"versions.numpy"``."""
    if not isinstance(tree, dict) or not tree:
        return {prefix: tree}
    return {k: v for name, inner in tree.items() for k, v in _flat(inner, f"{prefix}.{name}".lstrip(".")).items()}


def _plain(tree: Any) -> Any:
    return json.loads(json.dumps(tree))


def _sha256_of_json(tree: Any) -> str:
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()


def _one_line(error: Exception) -> str:
    first = next(iter(str(error).splitlines()), "")
    return f"{type(error).__name__}: {first[:200]}"


def _damaged(path: Path, what: str) -> CheckpointError:
    return CheckpointError(
        f"{path} is damaged, or no checkpoint of {__name__}: {what}. Nothing was changed; move it elsewhere to go on "
        "from the checkpoint before it, or from the start if there is none"
    )


def _another(path: Path, theirs: Any, mine: Mapping[str, Any]) -> CheckpointError:
    what = differences(theirs, mine)
    return CheckpointError(f"{path} is of another run: {what}. Go on with the same, or give another folder")
