"""Parts of reports: a claim and whether it holds, numbers and paragraphs as text, and curves of several seeds."""

import textwrap
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


def wrapped(text: str, indent: str = "") -> str:
    """Wrap a paragraph to the width of a page, all lines but the first indented."""
    how = {"break_long_words": False, "break_on_hyphens": False}
    return textwrap.fill(text, 120, subsequent_indent=indent, **how)


def percent(tests: np.ndarray) -> str:
    """Format the mean ± standard deviation of the seeds of accuracies in per cent."""
    return f"{tests.mean():.1f} ± {tests.std(ddof=1):.1f}"


def missing(studied, settings: dict[str, str]) -> list[str]:
    """List a sentence that names the settings which are not among the ``studied``, none if all are.

    Args:
      studied: what has been finished, by setting.
      settings: what each is called on a page.
    """
    names = [shown for setting, shown in settings.items() if setting not in studied]
    return [f"These settings have not been finished: {', '.join(names)}."] * bool(names)


def plot_seeds(axis, curves, label, alpha):
    """Plot the mean of curves ``[seeds, epochs]``, with their range shaded by ``alpha``."""
    values = np.array(curves)
    epochs = np.arange(1, values.shape[1] + 1)
    axis.plot(epochs, values.mean(0), label=label)
    axis.fill_between(epochs, values.min(0), values.max(0), alpha=alpha)
