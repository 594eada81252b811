"""Draw every surrogate into docs/pictures: ``python -m docs.gallery [folder]``."""

import inspect
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import brainsurr as bs
from brainsurr import plot

PICTURES = Path(__file__).parent / "pictures"
STYLE = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "lines.linewidth": 1.6}
GROUPS = ("relu", "triangle", "gaussian", "exponential", "pseudo_spike", "algebraic", "logarithm", "fourier")
COLUMNS = 3
# Values of the first parameter in the pictures of one surrogate, where half, once and twice the default look alike.
VALUES = {
    bs.LogTailedRelu: [0.0, 0.1, 0.3],
    bs.LeakyRelu: [0.0, 0.1, 0.3],
    bs.PiecewiseLeakyRelu: [0.0, 0.1, 0.3],
    bs.InvSquareGrad: [2.0, 25.0, 100.0],
    bs.SparseFastSigmoid: [2.0, 25.0, 100.0],
    bs.FakeNumericalGradient: [0.3, 0.6, 1.2],
    bs.NormalizedQPseudoSpike: [1.5, 2.0, 4.0],
}


def exported_surrogates() -> dict[str, bs.Surrogate]:
    """Make every surrogate that brainsurr exports with its defaults, by name, grouped by the shape of its gradient."""
    classes = [cls for name in bs.__all__ if inspect.isclass(cls := getattr(bs, name))]
    classes = [cls for cls in classes if issubclass(cls, bs.Surrogate) and cls is not bs.Surrogate]
    groups = [*(f"brainsurr.surrogates.{group}" for group in GROUPS), bs.Scaled.__module__]
    classes.sort(key=lambda cls: (groups.index(cls.__module__), inspect.getsourcelines(cls)[1]))
    return {cls.__name__: 0.5 * bs.Sigmoid() if cls is bs.Scaled else cls() for cls in classes}


def gallery():
    """Draw all of them in one picture, small and to one scale."""
    members = exported_surrogates()
    rows = -(-len(members) // COLUMNS)
    figure, grid = plt.subplots(rows, COLUMNS, figsize=(6.4, 0.7 + 1.2 * rows), layout="constrained", squeeze=False)
    for axis, (name, f) in zip(grid.flat, members.items(), strict=False):
        small(axis, name, f)
    for axis in grid.flat[len(members) :]:
        axis.set_axis_off()
    lines = grid[0, 0].lines[:2]
    labels = ["primitive g(x)", "gradient g'(x)"]
    figure.legend(lines, labels, loc="outside upper center", ncols=2, frameon=False)
    figure.supxlabel("x, membrane potential minus threshold", fontsize=9)
    return figure


def small(axis, name, f):
    """Draw a panel of the gallery; one that is too high for the common scale has its own."""
    plot.surrogate(f, axes=axis, xlim=(-4, 4))
    axis.get_legend().remove()
    axis.set_title(name, fontsize=9, pad=13)
    defaults = "0.5 * Sigmoid(alpha=4.0)" if name == "Scaled" else repr(f).partition("(")[2].rstrip(")")
    axis.text(0.5, 1.05, defaults, fontsize=7, color="0.4", ha="center", transform=axis.transAxes)
    axis.set(xlabel="", ylabel="", xticks=[-4, -2, 0, 2, 4])
    if max(np.nanmax(line.get_ydata()) for line in axis.lines[:2]) < 10:
        axis.set(ylim=(-0.75, 1.75), yticks=[0, 1])


def large(f):
    """Draw a picture of one at three values of its first parameter, small enough to be read on a phone."""
    figure, axes = plt.subplots(1, 2, figsize=(5.6, 2.6), layout="constrained")
    if isinstance(f, bs.Scaled):
        plot.surrogate(bs.Sigmoid(), f, axes=axes)
    else:
        name, default = next(iter(f.named_parameters()[1].items()))
        plot.surrogate(f, axes=axes, **{name: VALUES.get(type(f), [default / 2, default, default * 2])})
    lines, labels = axes[1].get_legend_handles_labels()
    figure.legend(lines, labels, loc="outside upper center", ncols=len(lines), frameon=False)
    axes[1].get_legend().remove()
    for axis in axes:
        axis.set_xlabel("")
    figure.supxlabel("x, membrane potential minus threshold", fontsize=9)
    return figure


def main(folder: Path):
    """Draw the gallery, and a picture of each surrogate."""
    (folder / "surrogates").mkdir(parents=True, exist_ok=True)
    with plt.rc_context(STYLE):
        save(gallery(), folder / "gallery.png")
        for name, f in exported_surrogates().items():
            save(large(f), folder / "surrogates" / f"{name}.png")


def save(figure, path):
    """Save and close a figure, without matplotlib's version, so that equal pictures are equal files."""
    figure.savefig(path, dpi=160, metadata={"Software": None})
    plt.close(figure)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURES)
