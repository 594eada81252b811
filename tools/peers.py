"""List the other libraries of the extra `peers` that are installed, with their versions.

``python -m tools.peers`` prints the table for docs/other-libraries.md. Run it in the environment of `make test-peers`,
after that has passed.
"""

import importlib.metadata
import re
import tomllib

from packaging.requirements import Requirement

from .parts import ROOT


def peers() -> dict[str, Requirement]:
    """Return the requirements of the extra `peers` of pyproject.toml, by distribution."""
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["peers"]
    requirements = [Requirement(line) for line in extra]
    return {r.name: r for r in requirements if r.name != "brainsurr"}


def excluded(requirement: Requirement) -> str | None:
    """Return the reason why a library is not available on this Python version, or None if it is."""
    if requirement.marker is None or requirement.marker.evaluate():
        return None
    return "needs Python " + re.sub(r'python_version\s*|"', "", str(requirement.marker))


def version(distribution: str) -> str | None:
    """Return the installed version, or None."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def main():
    """Print the table of libraries and their versions."""
    found = {name: excluded(requirement) or version(name) for name, requirement in peers().items()}
    print("\n".join(f"{name:12} {cell or 'not installed'}" for name, cell in found.items()))


if __name__ == "__main__":
    main()
