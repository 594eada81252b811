"""Japanese vowels: recurrent LIF networks on 270 short series, beside a GRU, an MLP and logistic regression."""

from ...lib.report import Claim, finished
from . import comparison

tables = comparison.tables


def draw(result, folder):
    """Draw every entrant, and LogTailedRelu over alpha."""
    comparison.draw(result, folder / "vowels.png")


def standing(result):
    """Yield the accuracies by surrogate."""
    return comparison.standing("Japanese vowels, recurrent", result)


def claims(result):
    """Make the claims: the findings of the trial, and those about recurrence."""
    runs, best = finished(result, "best"), comparison.winner(result)
    tests = comparison.means(runs)
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
