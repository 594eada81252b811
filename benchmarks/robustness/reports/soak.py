"""Memory, programs, files and threads over half an hour of `soak`."""

import matplotlib.pyplot as plt
import numpy as np

from ...lib import results

NAMES = {
    "resident": "memory of the process, MB",
    "on_device": "jax's arrays, MB",
    "arrays": "jax's arrays",
    "on_disk": "checkpoints, MB",
    "files": "open files",
    "threads": "threads",
}
WHOLE = ("arrays", "files", "threads")


def table(result):
    """Make a table with a row per measure: the median of the last tour at some times, and the maximum."""
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
    """Return how many rounds it takes to go through every framework with every shape."""
    return len(result["settings"]["frameworks"]) * len(result["settings"]["shapes"])


def growth(result):
    """Fit a straight line to the memory of the second half of the rounds; return its slope in KB per round."""
    resident = np.array(result["measured"]["resident"])
    late = np.arange(len(resident) // 2, len(resident))
    return 1024 * np.polyfit(late, resident[late], 1)[0]


def picture(result):
    """Return the name of the picture, one for either kind."""
    return f"soak{'' if saves(result) else '-without-checkpoints'}.png"


def saves(result):
    """Return whether it wrote checkpoints."""
    return max(result["measured"]["on_disk"]) > 0


def draw(result, folder):
    """Draw the memory of the process and the number of compiled programs over time."""
    measured = result["measured"]
    minutes = np.array(measured["seconds"]) / 60
    figure, axes = plt.subplots(1, 2, figsize=(9, 2.8), layout="constrained")
    axes[0].plot(minutes, measured["resident"])
    axes[0].set(xlabel="minutes", ylabel=NAMES["resident"], ylim=(0, None))
    axes[1].plot(minutes, measured["programs"])
    axes[1].set(xlabel="minutes", ylabel="programs compiled", ylim=(0, None))
    figure.savefig(folder / picture(result), dpi=110)
    plt.close("all")


def line(result):
    """Make the row of the summary."""
    measured, tour = result["measured"], tour_length(result)
    saved = saves(result)
    later = measured["programs"][-1] - measured["programs"][tour - 1]
    grown = f"{growth(result):+.1f} KB of memory a round in the second half"
    outcome = f"{later} programs compiled after the first {tour}; {grown}"
    tried = f"{len(measured['seconds']):,} rounds of training with new shapes and alphas"
    return f"a long run, {'with' if saved else 'without'} checkpoints", tried, outcome


def section(result):
    """Write the section of the page."""
    settings, measured, tour = result["settings"], result["measured"], tour_length(result)
    rounds, programs = len(measured["seconds"]), measured["programs"]
    shapes = ", ".join(f"{steps} x {size}" for steps, size in settings["shapes"])
    later, first = programs[-1] - programs[tour - 1], programs[tour - 1]
    saved = saves(result)
    checkpoints = f" and {rounds:,} checkpoints read back" if saved else ""
    beside = "The next section shows how much of this is due to saving and reading back."
    resumed = "is saved, is read back into a fresh network with the same bits, "
    return f"""## {"Everything, repeatedly" if saved else "The same without checkpoints"}

In turn, the network of each framework ({", ".join(settings["frameworks"])}) gets a batch of another shape (time steps
x examples: {shapes}), trains, {resumed if saved else ""}gets new random alphas, and trains again.

{rounds:,} rounds, so {rounds * settings["steps_a_round"]:,} training steps{checkpoints}.
{first} programs were compiled in the first {tour} rounds, which see every shape in every framework, and {later} after
them. In the second half of the rounds the memory of the process grew by {growth(result):.1f} KB a round.
{beside if saved else ""}

![Memory of the process and programs compiled, over time](pictures/withstands/{picture(result)})

{table(result)}"""
