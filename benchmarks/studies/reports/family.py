"""The comparison of the family as a page shows it: tables, and a heat map of points behind the best."""

import itertools
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from ...lib.report import picture, spread, table
from ..choice import ALWAYS
from ..family import CALIBRATED
from ..shapes import SHAPES, Call, normalised, peak
from .outcomes import (
    FOCUS,
    Outcomes,
    behind,
    default,
    in_draws,
    indistinguishable,
    regrets,
    rules,
    with_adapted,
)

SHOWN, DRAWN_UP_TO = 8, 20  # calls in a table; points behind the best in the picture
ALPHAS, WIDTHS = (0.01, 0.1), (0.1, 0.25, 0.5, 1.0, 2.0)  # of a rerun in twelve layers
LEARNT = 20  # per cent: twice chance


def grid_by_alpha(outcome, shape=FOCUS) -> dict[float, list[float]]:
    """Return the validation accuracies of a shape's grid, one seed, by its alpha."""
    accuracies: dict[float, list[float]] = {}
    for (text, _), value in outcome.grid.items():
        call = None if ":" in text else Call.parse(text)
        if call and call.shape == shape:
            accuracies.setdefault(call.alpha, []).append(value)
    return dict(sorted(accuracies.items()))


# Tables


def single_table(outcomes: Outcomes, shown: int = SHOWN, short: bool = False) -> str:
    """Make a table with a row per call that needs no tuning, the recommended one in bold, then the others in order.

    Short, it says how far each is behind, and where.
    """
    fixed, tuned, (share, _) = regrets(outcomes), regrets(outcomes, "best_rate"), in_draws(outcomes)
    best, lines = str(default(outcomes)), []
    order = sorted(fixed, key=lambda call: max(fixed[call].values()))
    ours = next((call for call in order if Call.parse(call).shape == FOCUS), None)
    always = [call for call in dict.fromkeys([ours, *map(str, ALWAYS)]) if call in fixed]
    kept = [call for call in order if call not in (best, *always)]
    always = [call for call in always if call != best]
    for call in [best, *sorted([*kept[: shown - 1 - len(always)], *always], key=order.index)]:
        gaps = fixed[call]
        where = max(gaps, key=lambda name: gaps[name])
        name = f"**`{written(call)}`**" if call == best else f"`{written(call)}`"
        numbers = [max(gaps.values()), np.mean(list(gaps.values())), max(tuned[call].values())]
        firing = np.mean([outcome.single[call].firing for outcome in outcomes.values()])
        lines.append([name, *(f"{n:.1f}" for n in numbers), f"{share[call]:.0%}", f"{firing:.2f}", where])
    lines.insert(0, ["configuration", "worst", "mean", "tuned", "win rate", "firing rate", "worst in"])
    header, *lines = [[*line[:3], line[-1]] if short else line for line in lines]
    return table(header, lines)


def written(call: str) -> str:
    """Write a call as a user types it, with the parameters that are not at their default."""
    shape, alpha, width = Call.parse(call)
    surrogate, usual = SHAPES[shape], type(SHAPES[shape])().named_parameters()[1]
    if alpha is not None:
        surrogate = surrogate.replace(alpha=alpha)
    elif "alpha" in usual:  # an alpha with a peak of 1 needs no height
        higher = surrogate.replace(alpha=float(f"{surrogate.alpha / peak(surrogate):.3g}"))
        surrogate = higher if abs(peak(higher) - 1) < 1e-3 else surrogate
    scaled = normalised(surrogate, 1.0 if width is None else width)
    changed = {name: value for name, value in surrogate.named_parameters()[1].items() if value != usual[name]}
    scales = {"height": float(f"{scaled.height:.3g}"), "width": float(f"{scaled.width:.3g}")}
    scales = {name: value for name, value in scales.items() if value != 1}
    text = f"bs.{shape}({_arguments(changed) if alpha is None else f'{alpha:g}'})"
    return f"{text}.scaled({_arguments(scales)})" if scales else text


def _arguments(values):
    return ", ".join(f"{name}={value:g}" for name, value in values.items())


def setting_table(outcome) -> str:
    """Make the table of a setting: every shape tuned, sorted; an asterisk where it can't be told from the best."""
    same, lines = indistinguishable(outcome.tuned), []
    for shape in sorted(outcome.tuned, key=lambda shape: -outcome.tuned[shape].mean):
        entry = outcome.tuned[shape]
        mark = " \\*" if shape in same else ""
        accuracy = spread(entry.test, 1) + mark
        lines.append([f"`{entry.call}`", f"x {entry.factor:.2g}", accuracy, f"{entry.loss:.3f}", f"{entry.firing:.2f}"])
    return table(["configuration", "rate", "test accuracy, %", "training loss", "firing rate"], lines)


def adapted_table(outcomes: Outcomes) -> str:
    """Make a table of calibrated and trained widths beside the best fixed width of the same shape."""
    outcomes = with_adapted(outcomes)
    lines = []
    for how, call in sorted(rules(outcomes), key=lambda rule: rule[::-1]):
        gaps = {name: best_width(o, call) - o.adapted[how, call].mean for name, o in outcomes.items()}
        within = sum(gap <= 1 for gap in gaps.values())
        ends = [o.adapted[how, call].width for o in outcomes.values()]
        unit = float(Call.parse(call).surrogate.width) / (Call.parse(call).width or 1)
        end = "-" if how in CALIBRATED else f"{min(ends) / unit:.2g} to {max(ends) / unit:.2g}"
        worst = max(gaps, key=lambda name: gaps[name])
        lines.append([f"`{call}`, {how}", f"{within} of {len(gaps)}", f"{gaps[worst]:.1f}", worst, end])
    header = ["shape and rule", "within a point", "worst", "worst in", "widths end at"]
    return table(header, lines)


def best_width(outcome, call: str) -> float:
    """Return the best accuracy of a shape with the alpha of a call, over the widths and rates that have all seeds."""
    same = Call.parse(call).shape, Call.parse(call).alpha
    return max(mean for (c, _), mean in outcome.fixed.items() if (Call.parse(c).shape, Call.parse(c).alpha) == same)


def adapted_summary(outcomes: Outcomes) -> str:
    """Write for each rule in how many settings it is within a point of the best fixed width, over the shapes."""
    outcomes = with_adapted(outcomes)
    lines = []
    for how, rules_of in itertools.groupby(rules(outcomes), key=lambda rule: rule[0]):
        gaps = [[best_width(o, rule[1]) - o.adapted[rule].mean for o in outcomes.values()] for rule in rules_of]
        within = sorted(sum(gap <= 1 for gap in of_shape) for of_shape in gaps)
        most = " (most, for each shape)" if within[0] * 2 > len(outcomes) else ""
        lines.append(
            f"- {how}: within a point in {within[0]} to {within[-1]} of {len(outcomes)} settings{most}; at worst "
            f"{max(map(max, gaps)):.1f} points behind."
        )
    return "\n".join(lines)


def pilot_table(outcome) -> str:
    """Make a table of the calls that choose the gain: validation accuracy over gains, one seed."""
    calls, gains = (list(dict.fromkeys(key[i] for key in sorted(outcome.pilots))) for i in (0, 1))
    gains = sorted(gains)
    lines = [[f"`{call}`", *(f"{outcome.pilots[call, gain]:.1f}" for gain in gains)] for call in calls]
    return table([f"validation, seed {outcome.first}", *(f"gain {gain:g}" for gain in gains)], lines)


def reruns(outcomes: Outcomes) -> list[str]:
    """Make the tables of three reruns that a review asked for, with commands, as far as their settings are there."""
    command, parts = "`python -m benchmarks.studies.family {}`", []
    if {"randman-0.03", "randman-3"} <= set(outcomes):
        rates = {"rate .005": 0.333333, "rate .015": 1.0}
        header = [f"x {scale}, {rate}" for scale in ("3", "0.03") for rate in rates]
        points = [(outcomes[f"randman-{scale}"].grid, rate) for scale in ("3", "0.03") for rate in rates.values()]
        calls = (Call(FOCUS, 0.01, 1.0), Call("S2NN", None, 0.5), Call("Arctan", None, 0.5))
        lines = {f"`{call}`": [grid.get((str(call), rate)) for grid, rate in points] for call in calls}
        parts += [*_complete("Randman, by learning rate", header, lines), command.format("randman-3 randman-0.03")]
    if "depth-12" in outcomes:
        header, grid = [f"width {width:g}" for width in WIDTHS], outcomes["depth-12"].grid
        lines = {f"alpha {a:g}": [grid.get((str(Call(FOCUS, a, width)), 1.0)) for width in WIDTHS] for a in ALPHAS}
        parts += [*_complete(f"{FOCUS} in 12 layers", header, lines), command.format("depth-12")]
    for name in [name for name in ("depth-16", "depth-12") if name in outcomes][:1]:
        about = f"The gain of the weights, in the setting *{name}*:"
        parts += [about, pilot_table(outcomes[name]), command.format(name)]
    return parts


def _complete(title, header, lines) -> list[str]:
    """Make a table of the lines of which every point is there, if there are any."""
    whole = [[name, *(f"{value:.1f}" for value in values)] for name, values in lines.items() if None not in values]
    return [table([title, *header], whole)] if whole else []


# Pictures


def draw(outcomes: Outcomes, folder: Path):
    """Draw points behind the best over settings: every shape tuned, and single calls without tuning."""
    best = default(outcomes)
    kinds = {
        "tuned": ("width and learning rate tuned: behind the best shape", best.shape),
        "single": ("one configuration, no tuning: behind the best configuration", str(best)),
    }
    rows = [len(next(iter(getattr(o, kind) for o in outcomes.values()))) for kind in kinds]
    size = (0.55 * len(outcomes) + 4.2, 0.27 * sum(rows) + 3)
    with picture(folder / "family.png", rows=2, size=size, dpi=120, height_ratios=rows, sharex=True) as axes:
        for axis, (kind, (title, recommended)) in zip(axes[:, 0], kinds.items(), strict=True):
            shown = _map(axis, [getattr(outcome, kind) for outcome in outcomes.values()])
            axis.set_title(title, fontsize=10, loc="left")
            for label in axis.get_yticklabels():
                name = label.get_text()
                colour = "C0" if name == recommended else "C3" if name.startswith(FOCUS) else "black"
                label.set(color=colour, fontweight="bold" if name == recommended else None)
        axes[1, 0].set_xticks(range(len(outcomes)), outcomes, rotation=60, ha="right", fontsize=9)
        figure = axes[0, 0].figure
        figure.colorbar(
            shown, ax=list(axes[:, 0]), label=f"points behind the best ({DRAWN_UP_TO}: or more)", shrink=0.5
        )
        figure.supxlabel("hatched: can't be told from the best (paired t test over ten seeds, Holm)", fontsize=9)


def _map(axis, columns):
    """Draw one heat map, the mildest rows first, numbers in the cells."""
    gaps = [behind(column) for column in columns]
    order = sorted(gaps[0], key=lambda name: np.mean([column[name] for column in gaps]))
    matrix = np.array([[column[name] for column in gaps] for name in order])
    shown = axis.imshow(np.minimum(matrix, DRAWN_UP_TO), cmap="YlOrBr", vmin=0, vmax=DRAWN_UP_TO, aspect="auto")
    for x, column in enumerate(columns):
        same = indistinguishable(column)
        for y, name in enumerate(order):
            value = matrix[y, x]
            text, colour = f"{value:.0f}" if value >= 9.95 else f"{value:.1f}", "white" if value > 12 else "black"
            axis.text(x, y, text, ha="center", va="center", fontsize=7, color=colour)
            if name in same:
                axis.add_patch(plt.Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, hatch="////", lw=0, ec="0.8"))
    axis.set_yticks(range(len(order)), order, fontsize=8)
    return shown
