"""Widths: an earlier trial repeated with ten seeds: the knee of LogTailedRelu, and calibration at three gains.

The trial had two to six seeds, and each shape at its usual width: in twelve layers LogTailedRelu(.1) gained nine points
with its knee at .25, in the recurrent network of spoken digits it rose from .31 to .80; and calibrated networks
tolerated a gain of their weights at which others failed. Settings, calls and training are those of `family`, at a
setting's rate and at the gains of the trial: in twelve layers its knee had 1.4, where `family` has 2.
"""

import argparse
import itertools
from pathlib import Path

from ..lib import results
from .choice import GRID
from .family import PILOTS, Trials
from .settings import NEEDED, check_data
from .shapes import Call

KNEES = (Call("LogTailedRelu", 0.1, 1.0), Call("LogTailedRelu", 0.1, 0.25))


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
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studies.widths", description=__doc__.splitlines()[0])
    parser.add_argument("settings", nargs="*", metavar="SETTING", help=f"{', '.join(GRIDS)} (default: all with data)")
    parser.add_argument("--speech", type=Path, metavar="PATH", help=NEEDED["speech"].replace("`", ""))
    parser.add_argument("--quick", action="store_true", help="two epochs and one seed, to see that it runs")
    results.add_out(parser, "widths")
    args = parser.parse_args(argv)
    results.check_names(parser, args.settings, GRIDS)
    check_data(parser, args.settings, {"speech": args.speech})
    results.try_out(parser, args.out)
    for name in args.settings or [name for name in GRIDS if name != "speech" or args.speech]:
        trials = Trials(name, args.out, args.speech if name == "speech" else None, args.quick)
        seeds = GRID.seeds[: 1 if args.quick else None]
        for calls, gains in GRIDS[name]:
            for gain, call, seed in itertools.product(gains, calls, seeds):
                trials.run(call, 1.0, gain, seed)
        trials.runs.finish("widths", seeds=seeds)
        trials.close()


if __name__ == "__main__":
    main()
