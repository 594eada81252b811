"""The page on NIR: its code runs, and its tables are those of the result file."""

import re

import jax.numpy as jnp
import numpy as np
import pytest
from pages import run

from benchmarks.nir.report import cell
from benchmarks.pages import nir as page

pytestmark = pytest.mark.usefixtures("lenient")  # flax's Linear


@pytest.fixture(scope="module")
def result():
    return page.load()


def test_code(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    scope = run(page.PAGE)
    assert {path.name for path in tmp_path.iterdir()} == {"net.nir", "leaky.nir"}
    said = re.search(r"print\(error\)  # (.*) \.\.\.\n", page.PAGE.read_text())[1]
    assert capsys.readouterr().out.startswith(said)
    (leaky,) = scope["snntorch_net"].layers
    assert (np.float32(leaky.decay), leaky.threshold, leaky.reset) == (np.float32(0.9), 1.0, "subtract")
    assert leaky.reset_delay
    assert 0.02 < jnp.mean(scope["spikes"]) < 0.95


def test_the_tables_are_those_of_the_result_file(result):
    text = page.PAGE.read_text()
    assert text == page.rendered(text, result), "run `make evidence`"


def test_what_the_page_says_of_the_tables(result):
    trials = {(row["network"], row["writer"], row["reader"]): row["differ"] for row in result["trials"]}
    ours = [differ for (_, *ends), differ in trials.items() if ends == ["brainsurr", "brainsurr"]]
    assert ours == [0.0] * 9
    others = [differ for (_, writer, reader), differ in trials.items() if reader == "brainsurr" and writer != reader]
    assert others == [0.0] * 7
    accuracies = {entry["accuracy"] for entry in result["digits"].values()}
    assert len(accuracies) == 1
    assert accuracies.pop() > 0.9
    assert result["digits"].keys() == {"brainsurr", "snntorch", "norse", "jaxpike"}


def test_a_library_that_stops_is_said_to():
    assert cell({"differ": None, "error": "ValueError: no"}) == "stops: ValueError: no"
    assert [cell({"differ": n}) for n in (0.0, 0.214)] == ["**0**", "21.4 %"]
