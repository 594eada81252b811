"""The page on NIR: its code runs; test_readme.py has its tables."""

import re

import jax.numpy as jnp
import numpy as np
import pytest
from pages import HOSTS, run_blocks

from benchmarks.nir.report import cell

PAGE = HOSTS.parent / "nir.md"
pytestmark = pytest.mark.usefixtures("lenient")  # flax's Linear


def test_code(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    scope = run_blocks(PAGE)
    assert {path.name for path in tmp_path.iterdir()} == {"net.nir", "leaky.nir"}
    said = re.search(r"print\(error\)  # (.*) \.\.\.\n", PAGE.read_text())[1]
    assert capsys.readouterr().out.startswith(said)
    (leaky,) = scope["snntorch_net"].layers
    assert (np.float32(leaky.decay), leaky.threshold, leaky.reset) == (np.float32(0.9), 1.0, "subtract")
    assert leaky.reset_delay
    assert 0.02 < jnp.mean(scope["spikes"]) < 0.95


def test_a_library_that_stops_is_said_to():
    assert cell({"differ": None, "error": "ValueError: no"}) == "stops: ValueError: no"
    assert [cell({"differ": n}) for n in (0.0, 0.214)] == ["**0**", "21.4 %"]
