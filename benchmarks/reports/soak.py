"""What half an hour of `benchmarks.soak` left behind: memory, programs, files, threads."""

import numpy as np

from .. import results

COMMAND = "make soak"
NAMES = {
    "resident": "memory of the process, MB",
    "on_device": "jax's arrays, MB",
    "arrays": "jax's arrays",
    "on_disk": "checkpoints, MB",
    "files": "open files",
    "threads": "threads",
    "programs": "programs compiled",
}


WHOLE = ("arrays", "files", "threads", "programs")


def table(result):
    """A row a measure: the median of the last tour at some times, and the most it ever was."""
    measured, tour = result["measured"], tour_length(result)
    rounds = len(measured["seconds"])
    at = {"first tour": tour, "a quarter": rounds // 4, "half": rounds // 2, "the end": rounds}
    rows = []
    for name, label in NAMES.items():
        form = "{:.0f}" if name in WHOLE else "{:.1f}"
        medians = [np.median(measured[name][max(0, i - tour) : i]) for i in at.values()]
        rows.append([label, *(form.format(value) for value in (*medians, max(measured[name])))])
    return results.table(["after", *at, "most"], rows)


def tour_length(result):
    """How many rounds it takes to go through every framework with every shape."""
    return len(result["settings"]["frameworks"]) * len(result["settings"]["shapes"])


def growth(result):
    """Memory of the process in MB an hour: the slope of a straight line through the second half of the time."""
    seconds, resident = (np.array(result["measured"][name]) for name in ("seconds", "resident"))
    late = slice(len(seconds) // 2, None)
    return 3600 * np.polyfit(seconds[late], resident[late], 1)[0]


def section(result):
    """What was done, how often, and what it left."""
    settings, measured, tour = result["settings"], result["measured"], tour_length(result)
    rounds, programs = len(measured["seconds"]), measured["programs"]
    shapes = ", ".join(f"{steps} x {size}" for steps, size in settings["shapes"])
    later, first = programs[-1] - programs[tour - 1], programs[tour - 1]
    return f"""## Half an hour of everything

In turns, the network of each framework ({", ".join(settings["frameworks"])}) meets a batch of another shape (time steps
x examples: {shapes}), trains, is saved, is read back by a reader that knows nothing and must find the same bits, gets
new alphas at random, and trains on.

{rounds} rounds, so {rounds * settings["steps_a_round"]:,} training steps and {rounds} checkpoints read back.
{first} programs were compiled in the first {tour} rounds, which see every shape in every framework, and {later} after
them. In the second half of the time the memory of the process went by {growth(result):+.1f} MB an hour.

{table(result)}"""
