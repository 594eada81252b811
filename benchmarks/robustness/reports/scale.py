"""Many devices and many processes: the difference from one device, and the data that devices send each other."""

from collections import Counter

import numpy as np

from ...lib import report

PLACES = ("once", "by block", "by time step")  # by the number of loops around a collective
UNGROUPED = "batch, one gradient"


def sent(run):
    """Count the elements that a device receives in a training step, by kind of collective and loops around it."""
    total = Counter()
    for c in run["collectives"]:
        total[c["kind"], c["loops"]] += c["elements"] * c["times"]
    return dict(total)


def expected(run, settings):
    """Compute the expected result of `sent` from the layout alone.

    Groups of examples must exchange the gradient of a device's parameters, and the loss, once. Devices with a part of
    the hidden units must exchange, for a whole block of time at once: the spikes of the first layer, in the forward
    pass and in the backward pass for the gradient of the second layer's weights; the sums before the readout; and the
    gradient of those spikes. They exchange no parameter, and no alpha.
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
    """Return the largest relative difference of the runs in losses, gradients and parameters; NaN if one has NaN."""
    # Not Python's max, which drops a NaN that is not first.
    parts = "losses", "gradients", "parameters"
    return [np.max([run["difference"][part]["relative"] for run in runs]) for part in parts]


def between(runs):
    """Say how far apart the frameworks' losses are, each on one device, if there are such runs."""
    losses = [np.asarray(run["losses"]) for run in runs if run["devices"] == 1]
    if not losses:
        return ""
    most = np.max([np.abs(other / losses[0] - 1).max() for other in losses[1:]])
    return f"Between the frameworks, on one device, losses differ by {most:.1e}."


def grouped(runs):
    """Group the runs of all frameworks by layout, processes and devices per process, layout by layout."""
    layouts = list(dict.fromkeys(run["layout"] for run in runs))
    groups = {}
    for run in sorted(runs, key=lambda run: layouts.index(run["layout"])):
        groups.setdefault((run["layout"], run["processes"], run["devices"] // run["processes"]), []).append(run)
    return groups


def table(result):
    """Make a table with a row per layout, processes and devices: shares, the largest differences, and data sent."""
    settings, rows = result["settings"], []
    kinds = sorted({kind for run in result["runs"] for kind, _ in sent(run)}, reverse=True)
    for (layout, processes, devices), runs in grouped(result["runs"]).items():
        has = runs[0]["examples_made"], f"{runs[0]['parameters_per_device']:,}"
        met = as_expected(runs, settings)
        moved = ("; ".join(sorted({_moved(sent(run), kind) for run in runs})) for kind in kinds)
        numbers = (f"{difference:.1e}" for difference in differences(runs))
        rows.append((layout, processes, processes * devices, *has, *numbers, *moved, f"{met} of {len(runs)}"))
    header = ("layout", "processes", "devices", "examples a process", "parameters a device")
    return report.table((*header, "loss", "gradients", "parameters", *kinds, "as expected"), rows)


def as_expected(runs, settings):
    """Count the runs that send exactly what their layout needs."""
    return sum(sent(run) == expected(run, settings) for run in runs)


def line(result):
    """Make the row of the summary."""
    runs = result["runs"]
    devices, processes = (max(run[what] for run in runs) for what in ("devices", "processes"))
    by_layout = [run for run in runs if run["layout"] != UNGROUPED]
    met = f"{as_expected(by_layout, result['settings'])} of {len(by_layout)} runs send only what they must"
    tried = f"{len(runs)} runs on up to {devices} devices, in up to {processes} processes"
    outcome = f"at most {np.max(differences(runs)):.1e} from one device; {met}"
    return "devices and processes", tried, outcome


def section(result):
    """Write the section of the page."""
    settings, runs = result["settings"], result["runs"]
    frameworks = ", ".join(dict.fromkeys(run["framework"] for run in runs))
    worst = np.max(differences(runs))
    verdict = "within" if worst <= settings["tolerance"] else "NOT within"
    by_layout, ungrouped = ([run for run in runs if (run["layout"] == UNGROUPED) == is_one] for is_one in (False, True))
    met = as_expected(by_layout, settings)
    return f"""## Many devices, many processes

{settings["network"]} LIF network with one trained alpha per neuron, {settings["surrogate"]} at first, over
{settings["time_steps"]} time steps in blocks of {settings["block_size"]} by `unroll`, in {frameworks}, from the same
weights. Each run trains {settings["train_steps"]} steps ({settings["optimiser"]}) from each of {len(settings["seeds"])}
seeds, on a new batch of {settings["examples"]} examples each time; a process makes only the examples that its devices
need. Every loss, the gradients of the first step and the parameters after the last are compared with one device.
Devices are {"simulated on one CPU" if all(run["simulated"] for run in runs) else "real where there is one process"}.

The largest difference, relative to the largest number in its array, is {worst:.1e}: {verdict} the bound of
{settings["tolerance"]:g}, set beforehand for float32 sums in another order. A single additional input spike changes far
more, as a test shows.
{between(runs)}

The compiled program shows how many elements a device receives in one training step, times the lengths of the
loops around. In {met} of {len(by_layout)} runs they are exactly what the layout needs. With the examples split over
devices: the gradient and the loss, once. With the hidden units split, each alpha with its neuron: activations, one
block of time at once, namely the spikes of the first layer, forward and backward, and the sums before the readout; no
weight, no alpha. {_one_gradient(ungrouped)}

{table(result)}"""


def _one_gradient(runs):
    """Describe the cost of one gradient of the whole batch, if that was run."""
    if not runs:
        return ""
    times = {c["times"] for run in runs for c in run["collectives"] if c["loops"] == 2}
    return (
        f"`{UNGROUPED}` is the same without groups: then the sums over devices are inside the loops over time, "
        f"that of each layer's alpha {max(times, default=0)} times in a training step."
    )


def _moved(total, kind):
    return ", ".join(f"{total[kind, i]:,} {place}" for i, place in enumerate(PLACES) if (kind, i) in total) or "-"
