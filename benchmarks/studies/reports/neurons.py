"""Neurons: a row for each, for docs/neurons.md."""

import numpy as np

from ...lib import results
from ...lib.report import spread
from ..neurons import NEURONS

LIKE = {str(neuron): neuron.like for neuron in NEURONS}


def tables(result):
    """Make a table with a row for each neuron."""
    rows = [
        [
            f"`{name}`",
            LIKE.get(name, ""),
            spread(run["test"]),
            f"{np.mean(run['rate']):.2f}",
            run["parameters"],
            f"{run['cpu_seconds'] / len(run['test']):.1f} s",
        ]
        for name, run in result["runs"].items()
    ]
    return results.table(["layers", "as", "test accuracy", "firing rate", "parameters", "a seed takes"], rows)


def summary(result):
    """Write what the table says in one sentence."""
    means = {name: np.mean(run["test"]) for name, run in result["runs"].items()}
    worst = min(means, key=lambda name: means[name])
    return f"The least accurate of the {len(means)}, `{worst}`, is right on {means[worst]:.1%} of the test takes."
