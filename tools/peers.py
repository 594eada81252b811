"""The other libraries of the extra `peers`: which of them are here, in which versions.

``python -m tools.peers`` writes the versions into docs/hosts/README.md, in the column of this Python. Run it in the
environment of `make test-peers`, after that has passed.
"""

import importlib.metadata
import platform
import re
import tomllib

from packaging.requirements import Requirement

from .parts import ROOT

PAGE = ROOT / "docs/hosts/README.md"


def peers() -> dict[str, Requirement]:
    """Return the requirements of the extra `peers` of pyproject.toml, by distribution."""
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["peers"]
    requirements = [Requirement(line) for line in extra]
    return {r.name: r for r in requirements if r.name != "brainsurr"}


def excluded(requirement: Requirement) -> str | None:
    """Return why a peer is not available on this Python, or None if it is."""
    if requirement.marker is None or requirement.marker.evaluate():
        return None
    return "needs Python " + re.sub(r'python_version\s*|"', "", str(requirement.marker))


def version(distribution: str) -> str | None:
    """Return the version that is installed, or None."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def record(text: str, python: str, cells: dict[str, str]) -> str:
    """Return the page with other cells in the column of a Python, by distribution."""
    lines = text.splitlines()
    columns: list[str] = []
    for i, line in enumerate(lines):
        parts = [part.strip() for part in line.strip("|").split("|")]
        if parts[0] == "host":
            columns = parts
        elif f"Python {python}" in columns and (distribution := re.search(r"PyPI `([\w-]+)`", parts[0])):
            column = columns.index(f"Python {python}")
            parts[column] = cells.get(distribution[1], parts[column])
            lines[i] = "| " + " | ".join(parts) + " |"
    return "\n".join(lines) + "\n"


def main():
    """Print what is here, and write the page."""
    found = {name: excluded(requirement) or version(name) for name, requirement in peers().items()}
    print("\n".join(f"{name:12} {cell or 'not installed'}" for name, cell in found.items()))
    python = ".".join(platform.python_version_tuple()[:2])
    PAGE.write_text(record(PAGE.read_text(), python, {name: cell for name, cell in found.items() if cell}))


if __name__ == "__main__":
    main()
