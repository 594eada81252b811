"""Files of NIR to and from the libraries themselves, where they are installed: ``pytest -m peers``.

They don't all fit into one environment. A library that is missing is skipped, and the summary names it.
"""

import numpy as np
import pytest

from benchmarks.nir import digits
from benchmarks.nir.trials import TRIALS, outputs

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("lenient")]
# What goes wrong: between these libraries, or since a neuron has no name in NIR.
DIFFERENT = {
    ("reset to zero", "brainsurr", "spyx"),
    ("reset by subtraction", "brainsurr", "snntorch"),
    ("reset by subtraction", "brainsurr", "norse"),
    ("Leaky", "snntorch", "snntorch"),
    ("Synaptic", "snntorch", "snntorch"),
    ("LIFBoxCell", "norse", "norse"),
    ("LIF", "spyx", "snntorch"),
}
STOPS = {  # no average pool in norse, and snnTorch stops at recurrent weights, its own too
    ("convolution, average pool", "brainsurr", "norse"),
    ("recurrent", "brainsurr", "snntorch"),
    ("RLeaky, zero, at once", "snntorch", "snntorch"),
}


@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: " ".join(trial[:3]))
def test_as_many_spikes_differ_as_the_page_says(trial, tmp_path):
    for library in {trial.writer, trial.reader} - {"brainsurr"}:
        pytest.importorskip(library)
    if trial[:3] in STOPS:
        try:
            expected, spikes = outputs(trial, tmp_path)
        except (AttributeError, RuntimeError):
            return
        assert spikes.shape != expected.shape
        return
    expected, spikes = outputs(trial, tmp_path)
    assert 0.02 < expected.mean() < 0.9
    assert spikes.shape == expected.shape
    assert (np.mean(spikes != expected) > 0.05) == (trial[:3] in DIFFERENT)
    if trial[:3] not in DIFFERENT:
        np.testing.assert_array_equal(spikes, expected)


def test_digits_have_the_same_accuracy_there(tmp_path):
    entries = dict(digits.compare(tmp_path))
    if len(entries) == 1:
        pytest.skip("none of the other libraries is installed")
    assert entries["brainsurr"]["accuracy"] > 0.9
    for library, entry in entries.items():
        assert (entry["differ"], entry["accuracy"]) == (0.0, entries["brainsurr"]["accuracy"]), library
