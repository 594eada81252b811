"""Test which library reads the NIR files of which, and how many spikes differ.

``python -m benchmarks.nir --out benchmarks/results/nir`` in an environment with other libraries writes the result file
that the tables of docs/nir.md are made of. They don't all fit into one environment: the rows of a library that is
missing stay as they are in the file, which is said. Lava has a Python of its own, which the variable LAVA names.
"""

import os
import sys
import tempfile
import time
import warnings
from pathlib import Path

from ..lib import results
from ..lib.study import arguments
from . import peers
from .digits import compare
from .report import NAMES, part
from .trials import TRIALS, differ, outputs

LIBRARIES = [name for name in NAMES[1:] if peers.package(name) == name]


def row(trial, folder: Path) -> dict:
    """Return how many of the outputs of a trial differ, or the error of the library that stops."""
    try:
        expected, actual = outputs(trial, folder)
        if expected.shape != actual.shape:
            raise ValueError(f"outputs of shape {actual.shape[2:]} in place of {expected.shape[2:]}")
    except Exception as error:  # of any library
        said = str(error).splitlines()[0]
        return trial.about() | {"differ": None, "spikes": None, "error": f"{type(error).__name__}: {said}"}
    return trial.about() | {"differ": differ(expected, actual), "spikes": float(expected.mean())}


def libraries(present) -> dict[str, dict[str, str]]:
    """Return, of each library, its version and those of Python and of what it stands on."""
    found = {}
    for name in present:
        under = "numpy" if name == "lava" else "jax" if name in ("spyx", "jaxpike", "sparx") else "torch"
        named = {"sparx": "sparxml", "lava": "lava-nc"}.get(name, name), "nir", under
        python = os.environ["LAVA"] if name == "lava" else sys.executable
        versions = peers.versions(python, *named)
        found[name] = {"version": versions.pop(named[0])} | versions
    return found


def merged(rows: list[dict], former: list[dict], missing: set[str]) -> list[dict]:
    """Return the rows of all trials in their order, those of a library that is missing as they were."""
    known = {key(row): row for row in former if {row["writer"], row["reader"]} & missing}
    known |= {key(row): row for row in rows}
    return [known[key(trial.about())] for trial in TRIALS if key(trial.about()) in known]


def key(row: dict) -> tuple[str, ...]:
    """Return what tells a row from all others."""
    return tuple(row[name] for name in ("network", "writer", "reader", "how"))


def main(argv=None):
    """Run every trial whose libraries are there, and write the result."""
    args = arguments("nir", __doc__, argv, quick="three trials, no digits")
    warnings.simplefilter("ignore")  # of other libraries, and of `to_nir` about resets
    start, missing = time.perf_counter(), {name for name in LIBRARIES if not peers.installed(name)}
    former = {} if args.quick else results.committed("nir")
    if missing:
        print(f"missing, whose rows stay as they are: {', '.join(sorted(missing))}")
    possible = [trial for trial in TRIALS if not {trial.writer, trial.reader} & missing]
    with tempfile.TemporaryDirectory() as folder:
        trials = [row(trial, Path(folder)) for trial in possible[: 3 if args.quick else None]]
        digits = {} if args.quick else dict(compare(Path(folder)))
    about = results.environment() | {"seconds": time.perf_counter() - start}
    about["libraries"] = former.get("libraries", {}) | libraries(set(LIBRARIES) - missing)
    about["trials"] = merged(trials, former.get("trials", []), missing)
    kept = {name: entry for name, entry in former.get("digits", {}).items() if peers.package(name) in missing}
    about["digits"] = kept | digits
    results.write(args.out / "result.json", about)
    print(part(about))


if __name__ == "__main__":
    main()
