import subprocess
import sys

import jax
import pytest
from pages import ROOT


@pytest.fixture
def one_device(monkeypatch):
    """As a user has without `use_all_cores`: tests/conftest.py asks for eight."""
    monkeypatch.setattr(jax, "device_count", lambda: 1)


@pytest.fixture(scope="session")
def quick(once, unoptimized):
    """``quick(program)`` runs a program as a user would, with --quick, once: its folder, and what it printed."""

    def run(program):
        def fill(folder):
            command = [sys.executable, "-m", f"benchmarks.{program}", "--quick", "--out", str(folder)]
            how = {"capture_output": True, "text": True, "check": True, "cwd": ROOT, "env": unoptimized}
            (folder / "stdout").write_text(subprocess.run(command, **how).stdout)

        folder = once(program, fill)
        return folder, (folder / "stdout").read_text()

    return run
