import subprocess
import sys

import jax
import numpy as np
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


@pytest.fixture(scope="session")
def packages(tmp_path_factory):
    """The files of series that packages carry, in noise."""
    folder, rng = tmp_path_factory.mktemp("series"), np.random.default_rng(0)
    for name, features, steps, classes in (("JapaneseVowels_eq", 12, 25, 9), ("ItalyPowerDemand", 1, 24, 2)):
        for part in ("TRAIN", "TEST"):
            values = rng.integers(-9, 9, (250, features, steps)).astype(str)
            lines = [":".join([*map(",".join, example), str(1 + i % classes)]) for i, example in enumerate(values)]
            (folder / f"{name}_{part}.ts").write_text("\n".join(["# of", "", "@data", *lines]) + "\n")
    worn = [np.full((4001, 6), [who, exercise, 0, 0, 0, 0]) for who in range(1, 11) for exercise in range(7)]
    for series in worn:
        series[:, 2] = np.arange(4001)
    found = {"X": worn, "y": np.tile(np.arange(7), 10), "subject": np.repeat(np.arange(1, 11), 7)}
    np.save(folder / "watch_dataset.npy", found)
    return folder
