"""A table of training runs in one file, which later runs of any surrogate, rate or seed extend."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax

from . import results
from .study import as_json, check_same


class Runs:
    """The file of a table of runs: its settings, and one row for each run.

    A row holds the values of ``key`` (which run it is), those of ``measured``, and the index of its environment: a
    file can be extended on another machine, with other versions or by other code. What of the study is finished, over
    which grid, stands in the file too: who reads it needs no grid of its own.

    Args:
      path: of the JSON file.
      settings: everything that the numbers depend on apart from a row's key and its environment.
      key: the names of the columns that identify a run.
      measured: the names of the columns that a run returns.

    Raises:
      ValueError: the file holds runs of other settings or columns.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any], key: tuple[str, ...], measured: tuple[str, ...]):
        self.path, self.measured = path, measured
        self.result = as_json({"settings": settings, "columns": [*key, *measured, "environment"], "environments": []})
        self.result |= {"finished": {}, "rows": []}
        if path.exists():
            before = json.loads(path.read_text())
            for field in ("settings", "columns"):
                check_same(path, f"holds runs with {field}", before[field], self.result[field], "the file")
            self.result |= before
        self._rows = {tuple(row[: len(key)]): row for row in self.result["rows"]}
        self._environment: int | None = None

    def run(self, train: Callable[[], Mapping[str, Any]], *key: Any) -> dict[str, Any]:
        """Return the row of a run as a dictionary; run it and add it to the file if the file does not have it."""
        key = tuple(as_json({"key": key})["key"])
        if key not in self._rows:
            values = as_json(jax.device_get(train()))
            row = [*key, *(values[name] for name in self.measured), self._here()]
            self._rows[key] = row
            self.result["rows"] = sorted(self._rows.values(), key=repr)
            results.write(self.path, self.result)
        return dict(zip(self.result["columns"], self._rows[key], strict=True))

    def finish(self, part: str, **grid: Any):
        """Note that a part of the study is finished, and over which grid."""
        grid = as_json(grid)
        if self.result["finished"].get(part) != grid:
            self.result["finished"][part] = grid
            results.write(self.path, self.result)

    def _here(self) -> int:
        """Return the index of this process's environment in the file."""
        if self._environment is None:
            here, known = results.environment(), self.result["environments"]
            if here not in known:
                known.append(here)
            self._environment = known.index(here)
        return self._environment


def finished(path: Path, part: str) -> dict[str, Any] | None:
    """Return the grid of a part of a study, or None if it is not finished."""
    return json.loads(path.read_text()).get("finished", {}).get(part)


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file as dictionaries."""
    result = json.loads(path.read_text())
    return (dict(zip(result["columns"], row, strict=True)) for row in result["rows"])
