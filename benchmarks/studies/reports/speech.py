"""Spoken digits: recurrent LIF networks compared with a GRU, on known speakers and on unseen ones."""

import numpy as np

from ...lib import results
from ...lib.report import Claim, finished, spiking
from . import comparison

MARK, BEHIND = 0.975, 0.015


def tables(result):
    """Make a table of every entrant on the data set's own split, and one of some on each speaker as unseen."""
    speakers = result["settings"]["speakers"]
    rows = []
    for name, run in finished(result, "unseen speakers").items():
        accuracies = np.mean(run["test"], axis=-1)[0]
        entrant = f"LIF, `{run['points'][0]}`" if "rate" in run else name
        rows.append([entrant, f"{accuracies.mean():.3f}", *(f"{accuracy:.3f}" for accuracy in accuracies)])
    unseen = results.table(["trained on the other speakers, tested on", "mean", *speakers], rows)
    return f"{comparison.tables(result)}\n\n{unseen}"


def draw(result, folder):
    """Draw every entrant, and LogTailedRelu over alpha."""
    comparison.draw(result, folder / "speech.png")


def standing(result):
    """Yield the accuracies by surrogate."""
    return comparison.standing("spoken digits, recurrent", result)


def claims(result):
    """Make the claims: the marks, the findings of the trial, and those about recurrence."""
    runs, best = finished(result, "best"), comparison.winner(result)
    tests = comparison.means(runs)
    yield Claim(
        f"Spoken digits: the LIF network that validation prefers is right on {MARK:.1%} of the test takes or more",
        tests[best] >= MARK,
        f"{runs[best]['points'][0]} {tests[best]:.3f}",
    )
    yield Claim(
        f"Spoken digits: it is within {100 * BEHIND:g} points of a GRU",
        tests[best] >= tests["GRU"] - BEHIND,
        f"{tests[best]:.3f}, GRU {tests['GRU']:.3f} with {runs['GRU']['weights'] / runs[best]['weights']:.1f} times "
        "the weights",
    )
    ours = result["runs"]["LogTailedRelu, every alpha"]
    with_alpha_0 = np.mean(ours["test"][0])
    supers = tests["InvSquareGrad"]
    yield Claim(
        "Spoken digits: SuperSpike is a point or more ahead of LogTailedRelu(0)",
        bool(supers - with_alpha_0 >= 0.01),
        f"{runs['InvSquareGrad']['points'][0]} {supers:.3f}, {ours['points'][0]} {with_alpha_0:.3f}",
    )
    yield from comparison.recurrence("Spoken digits", result)
    runs = finished(result, "unseen speakers")
    unseen = comparison.means(runs)
    if "GRU" in unseen:
        best = max(unseen[name] for name in spiking(runs))
        yield Claim(
            f"Spoken digits: for unseen speakers too a LIF network is within {100 * BEHIND:g} points of a GRU",
            best >= unseen["GRU"] - BEHIND,
            ", ".join(f"{name} {accuracy:.3f}" for name, accuracy in unseen.items()),
        )
