"""The trial of widths, from ten seeds: the knee of LogTailedRelu, and calibration at three gains."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...lib import results
from ...lib.report import Claim, missing, percent
from ...lib.runs import finished, rows
from ..shapes import Call
from ..widths import GRIDS, KNEES, calibrated

TRIAL = {"depth-12": (0.813, 0.900), "speech": (0.31, 0.80)}  # accuracy with the knee at 1 and at .25, few seeds


def load(folder: Path) -> dict[str, dict[tuple[str, float], np.ndarray]]:
    """Read, for each setting, test accuracies in per cent by seed of each call at each gain that has all seeds."""
    studied = {}
    for name in GRIDS:
        path = folder / f"{name}.json"
        if path.exists() and (grid := finished(path, "widths")):
            by_call: dict[tuple[str, float], list] = {}
            for row in rows(path):
                if row["seed"] in grid["seeds"]:
                    by_call.setdefault((row["call"], row["gain"]), []).append(100 * row["test"])
            studied[name] = {key: np.array(tests) for key, tests in by_call.items() if len(tests) == len(grid["seeds"])}
    return studied


def parts(studied) -> list[str]:
    """List what the page has: the tables, and the names of the settings that are not finished."""
    return [tables(studied)] * bool(studied) + missing(studied, {name: name for name in GRIDS})


def tables(studied) -> str:
    """Make a table of the knee, and one a depth of fixed and calibrated widths at each gain."""
    knees = [
        [f"{name}, gain {gain:g}", *(percent(tests[str(call), gain]) for call in KNEES)]
        for name, tests, gain in with_knees(studied)
    ]
    parts = [results.table(["`LogTailedRelu(.1)`", *(f"knee at {call.width:g}" for call in KNEES)], knees)]
    for name, tests in studied.items():
        if both := with_both(tests):
            gains, calls = gains_and_calls(both)
            table = [[f"`{c}`", *(" -> ".join(f"{of.mean():.1f}" for of in both[g, c]) for g in gains)] for c in calls]
            parts.append(results.table([f"{name}: fixed -> calibrated", *(f"gain {gain:g}" for gain in gains)], table))
    return "\n\n".join(parts)


def with_both(tests) -> dict[tuple[float, str], tuple[np.ndarray, np.ndarray]]:
    """Return accuracies with a fixed and with a calibrated width, by gain and call."""
    both = {(g, c): (tests[c, g], tests[calibrated(c), g]) for c, g in tests if (calibrated(c), g) in tests}
    return dict(sorted(both.items()))


def gains_and_calls(both) -> tuple[list[float], list[str]]:
    """List the gains and the calls of `with_both`, each once."""
    return tuple(list(dict.fromkeys(of)) for of in zip(*both, strict=True))


def with_knees(studied):
    """List setting, accuracies and gain of those that have both knees."""
    every = [(name, tests, gain) for name, tests in studied.items() for gain in sorted({gain for _, gain in tests})]
    return [(name, tests, gain) for name, tests, gain in every if all((str(knee), gain) in tests for knee in KNEES)]


def claims(studied) -> Iterator[Claim]:
    """Yield what the trial saw."""
    for name, tests, gain in with_knees(studied):
        before, after = (tests[str(call), gain] for call in KNEES)
        gained = 100 * (TRIAL[name][1] - TRIAL[name][0])
        yield Claim(
            f"{name}, gain {gain:g}: by a knee at .25 in place of 1, LogTailedRelu(.1) gains at least half of the "
            f"{gained:.0f} points that a trial saw",
            after.mean() - before.mean() >= gained / 2,
            f"{percent(before)} and {percent(after)}%",
        )
    for name, tests in studied.items():
        if both := with_both(tests):
            gains, calls = gains_and_calls(both)
            worst = {call: [min(both[gain, call][i].mean() for gain in gains) for i in (0, 1)] for call in calls}
            yield Claim(
                f"{name}: over gains of {', '.join(f'{gain:g}' for gain in gains)}, the worst accuracy of each of "
                f"{len(calls)} calls is better with calibrated widths",
                all(after > before for before, after in worst.values()),
                "worst accuracy fixed and calibrated, %: "
                + ", ".join(f"{Call.parse(call).shape} {a:.1f} and {b:.1f}" for call, (a, b) in worst.items()),
            )
