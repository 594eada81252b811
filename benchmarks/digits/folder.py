"""The folder of a run: whether the run in it starts, continues or is finished, and which folders are refused."""

import json
import tempfile
from pathlib import Path
from typing import Any

from ..lib.checkpoints import CheckpointError, differences
from .job import Job, place


class Folder:
    """The folder of a run: checkpoints until it is finished, then ``result.json`` and the pictures.

    Args:
      path: of the folder, which exists.
    """

    def __init__(self, path: Path):
        self.path, self.result, self.checkpoints = path, path / "result.json", path / "checkpoints"

    def has_checkpoints(self) -> bool:
        """Return whether there is any file of a checkpoint, even a half-written one."""
        return any(path.is_file() for path in self.checkpoints.rglob("*"))

    def finished_result(self, job: Job) -> dict[str, Any] | None:
        """Return the result if this job is finished, None if there is something left to train.

        Raises:
          CheckpointError: there is a result of another job, or a file that is no result.
        """
        if self.checkpoints.exists() or not self.result.exists():
            return None
        try:
            result = json.loads(self.result.read_text())
            theirs = result["about"] | {"seeds": len(result["runs"]["LIF"])}
        except (ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"{self.result} is no result of this program: --out takes another folder") from error
        ours = job.identity() | {"seeds": job.seeds}
        if theirs != ours:
            raise CheckpointError(
                f"{self.result} is the result of another run: {differences(theirs, ours)}. --out takes another folder"
            )
        return result

    def check(self, job: Job, resume: bool) -> None:
        """Refuse to train here if a checkpoint is neither to be continued nor part of this job.

        The checkpoints themselves are compared with the job when they are read.

        Raises:
          CheckpointError: there are checkpoints and ``resume`` is False, or something else lies among them.
        """
        if not resume and self.has_checkpoints():
            raise CheckpointError(
                f"{self.path} holds an unfinished run: --resume goes on with it, --out takes another; or remove "
                f"{self.checkpoints}"
            )
        expected = {place(name, seed) for name, seed in job.trainings()}
        if strangers := sorted({path.name for path in self.checkpoints.glob("*")} - expected):
            raise CheckpointError(
                f"{self.checkpoints} holds {', '.join(strangers)}, no part of this run: give another folder by --out"
            )

    def remove_checkpoints(self) -> None:
        """Remove the checkpoints. Renamed first: a half-removed folder would be reported as damaged."""
        with tempfile.TemporaryDirectory(dir=self.path) as removed:
            self.checkpoints.rename(Path(removed) / self.checkpoints.name)
