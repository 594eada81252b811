"""The report of the comparison: sentences, tables and the picture, of the numbers that `regret` has."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from brainsurr.nnx import LIF

from ..lib.report import picture, spread, table, wrapped
from ..lib.results import RESULTS
from . import regret, settings, weights
from .entrants import ARCTAN, CANDIDATES, ENTRANTS, FAST_SIGMOID, PRESENT, WHOSE
from .regret import COST, FAR, GIVEN, GRID, HALF, NAMES, OUT, RATES, TUNED, WORST, Outcome, Points


class Comparison(NamedTuple):
    """What is finished, and what follows from it.

    Attributes:
      outcomes: by setting.
      points: by kind and setting, ``[draws, entrants]``.
      families: the same by family.
      over: the mean over families by kind.
      alike: in how many settings each entrant is the same as the best.
      choice: the rule's.
      others: for each family, the default that follows from the others.
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


# How it is written


def typed(name: str) -> str:
    """Write what one types for an entrant."""
    return f"`bs.{name}`"


def number(points: np.ndarray) -> str:
    """Write points with their 95 % interval, from ``[draws]``."""
    low, high = np.quantile(points[1:], (0.025, 0.975))
    return f"{points[0]:z.1f} ({low:z.1f} to {high:z.1f})"


def listed(names) -> str:
    """List settings or families."""
    return ", ".join(f"*{name}*" for name in names)


def best_tail(found: Comparison) -> int:
    """Return which `LogTailedRelu` is least behind when tuned."""
    return min((i for i, name in enumerate(NAMES) if name.startswith("LogTailedRelu")), key=found.over[TUNED][0].item)


# The advice


def advice(found: Comparison) -> list[str]:
    """Write the answers of the page, in its order."""
    return [
        f"{what_to_type(found)} {elsewhere(found)} {why(found.choice, found.families[TUNED])} {runner_up(found)}",
        at_a_given_rate(found),
        cheapest(found, "If you have normalisation", "batch", "residual", "layer"),
        f"{cheapest(found, 'Deep without it', 'deep', 'momentum', 'vowels')} {first_weights()}",
        cheapest(found, "Recurrent and long", "rows", "speech", "recall", "memory", "chaos"),
        cheapest(found, "Counts as outputs", "counts", "sums"),
        log_tail(found),
    ]


def missing(found: Comparison) -> list[str]:
    """Name the settings that are not finished."""
    names = [name for name in settings.MADE if name not in found.outcomes]
    return [f"Not finished: {listed(names)}."] * bool(names)


def what_to_type(found: Comparison) -> str:
    """Say which configuration the rule chooses."""
    name, families = found.choice.name, len(found.families[TUNED])
    is_default = ENTRANTS[name] == LIF(1).spike_fn.surrogate
    first = f"Nothing: {typed(name)} is the default of `LIF` and `ALIF`" if is_default else f"`spike_fn=bs.{name}`"
    tuned, given = (number(found.over[kind][:, NAMES.index(name)]) for kind in (TUNED, GIVEN))
    return (
        f"**What to type.** {first}. On average over {families} families of settings it is {tuned} points behind the "
        f"best of {len(NAMES)} configurations at its best learning rate, {given} at a given rate (95 % intervals)."
    )


def elsewhere(found: Comparison) -> str:
    """Say how far behind the choice of the rule is where it was not made."""
    tuned, given = (number(regret.scored(found.families[kind], found.others)) for kind in (TUNED, GIVEN))
    return f"Chosen by the other families and scored on the one left out, it is {tuned} and {given} behind."


def why(choice: regret.Choice, tuned: Points) -> str:
    """Say what the rule had to weigh, from points by family."""
    far = f"more than {OUT:g} points behind at the best rate"
    if choice.winner is None:
        return f"Each of the {len(CANDIDATES)} candidates is somewhere {far}, and the default stays."
    if PRESENT in choice.out:
        where, of = regret.furthest(tuned, NAMES.index(PRESENT))
        return f"{typed(PRESENT)}, the default before, is {number(of)} behind at its best rate in *{where}*: too far."
    if choice.winner == PRESENT:
        few = len(CANDIDATES) - len(choice.out)
        return f"Of {len(CANDIDATES)} candidates {few} are nowhere {far}, and it costs least of these."
    less = number(choice.less)
    if choice.name == choice.winner:
        return f"It costs {less} less than {typed(PRESENT)}, the default before."
    little = choice.less[0] < regret.WORTH
    return f"{typed(choice.winner)} costs {less} less, {'too little' if little else 'in too few draws'} for a change."


def runner_up(found: Comparison) -> str:
    """Say what a cost is, and the next candidate's."""
    cost = found.over[COST]
    kept = [i for i in cost[0, : len(CANDIDATES)].argsort() if NAMES[i] not in found.choice.out]
    above = [(NAMES[i], cost[:, i] - cost[:, kept[0]]) for i in kept[1:2]]
    more = [f"; {typed(name)} is second, {number(by)} above the least" for name, by in above]
    return (
        f"The *cost* is the mean of the points behind at its best rate and at a given one{''.join(more)}. "
        f"[How sure](studies.md#how-sure) weighs the {len(CANDIDATES)} candidates for the default."
    )


def least(found: Comparison, question: str, where: str, cost: np.ndarray) -> str:
    """Answer a question: which candidate costs least, and how much more the default, from ``[draws, entrants]``."""
    best, own = int(cost[0, : len(CANDIDATES)].argmin()), NAMES.index(found.choice.name)
    behind = cost[:, own] - cost[:, best]
    more = f", the default {number(behind)} more{', which may be chance' * bool(np.quantile(behind[1:], 0.025) < 0)}"
    who = "The default" if best == own else typed(CANDIDATES[best])
    return f"**{question}** ({where}). {who} costs least, {number(cost[:, best])}{more if best != own else ''}."


def cheapest(found: Comparison, question: str, *names: str) -> str:
    """Answer a question that some settings are about."""
    if not (known := [name for name in names if name in found.outcomes]):
        return f"**{question}.** Not finished: {listed(names)}."
    costs = regret.over(regret.of_families(found.points[COST], known))
    return f"{least(found, question, listed(known), costs)}{failed(found, known)}"


def failed(found: Comparison, names: list[str]) -> str:
    """Count the default's networks that are far below its others."""
    default = {name: found.outcomes[name].tuned[NAMES.index(found.choice.name)] for name in names}
    far = ((name, scores < np.median(scores) - FAR) for name, scores in default.items())
    each = " and ".join(f"{of.sum()} of {len(of)} networks in *{name}*" for name, of in far if of.any())
    return f" The default fails at times: {each} end over {FAR:g} points below their median." if each else ""


def at_a_given_rate(found: Comparison) -> str:
    """Answer what to take at a given rate, by what is behind the best at the same rate alone."""
    where = f"{GRID.rates[0]:g} to {GRID.rates[-1]:g}, of SGD 30 times that; points behind at the same rate"
    cheap = (CANDIDATES[i] for i in found.over[GIVEN][0, : len(CANDIDATES)].argsort())
    two, of = [*dict.fromkeys((found.choice.name, *cheap))][:2], found.over[RATES][0]
    at = {name: zip(of[NAMES.index(name)], GRID.rates, strict=True) for name in two}
    each = [f"{typed(name)} {', '.join(f'{n:.1f} at {rate:g}' for n, rate in points)}" for name, points in at.items()]
    return f"{least(found, 'If your rate is fixed', where, found.over[GIVEN])} Rate by rate: {'; '.join(each)}."


def first_weights() -> str:
    """Say how to scale the first weights of deep networks, and what it is worth."""
    gain, deep = settings.DEEP["gain"], weights.at_best(RESULTS / f"weights/layers-{settings.DEPTH}.json")
    with_, without = (spread(100 * deep[f"x {by:g}"]["test"], 1) for by in (gain, 1))
    return (
        f"First scale all weights but the readout's, where linear layers and neurons take turns: "
        f"`for layer in net.layers[:-2:2]: layer.kernel[...] *= {gain:g}`. {settings.DEPTH} layers of Flax and "
        f"{typed(weights.SURROGATE)} have {with_} % with it, {without} without (± over seeds, at best rates)."
    )


def log_tail(found: Comparison) -> str:
    """Say how far behind the best of its forms is."""
    i = best_tail(found)
    where, points = regret.furthest(found.families[TUNED], i)
    return (
        f"**LogTailedRelu in a paper.** {typed(NAMES[i])}, the best of its forms if you tune the rate, is "
        f"{number(found.over[TUNED][:, i])} points behind at its best rate, {points[0]:.1f} in *{where}*, and the same "
        f"as the best within a point in {found.alike[i]} of {len(found.outcomes)} settings."
    )


# Tables


def overview(found: Comparison) -> str:
    """Make the table of configurations, the cheapest first."""
    lines = []
    for i in found.over[COST][0].argsort():
        what, (where, points) = typed(NAMES[i]), regret.furthest(found.families[TUNED], i)
        what = f"**{what}**" if NAMES[i] == found.choice.name else what
        numbers = [number(found.over[kind][:, i]) for kind in (TUNED, GIVEN, WORST, HALF)]
        lines.append((what, *numbers, f"{number(points)} in *{where}*", found.alike[i]))
    return table(("configuration", "best rate", "given rate", "worst rate", "half-way", "furthest", "the same"), lines)


def short(found: Comparison) -> str:
    """Make the README's table: what to type, what everyone knows, and how little others may be."""
    first = [*dict.fromkeys((found.choice.name, ARCTAN, PRESENT))][:2]
    shown = [*map(NAMES.index, (*first, FAST_SIGMOID)), best_tail(found)]
    lines = [(typed(NAMES[i]), *(f"{found.over[kind][0, i]:.1f}" for kind in (TUNED, GIVEN))) for i in shown]
    return table(("configuration", "points behind at its best rate", "at a given rate"), lines)


def candidates(found: Comparison) -> str:
    """Make the table of what the rule weighs."""
    cost, lines = found.over[COST], []
    less = (cost[1:] < cost[1:, [NAMES.index(PRESENT)]]).mean(0)
    for i in cost[0, : len(CANDIDATES)].argsort():
        share = "" if NAMES[i] == PRESENT else f"{less[i]:.0%}"
        lines.append((typed(NAMES[i]), number(cost[:, i]), share, found.choice.out.get(NAMES[i], "")))
    return table(("candidate", "cost", f"draws in which it costs less than {typed(PRESENT)}", "out by"), lines)


def how_sure(found: Comparison) -> str:
    """Write how much the choice hangs on one family, and which best rates are on an edge."""
    others = [name for name in CANDIDATES if name != found.choice.name]
    instead = {name: [family for family, of in found.others.items() if of == name] for name in others}
    edges = {name: [setting for setting, of in found.outcomes.items() if name in of.edges] for name in NAMES}

    def of_all(number, places, where):
        names = "; ".join(f"{typed(name)} {where} {listed(of)}" for name, of in places.items() if of)
        return f"{sum(map(len, places.values()))} of {number}{': ' * bool(names)}{names}."

    return (
        f"Leaving out one family changes the choice in {of_all(len(found.others), instead, 'without')} "
        f"The best rate is an outermost one of those tried in {of_all(len(NAMES) * len(found.outcomes), edges, 'in')}"
    )


def sections(found: Comparison) -> Iterator[str]:
    """Yield the tables over settings, one for each kind of regret, with a letter for each configuration."""
    letters = [chr(ord("a") + i) for i in range(len(NAMES))]
    yield wrapped(f"{', '.join(f'*{letter}* {typed(name)}' for letter, name in zip(letters, NAMES, strict=True))}.")
    titles = {"At its best rate": [TUNED], "Half-way": [HALF], "At a given rate, mean / worst": [GIVEN, WORST]}
    for title, kinds in titles.items():
        write = number if kinds == [TUNED] else lambda points: f"{points[0]:.1f}"
        lines = []
        for name in found.outcomes:
            each = zip(*(map(write, found.points[kind][name].T) for kind in kinds), strict=True)
            lines.append((name, *map(" / ".join, each)))
        yield f"### {title}\n\n{table(('setting', *letters), lines)}"


def whose() -> str:
    """Name the libraries in whose layers a configuration is the default."""
    return "; ".join(f"{typed(name)}: {libraries}" for name, libraries in WHOSE.items() if libraries)


def draw(found: Comparison, path: Path):
    """Draw how far behind each entrant is, a dot a family, in type that a telephone shows."""
    order = found.over[COST][0].argsort()[::-1]
    with picture(path, size=(4.2, 5.6), dpi=200) as ((axis,),):
        for kind, up, color, label in ((TUNED, 0.18, "C0", "best rate"), (GIVEN, -0.18, "C1", "given rate")):
            dots = np.array([points[0] for points in found.families[kind].values()])[:, order]
            y = np.broadcast_to(np.arange(len(order)) + up, dots.shape)
            axis.scatter(dots, y, s=12, alpha=0.6, color=color, label=label, linewidths=0)
            axis.scatter(found.over[kind][0, order], y[0], s=60, marker="|", color="black")
        names = [NAMES[i].replace(".scaled", "\n.scaled") for i in order]
        axis.set_yticks(range(len(order)), names, fontsize=8)
        axis.set_xscale("symlog", linthresh=1)
        axis.set_xticks([0, 1, 5, 20, 80], ["0", "1", "5", "20", "80"])
        axis.minorticks_off()
        axis.set(xlabel="points behind the best", xlim=(-0.1, 110))
        axis.grid(axis="x", alpha=0.3)
        axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False, fontsize=8)
