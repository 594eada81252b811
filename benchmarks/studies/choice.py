"""How a point of a grid is chosen, and the calls of the shortlist, as PLAN.md says: from scores, nothing is run."""

import itertools
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ..lib.runs import rows
from ..lib.study import rounded
from .shapes import SHAPES, WIDTHS, Call, calls

FACTORS = (1 / 3, 1.0, 3.0)  # of a setting's own rate
DEFAULT_WIDTH = 0.5
CHOOSING, SEEDS = (1000, 1001, 1002), tuple(range(10))
KEPT = 4  # points of a shape's grid that get all choosing seeds
SHORTLIST = 8
ALWAYS = (Call("LogTailedRelu", 0.01, 1.0),)  # LogTailedRelu(0.01), the default of the layers when this was planned

Point = tuple[Call, float]  # a call, and a factor of the setting's rate
Score = Callable[[Call, float, Sequence[int]], float]  # the mean validation accuracy over seeds


def choose(shape: str, score: Score) -> Point:
    """Choose call and rate of a shape: the grid from one seed, the best from all, a step further where on an edge."""
    grid = list(itertools.product(calls(shape), FACTORS))
    first = {point: score(*point, CHOOSING[:1]) for point in grid}
    kept = sorted(grid, key=lambda point: _preference(first, point))[:KEPT]
    scores = {point: score(*point, CHOOSING) for point in kept}
    best = min(scores, key=lambda point: _preference(scores, point))
    scores |= {point: score(*point, CHOOSING) for point in beyond(*best)}
    return min(scores, key=lambda point: _preference(scores, point))


def _preference(scores, point):
    """Return the sort key of a point: its score, and its distance to the default where two are equal."""
    call, factor = point
    width = 0.0 if call.width is None else abs(math.log(call.width / DEFAULT_WIDTH))
    return (-round(scores[point], 6), width + abs(math.log(factor)), str(call))


def beyond(call: Call, factor: float) -> list[Point]:
    """List the points one step outside of the grid, where a point lies on its edge."""
    further = []
    if call.width in (WIDTHS[0], WIDTHS[-1]):
        further.append((call._replace(width=call.width * (0.5 if call.width == WIDTHS[0] else 2)), factor))
    if factor in (FACTORS[0], FACTORS[-1]):
        further.append((call, factor * (1 / 3 if factor == FACTORS[0] else 3)))
    return further


def best_factor(call: Call, score: Score) -> float:
    """Choose the rate of a call from one seed, the setting's own if it is as good as another."""
    return max(FACTORS, key=lambda factor: (score(call, factor, CHOOSING[:1]), factor == 1.0))


def recorded(path: Path) -> Score:
    """Return the scores that a setting's file holds; a ValueError says what it does not hold."""
    runs = list(rows(path))
    table = {(row["call"], row["rate"], row["gain"], row["seed"]): row["validation"] for row in runs}
    gains = {row["gain"] for row in runs if row["seed"] in SEEDS}

    def score(call, factor, seeds):
        keys = [(str(call), rounded(factor), gain, seed) for gain in gains for seed in seeds]
        if not keys or any(key not in table for key in keys):
            raise ValueError(f"{path} has no run of {call} at {factor:.2g} times the rate: first --stage tune")
        return float(np.mean([table[key] for key in keys]))

    return score


def together(paths: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """Return the settings that are tuned for the same shapes, and these: the shapes that most settings have.

    So neither a setting that is not finished nor a shape that was added to a few keeps all others from a comparison.
    """
    tuned = {path: {row["call"].split()[0] for row in rows(path) if row["seed"] == SEEDS[-1]} for path in paths}
    shapes = [shape for shape in SHAPES if 2 * sum(shape in names for names in tuned.values()) > len(paths)]
    return [path for path, names in tuned.items() if names.issuperset(shapes)], shapes


def shortlist(scores: Sequence[Score], shapes: Sequence[str] = tuple(SHAPES)) -> list[Call]:
    """Choose the calls that all settings try without tuning: those of the grid with the smallest worst regret.

    Regret is how far a call, at the setting's own rate, is behind the best call in a setting, by the validation
    accuracy of the first choosing seed. Two calls of a shape at most, two of LogTailedRelu, and the layers' default.

    Args:
      scores: that of each setting.
      shapes: those that all settings have.
    """
    every = list(itertools.chain.from_iterable(map(calls, shapes)))
    worst = dict.fromkeys(every, 0.0)
    for score in scores:
        accuracies = {call: score(call, 1.0, CHOOSING[:1]) for call in every}
        for call in every:
            worst[call] = max(worst[call], max(accuracies.values()) - accuracies[call])
    chosen: list[Call] = []
    for call in sorted(every, key=lambda call: worst[call]):
        of_shape = sum(call.shape == other.shape for other in chosen)
        if of_shape < 2 and (len(chosen) < SHORTLIST or call.shape == "LogTailedRelu"):
            chosen.append(call)
    return chosen + [call for call in ALWAYS if call not in chosen]
