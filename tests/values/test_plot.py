"""Pictures: drawn, labelled, and showing the numbers they were given."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from close import assert_close
from matplotlib.colors import to_rgb, to_rgba
from surrogate_table import EXPORTED

import brainsurr as bs
from brainsurr import plot


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def legend(axes):
    """The words in the legend."""
    return [text.get_text() for text in axes.get_legend().get_texts()]


@pytest.mark.slow
def test_surrogate_over_several_alphas_is_the_documented_figure():
    _, right = plot.surrogate(bs.LogTailedRelu(), alpha=[0.0, 0.1, 0.3], xlim=(-2, 4))
    for line, alpha in zip(right.lines[:3], (0.0, 0.1, 0.3), strict=True):
        x, y = line.get_data()
        assert (x[0], x[-1]) == (-2, 4)
        assert_close(y, np.where(x <= 0, alpha, 1 / np.maximum(x, 1)), 2, each=True, dtype=np.float32)
    assert legend(right) == ["alpha = 0", "alpha = 0.1", "alpha = 0.3"]
    assert right.get_ylim()[0] < 0  # so that a small gradient is seen to be above zero


def test_several_surrogates_into_given_axes():
    axes = plt.subplots(1, 2)[1]
    assert plot.surrogate(bs.LeakyRelu(), bs.ReluGrad(), axes=axes) == tuple(axes)
    assert legend(axes[1]) == ["LeakyRelu(alpha=0.1, beta=1.0)", "ReluGrad(alpha=0.3, width=1.0)"]
    axis = plot.surrogate(bs.LeakyRelu(), bs.LogTailedRelu(), alpha=[0.0, 0.5])[1]
    assert legend(axis)[:2] == ["LeakyRelu, alpha = 0", "LeakyRelu, alpha = 0.5"]
    colors = [to_rgba(line.get_color()) for line in axis.lines[:4]]
    assert [tuple(jump.get_edgecolor()[0]) for jump in axis.collections] == colors


def test_a_surrogate_without_primitive():
    class Flat(bs.Surrogate):
        def surrogate_grad(self, x):
            return 1.0

    left, right = plot.surrogate(Flat())
    assert (len(left.lines), len(right.lines)) == (2, 3)  # the lines at 0, and the gradient


def test_both_curves_in_one_axes():
    axis = plt.subplots()[1]
    assert plot.surrogate(bs.Sigmoid(), axes=axis) == (axis, axis)
    primitive, gradient = axis.lines[:2]
    assert (primitive.get_linestyle(), gradient.get_linestyle()) == ("--", "-")
    assert legend(axis) == ["Sigmoid(alpha=4.0): primitive", "Sigmoid(alpha=4.0): gradient"]
    assert (axis.get_ylabel(), axis.get_xlim()) == ("g(x), g'(x)", (-3, 3))


JUMPS = [
    (bs.LogTailedRelu(0.1), [1], [0]),
    (bs.LogTailedRelu(1.0, continuous=True), [], []),
    (bs.PiecewiseLeakyRelu(), [], [-1, 1]),
    (bs.LeakyRelu(), [], [0]),
    (bs.InvSquareGrad(), [], []),  # steep, and no jump
    (bs.Sigmoid(50.0), [], []),
]


@pytest.mark.parametrize(("f", "primitive", "gradient"), JUMPS, ids=repr)
def test_a_curve_is_broken_where_it_jumps_and_only_there(f, primitive, gradient):
    for axis, curve, jumps in zip(
        plot.surrogate(f), (f.surrogate_fun, f.surrogate_grad), (primitive, gradient), strict=True
    ):
        x, y = axis.lines[0].get_data()
        gaps = np.flatnonzero(np.isnan(x))
        np.testing.assert_allclose(x[gaps - 1], jumps, atol=1e-6)
        np.testing.assert_allclose(x[gaps + 1], jumps, atol=1e-6)
        drawn = ~np.isnan(x)
        assert_close(y[drawn], curve(x[drawn]), 32, dtype=np.float32)
        assert (np.diff(x[drawn]) >= 0).all()
        strokes = [segment[0, 0] for collection in axis.collections for segment in collection.get_segments()]
        np.testing.assert_allclose(strokes, jumps, atol=1e-6)


def test_no_legend_lies_on_a_curve():
    v = np.sin(np.arange(40))
    for axes in (plot.surrogate(bs.MultiGaussianGrad(), bs.S2NN())[1], plot.membrane(v, threshold=0.5, spikes=v > 0.5)):
        axes.figure.canvas.draw()
        box, inside = axes.get_legend().get_window_extent(), axes.get_window_extent()
        assert box.x0 >= inside.x1
        assert box.x1 <= axes.figure.bbox.x1
        assert inside.width > axes.figure.bbox.width / 4


def test_raster_shows_each_spike():
    spikes = np.zeros((5, 3))
    spikes[1, 2] = spikes[4, 0] = 1
    axes = plot.raster(spikes, dt=2.0, unit="ms", axes=plt.subplots()[1])
    assert axes is plt.gca()
    strokes = np.array(axes.collections[0].get_segments())
    np.testing.assert_allclose(strokes, [[[2, 1.6], [2, 2.4]], [[8, -0.4], [8, 0.4]]])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("time (ms)", "neuron")
    assert (axes.get_xlim(), axes.get_ylim()) == ((-1, 9), (-0.5, 2.5))
    assert (axes.get_yticks() % 1 == 0).all()

    edges = [segment[0, 0] for segment in axes.collections[1].get_segments()]
    assert edges == [1.0, 3.0, 5.0, 7.0]
    assert len(plot.raster(np.eye(60, 3)).collections) == 1


def test_membrane_shows_potential_threshold_and_spikes():
    v = np.array([[0.0, 0.5], [1.5, 0.2]])
    axes = plot.membrane(v, threshold=1.0, spikes=v > 1)
    assert axes.lines[0].get_ydata().tolist() == [0.0, 1.5]
    assert axes.collections[0].get_offsets().tolist() == [[1.0, 1.5]]
    assert legend(axes) == ["neuron 0", "neuron 1", "threshold", "spike"]
    assert axes.lines[-1].get_linestyle() == "--"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("time (steps)", "membrane potential")
    assert legend(plot.membrane(np.eye(8))) == [f"neuron {i}" for i in range(8)]
    assert plot.membrane(np.zeros(0)).lines[0].get_xdata().size == 0
    many = plot.membrane(np.eye(9), spikes=np.eye(9))
    assert legend(many) == ["9 neurons", "spike"]
    colors = [marks.get_facecolor()[0, :3].tolist() for marks in many.collections[:9]]
    assert colors == [list(to_rgb(line.get_color())) for line in many.lines]


@pytest.mark.slow
def test_the_gallery_shows_every_exported_surrogate():
    from tools import surrogate_pictures as gallery

    exported = {*EXPORTED, "Scaled"}
    figure = gallery.gallery()
    panels = {axis.get_title(): axis for axis in figure.axes if axis.axison}
    assert set(panels) == exported
    for name, f in gallery.exported_surrogates().items():
        for line, curve in zip(panels[name].lines[:2], (f.surrogate_fun, f.surrogate_grad), strict=True):
            x, y = line.get_data()
            assert_close(y, np.where(np.isnan(x), x, curve(x)), 32, dtype=np.float32)
            low, high = panels[name].get_ylim()
            assert low <= np.nanmin(y) <= np.nanmax(y) <= high, name  # nothing is clipped
    assert {path.name for path in gallery.PICTURES.glob("*.png")} == {"gallery.png", "hero.png"}
