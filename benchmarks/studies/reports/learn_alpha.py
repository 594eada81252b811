"""Learning alpha: the accuracy of each rule from each start, compared with the best fixed alpha."""

from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np

from ...lib import results
from ...lib.report import Claim, missing, spread

MARK = 0.005
START = 0.1
DECAYED, PLAIN = "learned, projected, decayed", "learned, projected"
SHOWN = (DECAYED, PLAIN, "hypergradient")


class End(NamedTuple):
    """The outcome of learning alpha on one task.

    Args:
      task: its name.
      start: where alpha began.
      as_good: whether, with a decay towards 0, the network is within half a point of the best fixed alpha.
      as_good_without_decay: likewise.
      better: whether either is better than the best fixed alpha by more than half a point.
      alpha: where it ends with the decay, averaged over seeds and layers.
      numbers: accuracies, for a table.
    """

    task: str
    start: float
    as_good: bool
    as_good_without_decay: bool
    better: bool
    alpha: float
    numbers: str


def tables(result):
    """Make a table per task: a line of fixed alphas, then a row per rule."""
    texts = []
    for task in _tasks(result):
        fixed, others = _split(result, task)
        best = _best(fixed)
        line = ", ".join(f"{a:g}: {spread(t)}" for a, t in zip(fixed["starts"], fixed["test"], strict=True))
        header = [
            "rule",
            *(f"from {start:g}" for start in next(iter(others.values()))["starts"]),
            f"alpha from {START}",
        ]
        rows = []
        for name, run in others.items():
            cells = [spread(test) + (" +" if np.mean(test) >= best - MARK else "") for test in run["test"]]
            alphas = np.mean(run["alpha"]["mean"][_from_start(run)], axis=0)
            rows.append([name, *cells, ", ".join(f"{a:.3f}" for a in alphas)])
        how = f"**{task}** ({np.shape(fixed['test'])[1]} seeds; {fixed['optimiser']})"
        texts.append(f"{how}.\n\nFixed alpha, by its value: {line}.\n\n{results.table(header, rows)}")
    unfinished = missing(_tasks(result, SHOWN), {task: task for task in _rules(result)})
    return "\n\n".join(["A + is within half a point of the best fixed alpha.", *texts, *unfinished])


def draw(result, folder):
    """Draw every rule from every start, and the best fixed alpha, in one panel per task."""
    tasks = _tasks(result)
    if not tasks:
        return
    figure, axes = plt.subplots(
        1, len(tasks), figsize=(4.6 * len(tasks) + 2, 4.4), layout="constrained", squeeze=False, sharey=True
    )
    for axis, task in zip(axes[0], tasks, strict=True):
        fixed, others = _split(result, task)
        for y, run in enumerate(others.values()):
            for i, (start, test) in enumerate(zip(run["starts"], run["test"], strict=True)):
                label = f"from {start:g}" if not y else None
                axis.plot(test, np.full(len(test), y + 0.22 * (i - 1)), ".", color=f"C{i}", alpha=0.25)
                axis.plot(np.mean(test), y + 0.22 * (i - 1), "|", markersize=11, color=f"C{i}", label=label)
        axis.axvline(_best(fixed), color="0.3", linewidth=1)
        axis.axvspan(_best(fixed) - MARK, _best(fixed), color="0.85")
        axis.set(title=task, xlabel="test accuracy")
        axis.set_yticks(range(len(others)), list(others))
    axes[0, 0].invert_yaxis()
    axes[0, 0].legend(
        frameon=False,
        fontsize=8,
        title=f"dots: seeds; bars: means;\nline: best fixed alpha;\ngrey: {100 * MARK:g} points below",
    )
    figure.savefig(folder / "learn-alpha.png", dpi=100)
    plt.close("all")


def ends(result):
    """Yield the outcome of learning alpha on each task."""
    for task in _tasks(result, SHOWN):
        fixed, others = _split(result, task)
        best = _best(fixed)
        test = {name: np.mean(others[name]["test"][_from_start(others[name])]) for name in SHOWN}
        decayed = others[DECAYED]
        yield End(
            task,
            START,
            as_good=bool(test[DECAYED] >= best - MARK),
            as_good_without_decay=bool(test[PLAIN] >= best - MARK),
            better=bool(max(test[DECAYED], test[PLAIN]) > best + MARK),
            alpha=float(np.mean(decayed["alpha"]["mean"][_from_start(decayed)])),
            numbers=", ".join(f"{name} {test[name]:.3f}" for name in SHOWN)
            + f"; best fixed {best:.3f}, alpha {fixed['starts'][int(np.mean(fixed['test'], axis=-1).argmax())]:g}",
        )


def claims(result):
    """Make the claims: the mark, and the findings of the trial."""
    for end in ends(result):
        task, (fixed, others) = end.task, _split(result, end.task)
        best = _best(fixed)
        learned = {n: r for n, r in others.items() if n.startswith(("learned", "per channel", "hypergradient"))}
        yield Claim(
            f"{task}: an alpha learned from {START} with a decay towards 0 ends within half a point of the best fixed "
            "one",
            end.as_good,
            end.numbers,
        )
        worst = {name: np.mean(run["test"], axis=-1).min() for name, run in learned.items()}
        safest = max(worst, key=worst.get)
        yield Claim(
            f"{task}: a rule that learns alpha is within half a point of the best fixed alpha from every start",
            bool(worst[safest] >= best - MARK),
            f"the safest, {safest}, has at least {worst[safest]:.3f}",
        )
        if "only silent channels" in others:
            means = np.mean(others["only silent channels"]["test"], axis=-1)
            yield Claim(
                f"{task}: alpha on silent channels alone is within half a point of the best fixed alpha from any start",
                bool(means.min() >= best - MARK),
                ", ".join(f"{m:.3f}" for m in means),
            )


def _rules(result):
    """Return the rules that have run, by task."""
    rules: dict[str, set[str]] = {}
    for task, rule in (key.split(", ", 1) for key in result["runs"]):
        rules.setdefault(task, set()).add(rule)
    return rules


def _tasks(result, needed=()):
    """List the tasks with fixed alphas and another rule, and all that are ``needed``."""
    return [task for task, rules in _rules(result).items() if {"fixed", *needed} <= rules and len(rules) > 1]


def _split(result, task):
    runs = {key.removeprefix(f"{task}, "): run for key, run in result["runs"].items() if key.startswith(f"{task}, ")}
    return runs.pop("fixed"), runs


def _from_start(run):
    """Return the index of START among the starts of a run."""
    return run["starts"].index(START)


def _best(fixed):
    """Return the best test accuracy of a fixed alpha, the hardest mark: the test itself has chosen it."""
    return float(np.mean(fixed["test"], axis=-1).max())
