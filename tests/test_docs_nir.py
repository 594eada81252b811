"""The page on NIR: its code runs, and its tables are those of the result file."""

import re

import jax.numpy as jnp
import numpy as np
import pytest
from pages import run_blocks

from benchmarks.pages import nir as page

pytestmark = pytest.mark.usefixtures("lenient")  # flax's Linear


def test_code(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    scope = run_blocks(page.PAGE)
    assert {path.name for path in tmp_path.iterdir()} == {"net.nir", "leaky.nir"}
    said = re.search(r"print\(error\)  # (.*) \.\.\.\n", page.PAGE.read_text())[1]
    assert capsys.readouterr().out.startswith(said)
    (leaky,) = scope["snntorch_net"].layers
    assert (np.float32(leaky.decay), leaky.threshold, leaky.reset) == (np.float32(0.9), 1.0, "subtract")
    assert leaky.reset_delay
    assert 0.02 < jnp.mean(scope["spikes"]) < 0.95


def test_the_tables_are_those_of_the_result_file():
    text = page.PAGE.read_text()
    assert text == page.rendered(text, page.load()), "run `make evidence`"
