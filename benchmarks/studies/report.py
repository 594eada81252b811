"""The report of the comparison: tables and a picture of the numbers from `regret`."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..lib.report import picture, table
from . import regret
from .entrants import ARCTAN, CANDIDATES, FAST_SIGMOID, PRESENT, WHOSE
from .regret import COST, FAR, GIVEN, GRID, HALF, NAMES, RATES, TUNED, WORST, Outcome, Points

TWO_GAPS = ("surrogate", "gap, tuned learning rate (points)", "gap, fixed learning rate (points)")
KINDS_OF_TASK = {
    "with normalisation": ("batch", "residual", "layer"),
    "deep, without normalisation": ("deep", "momentum", "vowels"),
    "recurrent and long": ("rows", "speech", "recall", "memory", "chaos"),
    "counts as outputs": ("counts", "sums"),
}


class Comparison(NamedTuple):
    """The finished settings, and the conclusions from them.

    Attributes:
      outcomes: the outcomes by setting.
      points: gaps by kind and setting, ``[draws, entrants]``.
      families: the same by task group.
      over: the mean over task groups, by kind.
      alike: the number of settings in which each entrant is tied with the best.
      choice: the conclusion of the rule.
      others: for each task group, the default that follows from the other groups.
    """

    outcomes: Mapping[str, Outcome]
    points: Mapping[str, Points]
    families: Mapping[str, Points]
    over: Points
    alike: np.ndarray
    choice: regret.Choice
    others: Mapping[str, str]


def load(folder: Path) -> Comparison:
    """Read the finished settings of a folder and compare them."""
    outcomes = regret.load(folder)
    points = regret.regrets(outcomes)
    families = {kind: regret.of_families(of) for kind, of in points.items()}
    over = {kind: regret.over(by_family) for kind, by_family in families.items()}
    alike = np.sum([regret.same(outcome.tuned) for outcome in outcomes.values()], 0)
    choice, others = (of(families[TUNED], families[COST]) for of in (regret.default, regret.left_out))
    return Comparison(outcomes, points, families, over, alike, choice, others)


def typed(name: str) -> str:
    """Format the code that users type for an entrant."""
    return f"`bs.{name}`"


def number(points: np.ndarray) -> str:
    """Format a gap with its 95 % interval, from ``[draws]``."""
    low, high = np.quantile(points[1:], (0.025, 0.975))
    return f"{points[0]:z.1f} ({low:z.1f} to {high:z.1f})"


def listed(names) -> str:
    """List settings or task groups."""
    return ", ".join(f"*{name}*" for name in names)


def cheapest_first(found: Comparison) -> Iterator[tuple[int, str]]:
    """Yield the index and the name of each configuration, the smallest cost first and the default in bold."""
    for i in found.over[COST][0].argsort():
        yield i, f"**{typed(NAMES[i])}**" if NAMES[i] == found.choice.name else typed(NAMES[i])


def gaps(found: Comparison) -> str:
    """Make the table for users: both gaps, and the libraries whose layers have the surrogate as default."""
    lines = [
        (what, *(number(found.over[kind][:, i]) for kind in (TUNED, GIVEN)), WHOSE[NAMES[i]])
        for i, what in cheapest_first(found)
    ]
    return table((*TWO_GAPS, "default of"), lines)


def overview(found: Comparison) -> str:
    """Make the table of configurations, the smallest cost first, and of the rule, scored on groups not used for it."""
    lines, kinds = [], (TUNED, GIVEN, WORST, HALF)
    for i, what in cheapest_first(found):
        where, points = regret.furthest(found.families[TUNED], i)
        numbers = [number(found.over[kind][:, i]) for kind in kinds]
        lines.append((what, *numbers, f"{number(points)} in *{where}*", found.alike[i]))
    unseen = (number(regret.scored(found.families[kind], found.others)) for kind in kinds)
    lines.append(("default chosen by the other groups", *unseen, "", ""))
    more = "gap, worst fixed learning rate (points)", "validation gap, half of the epochs (points)"
    return table((*TWO_GAPS, *more, "largest gap, tuned learning rate (points)", "tasks tied with the best"), lines)


def answers(found: Comparison) -> str:
    """Make the table of the best candidate for each kind of task, and of the default there."""
    lines, own = [], NAMES.index(found.choice.name)
    for kind, names in KINDS_OF_TASK.items():
        if known := [name for name in names if name in found.outcomes]:
            cost = regret.over(regret.of_families(found.points[COST], known))
            best = int(cost[0, : len(CANDIDATES)].argmin())
            scores = [found.outcomes[name].tuned[own] for name in known]
            failed = sum((of < np.median(of) - FAR).sum() for of in scores)
            numbers = number(cost[:, best]), number(cost[:, own] - cost[:, best])
            lines.append((kind, listed(known), typed(NAMES[best]), *numbers, f"{failed} of {sum(map(len, scores))}"))
    return table(("task kind", "tasks", "best surrogate", "its gap", "loss with default", "default failures"), lines)


def by_rate(found: Comparison) -> str:
    """Make the table of gaps at each fixed learning rate, sorted by the mean gap."""
    order, of = found.over[GIVEN][0].argsort(), found.over[RATES][0]
    lines = [(typed(NAMES[i]), *(f"{points:.1f}" for points in of[i]), number(found.over[GIVEN][:, i])) for i in order]
    return table(("surrogate", *(f"gap at {rate:g} (points)" for rate in GRID.rates), "mean gap (points)"), lines)


def short(found: Comparison) -> str:
    """Make the README's table: the chosen default, well-known surrogates, and the best `LogTailedRelu`."""
    tails = (i for i, name in enumerate(NAMES) if name.startswith("LogTailedRelu"))
    first = [*dict.fromkeys((found.choice.name, ARCTAN, PRESENT))][:2]
    shown = [*map(NAMES.index, (*first, FAST_SIGMOID)), min(tails, key=found.over[TUNED][0].item)]
    lines = [(typed(NAMES[i]), *(f"{found.over[kind][0, i]:.1f}" for kind in (TUNED, GIVEN))) for i in shown]
    return table(TWO_GAPS, lines)


def candidates(found: Comparison) -> str:
    """Make the table of the numbers that the rule weighs."""
    cost, lines, out = found.over[COST], [], found.choice.out
    for i in cost[0, : len(CANDIDATES)].argsort():
        name, less = NAMES[i], cost[:, NAMES.index(PRESENT)] - cost[:, i]
        gains = ("", "") if name == PRESENT else (number(less), f"{(less[1:] > 0).mean():.0%}")
        without = [family for family, of in found.others.items() if of == name]
        chosen = "any other" if name == found.choice.name else listed(without)
        lines.append((typed(name), number(cost[:, i]), *gains, out.get(name, ""), chosen))
    head = "candidate", "average gap (points)", f"gain over {typed(PRESENT)} (points)", "resamples with a gain"
    return table((*head, "excluded by", "chosen without"), lines)


def sections(found: Comparison) -> Iterator[str]:
    """Yield the tables over settings, one for each kind of regret, with a letter for each configuration."""
    letters = [chr(ord("a") + i) for i in range(len(NAMES))]
    yield table(("letter", "surrogate"), zip(letters, map(typed, NAMES), strict=True))
    titles = {"tuned learning rate": [TUNED], "halfway": [HALF], "fixed learning rate, mean / worst": [GIVEN, WORST]}
    for title, kinds in titles.items():
        write = number if kinds == [TUNED] else lambda points: f"{points[0]:.1f}"
        lines = []
        for setting, outcome in found.outcomes.items():
            each = zip(*(map(write, found.points[kind][setting].T) for kind in kinds), strict=True)
            edges = [" e" * (kinds == [TUNED] and name in outcome.edges) for name in NAMES]
            lines.append((setting, *(" / ".join(of) + edge for of, edge in zip(each, edges, strict=True))))
        yield f"### Gap, {title}\n\n{table(('task', *letters), lines)}"


def draw(found: Comparison, path: Path):
    """Draw the gap of each entrant to the best, with a dot for each task group, readable on a phone."""
    order = found.over[COST][0].argsort()[::-1]
    with picture(path, size=(4.2, 5.6), dpi=200) as ((axis,),):
        for kind, up, color, label in ((TUNED, 0.18, "C0", "tuned rate"), (GIVEN, -0.18, "C1", "fixed rate")):
            dots = np.array([points[0] for points in found.families[kind].values()])[:, order]
            y = np.broadcast_to(np.arange(len(order)) + up, dots.shape)
            axis.scatter(dots, y, s=12, alpha=0.6, color=color, label=label, linewidths=0)
            axis.scatter(found.over[kind][0, order], y[0], s=60, marker="|", color="black")
        names = [NAMES[i].replace(".scaled", "\n.scaled") for i in order]
        axis.set_yticks(range(len(order)), names, fontsize=8)
        axis.set_xscale("symlog", linthresh=1)
        axis.set_xticks([0, 1, 5, 20, 80], ["0", "1", "5", "20", "80"])
        axis.minorticks_off()
        axis.set(xlabel="gap to the best (percentage points)", xlim=(-0.1, 110))
        axis.grid(axis="x", alpha=0.3)
        axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False, fontsize=8)
