"""Test which library reads the NIR files of which, and how many spikes differ.

``python -m benchmarks.nir --out benchmarks/results/nir`` in an environment with the other libraries writes the result
file that the tables of docs/nir.md are made of. A library that is missing has no rows, which is said.
"""

import importlib.metadata
import importlib.util
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

from ..lib import results
from ..lib.study import arguments
from .digits import compare
from .trials import TRIALS, outputs

LIBRARIES = ("snntorch", "norse", "spyx", "jaxpike")


def row(trial, folder: Path) -> dict:
    """Return how many of the outputs of a trial differ, or the error of the library that stops."""
    how = ", ".join(f"{name}={value!r}" for name, value in trial.how.items())
    about = {"network": trial.network, "writer": trial.writer, "reader": trial.reader, "how": how}
    try:
        expected, actual = outputs(trial, folder)
        if expected.shape != actual.shape:
            raise ValueError(f"outputs of shape {actual.shape[2:]} in place of {expected.shape[2:]}")
    except Exception as error:  # of any library
        return about | {"differ": None, "spikes": None, "error": f"{type(error).__name__}: {error}".splitlines()[0]}
    return about | {"differ": float(np.mean(expected != actual)), "spikes": float(expected.mean())}


def main(argv=None):
    """Run every trial whose libraries are there, and write the result."""
    args = arguments("nir", __doc__, argv, quick="three trials, no digits")
    warnings.simplefilter("ignore")  # of other libraries, and of `to_nir` about resets
    start, missing = time.perf_counter(), {name for name in LIBRARIES if importlib.util.find_spec(name) is None}
    if missing:
        print(f"missing, and so left out: {', '.join(sorted(missing))}")
    possible = [trial for trial in TRIALS if not {trial.writer, trial.reader} & missing]
    with tempfile.TemporaryDirectory() as folder:
        trials = [row(trial, Path(folder)) for trial in possible[: 3 if args.quick else None]]
        digits = {} if args.quick else dict(compare(Path(folder)))
    about = results.environment()
    for name in {"nir", "nirtorch", *LIBRARIES, "torch"} - missing:
        try:
            about["versions"][name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # of what comes with one of the libraries
    about |= {"seconds": time.perf_counter() - start, "trials": trials, "digits": digits}
    results.write(args.out / "result.json", about)
    for entry in trials:
        shown = entry["error"] if entry["differ"] is None else entry["differ"]
        print(f"{entry['network']}: {entry['writer']} -> {entry['reader']}: {shown}")
    for name, entry in digits.items():
        print(f"digits: {name}: {entry}")


if __name__ == "__main__":
    main()
