"""What the first edition claimed, tested again, each claim with its numbers whether it holds or not."""

from collections.abc import Iterator

import numpy as np

from ...lib.report import Claim
from ..shapes import Call
from .family import LEARNT, grid_by_alpha
from .outcomes import FOCUS, Outcome, Outcomes, behind, indistinguishable

SUPERSPIKE = "SoftSign"  # the shape of SuperSpike's gradient
NO_TAIL = "LeakyRelu"  # LogTailedRelu without its tail
USUAL = ("Sigmoid", "Arctan")  # without a special tail


def claims(outcomes: Outcomes) -> Iterator[Claim]:
    """Yield the claims whose settings and shapes are there; the text is the first edition's where it had the claim."""
    shapes = set(next(iter(outcomes.values())).tuned)
    randman = {name: outcome for name, outcome in outcomes.items() if name.startswith("randman")}
    decades = {name: o for name, o in outcomes.items() if name.startswith(("examples", "channels"))}
    if {"S2NN", SUPERSPIKE} <= shapes:
        yield from _over_all(outcomes)
    if {"randman-0.03", "randman-3"} <= set(randman) and {SUPERSPIKE, FOCUS} <= shapes:
        yield from _about_weights(randman)
    if "depth-12" in outcomes and {FOCUS, NO_TAIL} <= shapes:
        yield from _about_depth(outcomes["depth-12"])
    if "depth-16" in outcomes and "S2NN" in shapes:
        yield _about_sixteen(outcomes["depth-16"])
    if decades and {FOCUS, NO_TAIL, *USUAL} <= shapes:
        yield from _about_decades(decades)
    for name, setting in {"speech": "Spoken digits", "vowels": "Japanese vowels"}.items():
        if name in outcomes and {FOCUS, NO_TAIL} <= shapes:
            yield from _about_recurrence(setting, outcomes[name])


def _over_all(outcomes):
    tuned = {name: behind(outcome.tuned) for name, outcome in outcomes.items()}
    everywhere = "S2NN, its parameter chosen for the task, is never more than 1.9 points behind the best in any setting"
    worst = {shape: max(gaps[shape] for gaps in tuned.values()) for shape in next(iter(tuned.values()))}
    order = sorted(worst, key=lambda shape: worst[shape])
    yield Claim(
        everywhere,
        worst["S2NN"] <= 1.9,
        f"{worst['S2NN']:.1f} points at worst; the mildest are {', '.join(f'{s} {worst[s]:.1f}' for s in order[:3])}",
    )
    yield Claim(
        "The steadiest surrogate, its parameter chosen for the task, stays within 2 points of the best in any setting",
        worst[order[0]] <= 2,
        f"{order[0]}, {worst[order[0]]:.2f} points at worst",
    )
    mean = {shape: np.mean([gaps[shape] for gaps in tuned.values()]) for shape in worst}
    rank = sorted(mean, key=lambda shape: mean[shape])
    yield Claim(
        "The derivative of the fast sigmoid (SoftSign's shape) is the best overall, as Herranz-Celotti and Rouat 2024 "
        "find on other data (Stabilizing Spiking Neuron Training)",
        rank[0] == SUPERSPIKE,
        f"place {rank.index(SUPERSPIKE) + 1} of {len(rank)} by the mean distance to the best, each shape tuned: "
        f"{mean[SUPERSPIKE]:.1f} points, {rank[0]} {mean[rank[0]]:.1f}; they tune height, width and tail, and use "
        "other data and recurrent networks",
    )


def _about_weights(randman: Outcomes):
    scales = {name: float(name.partition("-")[2]) for name in randman}
    supers = {name: outcome.tuned[SUPERSPIKE].mean for name, outcome in randman.items()}
    near = [scales[name] for name in supers if supers[name] >= max(supers.values()) - 5]
    yield Claim(
        "SuperSpike stays within 5 points of its best over scales that differ by a factor of 30 or more",
        max(near) / min(near) >= 30,
        f"{_listed(supers.values())} at scales {', '.join(f'{s:g}' for s in scales.values())}, tuned at each",
    )
    usual, small = randman["randman-3"], randman["randman-0.03"]
    grid = {Call.parse(c).width: v for (c, factor), v in usual.grid.items() if factor == 1 and c.startswith(SUPERSPIKE)}
    widths = sorted(width for width in grid if 0.1 <= width <= 2)
    at = ", ".join(f"{width:g}" for width in widths)
    yield Claim(
        "SuperSpike's own scale beta may be changed twentyfold at a cost of at most 5 points",
        max(grid[w] for w in widths) - min(grid[w] for w in widths) <= 5,
        f"{_listed(grid[w] for w in widths)} at half-widths {at} (validation, one seed)",
    )
    by_alpha = grid_by_alpha(small)
    dead = {alpha: sum(v < LEARNT for v in of) for alpha, of in by_alpha.items()}
    yield Claim(
        "LogTailedRelu(0) dies when the first weights are small, and with alpha = 0.01 or more never",
        dead[0.0] > 0 and sum(dead.values()) == dead[0.0],
        f"networks at chance by alpha: {', '.join(f'{a:g}: {n} of {len(by_alpha[a])}' for a, n in dead.items())}",
    )
    gap = behind(small.tuned)[FOCUS]
    yield Claim(
        "With first weights x 0.03 LogTailedRelu is more than 10 points behind the best",
        gap > 10,
        f"{gap:.1f} points, with `{small.tuned[FOCUS].call}`",
    )
    gap = behind(usual.tuned)[FOCUS]
    yield Claim(
        "At a usual scale LogTailedRelu at its best alpha is within a point of the best surrogate",
        gap <= 1,
        f"{gap:.1f} points, with `{usual.tuned[FOCUS].call}`",
    )


def _about_depth(deep: Outcome):
    tail = deep.tuned[FOCUS].mean - deep.tuned[NO_TAIL].mean
    yield Claim(
        "With 12 hidden layers the log tail is worth 10 points or more",
        tail >= 10,
        f"`{deep.tuned[FOCUS].call}` {deep.tuned[FOCUS].mean:.1f}%, `{deep.tuned[NO_TAIL].call}` "
        f"{deep.tuned[NO_TAIL].mean:.1f}%",
    )
    best = max(deep.tuned, key=lambda shape: deep.tuned[shape].mean)
    gap = behind(deep.tuned)[FOCUS]
    yield Claim(
        "With 12 hidden layers another surrogate is better than LogTailedRelu by more than a point",
        gap > 1,
        f"`{deep.tuned[best].call}` {deep.tuned[best].mean:.1f}%, {gap:.1f} points ahead (11.3 in the first edition)",
    )
    by_alpha = {alpha: max(of) for alpha, of in grid_by_alpha(deep).items()}
    yield Claim(
        "With 12 hidden layers LogTailedRelu needs an alpha above 0",
        by_alpha[0.0] < max(by_alpha.values()) - 10,
        f"{_by_alpha(by_alpha)} at the best width and rate (validation, one seed)",
    )


def _about_sixteen(deepest: Outcome):
    gaps = behind(deepest.tuned)
    order = sorted(gaps, key=lambda shape: gaps[shape])
    return Claim(
        "With 16 hidden layers S2NN is more than 10 points behind the best, as in a table of the first edition",
        gaps["S2NN"] > 10,
        f"{gaps['S2NN']:.1f} points; the order is {', '.join(f'{shape} {gaps[shape]:.1f}' for shape in order)}; "
        f"{len(indistinguishable(deepest.tuned))} of them can't be told from the best",
    )


def _about_decades(decades: Outcomes):
    for number, word in ((2, "two"), (3, "three")):
        settings = [outcome for name, outcome in decades.items() if name.endswith(f"-{number}")]
        if settings:
            yield from _about_tails(f"Over {word} decades", settings)


def _about_tails(over, settings):
    """Claim averages over settings: amplitudes spread between examples, and between channels."""

    def at(alpha, shape):
        return float(np.mean([max(grid_by_alpha(outcome, shape)[alpha]) for outcome in settings]))

    for alpha, text, holds in (
        (0.0, f"{over} the tail is worth 2 points or more at alpha 0", lambda gain: gain >= 2),
        (0.1, f"{over} the tail is worth less than 2 points at alpha 0.1", lambda gain: gain < 2),
    ):
        tail, none = at(alpha, FOCUS), at(alpha, NO_TAIL)
        numbers = f"{tail:.1f}% with it, {none:.1f}% without, at the best width and rate (validation, one seed)"
        yield Claim(text, holds(tail - none), numbers)
    mean = {s: np.mean([o.tuned[s].mean for o in settings]) for s in (*USUAL, FOCUS)}
    yield Claim(
        f"{over} a surrogate without a special tail, {' or '.join(USUAL)}, is as good as LogTailedRelu",
        max(mean[shape] for shape in USUAL) >= mean[FOCUS] - 0.5,
        ", ".join(f"{name} {value:.1f}%" for name, value in mean.items()),
    )


def _about_recurrence(setting, outcome):
    by_alpha = {alpha: max(of) for alpha, of in grid_by_alpha(outcome).items()}
    small, large = ([v for a, v in by_alpha.items() if (a <= 0.03) == is_small] for is_small in (True, False))
    yield Claim(
        f"{setting}: in a recurrent network LogTailedRelu with an alpha above 0.03 loses 5 points or more",
        max(small) - max(large) >= 5,
        f"{_by_alpha(by_alpha)} at the best width and rate (validation, one seed)",
    )
    with_tail, without = outcome.tuned[FOCUS], outcome.tuned[NO_TAIL]
    yield Claim(
        f"{setting}: without its tail, as LeakyRelu, LogTailedRelu loses 10 points or more in a recurrent network",
        with_tail.mean - without.mean >= 10,
        f"`{with_tail.call}` {with_tail.mean:.1f}%, `{without.call}` {without.mean:.1f}%",
    )


def _by_alpha(values):
    return ", ".join(f"alpha {alpha:g}: {value:.1f}%" for alpha, value in values.items())


def _listed(values):
    return ", ".join(f"{value:.1f}%" for value in values)
