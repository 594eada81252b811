"""A study: many configurations, and one result file that each adds to when it finishes; a stopped study continues."""

import argparse
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from . import results


class Study:
    """The result file of a study: its settings, and the outcome and the environment of each configuration.

    A file can be extended on another machine, with other versions or by other code: a configuration that ran in
    another environment than the first one carries its own, see `environment_of`.

    Args:
      name: of the study.
      settings: everything that the numbers depend on apart from a configuration and its environment.
      out: the folder of ``result.json``.
      total: number of configurations, for the progress bar.

    Raises:
      ValueError: the folder holds a result of another study, or of other settings.
    """

    def __init__(self, name: str, settings: Mapping[str, Any], out: Path, total: int):
        self.path = out / "result.json"
        self.environment = results.environment()  # now: HEAD may move while the loaded code runs
        self.result = {"study": name, "settings": as_json(settings), **self.environment, "runs": {}}
        if self.path.exists():
            before = json.loads(self.path.read_text())
            for field in ("study", "settings"):
                check_same(self.path, f"was begun with {field}", before.get(field), self.result[field], "the file")
            self.result = before
        self.bar = tqdm(total=total, desc=name, unit="configuration")

    def record(self, key: str, configuration: Callable[[], Mapping[str, Any]], **tried: Any) -> dict[str, Any]:
        """Run a configuration and write its outcome, unless the file already holds it.

        Args:
          key: its name in the file.
          configuration: called to run it; it returns the outcome.
          **tried: fields that are known before, such as the surrogates of a grid; they are written with the outcome.

        Raises:
          ValueError: the file holds an outcome with other values in these fields.
        """
        runs = self.result["runs"]
        self.bar.set_postfix_str(key, refresh=True)
        known = as_json(tried)
        if key in runs:
            for field, value in known.items():
                check_same(self.path, f"holds {key!r} with {field}", runs[key].get(field), value, "that entry")
        else:
            wall, cpu = time.perf_counter(), time.process_time()
            outcome = as_json(jax.device_get(configuration()))
            seconds = {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
            runs[key] = outcome | known | as_json(seconds)
            here = self.environment | {"uncommitted_changes": results.environment()["uncommitted_changes"]}
            if here != environment_of(self.result):
                runs[key]["environment"] = here
            results.write(self.path, self.result)
        self.bar.update()
        return runs[key]

    def finish(self):
        """Close the progress bar."""
        self.bar.close()


def check_same(path: Path, what: str, before: Any, now: Any, stale: str):
    """Raise a ValueError unless what a file holds is what would be written now."""
    if before != now:
        raise ValueError(
            f"{path} {what} {before}, now it is {now}: give another folder by --out, or remove {stale} to start anew"
        )


def environment_of(result: Mapping[str, Any], key: str | None = None) -> dict[str, Any]:
    """Return Python, versions, device and commit of a configuration, or without a key of the first one."""
    first = {field: result[field] for field in results.ENVIRONMENT if field in result}
    return first if key is None else result["runs"][key].get("environment", first)


def as_json(tree: Any) -> Any:
    """Return a tree as JSON gives it back, with lists in place of arrays and floats rounded to six digits."""

    def leaf(value):
        if isinstance(value, (np.ndarray, np.generic)):
            return jax.tree.map(leaf, value.tolist())
        return rounded(value) if isinstance(value, float) else value

    return json.loads(json.dumps(jax.tree.map(leaf, dict(tree))))


def rounded(value: float) -> float:
    """Round to six digits, as files hold floats."""
    return float(f"{value:.6g}")


def arguments(module: str, doc: str, seeds: int, argv=None, extend=lambda parser: None) -> argparse.Namespace:
    """Parse the arguments of a study, ``--quick``, ``--seeds``, ``--out`` and those that ``extend`` adds.

    Args:
      module: its name below `benchmarks`.
      doc: its docstring, for ``--help``.
      seeds: the default.
      argv: None for those of this process.
      extend: called with the parser.
    """
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{module}", description=doc.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few small configurations, to see that it runs")
    parser.add_argument("--seeds", type=positive, metavar="N", help=f"runs for each configuration (default: {seeds})")
    results.add_out(parser, module.rpartition(".")[2])
    extend(parser)
    args = parser.parse_args(argv)
    results.try_out(parser, args.out)
    args.seeds = args.seeds or (2 if args.quick else seeds)
    return args


def positive(text: str) -> int:
    """Convert to a positive integer."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a positive integer, got {text}")
    return number
