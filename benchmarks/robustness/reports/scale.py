"""The report on many devices and processes: differences from one device, and data sent between devices."""

from collections import Counter

import numpy as np

from ...lib import report


def sent(run):
    """Count the elements that a device receives in a training step, by kind of collective and number of loops."""
    total = Counter()
    for c in run["collectives"]:
        total[c["kind"], c["loops"]] += c["elements"] * c["times"]
    return dict(total)


def expected(run, settings):
    """Compute the expected result of `sent` from the layout alone.

    Groups of examples must exchange the gradients of a device's parameters, and the loss, once. Devices that share the
    hidden units must exchange, for a whole block of time at once: the spikes of the first layer, in the forward pass
    and again in the backward pass for the gradient of the second layer's weights; the sums before the readout; and the
    gradient of those spikes. They exchange no parameters, and no alpha.
    """
    over_batch, over_hidden = run["mesh"]
    moved = {}
    if over_hidden > 1:
        rows = settings["time_steps"] * settings["examples"] // over_batch
        moved["all-gather", 1] = 2 * rows * settings["width"]
        moved["all-reduce", 1] = rows * (settings["width"] + settings["classes"])
    if over_batch > 1:
        moved["all-reduce", 0] = run["parameters_per_device"] + 1
    return moved


def differences(runs):
    """Return the largest relative differences of the runs in losses, gradients and parameters; NaN if a run has NaN."""
    # Not Python's max, which drops a NaN that is not first.
    parts = "losses", "gradients", "parameters"
    return [np.max([run["difference"][part]["relative"] for run in runs]) for part in parts]


def table(result):
    """Make a table with a row per layout: the largest differences, and the runs that send what the layout needs."""
    runs, rows = result["runs"], []
    for layout in dict.fromkeys(run["layout"] for run in runs):
        same = [run for run in runs if run["layout"] == layout]
        counts = (", ".join(map(str, sorted({run[of] for run in same}))) for of in ("processes", "devices"))
        met = sum(sent(run) == expected(run, result["settings"]) for run in same)
        errors = (f"{difference:.1e}" for difference in differences(same))
        rows.append((layout, *counts, *errors, f"{met} of {len(same)}"))
    header = ("layout", "processes", "devices", "loss error", "gradient error", "parameter error", "runs as expected")
    return report.table(header, rows)


def parts(result):
    """Return the part of the page."""
    return {"scale": table(result)}
