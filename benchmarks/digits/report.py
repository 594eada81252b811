"""The tables and the picture of a result."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..lib import report
from ..lib.results import where


def accuracy(runs):
    """Format the mean test accuracy over the seeds and its spread."""
    return report.spread([run["test_accuracy"] for run in runs], 4)


def table(result):
    """Make the table: one row per network, means over the seeds."""

    def mean(runs, key, form):
        layers = np.mean([run[key] for run in runs], axis=0)
        return ", ".join(form.format(v) for v in layers) if len(runs[0][key]) else "-"

    def alphas(runs):
        before = [layer["alpha"] for layer in runs[0]["parameters"]["before"]]
        after = np.mean([[layer["alpha"] for layer in run["parameters"]["after"]] for run in runs], axis=0)
        return f"alpha {before[0]:g} -> {', '.join(f'{alpha:.3g}' for alpha in after)}" if before else "-"

    header = ("network", "test accuracy", "firing rate per layer", "silent neurons", "surrogate, untrained -> trained")
    rows = []
    for name, runs in result["runs"].items():
        firing, silent = mean(runs, "firing_rate", "{:.3f}"), mean(runs, "silent", "{:.1%}")
        rows.append((name, accuracy(runs), firing, silent, alphas(runs)))
    seeds = len(next(iter(result["runs"].values())))
    of = f"mean over {seeds} seeds" if seeds > 1 else "one seed"
    return f"\n`{result['surrogate']}`, {of}\n\n{report.table(header, rows)}"


def section(results_of_runs: Sequence[Mapping[str, Any]]) -> str:
    """Make the table of the first result, and one of the accuracies in each framework."""
    first, rows = results_of_runs[0], []
    for of in results_of_runs:
        rows.append((f"`{of['framework']}`", *map(accuracy, of["runs"].values()), f"{of['seconds']:.0f}"))
    frameworks = report.table(("framework", *first["runs"], "training time (s)"), rows)
    return "\n\n".join([table(first).strip(), frameworks, f"On {where(first, 'jax', 'flax')}."])


def draw(out, runs):
    """Draw the training curves into a folder.

    Args:
      out: the folder.
      runs: the outcomes of all seeds for each network.
    """
    with report.picture(out / "training.png", columns=2, size=(9, 3.4), dpi=150) as ((loss, accuracy),):
        for name, of_seeds in runs.items():
            for axis, curve in ((loss, "loss"), (accuracy, "validation_accuracy")):
                report.plot_seeds(axis, [run["curve"][curve] for run in of_seeds], label=name, alpha=0.2)
        loss.set(xlabel="epoch", ylabel="training loss", yscale="log")
        accuracy.set(xlabel="epoch", ylabel="validation accuracy", ylim=(0.9, 1.0))
        accuracy.legend(frameon=False, title="mean and range of the seeds")
