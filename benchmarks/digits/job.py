"""A run: the networks that it trains, the settings of the numbers, and its folder."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax

import brainsurr as bs

from ..lib import results


class Job(NamedTuple):
    """All settings of the numbers, except for versions and the device.

    Attributes:
      framework: one of `FRAMEWORKS`.
      surrogate: the surrogate of the LIF layers.
      learnable: the names of the surrogate parameters that the second spiking network trains; if there are none, there
        is no such network.
      epochs: passes over the training images.
      seeds: the number of networks of each kind, trained from the seeds 0, 1, ...
      dtype: the dtype of activations.
    """

    framework: str
    surrogate: bs.Surrogate
    learnable: list[str]
    epochs: int
    seeds: int
    dtype: str

    def networks(self) -> dict[str, tuple[bs.Surrogate | None, tuple[str, ...]]]:
        """Return the surrogate and the trained parameters of each network by name; a ReLU network has no surrogate."""
        names = " and ".join(self.learnable)
        trained = {f"LIF, trained {names}": (self.surrogate, tuple(self.learnable))} if names else {}
        return {"LIF": (self.surrogate, ()), **trained, "ReLU": (None, ())}

    def settings(self) -> dict[str, Any]:
        """Return the settings that a result shows."""
        shown = {"framework": self.framework, "surrogate": repr(self.surrogate), "learnable": self.learnable}
        return shown | {"epochs": self.epochs, "dtype": self.dtype}

    def about(self) -> dict[str, Any]:
        """Return everything that must stay equal for a resumed run to end with the same bits."""
        here = results.environment()
        more = {"seeds": self.seeds, "python": here["python"], "device": here["device"], "devices": jax.device_count()}
        return self.settings() | more | here["versions"]


class FolderError(ValueError):
    """The folder contains another run, or one that can't be continued."""


class Folder:
    """The folder of a run: checkpoints until the run is finished, then ``result.json`` and the pictures.

    Args:
      path: the folder, which exists.
      about: everything that must stay equal for a resumed run to end with the same bits. It is stored in
        ``unfinished.json`` until the run is finished, and then in the result.
    """

    def __init__(self, path: Path, about: Mapping[str, Any]):
        self.path, self.about, self.checkpoints = path, about, path / "checkpoints"
        self.result, self.unfinished = path / "result.json", path / "unfinished.json"

    def begin(self, resume: bool) -> dict[str, Any] | None:
        """Return the result if the run is finished and ``resume`` is True; otherwise make the folder ready to train.

        Raises:
          FolderError: The folder contains another run, an unfinished run and ``resume`` is False, or checkpoints of no
            run.
        """
        if self.unfinished.exists():
            if not resume:
                raise FolderError(f"{self.path} holds an unfinished run: --resume goes on with it, --out takes another")
            self._check(self.unfinished, results.read(self.unfinished))
        elif resume and self.result.exists():
            result = results.read(self.result)
            self._check(self.result, result.get("about", {}))
            return result
        elif self.checkpoints.exists():
            raise FolderError(f"{self.checkpoints} is of no unfinished run: remove it, or --out takes another folder")
        else:
            results.write(self.unfinished, self.about)
        return None

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write the result, then remove the checkpoints, so that a killed process leaves one or the other."""
        results.write(self.result, {**result, "about": self.about})
        self.unfinished.unlink()
        shutil.rmtree(self.checkpoints)

    def _check(self, path, theirs):
        names = [name for name in {**theirs, **self.about} if theirs.get(name) != self.about.get(name)]
        if names:
            differences = (f"{name} was {theirs.get(name)!r}, now it is {self.about.get(name)!r}" for name in names)
            raise FolderError(f"{path} is of another run: {'; '.join(differences)}. --out takes another folder")
