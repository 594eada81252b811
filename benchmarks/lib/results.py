"""Result files: the environment of a number, the folder of a result, and tables."""

import argparse
import importlib.metadata
import json
import os
import platform
import re
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import jax

PACKAGES = (
    "brainsurr",
    "jax",
    "jaxlib",
    "flax",
    "brainstate",
    "braintools",
    "optax",
    "orbax-checkpoint",
    "numpy",
    "scikit-learn",
)

# The files that a result depends on.
CODE = (":/brainsurr", ":/benchmarks/*.py", ":/tools/hosts.py", ":/pyproject.toml", ":/Makefile")
ENVIRONMENT = ("python", "versions", "device", "commit", "uncommitted_changes")  # the fields of `environment`


def environment() -> dict[str, Any]:
    """Return the versions, device and commit that are written with every number."""
    return {
        "python": platform.python_version(),
        "versions": {name: version for name in PACKAGES if (version := _version(name))},
        "device": device(),
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(_git("status", "--porcelain", "--", *CODE)),
    }


def device() -> str:
    """Return the accelerator's name, or the processor's with its number of cores."""
    first = jax.devices()[0]
    if first.platform != "cpu":
        return first.device_kind
    info = Path("/proc/cpuinfo")
    names = (
        [line.split(":")[1].strip() for line in info.read_text().splitlines() if "model name" in line]
        if (info.exists())
        else []
    )
    return f"{names[0] if names else platform.processor() or platform.machine()}, {len(os.sched_getaffinity(0))} cores"


def add_out(parser: argparse.ArgumentParser, name: str):
    """Add the option ``--out``, the folder of the result, by default ``runs/NAME``."""
    folder = "folder of results (default: %(default)s)"
    parser.add_argument("--out", type=Path, default=Path("runs", name), metavar="DIR", help=folder)


def try_out(parser: argparse.ArgumentParser, out: Path):
    """Make the folder of the result, or exit with an error of one line before any work is done."""
    try:
        make_writable(out)
    except OSError as error:
        parser.error(f"--out: expected a folder to write into, got {out}: {error.strerror}")


def check_names(parser: argparse.ArgumentParser, given: Iterable[str], known: Iterable[str]):
    """Exit with an error of one line if a name is not known."""
    for name in given:
        if name not in known:
            parser.error(f"{name!r} is not one of {', '.join(known)}")


def make_writable(folder: Path):
    """Make a folder, or raise an OSError if nothing can be written into it."""
    folder.mkdir(parents=True, exist_ok=True)
    tempfile.TemporaryFile(dir=folder).close()


def write(path: Path, result: dict[str, Any]):
    """Write a result as JSON, completely or not at all, with each list of numbers on one line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    text = json.dumps(result, indent=2)
    part.write_text(re.sub(r"\[[^][{}\"]*\]", lambda numbers: " ".join(numbers[0].split()), text) + "\n")
    part.replace(path)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Make an aligned Markdown table, the first column to the left and the others to the right."""
    rows = [list(map(str, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]

    def line(cells):
        first, *rest = cells
        padded = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))]
        return f"| {' | '.join(padded)} |"

    rule = [":" + "-" * (widths[0] - 1), *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(map(line, [header, rule, *rows]))


def yes(held: bool) -> str:
    """Return a cell of a table that says whether something held, in bold if not."""
    return "yes" if held else "**no**"


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git(*command: str) -> str | None:
    """Return the output of git for this checkout, None outside of one."""
    try:
        answer = subprocess.run(
            ["git", *command], cwd=Path(__file__).parent, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()
