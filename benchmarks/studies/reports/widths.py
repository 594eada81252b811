"""The trial of widths, from ten seeds: the knee of LogTailedRelu, and calibration at three gains."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...lib import results
from ...lib.report import Claim, percent
from ...lib.runs import rows
from ..choice import SEEDS
from ..family import PILOTS
from ..shapes import Call
from ..widths import GRIDS, KNEES, calibrated

TRIAL = {"depth-12": (0.813, 0.900), "speech": (0.31, 0.80)}  # accuracy with the knee at 1 and at .25, few seeds


def load(folder: Path) -> dict[str, dict[tuple[str, float], np.ndarray]]:
    """Read, for each setting, test accuracies in per cent by seed of each call at each gain that has all seeds."""
    found = {}
    for name in GRIDS:
        if (folder / f"{name}.json").exists():
            by_run: dict[tuple[str, float], list] = {}
            for row in rows(folder / f"{name}.json"):
                by_run.setdefault((row["call"], row["gain"]), []).append(100 * row["test"])
            found[name] = {run: np.array(tests) for run, tests in by_run.items() if len(tests) == len(SEEDS)}
    return found


def tables(studied) -> str:
    """Make a table of the knee, and one a depth of fixed and calibrated widths at each gain."""
    knees = [[name, *(percent(tests[str(call), gain]) for call in KNEES)] for name, tests, gain in with_knees(studied)]
    parts = [results.table(["`LogTailedRelu(.1)`", *(f"knee at {call.width:g}" for call in KNEES)], knees)]
    for name, tests in studied.items():
        if gains := gains_of(tests):
            table = [[f"`{call}`", *(both(tests, call, gain) for gain in gains)] for call in PILOTS]
            parts.append(results.table([f"{name}: fixed -> calibrated", *(f"gain {gain:g}" for gain in gains)], table))
    return "\n\n".join(parts)


def gains_of(tests) -> list[float]:
    """List the gains at which widths are fixed and calibrated."""
    return sorted({gain for call, gain in tests if call == calibrated(PILOTS[0])})


def with_knees(studied):
    """List setting, accuracies and gain of those that have both knees."""
    gains = {name: grids[0][1][0] for name, grids in GRIDS.items() if grids[0][0] == KNEES}
    return [(name, studied[name], gain) for name, gain in gains.items() if name in studied]


def both(tests, call: Call, gain: float) -> str:
    """Format the means with a fixed and with a calibrated width."""
    return " -> ".join(f"{tests[how(call), gain].mean():.1f}" for how in (str, calibrated))


def claims(studied) -> Iterator[Claim]:
    """Yield what the trial saw."""
    for name, tests, gain in with_knees(studied):
        before, after = (tests[str(call), gain] for call in KNEES)
        gained = 100 * (TRIAL[name][1] - TRIAL[name][0])
        yield Claim(
            f"{name}: by a knee at .25 in place of 1, LogTailedRelu(.1) gains at least half of the {gained:.0f} points "
            "that a trial saw",
            after.mean() - before.mean() >= gained / 2,
            f"{percent(before)} and {percent(after)}%",
        )
    for name, tests in studied.items():
        if gains := gains_of(tests):
            fixed, fitted = ([min(tests[how(c), g].mean() for g in gains) for c in PILOTS] for how in (str, calibrated))
            pairs = [f"{c.shape} {a:.1f} and {b:.1f}" for c, a, b in zip(PILOTS, fixed, fitted, strict=True)]
            yield Claim(
                f"{name}: over gains of {', '.join(f'{gain:g}' for gain in gains)}, the worst accuracy of each of "
                f"{len(PILOTS)} calls is better with calibrated widths",
                all(b > a for a, b in zip(fixed, fitted, strict=True)),
                f"worst accuracy fixed and calibrated, %: {', '.join(pairs)}",
            )
