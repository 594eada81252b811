"""The tables and the three pictures of a result."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from brainsurr import plot

from ..lib import report
from ..lib.results import where

SHOWN = 40  # number of neurons in a raster


def summary(runs):
    """Return the test accuracy of each seed, their mean and their standard deviation."""
    values = [run["test_accuracy"] for run in runs]
    return {"mean": float(np.mean(values)), "sd": float(np.std(values, ddof=min(1, len(values) - 1))), "seeds": values}


def table(result):
    """Make the table: one row per network, means over the seeds."""

    def mean(runs, key, form):
        layers = np.mean([run[key] for run in runs], axis=0)
        return ", ".join(form.format(v) for v in layers) if len(runs[0][key]) else "-"

    def surrogate(runs):
        pairs = [(run["parameters"]["before"], run["parameters"]["after"]) for run in runs]
        texts = []
        for name in result["learnable"] if pairs[0][0] else ():
            start, *_ = (layer[name] for layer in pairs[0][0])
            ends = [np.mean([after[i][name] for _, after in pairs]) for i in range(len(pairs[0][0]))]
            texts.append(f"{name} {start:g} -> {', '.join(f'{end:.3g}' for end in ends)}")
        return "; ".join(texts) or "-"

    header = ("network", "test accuracy", "firing rate per layer", "silent neurons", "surrogate, untrained -> trained")
    rows = []
    for name, runs in result["runs"].items():
        firing, silent = mean(runs, "firing_rate", "{:.3f}"), mean(runs, "silent", "{:.1%}")
        rows.append((name, report.spread(result["test_accuracy"][name]["seeds"], 4), firing, silent, surrogate(runs)))
    seeds = len(next(iter(result["runs"].values())))
    of = f"mean over {seeds} seeds" if seeds > 1 else "one seed"
    return f"\n`{result['surrogate']}`, {of}\n\n{report.table(header, rows)}"


def section(results_of_runs: Sequence[Mapping[str, Any]]) -> str:
    """Make the table of the first result, and one of the accuracies in each framework."""
    first, rows = results_of_runs[0], []
    for of in results_of_runs:
        accuracies = (report.spread(accuracy["seeds"], 4) for accuracy in of["test_accuracy"].values())
        rows.append((f"`{of['framework']}`", *accuracies, f"{of['seconds']:.0f}"))
    frameworks = report.table(("framework", *first["runs"], "training time (s)"), rows)
    return "\n\n".join([table(first).strip(), frameworks, f"On {where(first, 'jax', 'flax')}."])


def draw(out, surrogate, runs, spikes, digit):
    """Draw the three pictures into a folder.

    Args:
      out: the folder.
      surrogate: the surrogate before training.
      runs: the outcomes of all seeds for each network.
      spikes: ``[time, neurons]`` of each hidden layer for one test image.
      digit: the digit in that image.
    """
    how = {"columns": 2, "size": (9, 3.4), "dpi": 150}
    with report.picture(out / "surrogate.png", **how) as (axes,):
        plot.surrogate(surrogate, xlim=(-2, 4), axes=axes)
        axes[1].get_legend().remove()
        axes[0].figure.suptitle(f"{surrogate}")
    with report.picture(out / "raster.png", **how, sharey=True) as (axes,):
        for i, (axis, layer) in enumerate(zip(axes, spikes, strict=True), 1):
            title = f"hidden layer {i}: {layer.mean():.0%} fire per step"
            plot.raster(layer[:, :SHOWN], axes=axis).set_title(title)
        axes[0].figure.suptitle(f"spikes of {SHOWN} neurons while one test image, a {digit}, is shown")
    with report.picture(out / "training.png", **how) as ((loss, accuracy),):
        for name, of_seeds in runs.items():
            for axis, curve in ((loss, "loss"), (accuracy, "validation_accuracy")):
                report.plot_seeds(axis, [run["curve"][curve] for run in of_seeds], label=name, alpha=0.2)
        loss.set(xlabel="epoch", ylabel="training loss", yscale="log")
        accuracy.set(xlabel="epoch", ylabel="validation accuracy", ylim=(0.9, 1.0))
        accuracy.legend(frameon=False, title="mean and range of the seeds")
