"""A run: the networks that it trains, the settings of the numbers, and its folder."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax

from brainsurr.neurons import LIF

from ..lib import results

SURROGATE = LIF().spike_fn
NETWORKS = {  # the surrogate and its trained parameters; a ReLU network has no surrogate
    "LIF": (SURROGATE, ()),
    "LIF, trained alpha": (SURROGATE, ("alpha",)),
    "ReLU": (None, ()),
}


class Job(NamedTuple):
    """All settings of the numbers, except for versions and the device.

    Attributes:
      framework: one of `FRAMEWORKS`.
      epochs: passes over the training images.
      seeds: the number of networks of each kind, trained from the seeds 0, 1, ...
    """

    framework: str
    epochs: int
    seeds: int

    def about(self) -> dict[str, Any]:
        """Return everything that must stay equal for a resumed run to end with the same bits."""
        here = results.environment()
        machine = {"python": here["python"], "device": here["device"], "devices": jax.device_count()}
        return self._asdict() | {"surrogate": repr(SURROGATE)} | machine | here["versions"]


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
          ValueError: The folder contains another run, an unfinished run and ``resume`` is False, or checkpoints without
            a run.
        """
        if self.unfinished.exists() and not resume:
            raise ValueError(f"{self.path} holds an unfinished run: --resume goes on with it, --out takes another")
        for file in (self.unfinished, self.result):
            if resume and file.exists():
                known = results.read(file)
                theirs = known.get("about", {})
                changed = [name for name in {**theirs, **self.about} if theirs.get(name) != self.about.get(name)]
                if changed:
                    raise ValueError(f"{file} is of a run with other {', '.join(changed)}: --out takes another folder")
                return known if file == self.result else None
        if self.checkpoints.exists():
            raise ValueError(f"{self.checkpoints} is of no unfinished run: remove it, or --out takes another folder")
        results.write(self.unfinished, {"about": self.about})
        return None

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write the result, then remove the checkpoints, so that a killed process leaves one or the other."""
        results.write(self.result, {**result, "about": self.about})
        self.unfinished.unlink()
        shutil.rmtree(self.checkpoints)
