"""The family compared: what its files hold, regret, the rule for the default, and what can't be told from chance."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import stats

from ...lib.study import finished, of_seeds, rounded, rows
from ..choice import Grid, best_factor, choose, common, recorded, together
from ..settings import names
from ..shapes import SHAPES, Call

TIE, SIGNIFICANT, DRAWS = 0.5, 0.05, 1000  # points; probability; of the bootstrap
LEARNING = 0.2  # the training loss above which a network has not learnt its examples
FOCUS = "LogTailedRelu"


class Entry(NamedTuple):
    """What networks of several seeds came to: test accuracies in per cent by seed, and means of the rest.

    Attributes:
      call: of the surrogate, or a word before it that says how its widths were set.
      factor: of the setting's learning rate.
      test: test accuracy in per cent, by seed.
      loss: of the last epoch of training.
      firing: spikes for each neuron and step.
      width: of the surrogate at the end of training, its mean over layers, as `Scaled` has it.
    """

    call: str
    factor: float
    test: np.ndarray
    loss: float
    firing: float
    width: float

    @property
    def mean(self) -> float:
        return float(self.test.mean())


class Outcome(NamedTuple):
    """A setting: every shape tuned; single calls at the setting's rate and at their best; adapted widths; the grid.

    `adapted` is by the way to adapt a width and the call that it starts from.
    `fixed` has the mean test accuracy in per cent of each call and factor of the rate that has all seeds, whether the
    other settings have it or not.
    Of the grid, `grid` has the validation accuracy in per cent of each call and factor of the rate, and `pilots` that
    of the calls that chose the gain, at each gain, from the seed `first`.
    `gone` are shapes that were tuned and that the code no longer has; what they came to is left out.
    """

    about: str
    gain: float
    tuned: dict[str, Entry]
    single: dict[str, Entry]
    best_rate: dict[str, Entry]
    adapted: dict[tuple[str, str], Entry]
    fixed: dict[tuple[str, float], float]
    grid: dict[tuple[str, float], float]
    pilots: dict[tuple[str, float], float]
    first: int
    gone: tuple[str, ...] = ()


Outcomes = Mapping[str, Outcome]


def load(folder: Path) -> dict[str, Outcome]:
    """Read the settings of a folder that are finished, with the shapes and the calls that all of these have.

    In the order of `names`; last, those that the code no longer has.
    """
    files = {path.stem: path for path in sorted(folder.glob("*.json"))}
    by_name = {name: files[name] for name in [*names(), *files] if name in files}
    paths, shapes = together(list(by_name.values()))
    complete = {name: path for name, path in by_name.items() if path in paths and finished(path, "calls")}
    seeds = common([Grid.of(path) for path in complete.values()]).seeds if complete else ()
    return _with_common_calls({name: _outcome(path, shapes, seeds) for name, path in complete.items()})


def rules(outcomes: Outcomes) -> list[tuple[str, str]]:
    """List the ways to adapt a width, each with a call that it starts from, that most settings have tried."""
    tried = Counter(rule for outcome in outcomes.values() for rule in outcome.adapted)
    return sorted(rule for rule, count in tried.items() if 2 * count > len(outcomes))


def with_adapted(outcomes: Outcomes) -> dict[str, Outcome]:
    """Return the settings in which all of `rules` were tried."""
    tried = set(rules(outcomes))
    return {name: outcome for name, outcome in outcomes.items() if tried <= set(outcome.adapted)}


def unfinished(outcomes: Outcomes) -> list[str]:
    """List the settings of the plan that have no outcome yet."""
    return [name for name in names() if name not in outcomes]


def _with_common_calls(outcomes):
    common_calls = set.intersection(*(set(outcome.best_rate) for outcome in outcomes.values())) if outcomes else set()

    def kept(entries):
        return {call: entry for call, entry in entries.items() if call in common_calls}

    return {n: o._replace(single=kept(o.single), best_rate=kept(o.best_rate)) for n, o in outcomes.items()}


def _outcome(path, shapes, seeds):
    grid, score, tuned = Grid.of(path), recorded(path), finished(path, "tune")
    every, first, gain = [row for row in rows(path) if _shape(row["call"]) in SHAPES], grid.choosing[0], tuned["gain"]
    table = of_seeds([row for row in every if row["gain"] == gain], seeds, "call", "rate")

    def entry(call, factor):
        columns = table[str(call), rounded(factor)]
        means = [float(columns[name].mean()) for name in ("loss", "firing", "width")]
        return Entry(str(call), factor, 100 * columns["test"], *means)

    def is_there(call, factor):
        return (str(call), rounded(factor)) in table

    at_the_rate = [call for call, factor in table if factor == 1]
    calls = [Call.parse(call) for call in at_the_rate if ":" not in call]
    calls = [call for call in calls if call in set(grid.calls(call.shape))]
    best = {call: best_factor(call, score, grid) for call in calls}
    fixed = [(call, factor) for call, factor in table if ":" not in call]
    of_first = [row for row in every if row["seed"] == first]
    other_gains = {row["call"] for row in of_first if row["gain"] != gain}
    pilots = [row for row in of_first if row["call"] in other_gains and row["rate"] == 1]
    return Outcome(
        json.loads(path.read_text())["settings"]["about"],
        gain=gain,
        tuned={shape: entry(*choose(shape, score, grid)) for shape in shapes},
        single={str(call): entry(call, 1.0) for call in calls},
        best_rate={str(call): entry(call, factor) for call, factor in best.items() if is_there(call, factor)},
        adapted={tuple(name.split(": ")): entry(name, 1.0) for name in at_the_rate if ":" in name},
        fixed={(call, factor): entry(call, factor).mean for call, factor in fixed},
        grid={(row["call"], row["rate"]): 100 * row["validation"] for row in of_first if row["gain"] == gain},
        pilots={(row["call"], row["gain"]): 100 * row["validation"] for row in pilots},
        first=first,
        gone=tuple(shape for shape in tuned["shapes"] if shape not in SHAPES),
    )


def _shape(call: str) -> str:
    """Return the shape of a call, which may have a word before it that says how its widths were set."""
    return Call.parse(call.rpartition(": ")[2]).shape


# What is concluded


def behind(entries: Mapping[str, Entry]) -> dict[str, float]:
    """Return how many points each entry is behind the best."""
    top = max(entry.mean for entry in entries.values())
    return {name: top - entry.mean for name, entry in entries.items()}


def regrets(outcomes: Outcomes, kind: str = "single") -> dict[str, dict[str, float]]:
    """Return how far each call is behind the best: of the single calls at one rate, or with it tuned, of all shapes."""
    gaps_by_call: dict[str, dict[str, float]] = {}
    for name, outcome in outcomes.items():
        entries = getattr(outcome, kind)
        gaps = behind(entries if kind == "single" else outcome.tuned | entries)
        for call in entries:
            gaps_by_call.setdefault(call, {})[name] = gaps[call]
    return gaps_by_call


def default(outcomes: Outcomes) -> Call:
    """Choose the layers' default by the rule of docs/plan.md."""
    table = regrets(outcomes)
    gaps = np.array([list(of.values()) for of in table.values()]).T
    return Call.parse(list(table)[_by_the_rule(gaps, list(table))])


def _by_the_rule(gaps: np.ndarray, calls: Sequence[str]) -> int:
    """Return the place of the call that the rule of docs/plan.md chooses from regrets of shape [settings, calls]."""
    worst, mean = gaps.max(0), gaps.mean(0)
    near = np.flatnonzero(worst <= worst.min() + TIE)
    ours = [i for i in near if Call.parse(calls[i]).shape == FOCUS]
    return min(ours or near, key=lambda i: (mean[i], calls[i]))


def not_trained_to_the_end(outcomes: Outcomes) -> dict[str, list[str]]:
    """Return the single calls that end with a training loss above `LEARNING`, for each setting that has such ones."""
    by_setting = {name: [call for call, e in o.single.items() if e.loss > LEARNING] for name, o in outcomes.items()}
    return {name: calls for name, calls in by_setting.items() if calls}


def indistinguishable(entries: Mapping[str, Entry]) -> set[str]:
    """Return the entries that can't be told from the best: paired t test over the seeds, corrected by Holm."""
    best = max(entries, key=lambda name: entries[name].mean)
    others = [name for name in entries if name != best]
    p = {name: _paired(entries[best].test, entries[name].test) for name in others}
    kept, rejecting = {best}, True
    for rank, name in enumerate(sorted(others, key=lambda name: p[name])):
        rejecting = rejecting and p[name] <= SIGNIFICANT / (len(others) - rank)
        if not rejecting:
            kept.add(name)
    return kept


def _paired(first, second):
    """Return the probability of a paired t test; differences that are all the same have no spread to test with."""
    difference = first - second
    if np.ptp(difference) < 1e-6:
        return float(abs(difference.mean()) < 1e-6)
    return float(stats.ttest_rel(first, second).pvalue)


def in_draws(outcomes: Outcomes) -> tuple[dict[str, float], dict[str, float]]:
    """Return in which share of bootstrap draws of the seeds each call has the smallest worst regret, and is chosen."""
    calls = list(next(iter(outcomes.values())).single)
    steadiest, chosen = np.zeros((2, len(calls)))
    for gaps in _drawn_gaps(outcomes, calls):
        steadiest[gaps.max(0).argmin()] += 1 / DRAWS
        chosen[_by_the_rule(gaps, calls)] += 1 / DRAWS
    return tuple(dict(zip(calls, share.tolist(), strict=True)) for share in (steadiest, chosen))


def worst_in_draws(outcomes: Outcomes, call: str) -> np.ndarray:
    """Return the worst regret of a call in each bootstrap draw of the seeds."""
    calls = list(next(iter(outcomes.values())).single)
    return np.array([gaps[:, calls.index(call)].max() for gaps in _drawn_gaps(outcomes, calls)])


def _drawn_gaps(outcomes, calls) -> Iterator[np.ndarray]:
    """Yield regrets of shape [settings, calls] from each draw of the seeds."""
    rng = np.random.default_rng(0)
    tests = np.array([[outcome.single[call].test for call in calls] for outcome in outcomes.values()])
    seeds = tests.shape[-1]
    for _ in range(DRAWS):
        means = tests[..., rng.integers(0, seeds, seeds)].mean(-1)
        yield means.max(1, keepdims=True) - means
