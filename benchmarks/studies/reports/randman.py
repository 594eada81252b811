"""Randman: accuracy over the scale of the first weights and over each surrogate's parameter."""

import matplotlib.pyplot as plt
import numpy as np

from ...lib import results
from ...lib.report import CHANCE, Claim, accuracies, colour, finished, spread


def tables(result):
    """Make a table with a row per surrogate, and one per alpha of LogTailedRelu, sorted by the mean over scales."""
    scales = result["settings"]["scales"]
    best = finished(result, "best") | _alphas(result)
    order = sorted(best, key=lambda name: -np.mean(best[name]["test"]))
    header = ["surrogate", *(f"x {scale:g}" for scale in scales), "at chance"]
    rows = []
    for name in order:
        test = np.array(best[name]["test"])[0]
        dead = (test <= CHANCE).sum(-1)
        where = ", ".join(f"{n} of {test.shape[1]} at x {s:g}" for n, s in zip(dead, scales, strict=True) if n)
        rows.append([f"`{best[name]['surrogates'][0]}`", *map(spread, test), where or "-"])
    return results.table(header, rows)


def draw(result, folder):
    """Draw accuracy over the scale for all surrogates; and over parameter and scale, in one panel per surrogate."""
    scales = result["settings"]["scales"]
    figure, axis = plt.subplots(figsize=(8.4, 3.8), layout="constrained")
    for name, run in finished(result, "best").items():
        test = np.array(run["test"])[0]
        axis.plot(scales, test.mean(-1), marker=".", **colour(name))
        if "label" in colour(name):
            axis.fill_between(scales, test.min(-1), test.max(-1), color=colour(name)["color"], alpha=0.12)
    for f, run in _alphas(result).items():
        if "alpha=0.01" in f:
            axis.plot(scales, np.mean(run["test"][0], axis=-1), "--", color="C3", label=f)
    axis.set(xscale="log", xlabel="scale of the first weights", ylabel="test accuracy", ylim=(0, 1.02))
    figure.legend(frameon=False, title="mean and range of the seeds\n(grey: the others)", loc="outside right center")
    figure.savefig(folder / "randman-scale.png", dpi=110)

    grids = finished(result, "grid")
    rows = -(-len(grids) // 6)
    figure, axes = plt.subplots(rows, 6, figsize=(12, 2 * rows), layout="constrained")
    axes, unused = np.split(axes.ravel(), [len(grids)])
    for axis in unused:
        axis.remove()
    for axis, (name, run) in zip(axes, sorted(grids.items()), strict=True):
        picture = axis.imshow(np.mean(run["test"], axis=-1), vmin=0.1, vmax=1, cmap="viridis", aspect="auto")
        values = [text.partition("(")[2].rstrip(")") for text in run["surrogates"]]
        axis.set_title(name, fontsize=9)
        axis.set_xticks(range(len(scales)), [f"{s:g}" for s in scales], fontsize=7)
        axis.set_yticks(range(len(values)), [_changed(values, i) for i in range(len(values))], fontsize=7)
    figure.colorbar(picture, ax=list(axes), label="test accuracy", shrink=0.5)
    figure.supxlabel("scale of the first weights")
    figure.savefig(folder / "randman-grid.png", dpi=100)
    plt.close("all")


def standing(result):
    """Yield the accuracies by surrogate, at the scale where each was chosen and at the smallest."""
    scales, at = result["settings"]["scales"], result["settings"]["chosen_at"]
    for scale, note in ((at, ""), (scales[0], f", chosen at x {at:g}")):
        yield f"Randman, weights x {scale:g}{note}", accuracies(finished(result, "best"), scales.index(scale))


def claims(result):
    """Make the claims: the published ones, and those about dead networks."""
    scales = result["settings"]["scales"]
    best, grids = finished(result, "best"), finished(result, "grid")

    supers = np.mean(best["InvSquareGrad"]["test"], axis=-1)[0]
    top = np.max([np.mean(run["test"], axis=-1)[0] for run in best.values()], axis=0)
    near = supers >= supers.max() - 0.05
    widest = max(scales[i] for i in np.flatnonzero(near)) / min(scales[i] for i in np.flatnonzero(near))
    yield Claim(
        "SuperSpike stays within 5 points of its best over scales that differ by a factor of 30 or more",
        bool(widest >= 30),
        f"a factor of {widest:.0f}; accuracies {_listed(supers)} at scales {_listed(scales, 'g')}",
    )
    middle = scales.index(result["settings"]["chosen_at"])
    at_middle = np.mean(grids["InvSquareGrad"]["test"], axis=-1)[:, middle]
    yield Claim(
        "SuperSpike's own scale beta may be changed twentyfold at a cost of at most 5 points",
        bool(at_middle[1:].max() - at_middle[1:].min() <= 0.05),
        f"{_listed(at_middle)} for {', '.join(grids['InvSquareGrad']['surrogates'])}",
    )
    log_tailed = result["runs"]["LogTailedRelu, every alpha"]
    dead = (np.array(log_tailed["test"]) <= CHANCE).sum(-1)
    yield Claim(
        "LogTailedRelu(0) dies when the first weights are small, and with alpha = 0.01 or more never",
        bool(dead[0, 0] > 0 and dead[1:].sum() == 0),
        f"runs at chance at scales {_listed(scales, 'g')}: "
        + "; ".join(f"{f}: {_listed(d, 'd')}" for f, d in zip(log_tailed["surrogates"], dead, strict=True)),
    )
    gap = top[middle] - np.mean(best["LogTailedRelu"]["test"], axis=-1)[0, middle]
    yield Claim(
        "At a usual scale LogTailedRelu at its best alpha is within a point of the best surrogate",
        bool(gap <= 0.01),
        f"{100 * gap:.1f} points below the best at scale {scales[middle]:g}",
    )


def _alphas(result):
    """Return a run for each LogTailedRelu but the best, which has its own run."""
    run, best = result["runs"]["LogTailedRelu, every alpha"], result["runs"]["LogTailedRelu, best"]
    pairs = zip(run["surrogates"], run["test"], strict=True)
    return {f: {"surrogates": [f], "test": [test]} for f, test in pairs if f not in best["surrogates"]}


def _changed(values, i):
    """Return the part of a surrogate's arguments that differs along its grid."""
    parts = [set(text.split(", ")) for text in values]
    return next(iter(parts[i] - set.intersection(*parts)), values[i])


def _listed(values, form=".3f"):
    return ", ".join(format(value, form) for value in values)
