"""What the first edition claimed, tested again, each claim with its numbers whether it holds or not."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from ...lib.report import Claim
from ..shapes import Call
from .family import LEARNT, grid_by_alpha
from .outcomes import FOCUS, Outcomes, behind, indistinguishable

SUPERSPIKE = "SoftSign"  # the shape of SuperSpike's gradient
NO_TAIL = "LeakyRelu"  # LogTailedRelu without its tail
USUAL = ("Sigmoid", "Arctan")  # without a special tail
AT_BEST = "at the best width and rate (validation, one seed)"


def claims(outcomes: Outcomes) -> Iterator[Claim]:
    """Yield the claims whose settings and shapes are there; the text is the first edition's where it had the claim."""
    groups = [over_all, about_weights, about_depth, about_sixteen]
    groups += [partial(about_tails, decades=decades) for decades in (2, 3)]
    groups += [partial(about_recurrence, name=name) for name in ("speech", "vowels")]
    for group in groups:
        try:
            yield from list(group(outcomes))
        except KeyError:  # one that is not there
            continue


def over_all(outcomes):
    tuned = [behind(outcome.tuned) for outcome in outcomes.values()]
    worst = {shape: max(gaps[shape] for gaps in tuned) for shape in tuned[0]}
    mean = {shape: np.mean([gaps[shape] for gaps in tuned]) for shape in tuned[0]}
    order, rank = sorted(worst, key=worst.get), sorted(mean, key=mean.get)
    yield Claim(
        "S2NN, its parameter chosen for the task, is never more than 1.9 points behind the best in any setting",
        worst["S2NN"] <= 1.9,
        f"{worst['S2NN']:.1f} points at worst; the mildest are {', '.join(f'{s} {worst[s]:.1f}' for s in order[:3])}",
    )
    yield Claim(
        "The steadiest surrogate, its parameter chosen for the task, stays within 2 points of the best in any setting",
        worst[order[0]] <= 2,
        f"{order[0]}, {worst[order[0]]:.2f} points at worst",
    )
    yield Claim(
        "The derivative of the fast sigmoid (SoftSign's shape) is the best overall, as Herranz-Celotti and Rouat 2024 "
        "find on other data (Stabilizing Spiking Neuron Training)",
        rank[0] == SUPERSPIKE,
        f"place {rank.index(SUPERSPIKE) + 1} of {len(rank)} by the mean distance to the best, each shape tuned: "
        f"{mean[SUPERSPIKE]:.1f} points, {rank[0]} {mean[rank[0]]:.1f}; they tune height, width and tail, and use "
        "other data and recurrent networks",
    )


def about_weights(outcomes):
    usual, small = outcomes["randman-3"], outcomes["randman-0.03"]
    scales = {float(name.partition("-")[2]): o for name, o in outcomes.items() if name.startswith("randman")}
    supers = {scale: outcome.tuned[SUPERSPIKE].mean for scale, outcome in scales.items()}
    near = [scale for scale in supers if supers[scale] >= max(supers.values()) - 5]
    yield Claim(
        "SuperSpike stays within 5 points of its best over scales that differ by a factor of 30 or more",
        max(near) / min(near) >= 30,
        f"{_listed(supers.values())} at scales {', '.join(f'{s:g}' for s in supers)}, tuned at each",
    )
    grid = {Call.parse(c).width: v for (c, factor), v in usual.grid.items() if factor == 1 and c.startswith(SUPERSPIKE)}
    grid = {width: grid[width] for width in sorted(grid) if 0.1 <= width <= 2}
    yield Claim(
        "SuperSpike's own scale beta may be changed twentyfold at a cost of at most 5 points",
        np.ptp(list(grid.values())) <= 5,
        f"{_listed(grid.values())} at half-widths {', '.join(f'{w:g}' for w in grid)} (validation, one seed)",
    )
    by_alpha = grid_by_alpha(small)
    dead = {alpha: sum(v < LEARNT for v in of) for alpha, of in by_alpha.items()}
    yield Claim(
        "LogTailedRelu(0) dies when the first weights are small, and with alpha = 0.01 or more never",
        dead[0.0] > 0 and sum(dead.values()) == dead[0.0],
        f"networks at chance by alpha: {', '.join(f'{a:g}: {n} of {len(by_alpha[a])}' for a, n in dead.items())}",
    )
    gap, entry = behind(small.tuned)[FOCUS], small.tuned[FOCUS]
    text = "With first weights x 0.03 LogTailedRelu is more than 10 points behind the best"
    yield Claim(text, gap > 10, f"{gap:.1f} points, with `{entry.call}`")
    gap, entry = behind(usual.tuned)[FOCUS], usual.tuned[FOCUS]
    text = "At a usual scale LogTailedRelu at its best alpha is within a point of the best surrogate"
    yield Claim(text, gap <= 1, f"{gap:.1f} points, with `{entry.call}`")


def about_depth(outcomes):
    deep = outcomes["depth-12"]
    ours, without = deep.tuned[FOCUS], deep.tuned[NO_TAIL]
    text = "With 12 hidden layers the log tail is worth 10 points or more"
    yield Claim(text, ours.mean - without.mean >= 10, f"{_shown(ours)}, {_shown(without)}")
    best, gap = max(deep.tuned.values(), key=lambda entry: entry.mean), behind(deep.tuned)[FOCUS]
    text = "With 12 hidden layers another surrogate is better than LogTailedRelu by more than a point"
    yield Claim(text, gap > 1, f"{_shown(best)}, {gap:.1f} points ahead (11.3 in the first edition)")
    by_alpha = {alpha: max(of) for alpha, of in grid_by_alpha(deep).items()}
    text = "With 12 hidden layers LogTailedRelu needs an alpha above 0"
    yield Claim(text, by_alpha[0.0] < max(by_alpha.values()) - 10, f"{_by_alpha(by_alpha)} {AT_BEST}")


def about_sixteen(outcomes):
    deepest = outcomes["depth-16"]
    gaps = behind(deepest.tuned)
    yield Claim(
        "With 16 hidden layers S2NN is more than 10 points behind the best, as in a table of the first edition",
        gaps["S2NN"] > 10,
        f"{gaps['S2NN']:.1f} points; the order is {', '.join(f'{s} {gaps[s]:.1f}' for s in sorted(gaps, key=gaps.get))}"
        f"; {len(indistinguishable(deepest.tuned))} of them can't be told from the best",
    )


def about_tails(outcomes, decades):
    """Claim averages over settings: amplitudes spread between examples, and between channels."""
    settings = [outcomes[f"{kind}-{decades}"] for kind in ("examples", "channels")]
    over = f"Over {'two' if decades == 2 else 'three'} decades"

    def at(alpha, shape):
        return float(np.mean([max(grid_by_alpha(outcome, shape)[alpha]) for outcome in settings]))

    for alpha, worth in ((0.0, "2 points or more"), (0.1, "less than 2 points")):
        tail, none = at(alpha, FOCUS), at(alpha, NO_TAIL)
        text = f"{over} the tail is worth {worth} at alpha {alpha:g}"
        yield Claim(text, (tail - none >= 2) == (alpha == 0), f"{tail:.1f}% with it, {none:.1f}% without, {AT_BEST}")
    mean = {shape: np.mean([outcome.tuned[shape].mean for outcome in settings]) for shape in (*USUAL, FOCUS)}
    yield Claim(
        f"{over} a surrogate without a special tail, {' or '.join(USUAL)}, is as good as LogTailedRelu",
        max(mean[shape] for shape in USUAL) >= mean[FOCUS] - 0.5,
        ", ".join(f"{name} {value:.1f}%" for name, value in mean.items()),
    )


def about_recurrence(outcomes, name):
    outcome, setting = outcomes[name], {"speech": "Spoken digits", "vowels": "Japanese vowels"}[name]
    ours, without = outcome.tuned[FOCUS], outcome.tuned[NO_TAIL]
    by_alpha = {alpha: max(of) for alpha, of in grid_by_alpha(outcome).items()}
    small, large = (max(v for a, v in by_alpha.items() if (a <= 0.03) == is_small) for is_small in (True, False))
    text = f"{setting}: in a recurrent network LogTailedRelu with an alpha above 0.03 loses 5 points or more"
    yield Claim(text, small - large >= 5, f"{_by_alpha(by_alpha)} {AT_BEST}")
    text = f"{setting}: without its tail, as LeakyRelu, LogTailedRelu loses 10 points or more in a recurrent network"
    yield Claim(text, ours.mean - without.mean >= 10, f"{_shown(ours)}, {_shown(without)}")


def _shown(entry):
    return f"`{entry.call}` {entry.mean:.1f}%"


def _by_alpha(values):
    return ", ".join(f"alpha {alpha:g}: {value:.1f}%" for alpha, value in values.items())


def _listed(values):
    return ", ".join(f"{value:.1f}%" for value in values)
