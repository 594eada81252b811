"""The family compared: what was tuned, which call needs no tuning, and what can't be told from chance."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from scipy import stats

from ...lib import results
from ...lib.report import Claim
from ...lib.runs import rows
from ..choice import ALWAYS, SEEDS, best_factor, choose, shortlist
from ..family import ADAPTED, CALIBRATED, TRAINED, recorded, shapes_in
from ..settings import names
from ..shapes import SHAPES, Call

TIE, SIGNIFICANT, DRAWS = 0.5, 0.05, 1000  # points; probability; of the bootstrap
FOCUS = "LogTailedRelu"


class Entry(NamedTuple):
    """What ten networks came to: test accuracies in per cent by seed, and means of the rest.

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
    """The entries of a setting: every shape tuned; single calls at the setting's rate and at their best; adapted."""

    about: str
    gain: float
    tuned: dict[str, Entry]
    single: dict[str, Entry]
    best_rate: dict[str, Entry]
    adapted: dict[str, Entry]


Outcomes = Mapping[str, Outcome]


def load(folder: Path) -> dict[str, Outcome]:
    """Read every setting of a folder, with the shapes that all have; a ValueError says which run is missing."""
    paths = {name: path for name in names() if (path := folder / f"{name}.json").exists()}
    scores, shapes = {name: recorded(path) for name, path in paths.items()}, shapes_in(list(paths.values()))
    chosen = list(map(str, shortlist(list(scores.values()), shapes)))
    return {name: _outcome(paths[name], scores[name], shapes, chosen) for name in paths}


def _outcome(path, score, shapes, chosen):
    table: dict[tuple[str, float], dict[int, dict]] = {}
    reported = [row for row in rows(path) if row["seed"] in SEEDS]
    for row in reported:
        table.setdefault((row["call"], row["rate"]), {})[row["seed"]] = row

    def entry(call, factor):
        of_seeds = table.get((str(call), float(f"{factor:.6g}")), {})
        if set(of_seeds) < set(SEEDS):
            raise ValueError(
                f"{path} has {len(of_seeds)} of {len(SEEDS)} runs of {call} at {factor:.2g} times the rate"
            )
        column = {name: np.array([of_seeds[seed][name] for seed in SEEDS]) for name in ("test", "loss", "firing")}
        widths = [of_seeds[seed]["width"] for seed in SEEDS]
        means = [float(np.mean(values)) for values in (column["loss"], column["firing"], widths)]
        return Entry(str(call), factor, 100 * column["test"], *means)

    by_name = {str(call): call for call in map(parse, chosen)}
    about = json.loads(path.read_text())["settings"]["about"]
    adapted = [f"{how}: {call}" for call in ADAPTED for how in (*CALIBRATED, *TRAINED)]
    return Outcome(
        about,
        gain=reported[0]["gain"],
        tuned={shape: entry(*choose(shape, score)) for shape in shapes},
        single={name: entry(call, 1.0) for name, call in by_name.items()},
        best_rate={name: entry(call, best_factor(call, score)) for name, call in by_name.items()},
        adapted={name: entry(name, 1.0) for name in adapted},
    )


def parse(text: str) -> Call:
    """Read a call as it is printed."""
    shape, *parts = text.split()
    numbers = {name: float(value) for name, value in (part.split("=") for part in parts)}
    return Call(shape, numbers.get("alpha"), numbers.get("width"))


# What is concluded


def behind(entries: Mapping[str, Entry]) -> dict[str, float]:
    """Return how many points each entry is behind the best."""
    top = max(entry.mean for entry in entries.values())
    return {name: top - entry.mean for name, entry in entries.items()}


def regrets(outcomes: Outcomes, kind: str = "single") -> dict[str, dict[str, float]]:
    """Return how far each call is behind the best: of the single calls at one rate, or with it tuned, of all shapes."""
    found: dict[str, dict[str, float]] = {}
    for name, outcome in outcomes.items():
        entries = getattr(outcome, kind)
        gaps = behind(entries if kind == "single" else outcome.tuned | entries)
        for call in entries:
            found.setdefault(call, {})[name] = gaps[call]
    return found


def default(outcomes: Outcomes) -> Call:
    """Choose the layers' default by the rule of PLAN.md."""
    table = regrets(outcomes)
    worst = {call: max(gaps.values()) for call, gaps in table.items()}
    near = [call for call, gap in worst.items() if gap <= min(worst.values()) + TIE]
    ours = [call for call in near if parse(call).shape == FOCUS]
    return parse(min(ours or near, key=lambda call: (np.mean(list(table[call].values())), call)))


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


def steadiest_in(outcomes: Outcomes) -> dict[str, float]:
    """Return in which share of bootstrap draws of the seeds each call has the smallest worst regret."""
    rng, calls = np.random.default_rng(0), list(next(iter(outcomes.values())).single)
    tests = np.array([[outcome.single[call].test for call in calls] for outcome in outcomes.values()])
    wins = np.zeros(len(calls))
    for _ in range(DRAWS):
        means = tests[..., rng.integers(0, len(SEEDS), len(SEEDS))].mean(-1)
        wins[(means.max(1, keepdims=True) - means).max(0).argmin()] += 1 / DRAWS
    return dict(zip(calls, wins.tolist(), strict=True))


# Tables


def single_table(outcomes: Outcomes) -> str:
    """Make a table with a row per call that needs no tuning, the recommended one in bold, at most eight."""
    fixed, tuned, share = regrets(outcomes), regrets(outcomes, "best_rate"), steadiest_in(outcomes)
    best, table = str(default(outcomes)), []
    order = sorted(fixed, key=lambda call: max(fixed[call].values()))
    always = [str(call) for call in ALWAYS]
    kept = [call for call in order if call not in always][: 8 - len(always)] + always
    for call in dict.fromkeys([best, *kept]):
        gaps = fixed[call]
        where = outcomes[max(gaps, key=lambda name: gaps[name])].about
        name = f"**`{written(call)}`**" if call == best else f"`{written(call)}`"
        numbers = [max(gaps.values()), np.mean(list(gaps.values())), max(tuned[call].values())]
        table.append([name, *(f"{number:.1f}" for number in numbers), f"{share[call]:.0%}", where])
    header = ["call", "worst", "mean", "worst, rate tuned", "steadiest in", "where it is worst"]
    return results.table(header, table[:8])


def written(call: str) -> str:
    """Write a call as a user types it, with the parameters that are not at their default."""
    shape, alpha, _ = parse(call)
    surrogate, usual = SHAPES[shape], type(SHAPES[shape])().named_parameters()[1]
    changed = {name: value for name, value in surrogate.named_parameters()[1].items() if value != usual[name]}
    made = parse(call).surrogate
    scales = {"height": float(f"{made.height:.3g}"), "width": float(f"{made.width:.3g}")}
    scales = {name: value for name, value in scales.items() if value != 1}
    text = f"bs.{shape}({_arguments(changed) if alpha is None else f'{alpha:g}'})"
    return f"{text}.scaled({_arguments(scales)})" if scales else text


def _arguments(values):
    return ", ".join(f"{name}={value:g}" for name, value in values.items())


def setting_table(outcome: Outcome) -> str:
    """Make the table of a setting: every shape tuned, sorted; an asterisk where it can't be told from the best."""
    same, table = indistinguishable(outcome.tuned), []
    for shape in sorted(outcome.tuned, key=lambda shape: -outcome.tuned[shape].mean):
        entry = outcome.tuned[shape]
        mark = " \\*" if shape in same else ""
        accuracy = f"{entry.mean:.1f} ± {entry.test.std(ddof=1):.1f}{mark}"
        table.append([f"`{entry.call}`", f"x {entry.factor:.2g}", accuracy, f"{entry.loss:.3f}", f"{entry.firing:.2f}"])
    return results.table(["call", "rate", "test accuracy, %", "training loss", "firing rate"], table)


def adapted_table(outcomes: Outcomes) -> str:
    """Make a table of calibrated and trained widths beside the best fixed width of the same shape."""
    table = []
    for call in map(str, ADAPTED):
        for how in (*CALIBRATED, *TRAINED):
            gaps = {name: _best_width(o, call) - o.adapted[f"{how}: {call}"].mean for name, o in outcomes.items()}
            within = sum(gap <= 1 for gap in gaps.values())
            ends = [o.adapted[f"{how}: {call}"].width for o in outcomes.values()]
            unit = float(parse(call).surrogate.width) / (parse(call).width or 1)
            end = "-" if how in CALIBRATED else f"{min(ends) / unit:.2g} to {max(ends) / unit:.2g}"
            worst = max(gaps, key=lambda name: gaps[name])
            row = [f"`{call}`, {how}", f"{within} of {len(gaps)}", f"{gaps[worst]:.1f}", outcomes[worst].about, end]
            table.append(row)
    header = ["shape and rule", "within a point of the best width", "worst", "where", "widths end at"]
    return results.table(header, table)


def _best_width(outcome, call):
    """Return the best accuracy of a shape: tuned, or one of its single calls."""
    shape = parse(call).shape
    single = [e.mean for name, e in (outcome.single | outcome.best_rate).items() if parse(name).shape == shape]
    return max([outcome.tuned[shape].mean, *single])


# Claims


def claims(outcomes: Outcomes) -> list[Claim]:
    """Return the claims of the first edition that PLAN.md tests again, each with its numbers."""
    tuned = {name: behind(outcome.tuned) for name, outcome in outcomes.items()}
    worst = {shape: max(gaps[shape] for gaps in tuned.values()) for shape in next(iter(tuned.values()))}
    steady = min(worst, key=lambda shape: worst[shape])
    found = [
        Claim(
            "The steadiest shape, tuned, stays within 2 points of the best in every setting",
            worst[steady] <= 2,
            ", ".join(f"{shape} {worst[shape]:.1f}" for shape in sorted(worst, key=lambda s: worst[s])[:4]),
        )
    ]
    for name, text, points in (
        ("randman-0.03", "With small weights LogTailedRelu is more than 10 points behind", 10),
        ("depth-12", "12 layers cost LogTailedRelu more than 10 points", 10),
    ):
        if name in tuned:
            gap = tuned[name][FOCUS]
            found.append(Claim(text, gap > points, f"{outcomes[name].tuned[FOCUS].call}: {gap:.1f} points"))
    for name in ("depth-12", "speech"):
        if name in tuned:
            lost = outcomes[name].tuned[FOCUS].mean - outcomes[name].tuned["LeakyRelu"].mean
            text = f"Without its tail (LeakyRelu) LogTailedRelu loses more than 10 points: {outcomes[name].about}"
            found.append(Claim(text, lost > 10, f"{lost:.1f} points"))
    return found


# Pictures


def draw(outcomes: Outcomes, folder: Path):
    """Draw points behind the best: shapes tuned, and single calls, over settings."""
    figure, axes = plt.subplots(1, 2, figsize=(13, 6.2), layout="constrained")
    for axis, kind, title in (
        (axes[0], "tuned", "every shape tuned, behind the best shape"),
        (axes[1], "single", "one call without tuning, behind the best call"),
    ):
        gaps = [behind(getattr(outcome, kind)) for outcome in outcomes.values()]
        order = sorted(gaps[0], key=lambda name: np.mean([column[name] for column in gaps]))
        matrix = np.array([[column[name] for column in gaps] for name in order])
        picture = axis.imshow(np.minimum(matrix, 20), cmap="magma_r", vmin=0, vmax=20, aspect="auto")
        for column, outcome in enumerate(outcomes.values()):
            same = indistinguishable(getattr(outcome, kind))
            for row, name in enumerate(order):
                value, dark = matrix[row, column], matrix[row, column] > 10
                shown = f"{value:.0f}" if value >= 0.95 else f"{value:.1f}"[1:]
                axis.text(column, row, shown, ha="center", va="center", fontsize=7, color="white" if dark else "black")
                if name in same:
                    box = plt.Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, hatch="////", lw=0, ec="0.75")
                    axis.add_patch(box)
        axis.set_xticks(range(len(outcomes)), outcomes, rotation=60, ha="right", fontsize=8)
        axis.set_yticks(range(len(order)), order, fontsize=8)
        for label in axis.get_yticklabels():
            label.set_color("C3" if label.get_text().startswith(FOCUS) else "black")
        axis.set_title(title, fontsize=10)
    figure.colorbar(picture, ax=list(axes), label="points behind the best (20: or more)", shrink=0.7)
    figure.suptitle("hatched: can't be told from the best (paired t test over ten seeds, Holm)", fontsize=9)
    figure.savefig(folder / "family.png", dpi=110)
    plt.close(figure)
