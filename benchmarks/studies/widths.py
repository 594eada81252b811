"""Widths: an earlier trial repeated with ten seeds: the knee of LogTailedRelu, and calibration at three gains.

The trial had two to six seeds, and each shape at its usual width: in twelve layers LogTailedRelu(.1) gained nine points
with its knee at .25, in the recurrent network of spoken digits it rose from .31 to .80; and calibrated networks
tolerated a gain of their weights at which others failed. Settings, calls and training are those of `family`, at a
setting's rate and at the gains of the trial: in twelve layers its knee had 1.4, where `family` has 2.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..lib.report import Claim, spread, table, unfinished
from ..lib.study import arguments, finished, of_seeds, rows
from .choice import GRID
from .family import PILOTS, Trials
from .shapes import Call

KNEES = (Call("LogTailedRelu", 0.1, 1.0), Call("LogTailedRelu", 0.1, 0.25))
TRIAL = {"depth-12": (0.813, 0.900), "speech": (0.31, 0.80)}  # accuracy with the knee at 1 and at .25, few seeds


def calibrated(call: Call | str) -> str:
    """Return how a call is written with a width that is calibrated, to .5 times the root mean square."""
    return f"calibrated k=0.5: {call}"


BOTH = (*PILOTS, *map(calibrated, PILOTS))
GRIDS: dict[str, list[tuple[tuple[Call | str, ...], tuple[float, ...]]]] = {  # calls and gains
    "depth-12": [(KNEES, (1.4,)), (BOTH, (1.4, 2.0, 2.8))],
    "depth-16": [(BOTH, (1.4, 2.0, 2.8))],
    "speech": [(KNEES, (1.0,))],
}


def main(argv=None):
    """Train every call at every gain from ten seeds."""
    args = arguments("studies.widths", __doc__, argv, quick="two epochs and one seed", settings=list(GRIDS))
    for name in args.settings:
        trials = Trials(name, args.out, args.speech, args.quick)
        seeds = GRID.seeds[: 1 if args.quick else None]
        for calls, gains in GRIDS[name]:
            for gain, call, seed in itertools.product(gains, calls, seeds):
                trials.run(call, 1.0, gain, seed)
        trials.runs.finish("widths", seeds=seeds)


# The report


def load(folder: Path) -> dict[str, dict[tuple[str, float], np.ndarray]]:
    """Read, for each finished setting, test accuracies in per cent by seed of each call at each gain."""
    studied = {}
    for name in GRIDS:
        path = folder / f"{name}.json"
        if grid := finished(path, "widths"):
            runs = of_seeds(rows(path), grid["seeds"], "call", "gain")
            studied[name] = {key: 100 * columns["test"] for key, columns in runs.items()}
    return studied


def parts(studied) -> list[str]:
    """List what the page has: the tables, and the names of the settings that are not finished."""
    return [tables(studied)] * bool(studied) + unfinished(studied, {name: name for name in GRIDS})


def tables(studied) -> str:
    """Make a table of the knee, and one a depth of fixed and calibrated widths at each gain."""
    knees = [
        [f"{name}, gain {gain:g}", *(spread(tests[str(call), gain], 1) for call in KNEES)]
        for name, tests, gain in with_knees(studied)
    ]
    parts = [table(["`LogTailedRelu(.1)`", *(f"knee at {call.width:g}" for call in KNEES)], knees)]
    for name, both, gains, calls in with_both(studied):
        lines = [[f"`{c}`", *(" -> ".join(f"{of.mean():.1f}" for of in both[g, c]) for g in gains)] for c in calls]
        parts.append(table([f"{name}: fixed -> calibrated", *(f"gain {gain:g}" for gain in gains)], lines))
    return "\n\n".join(parts)


def with_knees(studied):
    """List setting, accuracies and gain of those that have both knees."""
    every = [(name, tests, gain) for name, tests in studied.items() for gain in sorted({gain for _, gain in tests})]
    return [(name, tests, gain) for name, tests, gain in every if all((str(knee), gain) in tests for knee in KNEES)]


def with_both(studied):
    """List setting, accuracies with a fixed and with a calibrated width by gain and call, gains and calls."""
    listed = []
    for name, tests in studied.items():
        pairs = {(g, c): (tests[c, g], tests[calibrated(c), g]) for c, g in tests if (calibrated(c), g) in tests}
        if pairs:
            listed.append((name, pairs, *(sorted(set(of)) for of in zip(*pairs, strict=True))))
    return listed


def claims(studied) -> Iterator[Claim]:
    """Yield what the trial saw."""
    for name, tests, gain in with_knees(studied):
        before, after = (tests[str(call), gain] for call in KNEES)
        gained = 100 * (TRIAL[name][1] - TRIAL[name][0])
        yield Claim(
            f"{name}, gain {gain:g}: by a knee at .25 in place of 1, LogTailedRelu(.1) gains at least half of the "
            f"{gained:.0f} points that a trial saw",
            after.mean() - before.mean() >= gained / 2,
            f"{spread(before, 1)} and {spread(after, 1)}%",
        )
    for name, both, gains, calls in with_both(studied):
        worst = {call: [min(both[gain, call][i].mean() for gain in gains) for i in (0, 1)] for call in calls}
        yield Claim(
            f"{name}: over gains of {', '.join(f'{gain:g}' for gain in gains)}, the worst accuracy of each of "
            f"{len(calls)} configurations is better with calibrated widths",
            all(after > before for before, after in worst.values()),
            "worst accuracy fixed and calibrated, %: "
            + ", ".join(f"{Call.parse(call).shape} {a:.1f} and {b:.1f}" for call, (a, b) in worst.items()),
        )


if __name__ == "__main__":
    main()
