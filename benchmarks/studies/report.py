"""The report of the comparison's third edition: files, regret, the rule for the default, tables and sentences."""

import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import stats

from brainsurr.nnx import LIF

from ..lib.report import picture, spread, table, wrapped
from ..lib.study import finished, of_seeds, rounded, rows
from .entrants import ARCTAN, FAST_SIGMOID, FOCUS, NEW, PRESENT, WHOSE
from .entrants import ENTRANTS as ALL

TIE, MEAN_TIE, FAILS, MATTERS, SIGNIFICANT, DRAWS = 0.5, 0.1, 5.0, 1.0, 0.05, 1000  # points; probability; bootstrap

MADE = ("dense", "deep", "recall", "chaos", "rows", "convolution", "speech", "times", "zero", "randman", "small")
MADE += ("slow", "fast")
ENTRANTS = {name: surrogate for name, surrogate in ALL.items() if name not in NEW}


class Outcome(NamedTuple):
    """A setting: what each entrant came to, at its own best rate and at the setting's.

    Attributes:
      about: the setting in a few words.
      rate: the setting's own.
      best: test scores in per cent, by entrant, ``[seeds]``, at its best rate.
      same: the same at the setting's rate.
      rates: the best rate of each entrant.
      loss: of the last epoch, at its best rate.
      firing: spikes a neuron and step, the same.
      edges: the entrants whose best rate is the smallest or the largest of those tried.
      region: validation scores in per cent by entrant, gain and rate.
    """

    about: str
    rate: float
    best: dict[str, np.ndarray]
    same: dict[str, np.ndarray]
    rates: dict[str, float]
    loss: dict[str, float]
    firing: dict[str, float]
    edges: list[str]
    region: dict[tuple[str, str | float, float], float]


Outcomes = Mapping[str, Outcome]


def load(folder: Path) -> dict[str, Outcome]:
    """Read the finished settings of a folder, in the order of the plan, with the entrants that all of them have."""
    found = {name: folder / f"{name}.json" for name in MADE}
    grids = {name: grid for name, path in found.items() if (grid := finished(path, "compare"))}
    names = [e for e, now in ENTRANTS.items() if all(grid["entrants"].get(e) == str(now) for grid in grids.values())]
    return {name: _outcome(found[name], grid, names) for name, grid in grids.items()}


def _outcome(path, grid, names):
    settings, every = json.loads(path.read_text())["settings"], rows(path)
    runs = of_seeds([r for r in every if r["gain"] == settings["gain"]], grid["seeds"], "entrant", "rate")
    best = {name: runs[name, rounded(grid["best"][name])] for name in names}
    explored = finished(path, "explore") or dict.fromkeys(("entrants", "gains", "rates"), ())
    points = itertools.product((e for e in explored["entrants"] if e in names), explored["gains"], explored["rates"])
    first = {(r["entrant"], r["gain"], r["rate"]): r["validation"] for r in every if r["seed"] == grid["choosing"]}
    return Outcome(
        settings["about"],
        grid["own"],
        best={name: 100 * columns["test"] for name, columns in best.items()},
        same={name: 100 * runs[name, rounded(grid["own"])]["test"] for name in names},
        rates={name: grid["best"][name] for name in names},
        loss={name: float(columns["loss"].mean()) for name, columns in best.items()},
        firing={name: float(columns["firing"].mean()) for name, columns in best.items()},
        edges=[name for name in grid["edges"] if name in names],
        region={point: 100 * first[point] for point in points},
    )


# What is concluded


def regrets(outcomes: Outcomes, kind: str = "best") -> dict[str, dict[str, float]]:
    """Return by how many points each entrant is behind the best of each setting, the means of the seeds."""
    behind: dict[str, dict[str, float]] = {}
    for setting, outcome in outcomes.items():
        means = {name: float(test.mean()) for name, test in getattr(outcome, kind).items()}
        for name, mean in means.items():
            behind.setdefault(name, {})[setting] = max(means.values()) - mean
    return behind


def limit(behind: Mapping[str, Mapping[str, float]]) -> float:
    """Return the worst regret with which an entrant may still be the default, by the rule of docs/plan.md."""
    return min(max(of.values()) for of in behind.values()) + TIE


def tied(behind: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return the entrants that the rule of docs/plan.md can't tell apart, the best mean first, from their regrets."""
    most, mean = limit(behind), {name: float(np.mean([*of.values()])) for name, of in behind.items()}
    near = sorted((name for name, of in behind.items() if max(of.values()) <= most), key=mean.get)
    return [name for name in near if mean[name] <= mean[near[0]] + MEAN_TIE]


def chosen(behind: Mapping[str, Mapping[str, float]]) -> str:
    """Return the entrant that shall be the layers' default: the present one, if it is among those that tie."""
    first, *others = tied(behind)
    return PRESENT if PRESENT in others else first


def hangs_on(outcomes: Outcomes) -> dict[str, str]:
    """Return the settings without which the rule chooses another entrant, and which."""
    rest = {name: {n: o for n, o in outcomes.items() if n != name} for name in outcomes if len(outcomes) > 1}
    new = {name: chosen(regrets(others)) for name, others in rest.items()}
    return {name: other for name, other in new.items() if other != chosen(regrets(outcomes))}


def in_draws(outcomes: Outcomes) -> dict[str, float]:
    """Return in which share of bootstrap draws, of the seeds of each setting, each entrant is chosen."""
    rng, share = np.random.default_rng(0), {}
    for _ in range(DRAWS):
        drawn = {}
        for name, outcome in outcomes.items():
            seeds = len(next(iter(outcome.best.values())))
            picked = rng.integers(0, seeds, seeds)
            drawn[name] = outcome._replace(best={name: test[picked] for name, test in outcome.best.items()})
        best = chosen(regrets(drawn))
        share[best] = share.get(best, 0) + 1 / DRAWS
    return share


def indistinguishable(tests: Mapping[str, np.ndarray]) -> set[str]:
    """Return the entrants that can't be told from the best: paired t test over the seeds, corrected by Holm."""
    best = max(tests, key=lambda name: tests[name].mean())
    p = {name: paired(tests[best], test) for name, test in tests.items() if name != best}
    kept, rejecting = {best}, True
    for rank, name in enumerate(sorted(p, key=p.get)):
        rejecting = rejecting and p[name] <= SIGNIFICANT / (len(p) - rank)
        kept |= set() if rejecting else {name}
    return kept


def paired(one, other) -> float:
    """Return the probability of a paired t test; differences that are all the same have no spread to test with."""
    difference = one - other
    if np.ptp(difference) < 1e-6:
        return float(abs(difference.mean()) < 1e-6)
    return float(stats.ttest_rel(one, other).pvalue)


def learning(outcome: Outcome, name: str) -> list[tuple[float, float]]:
    """Return the fixed gains and rates of an entrant that come within `FAILS` points of the best of all."""
    top = max(outcome.region.values())
    points = {key[1:]: value for key, value in outcome.region.items() if key[0] == name and key[1] in fixed(outcome)}
    return [point for point, value in points.items() if value >= top - FAILS]


def fixed(outcome: Outcome) -> list[float]:
    """Return the gains that were tried, without those of the rule."""
    return [gain for gain in dict.fromkeys(key[1] for key in outcome.region) if not isinstance(gain, str)]


def by_gain(outcome: Outcome) -> dict[str | float, float]:
    """Return the regret at each gain, the mean over entrants and rates."""
    top, gains = max(outcome.region.values()), dict.fromkeys(key[1] for key in outcome.region)
    return {gain: top - np.mean([value for key, value in outcome.region.items() if key[1] == gain]) for gain in gains}


# What is written


def worst(of: Mapping[str, float]) -> str:
    """Return the setting in which an entrant is furthest behind."""
    return max(of, key=of.get)


def typed(name: str) -> str:
    """Write what one types for an entrant."""
    return f"`bs.{name}`"


def overview(outcomes: Outcomes, most: int | None = None) -> str:
    """Make the table of entrants, the smallest worst regret first, or for the README a part of it, with `FOCUS`."""
    behind, same = regrets(outcomes), regrets(outcomes, "same")
    best = chosen(behind)
    order = sorted(behind, key=lambda name: (name != best, max(behind[name].values())))
    first = order[: (most or len(order)) - 1]
    lines = []
    for name in order if most is None else dict.fromkeys([*first, FOCUS, *order]):
        of, rate = behind[name], same[name]
        numbers = max(of.values()), np.mean([*of.values()]), max(rate.values())
        firing = np.mean([outcome.firing[name] for outcome in outcomes.values()])
        what = f"**{typed(name)}**" if name == best else typed(name)
        lines.append((what, *(f"{number:.1f}" for number in numbers), f"{firing:.2f}", worst(of)))
    header, *lines = ("configuration", "worst", "mean", "worst, one rate", "firing rate", "worst in"), *lines[:most]
    short = {0: "configuration", 1: "points behind at most", 2: "on average", 5: "most in"}
    shown = dict(enumerate(header)) if most is None else short
    return table([*shown.values()], [[line[i] for i in shown] for line in lines])


def advice(outcomes: Outcomes) -> list[str]:
    """Write the answers of the page, in its order."""
    answers = when_it_fails, when_it_does_not_matter, your_default, the_log_tail
    first = f"{what_to_type(outcomes)} {resampled(outcomes)}"
    return [first, *(answer(outcomes) for answer in answers), *missing(outcomes)]


def missing(outcomes: Outcomes) -> list[str]:
    """Name what the code has and the files have not."""
    names = [typed(name) for name in ENTRANTS if not all(name in outcome.best for outcome in outcomes.values())]
    new = [f"Not compared yet: {', '.join(names)}."] * bool(names)
    settings = [name for name in MADE if name not in outcomes]
    return [f"These settings have not been finished: {', '.join(settings)}."] * bool(settings) + new


def what_to_type(outcomes: Outcomes) -> str:
    """Say which configuration the rule chooses."""
    behind = regrets(outcomes)
    best = chosen(behind)
    of, others = behind[best], [typed(name) for name in tied(behind) if name != best]
    is_default = ENTRANTS[best] == LIF(1).spike_fn.surrogate
    text = f"Nothing: {typed(best)} is the layers' default" if is_default else typed(best)
    text = (
        f"**What to type.** {text}. At a learning rate chosen by validation it is at most {max(of.values()):.1f} "
        f"points behind the best of {len(behind)} configurations in {len(outcomes)} settings, "
        f"{np.mean([*of.values()]):.1f} on average."
    )
    if others:
        text += f" {' and '.join(others)} {'tie' if len(others) > 1 else 'ties'}."
    if ARCTAN in behind and ARCTAN not in (best, *tied(behind)):
        text += f" {typed(ARCTAN)} is {max(behind[ARCTAN].values()):.1f} behind at most."
    return text


def when_it_fails(outcomes: Outcomes) -> str:
    """Say where the chosen one is far behind and what is better there, and how gain and rate decide."""
    behind = regrets(outcomes)
    best = chosen(behind)
    there = {s: min(behind, key=lambda name, s=s: behind[name][s]) for s in outcomes}
    far = [f"*{s}* by {gap:.1f} (take {typed(there[s])})" for s, gap in behind[best].items() if gap > FAILS]
    text = (
        f"more than {FAILS:g} points behind in {', '.join(far)}."
        if far
        else f"nowhere more than {FAILS:g} points behind."
    )
    explored = [of_region(outcome, name, best) for name, outcome in outcomes.items() if outcome.region]
    return " ".join([f"**When it fails.** It is {text}", *explored])


def of_region(outcome: Outcome, setting: str, best: str) -> str:
    """Say with which gains and rates a setting is learnt, and whether the rule for the gain is recommended."""
    rates, names = dict.fromkeys(key[2] for key in outcome.region), dict.fromkeys(key[0] for key in outcome.region)
    shares = ", ".join(f"{typed(name)} at {len(learning(outcome, name))}" for name in names)
    text = ""
    if points := learning(outcome, best):
        (low, high), (slow, fast) = ((min(values), max(values)) for values in zip(*points, strict=True))
        text = (
            f"But in *{setting}* it needs first weights x {low:g} to {high:g} and a rate of {slow:g} to {fast:g}: "
            "outside, change these before the surrogate. "
        )
    text += (
        f"Of {len(fixed(outcome)) * len(rates)} pairs of such a gain and a rate, these are within {FAILS:g} points of "
        f"the best: {shares}."
    )
    of = by_gain(outcome)
    gain, rule = (min(gains, key=of.get) for gains in (fixed(outcome), of.keys() - set(fixed(outcome))))
    better = of[rule] < of[gain]
    return text + (
        f" To scale each layer's weights until its potential, by `diagnose`, has a deviation of {rule.split()[-1]} x "
        f"the threshold {'is better than' if better else 'is not better than'} one gain for all: {of[rule]:.1f} points "
        "behind on average over rates and configurations, many of which learn nothing; weights x "
        f"{gain:g}: {of[gain]:.1f}."
    )


def when_it_does_not_matter(outcomes: Outcomes) -> str:
    """Say in which settings nearly all entrants are alike."""
    behind = regrets(outcomes)
    alike = [s for s in outcomes if sum(of[s] > MATTERS for of in behind.values()) <= 3]
    return (
        f"**When it does not matter.** In {len(alike)} of {len(outcomes)} settings all configurations but three at "
        f"most are within {MATTERS:g} point of the best, each at its best rate"
        + (f": *{'*, *'.join(alike)}*." if alike else ".")
    )


def your_default(outcomes: Outcomes) -> str:
    """Say what the default of each library comes to."""
    behind, texts = regrets(outcomes), []
    for name, whose in WHOSE.items():
        if whose and name in behind:
            of = behind[name]
            texts.append(f"- {whose}: {typed(name)}, at most {max(of.values()):.1f} in *{worst(of)}*.")
    return "\n".join(["**What your library's default does.** Points behind the best:\n", *texts])


def the_log_tail(outcomes: Outcomes) -> str:
    """Say where LogTailedRelu is as good, and where it is not."""
    behind = {name: of for name, of in regrets(outcomes).items() if name.startswith("LogTailedRelu")}
    best = min(behind, key=lambda name: np.mean([*behind[name].values()]))
    of = behind[best]
    good, bad = ([s for s, gap in of.items() if test(gap)] for test in (lambda g: g <= MATTERS, lambda g: g > FAILS))
    text = f"**LogTailedRelu** is best, on average, as {typed(best)}: within {MATTERS:g} point in {len(good)} of "
    text += f"{len(of)} settings" + (f" (*{'*, *'.join(good)}*)" if good else "")
    return text + (f", more than {FAILS:g} points behind in *{'*, *'.join(bad)}*." if bad else ".")


def how_sure(outcomes: Outcomes) -> str:
    """Write how much the choice hangs on settings, the rule's limit and the rates; on seeds, `resampled` does."""
    left = hangs_on(outcomes)
    other = "; ".join(f"without *{name}* {typed(new)}" for name, new in left.items())
    edges = [f"{typed(name)} in *{s}*" for s, outcome in outcomes.items() for name in outcome.edges]
    choices = sum(len(outcome.best) for outcome in outcomes.values())
    return (
        f"Leaving out one setting changes the choice in {len(left)} of {len(outcomes)}"
        f"{': ' + other if other else ''}. {outside(outcomes)}In {len(edges)} of {choices} choices the best rate is an "
        f"outermost one of those tried{': ' + ', '.join(edges) if edges else ''}."
    )


def outside(outcomes: Outcomes) -> str:
    """Name the entrant whose worst regret is nearest outside of the rule's limit, if there is one."""
    behind = regrets(outcomes)
    most = limit(behind)
    if not (beyond := {name: gap for name, of in behind.items() if (gap := max(of.values())) > most}):
        return ""
    near = min(beyond, key=beyond.get)
    return (
        f"Of those whose worst is beyond the rule's {most:.2f} points, {typed(near)} is nearest, {beyond[near]:.2f}. "
    )


def resampled(outcomes: Outcomes) -> str:
    """Say how often the rule chooses which configuration, from other seeds."""
    draws = sorted(in_draws(outcomes).items(), key=lambda item: -item[1])[:3]
    shares = ", ".join(f"{typed(name)} in {share:.0%}" for name, share in draws)
    first = "Which is first is within the noise: in" if draws[0][1] < 0.5 else "In"
    return f"{first} bootstrap resamples of the seeds the rule chooses {shares}."


def region(outcome: Outcome) -> str:
    """Make the table of regret over gain and rate of a setting, a line for an entrant and a gain."""
    top, rates = max(outcome.region.values()), sorted({key[2] for key in outcome.region})
    lines = []
    for name, gain in dict.fromkeys(key[:2] for key in outcome.region):
        shown = gain if isinstance(gain, str) else f"weights x {gain:g}"
        lines.append((f"{typed(name)}, {shown}", *(f"{top - outcome.region[name, gain, rate]:.1f}" for rate in rates)))
    return table(("points behind the best, validation", *(f"rate {rate:g}" for rate in rates)), lines)


def setting_table(outcome: Outcome) -> str:
    """Make the table of a setting, the best first; in bold what can't be told from it."""
    alike, lines = indistinguishable(outcome.best), []
    for name, test in sorted(outcome.best.items(), key=lambda item: -item[1].mean()):
        what = f"**{typed(name)}**" if name in alike else typed(name)
        numbers = spread(outcome.same[name], 1), f"{outcome.loss[name]:.3f}", f"{outcome.firing[name]:.3f}"
        lines.append((what, f"{outcome.rates[name]:g}", spread(test, 1), *numbers))
    header = ("configuration", "best rate", "test", f"test at {outcome.rate:g}", "loss", "firing rate")
    return table(header, lines)


def sections(outcomes: Outcomes) -> Iterator[str]:
    """Yield the appendix: each setting's table, and those of gain and rate."""
    for name, outcome in outcomes.items():
        yield f"### {name}\n\n{wrapped(outcome.about + '.')}\n\n{setting_table(outcome)}"
        if outcome.region:
            yield region(outcome)


def draw(outcomes: Outcomes, path: Path):
    """Draw how far behind each entrant is, a dot a setting, in type that a telephone shows."""
    behind = regrets(outcomes)
    order = sorted(behind, key=lambda name: -max(behind[name].values()))
    with picture(path, size=(4.2, 5.6), dpi=200) as ((axis,),):
        for y, name in enumerate(order):
            of = behind[name]
            others = "C3" if name.startswith("LogTail") else "0.4"
            color = {chosen(behind): "C0", FAST_SIGMOID: "C1"}.get(name, others)
            axis.scatter(list(of.values()), [y] * len(of), s=16, alpha=0.7, color=color)
            axis.annotate(worst(of), (max(of.values()), y), xytext=(4, 3), textcoords="offset points", fontsize=8)
        axis.set_yticks(range(len(order)), [name.replace(".scaled", "\n.scaled") for name in order], fontsize=8)
        axis.set_xscale("symlog", linthresh=1)
        axis.set_xticks([0, 1, 5, 20, 80], ["0", "1", "5", "20", "80"])
        axis.set(xlabel="points behind the best", xlim=(-0.1, 600))
        axis.grid(axis="x", alpha=0.3)
