"""What the page of evidence shows of each study: tables, pictures and claims, all from its result file.

Each module has ``tables(result)``, Markdown; ``draw(result, folder)``, pictures; and ``claims(result)``, sentences
with whether they hold and the numbers that say so. Those for docs/withstands.md have
``section(result)``, all of it, and ``line(result)``, a row of its summary.
"""

from typing import NamedTuple

import numpy as np

CHANCE = 0.15  # a network of ten classes that is not better than this has learnt nothing
FOCUS = {"LogTailedRelu": "C3", "LeakyRelu": "C1", "InvSquareGrad": "C0", "Sigmoid": "C2"}  # drawn in colour


class Claim(NamedTuple):
    """A sentence, whether the result bears it out, and by which numbers."""

    text: str
    holds: bool
    numbers: str


def spread(values):
    """Mean ± standard deviation of the seeds."""
    values = np.asarray(values, float).ravel()
    return f"{values.mean():.3f} ± {values.std(ddof=min(1, len(values) - 1)):.3f}"


def finished(result, suffix):
    """The runs whose key ends so, by the name of their surrogate."""
    ending = f", {suffix}"
    return {key.removesuffix(ending): run for key, run in result["runs"].items() if key.endswith(ending)}


def spiking(runs):
    """Those that have spikes, and so a firing rate."""
    return {name: run for name, run in runs.items() if "rate" in run}


def took_part(result):
    """The surrogates that a result has, in its order; none where it is not about the family."""
    keys = (key for key, run in result["runs"].items() if "surrogates" in run or ("points" in run and "rate" in run))
    return list(dict.fromkeys(key.partition(", ")[0] for key in keys))


def accuracies(runs, setting=0):
    """For each surrogate, as it was chosen, its accuracies by seed in one of the settings that its run went through."""
    return {name: ((run.get("surrogates") or run["points"])[0], run["test"][0][setting]) for name, run in runs.items()}


def alpha(surrogate):
    """The alpha in the repr of a surrogate."""
    return surrogate.partition("alpha=")[2].rstrip(")").split(",")[0]


def colour(name):
    """How a surrogate is drawn: a few in colour, the others in grey behind them."""
    if name in FOCUS:
        return {"color": FOCUS[name], "label": name, "zorder": 3, "linewidth": 2}
    return {"color": "0.75", "zorder": 1, "linewidth": 1}
