"""Surrogates and other networks compared on one data set: the common part of the reports of speech and vowels."""

import matplotlib.pyplot as plt
import numpy as np

from ...lib import results
from ...lib.report import Claim, accuracies, alpha, colour, finished, spiking, spread

SMALL = 0.03  # the largest alpha that counts as small


def surrogates(result, suffix="best"):
    """Return the runs of the surrogates, without the other networks."""
    return spiking(finished(result, suffix))


def winner(result):
    """Return the surrogate with the best validation accuracy: of the final training, or else of the grid."""
    stage = "best" if "validation" in next(iter(surrogates(result).values())) else "grid"
    runs = surrogates(result, stage)
    return max(runs, key=lambda name: np.mean(runs[name]["validation"], axis=(1, 2)).max())


def means(runs):
    """Return the mean test accuracy of each run by name."""
    return {name: float(np.mean(run["test"])) for name, run in runs.items()}


def tables(result):
    """Make a table with a row per entrant, sorted by accuracy, and a line with every alpha of LogTailedRelu."""
    runs = finished(result, "best")
    rows = []
    for name in sorted(runs, key=lambda name: -np.mean(runs[name]["test"])):
        run = runs[name]
        entrant = [f"LIF, `{run['points'][0]}`", "-"] if "rate" in run else [name, run["points"][0]]
        rate = f"{np.mean(run['rate']):.2f}" if "rate" in run else "-"
        rows.append([*entrant, run.get("weights", "-"), spread(run["test"]), rate])
    header = ["entrant", "rate or C chosen", "weights", "test accuracy", "firing rate"]
    return f"{results.table(header, rows)}\n\nEvery alpha: {alphas(result)}."


def alphas(result):
    """List the accuracy of LogTailedRelu with every alpha."""
    run = result["runs"]["LogTailedRelu, every alpha"]
    return ", ".join(f"`{p}` {spread(test)}" for p, test in zip(run["points"], run["test"], strict=True))


def recurrence(setting, result):
    """Make the claims about LogTailedRelu in a recurrent network: it needs a small alpha and its tail."""
    run = result["runs"]["LogTailedRelu, every alpha"]
    values = [float(alpha(point)) for point in run["points"]]
    small, large = (
        [np.mean(test) for value, test in zip(values, run["test"], strict=True) if (value <= SMALL) == is_small]
        for is_small in (True, False)
    )
    yield Claim(
        f"{setting}: in a recurrent network LogTailedRelu with an alpha above {SMALL:g} loses 5 points or more",
        bool(min(small) - max(large) >= 0.05),
        alphas(result),
    )
    runs = finished(result, "best")
    if "LeakyRelu" in runs:
        with_tail, without = (runs[name] for name in ("LogTailedRelu", "LeakyRelu"))
        yield Claim(
            f"{setting}: without its tail, as LeakyRelu, LogTailedRelu loses 10 points or more in a recurrent network",
            bool(np.mean(with_tail["test"]) - np.mean(without["test"]) >= 0.1),
            ", ".join(f"{run['points'][0]} {spread(run['test'])}" for run in (with_tail, without)),
        )


def standing(setting, result):
    """Yield the accuracies by surrogate, for the tables over all studies."""
    yield setting, accuracies(surrogates(result))


def draw(result, path):
    """Draw every entrant's accuracy, one dot per seed; and LogTailedRelu's over alpha."""
    runs = finished(result, "best")
    order = sorted(runs, key=lambda name: np.mean(runs[name]["test"]))
    figure, axes = plt.subplots(1, 2, figsize=(11, 0.24 * len(order) + 1), layout="constrained", width_ratios=(2, 1))
    for y, name in enumerate(order):
        test = np.ravel(runs[name]["test"])
        style = colour(name)["color"] if "rate" in runs[name] else "k"
        axes[0].plot(test, np.full(len(test), y), ".", color=style, alpha=0.4)
        axes[0].plot(test.mean(), y, "|", color=style, markersize=11)
    axes[0].set_yticks(range(len(order)), order, fontsize=8)
    axes[0].set(xlabel="test accuracy", title="dots: seeds; bars: means; black: no spikes")
    run = result["runs"]["LogTailedRelu, every alpha"]
    at = list(map(alpha, run["points"]))
    for place, test in enumerate(run["test"]):
        axes[1].plot(np.full(np.size(test), place), np.ravel(test), ".", color="C3", alpha=0.4)
    axes[1].plot([np.mean(test) for test in run["test"]], color="C3")
    axes[1].set(xlabel="alpha", title="LogTailedRelu", ylim=(None, 1.01))
    axes[1].set_xticks(range(len(at)), at)
    figure.savefig(path, dpi=100)
    plt.close("all")
