"""The comparison's report: what its files hold, regret, the rule for the default, tables, sentences and a picture."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import stats

from ..lib.report import picture, spread, table, wrapped
from ..lib.study import finished, of_seeds, rounded, rows
from .entrants import ARCTAN, DEFAULT, ENTRANTS, FAST_SIGMOID, FOCUS
from .settings import MADE

TIE, MEAN_TIE, FAILS, MATTERS, SIGNIFICANT, DRAWS = 0.5, 0.1, 5.0, 1.0, 0.05, 1000  # points; probability; bootstrap


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
      region: validation scores in per cent by entrant, gain and rate.
    """

    about: str
    rate: float
    best: dict[str, np.ndarray]
    same: dict[str, np.ndarray]
    rates: dict[str, float]
    loss: dict[str, float]
    firing: dict[str, float]
    region: dict[tuple[str, str | float, float], float]


Outcomes = Mapping[str, Outcome]


def load(folder: Path) -> dict[str, Outcome]:
    """Read the finished settings of a folder, in the order of the plan, with the entrants that all of them have."""
    found = {name: folder / f"{name}.json" for name in MADE}
    grids = {name: grid for name, path in found.items() if (grid := finished(path, "compare"))}
    names = [e for e in ENTRANTS if all(e in grid["best"] for grid in grids.values())]
    return {name: _outcome(found[name], grid, names) for name, grid in grids.items()}


def _outcome(path, grid, names):
    settings, every = json.loads(path.read_text())["settings"], rows(path)
    runs = of_seeds([r for r in every if r["gain"] == settings["gain"]], grid["seeds"], "entrant", "rate")
    best = {name: runs[name, rounded(grid["best"][name])] for name in names}
    explored = finished(path, "explore") or {"choosing": None}
    return Outcome(
        settings["about"],
        grid["own"],
        best={name: 100 * columns["test"] for name, columns in best.items()},
        same={name: 100 * runs[name, rounded(grid["own"])]["test"] for name in names},
        rates={name: grid["best"][name] for name in names},
        loss={name: float(columns["loss"].mean()) for name, columns in best.items()},
        firing={name: float(columns["firing"].mean()) for name, columns in best.items()},
        region={
            (r["entrant"], r["gain"], r["rate"]): 100 * r["validation"]
            for r in every
            if r["seed"] == explored["choosing"]
        },
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


def by_the_rule(gaps: np.ndarray, names: list[str]) -> str:
    """Return the entrant that the rule of docs/plan.md chooses from regrets ``[settings, entrants]``."""
    worst, mean = gaps.max(0), gaps.mean(0)
    near = [i for i in range(len(names)) if worst[i] <= worst.min() + TIE]
    first = min(near, key=lambda i: mean[i])
    stays = names.index(DEFAULT) if DEFAULT in names else first
    return names[stays] if stays in near and mean[stays] <= mean[first] + MEAN_TIE else names[first]


def chosen(outcomes: Outcomes) -> str:
    """Return the entrant that shall be the layers' default."""
    return by_the_rule(*_gaps(outcomes))


def tie(outcomes: Outcomes, one: str, other: str) -> bool:
    """Check whether the rule can't tell two entrants apart."""
    worst, mean = ([of(regrets(outcomes)[n].values()) for n in (one, other)] for of in (max, lambda v: np.mean([*v])))
    return abs(worst[0] - worst[1]) <= TIE and abs(mean[0] - mean[1]) <= MEAN_TIE


def hangs_on(outcomes: Outcomes) -> dict[str, str]:
    """Return the settings without which the rule chooses another entrant, and which."""
    others = {name: {n: o for n, o in outcomes.items() if n != name} for name in outcomes if len(outcomes) > 1}
    return {name: new for name, rest in others.items() if (new := chosen(rest)) != chosen(outcomes)}


def in_draws(outcomes: Outcomes) -> dict[str, float]:
    """Return in which share of bootstrap draws of the seeds each entrant is chosen."""
    rng, names = np.random.default_rng(0), list(next(iter(outcomes.values())).best)
    tests = np.array([list(outcome.best.values()) for outcome in outcomes.values()])  # [settings, entrants, seeds]
    share, seeds = dict.fromkeys(names, 0.0), tests.shape[-1]
    for _ in range(DRAWS):
        means = tests[..., rng.integers(0, seeds, seeds)].mean(-1)
        share[by_the_rule(means.max(1, keepdims=True) - means, names)] += 1 / DRAWS
    return share


def indistinguishable(tests: Mapping[str, np.ndarray]) -> set[str]:
    """Return the entrants that can't be told from the best: paired t test over the seeds, corrected by Holm."""
    best = max(tests, key=lambda name: tests[name].mean())
    p = {name: _paired(tests[best], test) for name, test in tests.items() if name != best}
    kept, rejecting = {best}, True
    for rank, name in enumerate(sorted(p, key=p.get)):
        rejecting = rejecting and p[name] <= SIGNIFICANT / (len(p) - rank)
        kept |= set() if rejecting else {name}
    return kept


def _paired(one, other):
    """Return the probability of a paired t test; differences that are all the same have no spread to test with."""
    difference = one - other
    if np.ptp(difference) < 1e-6:
        return float(abs(difference.mean()) < 1e-6)
    return float(stats.ttest_rel(one, other).pvalue)


def _gaps(outcomes):
    behind = regrets(outcomes)
    return np.array([list(of.values()) for of in behind.values()]).T, list(behind)


# What is written


def worst(of: Mapping[str, float]) -> str:
    """Return the setting in which an entrant is furthest behind."""
    return max(of, key=of.get)


def typed(name: str) -> str:
    """Write what one types for an entrant."""
    return f"`{ENTRANTS[name].typed}`"


def overview(outcomes: Outcomes, most: int | None = None) -> str:
    """Make the table of entrants, or of its first lines with that of `FOCUS`: the smallest worst regret first."""
    behind, same, best = regrets(outcomes), regrets(outcomes, "same"), chosen(outcomes)
    order = sorted(behind, key=lambda name: (name != best, max(behind[name].values())))
    if most:
        order = list(dict.fromkeys([*order[: most - 1], FOCUS if FOCUS not in order[: most - 1] else order[most - 1]]))
    lines = []
    for name in order:
        of, rate = behind[name], same[name]
        numbers = max(of.values()), np.mean([*of.values()]), max(rate.values())
        firing = np.mean([outcome.firing[name] for outcome in outcomes.values()])
        what = f"**{typed(name)}**" if name == best else typed(name)
        lines.append((what, *(f"{number:.1f}" for number in numbers), f"{firing:.2f}", worst(of)))
    return table(("configuration", "worst", "mean", "worst, one rate", "firing rate", "worst in"), lines)


def advice(outcomes: Outcomes) -> list[str]:
    """Write the answers of the page, in its order."""
    return [
        what_to_type(outcomes),
        when_it_fails(outcomes),
        when_it_does_not_matter(outcomes),
        your_default(outcomes),
        the_log_tail(outcomes),
    ]


def what_to_type(outcomes: Outcomes) -> str:
    """Say which configuration the rule chooses."""
    best, behind = chosen(outcomes), regrets(outcomes)
    of = behind[best]
    text = "Nothing: the layers' default" if best == DEFAULT else typed(best)
    text = (
        f"**What to type.** {text}. Its learning rate chosen, it is at most {max(of.values()):.1f} points behind the "
        f"best of {len(behind)} configurations in each of {len(outcomes)} settings, {np.mean([*of.values()]):.1f} on "
        "average."
    )
    if best != ARCTAN and ARCTAN in behind and tie(outcomes, best, ARCTAN):
        text += f" {typed(ARCTAN)}, which everyone knows, ties: {max(behind[ARCTAN].values()):.1f} at most."
    return text


def when_it_fails(outcomes: Outcomes) -> str:
    """Say where the chosen one is far behind, and how wide the region is in which a deep network learns."""
    best = chosen(outcomes)
    of = regrets(outcomes)[best]
    far = [f"*{outcomes[s].about}* by {gap:.1f}" for s, gap in of.items() if gap > FAILS]
    text = (
        f"more than {FAILS:g} points behind in {', '.join(far)}"
        if far
        else f"nowhere more than {FAILS:g} points behind"
    )
    parts = [f"**When it fails.** It is {text}; furthest in *{outcomes[worst(of)].about}*."]
    for outcome in outcomes.values():
        if outcome.region:
            wide = {name: len(learns) for name, learns in _learning(outcome).items()}
            tried = len({key[1:] for key in outcome.region if not isinstance(key[1], str)})
            shares = ", ".join(f"{typed(name)} {n}" for name, n in wide.items())
            parts.append(
                f"Gain and rate decide more than the surrogate: in *{outcome.about}*, of {tried} pairs of them, those "
                f"within {FAILS:g} points of the best are {shares}. If the loss does not move, ask `diagnose`, and "
                "try a rate three times smaller and weights 1.4 times larger."
            )
    return " ".join(parts)


def _learning(outcome: Outcome) -> dict[str, list]:
    """Return the fixed gains and rates of each entrant that come within `FAILS` points of the best of all."""
    top = max(outcome.region.values())
    fixed = {key: value for key, value in outcome.region.items() if not isinstance(key[1], str)}
    names = dict.fromkeys(name for name, *_ in fixed)
    return {n: [k[1:] for k, value in fixed.items() if k[0] == n and value >= top - FAILS] for n in names}


def when_it_does_not_matter(outcomes: Outcomes) -> str:
    """Say in which settings nearly all entrants are alike."""
    behind = regrets(outcomes)
    alike = [s for s in outcomes if sum(of[s] > MATTERS for of in behind.values()) <= 3]
    return (
        f"**When it does not matter.** In {len(alike)} of {len(outcomes)} settings all configurations but three are "
        f"within {MATTERS:g} point of the best, each at its best rate"
        + (f": *{'*, *'.join(alike)}*." if alike else ".")
    )


def your_default(outcomes: Outcomes) -> str:
    """Say what the default of each library comes to."""
    behind, texts = regrets(outcomes), []
    for name, entrant in ENTRANTS.items():
        if entrant.whose and name != DEFAULT and name in behind:
            of = behind[name]
            texts.append(f"{entrant.whose} ({typed(name)}): {max(of.values()):.1f} at most, *{worst(of)}*")
    return f"**What your library's default does.** Points behind the best: {'; '.join(texts)}."


def the_log_tail(outcomes: Outcomes) -> str:
    """Say where LogTailedRelu is as good, and where it is not."""
    behind = regrets(outcomes)
    names = [name for name in behind if name.startswith("LogTailedRelu")]
    best = min(names, key=lambda name: np.mean([*behind[name].values()]))
    of = behind[best]
    good, bad = ([s for s, gap in of.items() if test(gap)] for test in (lambda g: g <= MATTERS, lambda g: g > FAILS))
    text = f"**LogTailedRelu** is best as {typed(best)}: within {MATTERS:g} point in {len(good)} of {len(of)} settings"
    return text + (f", more than {FAILS:g} points behind in *{'*, *'.join(bad)}*." if bad else ".")


def how_sure(outcomes: Outcomes) -> list[str]:
    """Write how much the choice hangs on seeds and settings, and what was not trained to its end."""
    draws = sorted(in_draws(outcomes).items(), key=lambda item: -item[1])[:3]
    shares = ", ".join(f"{typed(name)} in {share:.0%}" for name, share in draws if share)
    left = hangs_on(outcomes)
    other = "; ".join(f"without *{name}* {typed(new)}" for name, new in left.items())
    return [
        f"In bootstrap resamples of the seeds the rule chooses {shares}. Leaving out one setting changes the choice in "
        f"{len(left)} of {len(outcomes)}{': ' + other if other else ''}.",
    ]


def region(outcome: Outcome) -> str:
    """Make the table of regret over gain and rate of a setting, a line for an entrant and a gain."""
    top = max(outcome.region.values())
    rates = sorted({rate for *_, rate in outcome.region})
    lines = []
    for name, gain in dict.fromkeys(key[:2] for key in outcome.region):
        cells = [outcome.region.get((name, gain, rate)) for rate in rates]
        shown = gain if isinstance(gain, str) else f"weights x {gain:g}"
        if None not in cells:
            lines.append((f"{typed(name)}, {shown}", *(f"{top - cell:.1f}" for cell in cells)))
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
    with picture(path, size=(4.2, 5.2), dpi=200) as ((axis,),):
        for y, name in enumerate(order):
            of = behind[name]
            color = {chosen(outcomes): "C0", FAST_SIGMOID: "C1"}.get(
                name, "C3" if name.startswith("LogTail") else "0.4"
            )
            axis.scatter(list(of.values()), [y] * len(of), s=16, alpha=0.7, color=color)
            axis.annotate(worst(of), (max(of.values()), y), xytext=(4, 3), textcoords="offset points", fontsize=7)
        axis.set_yticks(range(len(order)), order, fontsize=9)
        axis.set_xscale("symlog", linthresh=1)
        axis.set_xticks([0, 1, 5, 20, 80], ["0", "1", "5", "20", "80"])
        axis.set(xlabel="points behind the best", xlim=(-0.1, 200))
        axis.grid(axis="x", alpha=0.3)
