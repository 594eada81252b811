"""The study of sparse networks: the penalty is on the firing rate, and a strong one makes networks fire less."""

import jax
import numpy as np
import pytest

from benchmarks.lib.runs import rows
from benchmarks.lib.training import firing_rate
from benchmarks.studies import sparse
from benchmarks.studies.settings import setting
from benchmarks.studies.shapes import Call

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("lenient")]


def test_firing_is_the_mean_over_layers_of_all_spikes():
    """Weights so large that each neuron fires at each step where its input is positive, or never."""
    here = setting("depth-2")
    net = here.network(jax.random.key(0), [Call("Arctan", None, 0.5).surrogate] * 2, 1e4)
    images = np.random.default_rng(0).uniform(size=(4, 64)).astype(np.float32)
    first = np.asarray(images @ net.layers[0].kernel[...] > 0)
    second = np.asarray(first @ net.layers[2].kernel[...] > 0)
    expected = (first.mean() + second.mean()) / 2
    np.testing.assert_allclose(firing_rate(net, here.show(images)), expected, atol=0.02)  # one step until it fires


def test_a_strong_penalty_silences(tmp_path):
    sparse.main(["depth-2", "--quick", "--out", str(tmp_path)])
    table = list(rows(tmp_path / "depth-2.json"))
    firing = {strength: np.mean([r["firing"] for r in table if r["strength"] == strength]) for strength in (0.0, 10.0)}
    assert firing[10.0] < 0.5 * firing[0.0]
    assert len(table) == 2 * 2 * 2


def test_a_wrong_setting_is_an_error_of_one_line(capsys):
    with pytest.raises(SystemExit):
        sparse.main(["depth-3"])
    assert "'depth-3' is not one of depth-2, randman-0.5" in capsys.readouterr().err
