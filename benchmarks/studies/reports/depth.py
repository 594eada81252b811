"""Depth: how many hidden layers each surrogate can train, and its gradients per layer."""

import matplotlib.pyplot as plt
import numpy as np

from ...lib import results
from ...lib.report import Claim, accuracies, colour, finished, spread
from ..depth import choice

FLOOR = 1e-12  # smaller gradients are drawn here: a logarithmic axis has no 0


def tables(result):
    """Make a table with a row per surrogate, sorted by accuracy at the depth where its parameter was chosen."""
    depths, at = result["settings"]["depths"], result["settings"]["chosen_at"]
    runs = {depth: finished(result, f"{depth} layers") for depth in depths}
    grids = finished(result, "grid")
    header = ["surrogate", "gain", *(f"{depth} layers" for depth in depths)]
    rows = []
    for name in sorted(runs[at], key=lambda name: -np.mean(runs[at][name]["test"])):
        gain = result["settings"]["gains"][choice(grids[name])[1]]
        tests = (spread(runs[depth][name]["test"]) for depth in depths)
        rows.append([f"`{runs[at][name]['surrogates'][0]}`", f"{gain:g}", *tests])
    return results.table(header, rows)


def draw(result, folder):
    """Draw accuracy over depth; and, per layer of the deepest network, initial gradients and final firing rates."""
    depths = result["settings"]["depths"]
    figure, axes = plt.subplots(1, 3, figsize=(12, 4.0), layout="constrained")
    for name in finished(result, f"{depths[0]} layers"):
        runs = [finished(result, f"{depth} layers")[name] for depth in depths]
        axes[0].plot(depths, [np.mean(run["test"]) for run in runs], marker=".", **colour(name))
        layers = range(1, depths[-1] + 1)
        norms = np.median(np.array(runs[-1]["before"]["gradient"])[0, 0], axis=0)
        axes[1].plot(layers, np.maximum(norms, FLOOR), **colour(name))
        axes[2].plot(layers, np.mean(np.array(runs[-1]["rates"])[0, 0], axis=0), **colour(name))
    axes[0].set(xlabel="hidden layers", ylabel="test accuracy", xticks=depths, ylim=(0, 1.02))
    axes[0].set_title("mean of the seeds", fontsize=9)
    named = axes[0].get_legend_handles_labels()
    figure.legend(*named, frameon=False, title="grey: the others", ncols=len(named[0]), loc="outside lower center")
    axes[1].set(xlabel="layer", ylabel="norm of the gradient before training", yscale="log")
    axes[1].set_title(f"{depths[-1]} layers, median of the seeds; 0 is drawn at {FLOOR:g}", fontsize=9)
    axes[2].set(xlabel="layer", ylabel="firing rate after training", ylim=(0, None))
    axes[2].set_title(f"{depths[-1]} layers, mean of the seeds", fontsize=9)
    for axis in axes[1:]:
        axis.set_xticks(range(4, depths[-1] + 1, 4))
    figure.savefig(folder / "depth.png", dpi=100)
    plt.close("all")


def standing(result):
    """Yield the accuracies by surrogate in a shallow network and in a deep one."""
    at = result["settings"]["chosen_at"]
    for depth, note in ((result["settings"]["depths"][0], f", chosen at {at}"), (at, "")):
        yield f"digits, {depth} hidden layers{note}", accuracies(finished(result, f"{depth} layers"))


def claims(result):
    """Make the claims about depth."""
    at = result["settings"]["chosen_at"]
    deep = {name: np.mean(run["test"]) for name, run in finished(result, f"{at} layers").items()}
    tail, none = deep["LogTailedRelu"], deep["LeakyRelu"]
    yield Claim(
        f"With {at} hidden layers the log tail is worth 10 points or more",
        bool(tail - none >= 0.1),
        f"LogTailedRelu {tail:.3f}, LeakyRelu {none:.3f}, each at its best alpha and gain",
    )
    best = max(deep, key=deep.get)
    yield Claim(
        f"With {at} hidden layers another surrogate is better than LogTailedRelu by more than a point",
        bool(deep[best] - tail > 0.01),
        f"{best} {deep[best]:.3f}, LogTailedRelu {tail:.3f}",
    )
    grid = finished(result, "grid")["LogTailedRelu"]
    test, validation = (np.mean(grid[on], axis=-1) for on in ("test", "validation"))
    test = test[np.arange(len(test)), validation.argmax(-1)]
    yield Claim(
        f"With {at} hidden layers LogTailedRelu needs an alpha above 0",
        bool(test[0] < test.max() - 0.1),
        "; ".join(f"{f}: {value:.3f}" for f, value in zip(grid["surrogates"], test, strict=True))
        + ", at the gain that validation chose",
    )
