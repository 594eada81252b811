"""Japanese vowels: recurrent LIF networks on 270 short series, beside a GRU, an MLP and logistic regression."""

import numpy as np

from ...lib.report import Claim, finished
from . import comparison


def tables(result):
    """Every entrant on the data set's own split."""
    return f"{comparison.table(result)}\n\nEvery alpha: {comparison.alphas(result)}."


def draw(result, folder):
    """Every entrant, and LogTailedRelu over alpha."""
    comparison.draw(result, folder / "vowels.png")


def standing(result):
    """Accuracies by surrogate."""
    return comparison.standing("Japanese vowels, recurrent", result)


def claims(result):
    """What the trial said, and what recurrence asks for."""
    runs = finished(result, "best")
    tests = {name: float(np.mean(run["test"])) for name, run in runs.items()}
    best = comparison.winner(result)
    numbers = ", ".join(f"{name} {tests[name]:.3f}" for name in ("GRU", "MLP", "logistic regression"))
    yield Claim(
        "Japanese vowels: the LIF network that validation prefers is at least as good as a GRU",
        tests[best] >= tests["GRU"],
        f"{runs[best]['points'][0]} {tests[best]:.3f}, {numbers}",
    )
    yield Claim(
        "Japanese vowels: logistic regression is at least as good as either",
        tests["logistic regression"] >= max(tests[best], tests["GRU"]),
        f"{tests['logistic regression']:.3f}",
    )
    yield from comparison.recurrence("Japanese vowels", result)
