"""Run processes that may fail or be interrupted, and keep their results in a file."""

import json
from pathlib import Path

from .results import ROOT, environment


def kept_in(folder):
    """Return the file of the measurements at this commit, below ``runs``."""
    return ROOT / f"runs/{folder}/{environment()['commit'][:7]}.jsonl"


class Tries:
    """Runs functions and keeps their results in a file, so that an interrupted measurement can resume.

    Args:
      path: the file; None to keep nothing.
    """

    def __init__(self, path: Path | None):
        self.path, self.missing, self.kept = path, {}, []
        if path and path.exists():
            self.kept = [json.loads(line) for line in path.read_text().splitlines()]

    def __call__(self, what, key, run, *args, **how):
        """Return the result of a run, or None if it fails; after a failure, skip other runs of the same ``what``."""
        for other, answer in self.kept:
            if other == key:
                return answer
        if what in self.missing:
            return None
        try:
            answer = run(*args, **how)
        except RuntimeError as error:
            self.missing[what] = str(error)
            return None
        if self.path:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a") as file:
                file.write(json.dumps([key, answer]) + "\n")
        return answer
