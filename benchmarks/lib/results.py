"""Result files, and the environment in which a number was measured."""

import importlib.metadata
import json
import platform
import re
import subprocess
from pathlib import Path
from typing import Any

import jax

from .timing import cores

PACKAGES = ("brainsurr", "jax", "jaxlib", "flax", "brainstate", "braintools", "optax", "orbax-checkpoint")
PACKAGES += ("numpy", "scikit-learn")

# The files on which a result depends.
CODE = (":/brainsurr", ":/benchmarks/*.py", ":/tools/adapters", ":/pyproject.toml", ":/Makefile")
ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"  # committed results, from which pages are made
PICTURES = ROOT / "docs" / "pictures"
_ROW = re.compile(r'\[[^][{}"]*\]|\[\s*"(?:[^][{}]|\[[^][{}"]*\])*\]')  # numbers, or a string and what follows it


def environment() -> dict[str, Any]:
    """Return the versions, device and commit that are stored with every number."""
    return {
        "python": platform.python_version(),
        "versions": {name: version for name in PACKAGES if (version := _version(name))},
        "device": device(),
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(_git("status", "--porcelain", "--", *CODE)),
    }


def read(path: Path) -> dict[str, Any]:
    """Read a result as it was written."""
    return json.loads(path.read_text())


def committed(study: str) -> dict[str, Any]:
    """Read the committed result of a study by the name of its folder."""
    return read(RESULTS / study / "result.json")


def where(result: dict[str, Any], *packages: str) -> str:
    """Return the machine of a result, with the versions of some packages."""
    versions = (f", {name} {result['versions'][name]}" for name in packages if name in result["versions"])
    return f"{result['device']}; Python {result['python']}{''.join(versions)}"


def device() -> str:
    """Return the name of the accelerator, or of the processor with its number of cores."""
    first = jax.devices()[0]
    if first.platform != "cpu":
        return first.device_kind
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", info.read_text()) if info.exists() else []
    return f"{[*names, platform.processor() or platform.machine()][0]}, {cores()} cores"


def write(path: Path, result: dict[str, Any]):
    """Write a result as JSON, completely or not at all, with each list of numbers and each row on one line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    text = _ROW.sub(lambda row: re.sub(r"\n\s*", " ", row[0]), json.dumps(result, indent=2))
    part.write_text(text + "\n")
    part.replace(path)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git(*command: str) -> str | None:
    """Return the output of git for this checkout, or None outside a checkout."""
    try:
        answer = subprocess.run(["git", *command], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()
