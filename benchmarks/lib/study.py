"""A study: a file with a table of runs; later runs add other surrogates, rates or seeds, and repeat none."""

import argparse
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from . import results

DATA = {  # the options that name the data of each setting
    "fashion": "the folder of Fashion-MNIST's four files, as benchmarks.fashion reads them",
    "speech": "free_spoken_digits.npz, as benchmarks.studies.speech builds it",
    "series": "a folder of .ts files of the package aeon and watch_dataset.npy of seglearn",
}
TIMES = ("seconds", "cpu_seconds")  # columns that any study may have: the cost of a run


class Runs:
    """The file of a table of runs: its settings, and one row for each run.

    A row contains the values of ``key`` (which run it is) and of ``measured``, and the index of its environment,
    because a file can be extended on another machine, with other versions or other code. The file also lists the
    finished parts of the study with their grids, so that a reader does not need the current grid.

    Args:
      path: the JSON file.
      settings: everything that determines the numbers, except a row's key and its environment.
      key: the names of the columns that identify a run.
      measured: the names of the columns that a run returns, or that are among `TIMES`.
      total: the number of runs, for the progress bar.

    Raises:
      ValueError: The file contains runs with other settings or columns.
    """

    def __init__(
        self, path: Path, settings: Mapping[str, Any], key: Sequence[str], measured: Sequence[str], total=None
    ):
        self.path, self.measured = path, measured
        self.result = as_json({"settings": settings, "columns": [*key, *measured, "environment"], "environments": []})
        self.result |= {"finished": {}, "rows": []}
        if path.exists():
            before = results.read(path)
            for field in ("settings", "columns"):
                if before[field] != self.result[field]:
                    raise ValueError(
                        f"{path} holds runs with {field} {before[field]}, now it is {self.result[field]}: give another "
                        "folder by --out, or remove the file to start anew"
                    )
            self.result |= before
        self._rows = {tuple(row[: len(key)]): row for row in self.result["rows"]}
        self.bar = tqdm(desc=path.stem, unit="run", total=total)

    def run(self, train: Callable[[], Mapping[str, Any]], *key: Any) -> dict[str, Any]:
        """Return the row of a run as a dictionary; if the file lacks it, run it and add it."""
        self.bar.set_postfix_str(", ".join(map(str, key)))
        key = tuple(as_json(key))
        if key not in self._rows:
            wall, cpu = time.perf_counter(), time.process_time()
            values = jax.device_get(train())
            took = dict(zip(TIMES, (time.perf_counter() - wall, time.process_time() - cpu), strict=True))
            values = as_json(took | values)
            row = [*key, *(values[name] for name in self.measured), self._here]
            self._rows[key] = row
            self.result["rows"] = sorted(self._rows.values(), key=repr)
            results.write(self.path, self.result)
        self.bar.update()
        return dict(zip(self.result["columns"], self._rows[key], strict=True))

    def finish(self, part: str, **grid: Any):
        """Record that a part of the study is finished, and its grid."""
        grid = as_json(grid)
        if self.result["finished"].get(part) != grid:
            self.result["finished"][part] = grid
            results.write(self.path, self.result)
        self.bar.close()

    @cached_property
    def _here(self) -> int:
        """The index of this process's environment in the file."""
        here, known = results.environment(), self.result["environments"]
        if here not in known:
            known.append(here)
        return known.index(here)


def finished(path: Path, part: str) -> dict[str, Any] | None:
    """Return the grid of a part of a study, or None if it is not finished."""
    return results.read(path)["finished"].get(part) if path.exists() else None


def rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a file as dictionaries."""
    result = results.read(path)
    return [dict(zip(result["columns"], row, strict=True)) for row in result["rows"]]


def of_seeds(rows: Iterable[Mapping[str, Any]], seeds: Sequence[int], *names: str) -> dict[Any, dict[str, np.ndarray]]:
    """Return the columns of runs over seeds, by the values of the named columns; skip runs that lack a seed."""
    by_key: dict[Any, dict[int, Mapping[str, Any]]] = {}
    for row in rows:
        by_key.setdefault(tuple(row[name] for name in names), {})[row["seed"]] = row
    whole = {key: [of_seed[seed] for seed in seeds] for key, of_seed in by_key.items() if of_seed.keys() >= set(seeds)}
    columns = {key: {name: np.array([run[name] for run in runs]) for name in runs[0]} for key, runs in whole.items()}
    return {key if len(names) > 1 else key[0]: column for key, column in columns.items()}


def provenance(*paths: Path) -> str:
    """Return how long the studies with the columns `TIMES` took in total, and on which machine."""
    took: dict[str, Any] = {}
    for path in paths:
        environments = results.read(path)["environments"]
        for row in rows(path):
            here = environments[row["environment"]]
            where = "on {device}, shared with other work; Python {python}, jax {versions[jax]}".format(**here)
            took[where] = took.get(where, 0) + np.array([row[name] for name in TIMES]) / 60
    texts = (f"{all_:.0f} minutes ({own:.0f} minutes of processor time) {where}" for where, (all_, own) in took.items())
    return ". ".join(texts)


def as_json(tree: Any) -> Any:
    """Return a tree as it is after reading from JSON: lists instead of arrays, and floats rounded to six digits."""
    if isinstance(tree, Mapping):
        return {key: as_json(value) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [as_json(value) for value in tree]
    if isinstance(tree, (np.ndarray, np.generic, jax.Array)):
        return as_json(tree.tolist())
    return rounded(tree) if isinstance(tree, float) else tree


def rounded(value: float) -> float:
    """Round to six digits, as in the files."""
    return float(f"{value:.6g}")


def arguments(
    module: str,
    doc: str,
    argv=None,
    *,
    quick: str = "",
    settings: Mapping[str, str] | Sequence[str] = (),
    extend=lambda parser: None,
) -> argparse.Namespace:
    """Parse the arguments of a program (``--quick``, ``--out`` and others), or exit with a one-line error.

    The folder of the result is created before any work. ``error(message)`` of the returned object exits in the same
    way.

    Args:
      module: the name of the module below `benchmarks`.
      doc: its docstring, for ``--help``.
      argv: the arguments; None for those of this process.
      quick: a description of the ``--quick`` run, if there is such an option.
      settings: the settings to choose from; a dictionary also names the `DATA` that each needs, and in a list
        ``speech`` needs its recordings.
      extend: called with the parser, to add options.
    """
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{module}", description=doc.splitlines()[0])
    needs = settings if isinstance(settings, Mapping) else {name: name if name in DATA else "" for name in settings}
    if settings:
        known = f"{', '.join(settings)} (default: all with data)"
        parser.add_argument("settings", nargs="*", metavar="SETTING", help=known)
    for name in sorted({*needs.values()} - {""}):
        parser.add_argument(f"--{name}", type=Path, metavar="PATH", help=DATA[name])
    if quick:
        parser.add_argument("--quick", action="store_true", help=f"{quick}, to see that it runs")
    out = {"default": Path("runs", module.rpartition(".")[2]), "help": "folder of results (default: %(default)s)"}
    parser.add_argument("--out", type=Path, metavar="DIR", **out)
    extend(parser)
    args = parser.parse_args(argv, argparse.Namespace(error=parser.error))
    if settings:
        lacking = {name: of for name, of in needs.items() if of and getattr(args, of) is None}
        args.settings = args.settings or [name for name in needs if name not in lacking] or list(needs)
        for name in args.settings:
            if name not in needs:
                parser.error(f"{name!r} is not one of {', '.join(needs)}")
            if name in lacking:
                parser.error(f"{name} needs --{lacking[name]}: {DATA[lacking[name]]}")
    args.out.mkdir(parents=True, exist_ok=True)
    return args


def positive(text: str) -> int:
    """Convert to a positive integer."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a positive integer, got {text}")
    return number
