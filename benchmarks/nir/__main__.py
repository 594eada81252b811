"""Test which library can read the NIR files of which other library, and count the spikes that differ.

``python -m benchmarks.nir --out benchmarks/results/nir`` writes the result file from which the tables are made. Not all
libraries fit into one environment: for a missing library, the rows in the file stay as they are, and the program says
so. Lava needs its own Python, which the environment variable LAVA names.
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
    """Return the fraction of a trial's outputs that differ, or the error of the library that fails."""
    try:
        expected, actual = outputs(trial, folder)
        if expected.shape != actual.shape:
            raise ValueError(f"outputs of shape {actual.shape[2:]} in place of {expected.shape[2:]}")
    except Exception as error:  # from any library
        said = str(error).splitlines()[0]
        return trial.about() | {"differ": None, "spikes": None, "error": f"{type(error).__name__}: {said}"}
    return trial.about() | {"differ": differ(expected, actual), "spikes": float(expected.mean())}


def libraries(present) -> dict[str, dict[str, str]]:
    """Return the versions of each library, of Python and of the library on which it is based."""
    found = {}
    for name in present:
        under = "numpy" if name == "lava" else "jax" if name in ("spyx", "jaxpike", "sparx") else "torch"
        named = {"sparx": "sparxml", "lava": "lava-nc"}.get(name, name), "nir", under
        python = os.environ["LAVA"] if name == "lava" else sys.executable
        versions = peers.versions(python, *named)
        found[name] = {"version": versions.pop(named[0])} | versions
    return found


def merged(rows: list[dict], former: list[dict], missing: set[str]) -> list[dict]:
    """Return the rows of all trials in their order, and keep the former rows of missing libraries."""
    known = {key(row): row for row in former if {row["writer"], row["reader"]} & missing}
    known |= {key(row): row for row in rows}
    return [known[key(trial.about())] for trial in TRIALS if key(trial.about()) in known]


def key(row: dict) -> tuple[str, ...]:
    """Return the values that identify a row."""
    return tuple(row[name] for name in ("network", "writer", "reader", "how"))


def main(argv=None):
    """Run every trial whose libraries are installed, and write the result."""
    args = arguments("nir", __doc__, argv)
    warnings.simplefilter("ignore")  # from other libraries, and from `to_nir` about resets
    start, missing = time.perf_counter(), {name for name in LIBRARIES if not peers.installed(name)}
    former = results.committed("nir")
    if missing:
        print(f"missing, whose rows stay as they are: {', '.join(sorted(missing))}")
    possible = [trial for trial in TRIALS if not {trial.writer, trial.reader} & missing]
    with tempfile.TemporaryDirectory() as folder:
        trials, digits = [row(trial, Path(folder)) for trial in possible], dict(compare(Path(folder)))
    about = results.environment() | {"seconds": time.perf_counter() - start}
    about["libraries"] = former["libraries"] | libraries(set(LIBRARIES) - missing)
    about["trials"] = merged(trials, former["trials"], missing)
    kept = {name: entry for name, entry in former["digits"].items() if peers.package(name) in missing}
    about["digits"] = kept | digits
    results.write(args.out / "result.json", about)
    print(part(about))


if __name__ == "__main__":
    main()
