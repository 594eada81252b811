"""Draw the gallery of surrogates and the first picture of the docs: ``python -m tools.surrogate_pictures``."""

import inspect
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import brainsurr as bs
from brainsurr import plot

PICTURES = Path(__file__).parent.parent / "docs" / "pictures"
STYLE = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "lines.linewidth": 1.6}
GROUPS = ("relu", "triangle", "gaussian", "exponential", "pseudo_spike", "algebraic", "logarithm", "fourier")
COLUMNS = 3
SCALE = (-0.75, 1.75)  # the common scale of the gallery; surrogates that do not fit have their own
# Values of the first parameter for surrogates that look alike at half, once and twice the default.
VALUES = {cls: [0.0, 0.1, 0.3] for cls in (bs.LogTailedRelu, bs.LeakyRelu, bs.PiecewiseLeakyRelu)}
VALUES |= {cls: [2.0, 25.0, 100.0] for cls in (bs.InvSquareGrad, bs.SparseFastSigmoid)}
VALUES |= {bs.FakeNumericalGradient: [0.3, 0.6, 1.2], bs.NormalizedQPseudoSpike: [1.5, 2.0, 4.0]}


def exported_surrogates() -> dict[str, bs.Surrogate]:
    """Create every exported surrogate with its defaults, by name, grouped by the shape of its gradient."""
    classes = [cls for name in bs.surrogates.__all__ if isinstance(cls := getattr(bs, name), type)] + [bs.Scaled]
    groups = [*(f"brainsurr.surrogates.{group}" for group in GROUPS), bs.Scaled.__module__]
    classes.sort(key=lambda cls: (groups.index(cls.__module__), inspect.getsourcelines(cls)[1]))
    return {cls.__name__: 0.5 * bs.Sigmoid() if cls is bs.Scaled else cls() for cls in classes}


def hero():
    """Draw the spike of the forward pass and the default surrogate of the backward pass, readable on a phone."""
    figure, axes = plt.subplots(2, 1, figsize=(5.0, 3.9), layout="constrained", sharex=True, height_ratios=(1, 1.5))
    x = np.linspace(-2, 2, 801, dtype=np.float32)
    axes[0].plot([-2.0, 0.0, 0.0, 2.0], [0.0, 0.0, 1.0, 1.0], color="0.2")
    axes[0].set_title("forward: a spike, 0 or 1", loc="left")
    axes[0].set(yticks=[0, 1], ylim=(-0.1, 1.15))
    axes[1].plot(x, bs.neurons.LIF().spike_fn.surrogate_grad(x))
    axes[1].set_title("backward: the gradient of the layers' default", loc="left")
    axes[1].set(xlabel="membrane potential minus threshold", yticks=[0, 0.5, 1], ylim=(-0.06, 1.1))
    return figure


def gallery():
    """Draw all surrogates in one picture, on one scale if they fit."""
    members = exported_surrogates()
    rows = -(-len(members) // COLUMNS)
    figure, grid = plt.subplots(rows, COLUMNS, figsize=(9, 0.7 + 1.9 * rows), layout="constrained", squeeze=False)
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
    """Draw one panel of the gallery, with its own, labelled scale if the surrogate does not fit the common one."""
    plot.surrogate(f, axes=axis, xlim=(-4, 4))
    axis.get_legend().remove()
    axis.set_title(name, fontsize=10, pad=15)
    drawn = [line.get_ydata() for line in axis.lines[:2]]
    fits = min(map(np.nanmin, drawn)) >= SCALE[0] and max(map(np.nanmax, drawn)) <= SCALE[1]
    defaults = "0.5 * Sigmoid(alpha=4.0)" if name == "Scaled" else repr(f).partition("(")[2].rstrip(")")
    defaults += "" if fits else "   own scale"
    axis.text(0.5, 1.05, defaults, fontsize=8, color="0.4", ha="center", transform=axis.transAxes)
    axis.set(xlabel="", ylabel="", xticks=[-4, -2, 0, 2, 4])
    if fits:
        axis.set(ylim=SCALE, yticks=[0, 1])


def large(f):
    """Draw one surrogate at three values of its first parameter, readable on a phone."""
    figure, axes = plt.subplots(1, 2, figsize=(5.6, 2.8), layout="constrained")
    if isinstance(f, bs.Scaled):
        plot.surrogate(bs.Sigmoid(), f, axes=axes)
    else:
        name, default = next(iter(f.named_parameters()[1].items()))
        plot.surrogate(f, axes=axes, **{name: VALUES.get(type(f), [default / 2, default, default * 2])})
    lines, labels = axes[1].get_legend_handles_labels()
    title = type(f).__name__
    figure.legend(lines, labels, title=title, loc="outside upper center", ncols=len(lines), frameon=False)
    axes[1].get_legend().remove()
    for axis in axes:
        axis.set_xlabel("")
    figure.supxlabel("x, membrane potential minus threshold", fontsize=9)
    return figure


def main(folder: Path = PICTURES):
    """Draw the gallery and the README picture into a folder."""
    with plt.rc_context(STYLE):
        save(gallery(), folder / "gallery.png")
        save(hero(), folder / "hero.png")


def each(folder: Path):
    """Draw a picture of each surrogate into a folder."""
    with plt.rc_context(STYLE):
        for name, f in exported_surrogates().items():
            save(large(f), folder / f"{name}.png")


def save(figure, path):
    """Save and close a figure without matplotlib's version, so that equal pictures give equal files."""
    figure.savefig(path, dpi=160, metadata={"Software": None})
    plt.close(figure)


if __name__ == "__main__":
    main()
