"""Regret: the gap of each configuration to the best, in percentage points, and the conclusions by the plan's rules.

Points are arrays ``[draws, entrants]`` by setting or task group: the first draw is the measurement, the others are
bootstrap resamples.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import stats

from ..lib.study import finished, of_seeds, rows
from .comparison import EQUAL, Grid
from .entrants import CANDIDATES, ENTRANTS, PRESENT
from .settings import FAMILIES, MADE

DRAWS, SURE = 20000, 0.9  # SURE is a fraction of draws
OUT, WORTH, SAME, FAR = 5.0, 0.5, 1.0, 20.0  # percentage points
# Kinds of regret. The rule of the plan uses COST; RATES has another axis.
KINDS = TUNED, HALF, GIVEN, WORST, RATES, COST = "tuned", "half-way", "given", "worst", "rates", "cost"
GRID, NAMES = Grid(), list(ENTRANTS)

Points = Mapping[str, np.ndarray]


class Outcome(NamedTuple):
    """A setting: scores in per cent by entrant and seed.

    Attributes:
      tuned: test scores ``[entrants, seeds]``, each entrant at its best learning rate.
      half: validation scores after half of the epochs, at the same rates.
      given: test scores at fixed learning rates, ``[rates, entrants, seeds]``.
      edges: entrants whose best learning rate is the smallest or largest that was tried.
    """

    tuned: np.ndarray
    half: np.ndarray
    given: np.ndarray
    edges: list[str]


def load(folder: Path) -> dict[str, Outcome]:
    """Read the settings of a folder that are finished with the current entrants, in the order of the plan."""
    now = {name: str(surrogate) for name, surrogate in ENTRANTS.items()}
    paths = {name: folder / f"{name}.json" for name in MADE}
    grids = {name: grid for name, path in paths.items() if (grid := finished(path, "compare"))}
    return {name: _outcome(paths[name], grid) for name, grid in grids.items() if grid["entrants"] == now}


def _outcome(path, grid):
    every = rows(path)
    runs, tried = (of_seeds(every, seeds, "entrant", "rate") for seeds in (grid["seeds"], GRID.choosing))
    best = [runs[name, grid["best"][name]] for name in NAMES]
    tuned, half = (score(np.array([of[what] for of in best])) for what in ("test", "half"))
    given = np.array([[score(tried[name, rate]["test"]) for name in NAMES] for rate in GRID.rates])
    return Outcome(tuned, half, given, grid["edges"])


def score(share: np.ndarray) -> np.ndarray:
    """Return scores in per cent, with 0 for scores that are negative or not finite."""
    return 100 * np.where(np.isfinite(share), np.maximum(share, 0), 0)


# Gaps to the best, in percentage points


def drawn(rng, size: int) -> np.ndarray:
    """Return how often each seed or task group is drawn in each resample; the first draw has each once."""
    return np.concatenate([np.ones((1, size)), rng.multinomial(size, np.full(size, 1 / size), DRAWS)])


def behind(scores: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return the gap between the mean of each entrant and the best mean, ``[draws, entrants]``.

    Args:
      scores: ``[entrants, seeds]``.
      times: how often each seed is drawn, ``[draws, seeds]``.
    """
    means = times @ scores.T / scores.shape[1]
    return means.max(1, keepdims=True) - means


def regrets(outcomes: Mapping[str, Outcome]) -> dict[str, dict[str, np.ndarray]]:
    """Return the gaps in each setting, by kind."""
    rng, found = np.random.default_rng(0), {}
    for name, outcome in outcomes.items():
        seeds, choosing = (drawn(rng, of.shape[-1]) for of in (outcome.tuned, outcome.given))
        rates = np.array([behind(scores, choosing) for scores in outcome.given])
        tuned, half, given = behind(outcome.tuned, seeds), behind(outcome.half, seeds), rates.mean(0)
        each = tuned, half, given, rates.max(0), np.moveaxis(rates, 0, -1), (tuned + given) / 2
        found[name] = dict(zip(KINDS, each, strict=True))
    return {kind: {name: of[kind] for name, of in found.items()} for kind in KINDS}


def of_families(points: Points, settings: Iterable[str] = MADE) -> dict[str, np.ndarray]:
    """Return the gaps of each task group: the mean over those of its settings that are named and finished."""
    found: dict[str, list] = {}
    for name in settings:
        if name in points:
            found.setdefault(FAMILIES.get(name, name), []).append(points[name])
    return {family: np.mean(each, 0) for family, each in found.items()}


def over(points: Points) -> np.ndarray:
    """Return the mean over task groups, which are also resampled."""
    times = drawn(np.random.default_rng(1), len(points)) / len(points)
    return np.einsum("df,fd...->d...", times, np.array([*points.values()]))


def furthest(points: Points, i: int) -> tuple[str, np.ndarray]:
    """Return the task group with an entrant's largest gap, and that gap ``[draws]``."""
    family = max(points, key=lambda family: points[family][0, i])
    return family, points[family][:, i]


def same(scores: np.ndarray) -> np.ndarray:
    """Return which entrants are tied with the best: within `SAME` by a 90 % interval, from ``[entrants, seeds]``."""
    apart = scores[scores.mean(1).argmax()] - scores
    points, n = apart.mean(1), scores.shape[1]
    reach = stats.t.ppf(0.95, n - 1) * apart.std(1, ddof=1) / n**0.5
    return (points <= 100 * EQUAL) | (points + reach <= SAME)  # equal up to rounding in files, like rates


# The layers' default


class Choice(NamedTuple):
    """The conclusion of the plan's rule.

    Attributes:
      name: the default that follows.
      out: the candidates whose gap is too large in a task group, and the group with their largest gap.
    """

    name: str
    out: dict[str, str]


def default(tuned: Points, costs: Points) -> Choice:
    """Apply the rule of docs/appendix/plan.md to task groups."""
    cost, present = over(costs), NAMES.index(PRESENT)
    most = {name: furthest(tuned, i) for i, name in enumerate(CANDIDATES)}
    out = {name: family for name, (family, points) in most.items() if points[0] > OUT}
    left = [i for i, name in enumerate(CANDIDATES) if name not in out]
    winner = min(left, key=cost[0].__getitem__, default=present)
    less = cost[:, present] - cost[:, winner]
    changes = PRESENT in out or (less[0] >= WORTH and (less[1:] > 0).mean() >= SURE)
    return Choice(NAMES[winner] if changes else PRESENT, out)


def left_out(tuned: Points, costs: Points) -> dict[str, str]:
    """Return for each task group the default that follows from the other groups."""

    def without(family, points):
        return {name: of for name, of in points.items() if name != family}

    return {family: default(without(family, tuned), without(family, costs)).name for family in tuned}


def scored(points: Points, choices: Mapping[str, str]) -> np.ndarray:
    """Return the mean over task groups of the gap of the configuration chosen for each group."""
    return over({family: points[family][:, NAMES.index(choice)] for family, choice in choices.items()})
