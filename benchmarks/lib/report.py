"""Parts of reports: a claim and whether it holds, numbers as text, and curves of several seeds."""

from typing import NamedTuple

import numpy as np


class Claim(NamedTuple):
    """A sentence, whether it holds by the result, the numbers that show it, and its former words, if it had others."""

    text: str
    holds: bool
    numbers: str
    before: str = ""


def spread(values):
    """Format the mean ± standard deviation of the seeds."""
    values = np.asarray(values, float).ravel()
    return f"{values.mean():.3f} ± {values.std(ddof=min(1, len(values) - 1)):.3f}"


def percent(tests: np.ndarray) -> str:
    """Format the mean ± standard deviation of the seeds of accuracies in per cent."""
    return f"{tests.mean():.1f} ± {tests.std(ddof=1):.1f}"


def plot_seeds(axis, curves, label, alpha):
    """Plot the mean of curves ``[seeds, epochs]``, with their range shaded by ``alpha``."""
    values = np.array(curves)
    epochs = np.arange(1, values.shape[1] + 1)
    axis.plot(epochs, values.mean(0), label=label)
    axis.fill_between(epochs, values.min(0), values.max(0), alpha=alpha)
