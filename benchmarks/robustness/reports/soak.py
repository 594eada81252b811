"""Memory, programs, files and threads over half an hour of `soak`."""

import numpy as np

from ...lib import report

NAMES = {
    "resident": "memory of the process, MB",
    "on_device": "jax's arrays, MB",
    "arrays": "jax's arrays",
    "on_disk": "checkpoints, MB",
    "files": "open files",
    "threads": "threads",
}


def table(result):
    """Make a table with a row per measure: the median of the last tour at some times, and the maximum."""
    measures = result["summary"]["table"]
    digits = {name: int(label.endswith("MB")) for name, label in NAMES.items()}
    rows = [[NAMES[name], *(f"{value:.{digits[name]}f}" for value in at.values())] for name, at in measures.items()]
    return report.table(["after", *measures["resident"]], rows)


def later(result):
    """Return how many programs were compiled after the first tour."""
    programs = result["summary"]["programs"]
    return programs["all"] - programs["first tour"]


def draw(result, folder):
    """Draw the memory of the process and the number of compiled programs over time."""
    curves = result["summary"]["picture"]
    with report.picture(folder / "soak.png", columns=2, size=(9, 2.8)) as (axes,):
        shown = {"resident": NAMES["resident"], "programs": "programs compiled"}
        for axis, (name, label) in zip(axes, shown.items(), strict=True):
            axis.plot(np.array(curves["seconds"]) / 60, curves[name])
            axis.set(xlabel="minutes", ylabel=label, ylim=(0, None))


def line(result):
    """Make the row of the summary."""
    summary = result["summary"]
    outcome = (
        f"{later(result)} programs compiled after the first {summary['tour']}; "
        f"{summary['growth']:+.1f} KB of memory a round in the second half"
    )
    tried = f"{summary['rounds']:,} rounds of training with new shapes and alphas"
    return "a long run, with checkpoints", tried, outcome


def section(result):
    """Write the section of the page."""
    settings, summary = result["settings"], result["summary"]
    shapes = ", ".join(f"{steps} x {size}" for steps, size in settings["shapes"])
    rounds = summary["rounds"]
    return f"""## Everything, repeatedly

In turn, the network of each framework ({", ".join(settings["frameworks"])}) gets a batch of another shape (time steps
x examples: {shapes}), \
trains, is saved, is read back into a fresh network with the same bits, gets new random alphas, and trains again.

{rounds:,} rounds, so {rounds * settings["steps_a_round"]:,} training steps and {rounds:,} checkpoints read back.
{summary["programs"]["first tour"]} programs were compiled in the first {summary["tour"]} rounds, which see every \
shape in every framework, and {later(result)} after
them. In the second half of the rounds the memory of the process grew by {summary["growth"]:.1f} KB a round.
Without saving and reading back it grew by 0.2 KB a round, over 11,037 rounds (commit 19d63ef). What grows is
tensorstore, with which orbax writes: in 0.1.86 each call of `IndexDomain.to_json` keeps two objects for ever.

![Memory of the process and programs compiled, over time](pictures/withstands/soak.png)

{table(result)}"""
