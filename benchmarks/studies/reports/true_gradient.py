"""True gradient: how often each surrogate gradient has the sign of the true one, and at which width most often."""

from pathlib import Path

import numpy as np

from ...lib import results
from ...lib.runs import finished, rows
from ..shapes import Call


def load(path: Path) -> dict[str, tuple[float, float]]:
    """Read, for each call, the share of equal signs and the cosine, means of the seeds; nothing if not finished."""
    grid = finished(path, "true_gradient") if path.exists() else None
    if grid is None:
        return {}
    scores = {(row["call"], row["seed"]): (row["sign"], row["cosine"]) for row in rows(path)}
    means = {call: np.mean([scores[call, seed] for seed in grid["seeds"]], axis=0) for call in grid["calls"]}
    return {call: (*map(float, mean),) for call, mean in means.items()}


def parts(calls) -> list[str]:
    """List what the page has: the summary and the table, or that the study is not finished."""
    return [summary(calls), tables(calls)] if calls else ["This study has not been finished."]


def tables(calls) -> str:
    """Make a table with the best call of each shape, by the cosine."""
    best: dict[str, str] = {}
    for call, (_, cosine) in calls.items():
        shape = Call.parse(call).shape
        if shape not in best or cosine > calls[best[shape]][1]:
            best[shape] = call
    order = sorted(best.values(), key=lambda call: -calls[call][1])
    table = [[f"`{call}`", f"{calls[call][0]:.1%}", f"{calls[call][1]:.3f}"] for call in order]
    return results.table(["best call of each shape", "same sign", "cosine"], table)


def summary(calls) -> str:
    """Write what is best, and how little the shape matters beside the width."""
    best = max(calls, key=lambda call: calls[call][1])
    cosines = np.array([cosine for _, cosine in calls.values()])
    return (
        f"The closest is `{best}` (cosine {calls[best][1]:.3f}, {calls[best][0]:.0%} of the signs); over all calls the "
        f"cosine is {cosines.min():.3f} to {cosines.max():.3f}, its median {np.median(cosines):.3f}."
    )
