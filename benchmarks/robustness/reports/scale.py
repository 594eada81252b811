"""The report on many devices and processes: differences from one device, and data sent between devices."""

from collections import Counter

import numpy as np

from ...lib import report

PLACES = ("once", "per block", "per time step")  # by the number of loops around a collective


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


def grouped(runs):
    """Group the runs of all frameworks by layout, processes and devices per process, in the order of layouts."""
    layouts = list(dict.fromkeys(run["layout"] for run in runs))
    groups = {}
    for run in sorted(runs, key=lambda run: layouts.index(run["layout"])):
        groups.setdefault((run["layout"], run["processes"], run["devices"] // run["processes"]), []).append(run)
    return groups


def table(result):
    """Make a table with a row per layout and number of processes: fractions, differences, and data sent."""
    settings, rows = result["settings"], []
    kinds = sorted({kind for run in result["runs"] for kind, _ in sent(run)}, reverse=True)
    for (layout, processes, devices), runs in grouped(result["runs"]).items():
        has = runs[0]["examples_made"], f"{runs[0]['parameters_per_device']:,}"
        met = sum(sent(run) == expected(run, settings) for run in runs)
        moved = ("; ".join(sorted({_moved(sent(run), kind) for run in runs})) for kind in kinds)
        numbers = (f"{difference:.1e}" for difference in differences(runs))
        rows.append((layout, processes, processes * devices, *has, *numbers, *moved, f"{met} of {len(runs)}"))
    header = ("layout", "processes", "devices", "examples per process", "parameters per device", "loss error")
    return report.table((*header, "gradient error", "parameter error", *kinds, "runs as expected"), rows)


def parts(result):
    """Return the part of the page."""
    return {"scale": table(result)}


def _moved(total, kind):
    return ", ".join(f"{total[kind, i]:,} {place}" for i, place in enumerate(PLACES) if (kind, i) in total) or "-"
