"""A run: the networks that it trains, the settings of the numbers, and its folder."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from brainsurr.neurons import LIF

from ..lib import results

SURROGATE = LIF().spike_fn
# The surrogate and its trained parameters; a ReLU network has no surrogate.
NETWORKS = {"LIF": (SURROGATE, ()), "LIF, trained alpha": (SURROGATE, ("alpha",)), "ReLU": (None, ())}


def about(args) -> dict[str, Any]:
    """Return everything that must stay equal for a resumed run to end with the same bits."""
    here = results.environment()
    machine = {"python": here["python"], "device": here["device"], "devices": jax.device_count()}
    job = {name: getattr(args, name) for name in ("framework", "epochs", "seeds")}
    return job | {"surrogate": repr(SURROGATE)} | machine | here["versions"]


class Folder:
    """The folder of a run: checkpoints until the run is finished, then ``result.json`` and the picture.

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
            raise ValueError(f"{self.path} contains an unfinished run: resume it with --resume, or set another --out")
        for file in (self.unfinished, self.result):
            if resume and file.exists():
                known = results.read(file)
                theirs = known.get("about", {})
                changed = [name for name in {**theirs, **self.about} if theirs.get(name) != self.about.get(name)]
                if changed:
                    raise ValueError(f"{file} is from a run with other {', '.join(changed)}: set another --out")
                return known if file == self.result else None
        if self.checkpoints.exists():
            raise ValueError(f"{self.checkpoints} belongs to no unfinished run: remove it, or set another --out")
        results.write(self.unfinished, {"about": self.about})
        return None

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write the result, then remove the checkpoints, so that a killed process leaves one or the other."""
        results.write(self.result, {**result, "about": self.about})
        self.unfinished.unlink()
        shutil.rmtree(self.checkpoints)
