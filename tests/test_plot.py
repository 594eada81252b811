"""Pictures: drawn, labelled, and showing the numbers they were given."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

import brainsurr as bs
from brainsurr import plot


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def test_surrogate_over_several_alphas_is_the_documented_figure():
    left, right = plot.surrogate(bs.LogTailedRelu(), alpha=[0.0, 0.1, 0.3], xlim=(-2, 4))
    for line, alpha in zip(right.lines[:3], (0.0, 0.1, 0.3), strict=True):
        x, y = line.get_data()
        assert (x[0], x[-1]) == (-2, 4)
        np.testing.assert_allclose(y, np.where(x <= 0, alpha, 1 / np.maximum(x, 1)), rtol=1e-6)
    assert [text.get_text() for text in right.get_legend().get_texts()] == ["alpha = 0", "alpha = 0.1", "alpha = 0.3"]
    assert left.get_xlabel() == right.get_xlabel() == "x, membrane potential minus threshold"


def test_several_surrogates_into_given_axes():
    axes = plt.subplots(1, 2)[1]
    assert plot.surrogate(bs.LeakyRelu(), bs.ReluGrad(), axes=axes) == tuple(axes)
    labels = [text.get_text() for text in axes[1].get_legend().get_texts()]
    assert labels == ["LeakyRelu(alpha=0.1, beta=1.0)", "ReluGrad(alpha=0.3, width=1.0)"]
    both = plot.surrogate(bs.LeakyRelu(), bs.LogTailedRelu(), alpha=[0.0, 0.5])[1].get_legend().get_texts()
    assert [text.get_text() for text in both][:2] == ["LeakyRelu, alpha = 0", "LeakyRelu, alpha = 0.5"]


def test_a_surrogate_without_primitive():
    class Flat(bs.Surrogate):
        def surrogate_grad(self, x):
            return 1.0

    left, right = plot.surrogate(Flat())
    assert (len(left.lines), len(right.lines)) == (1, 2)  # the line at 0, and the gradient


def test_raster_shows_each_spike():
    spikes = np.zeros((5, 3))
    spikes[1, 2] = spikes[4, 0] = 1
    axes = plot.raster(spikes, dt=2.0, unit="ms")
    assert axes.collections[0].get_offsets().tolist() == [[2.0, 2.0], [8.0, 0.0]]
    assert axes.get_xlabel() == "time (ms)"


def test_membrane_shows_potential_threshold_and_spikes():
    v = np.array([[0.0, 0.5], [1.5, 0.2]])
    axes = plot.membrane(v, threshold=1.0, spikes=v > 1)
    assert axes.lines[0].get_ydata().tolist() == [0.0, 1.5]
    assert axes.collections[0].get_offsets().tolist() == [[1.0, 1.5]]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["neuron 0", "neuron 1", "threshold"]


def test_bad_input():
    with pytest.raises(TypeError, match="expected surrogates"):
        plot.surrogate(np.tanh)
    with pytest.raises(ValueError, match=r"expected spikes \[time, neurons\], got shape \(2, 3, 4\)"):
        plot.raster(np.zeros((2, 3, 4)))
    with pytest.raises(ValueError, match=r"expected v \[time\]"):
        plot.membrane(np.zeros((2, 3, 4)))
    with pytest.raises(ValueError, match="spikes of the shape of v"):
        plot.membrane(np.zeros(3), spikes=np.zeros(2))
