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


def pytest_terminal_summary(terminalreporter):
    counts: dict[str, dict[str, int]] = {}
    for outcome in ("passed", "failed", "error", "xfailed"):
        for report in terminalreporter.stats.get(outcome, []):
            if match := re.search(r"peers/test_(?:spike_functions\.py::\w+\[)?(\w+)", report.nodeid):
                tally = counts.setdefault(match[1], {})
                tally[outcome] = tally.get(outcome, 0) + 1
    if not counts:
        return
    cells = {}
    rows = [("library", "version", "result")]
    for name, requirement in peers().items():
        reason, installed, tally = excluded(requirement), version(name), counts.get(name, {})
        if reason or (tally.keys() & {"passed"} and not tally.keys() & {"failed", "error"}):
            cells[name] = reason or installed
        result = ", ".join(f"{n} {outcome}" for outcome, n in tally.items()) or "not run"
        rows.append((name, installed or "-", f"not installed: {reason}" if reason else result))
    terminalreporter.section(f"peers, Python {platform.python_version()}, jax {jax.__version__}")
    for row in rows:
        terminalreporter.line(" | ".join(cell.ljust(12) for cell in row).rstrip())
    python = ".".join(platform.python_version_tuple()[:2])
    page = HOSTS / "README.md"
    text = record(page.read_text(), python, cells)
    if text != page.read_text():
        if os.environ.get("RECORD"):
            page.write_text(text)
        else:
            terminalreporter.line(
                "Other versions than docs/hosts/README.md names; RECORD=1 make test-peers writes them."
            )


def record(text: str, python: str, cells: dict[str, str]) -> str:
    """The table of docs/hosts/README.md with the column of this Python as it was tried, where all went well."""
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
