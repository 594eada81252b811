"""The folder of a run: whether the run in it starts, continues or is finished, and which folders are refused."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..lib import results


class FolderError(ValueError):
    """A folder holds another run, or one that is not to be continued."""


class Folder:
    """The folder of a run: checkpoints, until it is finished, then ``result.json`` and the pictures.

    Args:
      path: of the folder, which exists.
      about: what must be equal for a resumed run to end with the same bits. It stands in ``unfinished.json`` while the
        run is not finished, and in the result.
    """

    def __init__(self, path: Path, about: Mapping[str, Any]):
        self.path, self.about = path, about
        self.result, self.unfinished, self.checkpoints = (
            path / name for name in ("result.json", "unfinished.json", "checkpoints")
        )

    def begin(self, resume: bool) -> dict[str, Any] | None:
        """Return the result if the run is finished and ``resume`` is True; otherwise make the folder ready to train.

        Raises:
          FolderError: it holds another run, an unfinished run and ``resume`` is False, or checkpoints of no run.
        """
        if self.unfinished.exists():
            if not resume:
                raise FolderError(f"{self.path} holds an unfinished run: --resume goes on with it, --out takes another")
            self._check(self.unfinished, json.loads(self.unfinished.read_text()))
        elif resume and self.result.exists():
            result = json.loads(self.result.read_text())
            self._check(self.result, result.get("about", {}))
            return result
        elif self.checkpoints.exists():
            raise FolderError(f"{self.checkpoints} is of no unfinished run: remove it, or --out takes another folder")
        else:
            results.write(self.unfinished, self.about)
        return None

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write the result and remove the checkpoints, in an order in which a killed process leaves either."""
        results.write(self.result, {**result, "about": self.about})
        self.unfinished.unlink()
        shutil.rmtree(self.checkpoints)

    def _check(self, path, theirs):
        names = [name for name in {**theirs, **self.about} if theirs.get(name) != self.about.get(name)]
        if names:
            differences = (f"{name} was {theirs.get(name)!r}, now it is {self.about.get(name)!r}" for name in names)
            raise FolderError(f"{path} is of another run: {'; '.join(differences)}. --out takes another folder")
