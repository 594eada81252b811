"""The report on half an hour of `soak`: memory, compiled programs, files and threads."""

import numpy as np

from ...lib import report

NAMES = {
    "resident": "process memory, MB",
    "on_device": "jax arrays, MB",
    "arrays": "number of jax arrays",
    "on_disk": "checkpoints, MB",
    "files": "open files",
    "threads": "threads",
}


def table(result):
    """Make a table with a row per measure: its median over the last tour at some times, and its maximum."""
    measures = result["summary"]["table"]
    digits = {name: int(label.endswith("MB")) for name, label in NAMES.items()}
    rows = [[NAMES[name], *(f"{value:.{digits[name]}f}" for value in at.values())] for name, at in measures.items()]
    return report.table(["measured after", *measures["resident"]], rows)


def totals(result):
    """Make a table of the rounds, and of the programs that they compiled."""
    summary, steps = result["summary"], result["settings"]["steps_a_round"]
    first, every = (summary["programs"][when] for when in ("first tour", "all"))
    counts = [f"{count:,}" for count in (summary["rounds"], steps * summary["rounds"], first, every - first)]
    first = f"programs compiled in the first {summary['tour']} rounds"
    header = ("rounds", "training steps", first, "programs compiled later", "memory growth per round, second half")
    return report.table(header, [(*counts, f"{summary['growth']:+.1f} KB")])


def draw(result, folder):
    """Draw the memory of the process and the number of compiled programs over time."""
    curves = result["summary"]["picture"]
    with report.picture(folder / "soak.png", columns=2, size=(9, 2.8)) as (axes,):
        shown = {"resident": NAMES["resident"], "programs": "programs compiled"}
        for axis, (name, label) in zip(axes, shown.items(), strict=True):
            axis.plot(np.array(curves["seconds"]) / 60, curves[name])
            axis.set(xlabel="minutes", ylabel=label, ylim=(0, None))


def parts(result):
    """Return the part of the page."""
    return {"soak": f"{totals(result)}\n\n{table(result)}"}
