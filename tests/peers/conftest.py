"""Tests with other libraries: `make test-peers`, in an environment of its own. A normal run does not see them."""

import os
import platform
import re
from pathlib import Path

import jax
import pytest
from pages import HOSTS
from peer import excluded, peers, version

HERE = Path(__file__).parent


def pytest_ignore_collect(collection_path, config):
    """Importing one of these files imports its library, so they are not even collected unless asked for."""
    return True if "not peers" in config.option.markexpr else None


@pytest.hookimpl(tryfirst=True)  # before `-m` selects
def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("peers")
            item.add_marker(pytest.mark.filterwarnings("ignore"))  # the libraries are not clean under "error"


@pytest.fixture(autouse=True)
def _lenient(lenient):
    """Nor are they clean under strict promotion."""


def pytest_terminal_summary(terminalreporter, exitstatus, config):
    """Say which versions ran; ``RECORD=1`` writes them into the page, if all went well."""
    if "not peers" not in config.option.markexpr:
        cells = {name: excluded(requirement) or version(name) for name, requirement in peers().items()}
        terminalreporter.section(f"peers, Python {platform.python_version()}, jax {jax.__version__}")
        terminalreporter.write_line("\n".join(f"{name:12} {cell or 'not installed'}" for name, cell in cells.items()))
        if os.environ.get("RECORD") and exitstatus == pytest.ExitCode.OK:
            page, python = HOSTS / "README.md", ".".join(platform.python_version_tuple()[:2])
            page.write_text(record(page.read_text(), python, {name: cell for name, cell in cells.items() if cell}))


def record(text: str, python: str, cells: dict[str, str]) -> str:
    """The table of docs/hosts/README.md with the column of this Python as it was tried."""
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
