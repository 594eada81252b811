"""Files of NIR to and from the libraries themselves, where they are installed: ``pytest -m peers``.

They don't all fit into one environment. A library that is missing is skipped, and the summary names it.
"""

import numpy as np
import pytest

from benchmarks.lib.results import committed
from benchmarks.nir import digits
from benchmarks.nir.trials import TRIALS, outputs

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("lenient")]
KEY = ("network", "writer", "reader")
DIFFER = {tuple(row[key] for key in KEY): row["differ"] for row in committed("nir")["trials"]}


@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: " ".join(trial[:3]))
def test_as_many_spikes_differ_as_the_page_says(trial, tmp_path):
    for library in {trial.writer, trial.reader} - {"brainsurr"}:
        pytest.importorskip(library)
    differ = DIFFER[trial[:3]]
    try:
        expected, spikes = outputs(trial, tmp_path)
    except (AttributeError, RuntimeError):
        assert differ is None
        return
    assert 0.02 < expected.mean() < 0.9
    assert (spikes.shape == expected.shape) == (differ is not None)
    if differ is not None:
        assert (differ > 0.05) == (np.mean(spikes != expected) > 0.05)
        assert (differ == 0) == np.array_equal(spikes, expected)


def test_digits_have_the_same_accuracy_there(tmp_path):
    entries = dict(digits.compare(tmp_path))
    if len(entries) == 1:
        pytest.skip("none of the other libraries is installed")
    assert entries["brainsurr"]["accuracy"] > 0.9
    for library, entry in entries.items():
        assert (entry["differ"], entry["accuracy"]) == (0.0, entries["brainsurr"]["accuracy"]), library
