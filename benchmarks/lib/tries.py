"""Processes that may fail or stop, each made once: what they returned is kept in a file."""

import json
from pathlib import Path

from .results import ROOT, environment


def kept_in(folder):
    """Return the file of what was measured at this commit, below ``runs``."""
    return ROOT / f"runs/{folder}/{environment()['commit'][:7]}.jsonl"


class Tries:
    """Runs things, and keeps what they return in a file, from which a measurement that was stopped goes on.

    Args:
      path: of the file; None to keep nothing.
    """

    def __init__(self, path: Path | None):
        self.path, self.missing, self.kept = path, {}, []
        if path and path.exists():
            self.kept = [json.loads(line) for line in path.read_text().splitlines()]

    def __call__(self, what, key, run, *args, **how):
        """Return what a run returns, None if it fails; what fails with inputs of one form isn't tried with others."""
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
