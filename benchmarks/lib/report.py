"""Parts of reports: a claim and whether it holds, the runs of a result, numbers as text, and how runs are drawn."""

from typing import NamedTuple

import numpy as np

CHANCE = 0.15  # up to this accuracy a network for ten classes counts as untrained
FOCUS = {"LogTailedRelu": "C3", "LeakyRelu": "C1", "InvSquareGrad": "C0", "Sigmoid": "C2"}  # drawn in colour


class Claim(NamedTuple):
    """A sentence, whether it holds according to the result, and the numbers that show it."""

    text: str
    holds: bool
    numbers: str


def spread(values):
    """Format the mean ± standard deviation of the seeds."""
    values = np.asarray(values, float).ravel()
    return f"{values.mean():.3f} ± {values.std(ddof=min(1, len(values) - 1)):.3f}"


def plot_seeds(axis, curves, label, alpha):
    """Plot the mean of curves ``[seeds, epochs]``, with their range shaded by ``alpha``."""
    values = np.array(curves)
    epochs = np.arange(1, values.shape[1] + 1)
    axis.plot(epochs, values.mean(0), label=label)
    axis.fill_between(epochs, values.min(0), values.max(0), alpha=alpha)


def finished(result, suffix):
    """Return the runs whose key has this suffix, by the name of their surrogate."""
    ending = f", {suffix}"
    return {key.removesuffix(ending): run for key, run in result["runs"].items() if key.endswith(ending)}


def spiking(runs):
    """Return the runs of spiking networks, which have a firing rate."""
    return {name: run for name, run in runs.items() if "rate" in run}


def took_part(result):
    """List the surrogates of a result, in its order; none if it does not compare surrogates."""
    keys = (key for key, run in result["runs"].items() if "surrogates" in run or ("points" in run and "rate" in run))
    return list(dict.fromkeys(key.partition(", ")[0] for key in keys))


def accuracies(runs, setting=0):
    """Return each surrogate at its chosen parameter, with its accuracies by seed in one of the settings of its run."""
    return {name: ((run.get("surrogates") or run["points"])[0], run["test"][0][setting]) for name, run in runs.items()}


def alpha(surrogate):
    """Return the alpha in the repr of a surrogate."""
    return surrogate.partition("alpha=")[2].rstrip(")").split(",")[0]


def colour(name):
    """Return the style of a surrogate's line: a few in colour, the others in grey behind them."""
    if name in FOCUS:
        return {"color": FOCUS[name], "label": name, "zorder": 3, "linewidth": 2}
    return {"color": "0.75", "zorder": 1, "linewidth": 1}
