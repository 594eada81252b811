"""How a point of a grid is chosen, and the calls of the shortlist, as docs/plan.md says: of scores, nothing is run."""

import itertools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..lib.study import finished, rounded, rows
from .shapes import SHAPES, WITH_ALPHA, Call, half_width

DEFAULT_WIDTH = 0.5
KEPT = 4  # points of a shape's grid that get all choosing seeds
SHORTLIST = 8
ALWAYS = (Call("LogTailedRelu", 0.01, 1.0),)  # LogTailedRelu(0.01), the default of the layers when this was planned

Point = tuple[Call, float]  # a call, and a factor of the setting's rate
Score = Callable[[Call, float, Sequence[int]], float]  # the mean validation accuracy over seeds


class Grid(NamedTuple):
    """What every shape is tried at, and from which seeds.

    A setting's file holds the grid that it was tuned over, and what is reported of it follows that one.

    Attributes:
      widths: half-widths of the gradient.
      alphas: of the shapes that have one.
      rates: factors of the setting's own learning rate.
      choosing: the seeds whose validation accuracy chooses; the first one is that of the whole grid.
      seeds: those whose test accuracy is reported.
    """

    widths: tuple[float, ...] = (0.1, 0.25, 0.5, 1.0, 2.0)
    alphas: tuple[float, ...] = (0.0, 0.01, 0.03, 0.1, 0.3)
    rates: tuple[float, ...] = (1 / 3, 1.0, 3.0)
    choosing: tuple[int, ...] = (1000, 1001, 1002)
    seeds: tuple[int, ...] = tuple(range(10))

    @classmethod
    def of(cls, path: Path) -> "Grid":
        """Read the grid that a setting's file was tuned over."""
        grid = finished(path, "tune")
        if grid is None:
            raise ValueError(f"{path} is not tuned: first --stage tune")
        return cls(**{name: tuple(grid[name]) for name in cls._fields})

    def calls(self, shape: str) -> list[Call]:
        """List the calls of a shape."""
        alphas = self.alphas if shape in WITH_ALPHA else (None,)
        widths = (None,) if np.isinf(half_width(SHAPES[shape])) else self.widths
        return [Call(shape, alpha, width) for alpha in alphas for width in widths]

    def beyond(self, call: Call, factor: float) -> list[Point]:
        """List the points one step outside of the grid, where a point lies on its edge."""
        further = []
        if call.width in (self.widths[0], self.widths[-1]):
            further.append((call._replace(width=call.width * (0.5 if call.width == self.widths[0] else 2)), factor))
        if factor in (self.rates[0], self.rates[-1]):
            further.append((call, factor * (1 / 3 if factor == self.rates[0] else 3)))
        return further


GRID = Grid()


def choose(shape: str, score: Score, grid: Grid) -> Point:
    """Choose call and rate of a shape: the grid from one seed, the best from all, a step further where on an edge."""
    points = list(itertools.product(grid.calls(shape), grid.rates))
    first = {point: score(*point, grid.choosing[:1]) for point in points}
    kept = sorted(points, key=lambda point: _preference(first, point))[:KEPT]
    scores = {point: score(*point, grid.choosing) for point in kept}
    best = min(scores, key=lambda point: _preference(scores, point))
    scores |= {point: score(*point, grid.choosing) for point in grid.beyond(*best)}
    return min(scores, key=lambda point: _preference(scores, point))


def _preference(scores, point):
    """Return the sort key of a point: its score, and its distance to the default where two are equal."""
    call, factor = point
    width = 0.0 if call.width is None else abs(math.log(call.width / DEFAULT_WIDTH))
    return (-round(scores[point], 6), round(width + abs(math.log(factor)), 4), str(call))  # a third is rounded in files


def best_factor(call: Call, score: Score, grid: Grid) -> float:
    """Choose the rate of a call from one seed, the setting's own if it is as good as another."""
    return max(grid.rates, key=lambda factor: (score(call, factor, grid.choosing[:1]), factor == 1.0))


def recorded(path: Path) -> Score:
    """Return the scores that the file of a tuned setting holds; a ValueError says what it does not hold."""
    gain = finished(path, "tune")["gain"]
    table = {(row["call"], row["rate"], row["seed"]): row["validation"] for row in rows(path) if row["gain"] == gain}

    def score(call, factor, seeds):
        keys = [(str(call), rounded(factor), seed) for seed in seeds]
        if any(key not in table for key in keys):
            raise ValueError(f"{path} has no run of {call} at {factor:.2g} times the rate: first --stage tune")
        return float(np.mean([table[key] for key in keys]))

    return score


def together(paths: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """Return the settings that are tuned for the same shapes, and these: the shapes that most settings have.

    So neither a setting that is not finished nor a shape that was added to a few keeps all others from a comparison.
    """
    tuned = {path: set((finished(path, "tune") or {"shapes": ()})["shapes"]) for path in paths}
    shapes = [shape for shape in SHAPES if 2 * sum(shape in names for names in tuned.values()) > len(paths)]
    return [path for path, names in tuned.items() if names.issuperset(shapes)], shapes


def common(grids: Sequence[Grid]) -> Grid:
    """Return what all grids have."""
    by_field = zip(*grids, strict=True)
    return Grid(*(tuple(v for v in first if all(v in values for values in others)) for first, *others in by_field))


def shortlist(scores: Sequence[Score], shapes: Sequence[str] = tuple(SHAPES), grid: Grid = GRID) -> list[Call]:
    """Choose the calls that all settings try without tuning: those of the grid with the smallest worst regret.

    Regret is how far a call, at the setting's own rate, is behind the best call in a setting, by the validation
    accuracy of the first choosing seed. Two calls of a shape at most, two of LogTailedRelu, and `ALWAYS`.

    Args:
      scores: that of each setting.
      shapes: those that all settings have.
      grid: what all settings were tuned over.
    """
    every = list(itertools.chain.from_iterable(map(grid.calls, shapes)))
    worst = dict.fromkeys(every, 0.0)
    for score in scores:
        accuracies = {call: score(call, 1.0, grid.choosing[:1]) for call in every}
        for call in every:
            worst[call] = max(worst[call], max(accuracies.values()) - accuracies[call])
    chosen: list[Call] = []
    for call in sorted(every, key=lambda call: worst[call]):
        of_shape = sum(call.shape == other.shape for other in chosen)
        if of_shape < 2 and (len(chosen) < SHORTLIST or call.shape == "LogTailedRelu"):
            chosen.append(call)
    return chosen + [call for call in ALWAYS if call not in chosen]
