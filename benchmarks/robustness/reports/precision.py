"""The report on half precision: bfloat16 and float32 in every framework, and float16 with and without loss scaling."""

import numpy as np

from ...lib import report


def within(run, reference):
    """Check whether the mean over seeds is between the smallest and the largest value of the reference's seeds.

    Returns:
      The number of epochs in which this is true of the training loss, and whether it is true of the final test
      accuracy.
    """
    loss, losses = np.mean(run["loss"], axis=0), np.array(reference["loss"])
    inside = (losses.min(0) <= loss) & (loss <= losses.max(0))
    accuracies = np.array(reference["test_accuracy"])[:, -1]
    accuracy = np.mean([curve[-1] for curve in run["test_accuracy"]])
    return int(inside.sum()), bool(accuracies.min() <= accuracy <= accuracies.max())


def table(result):
    """Make a table with a row per framework and dtype."""
    rows = []
    for name, run in result["runs"].items():
        framework, dtype, *scaling = name.split(", ")
        reference = result["runs"][f"{framework}, float32"]
        epochs, accuracy = within(run, reference)
        noise = ("", "") if run is reference else (f"{epochs} of {result['settings']['epochs']}", report.yes(accuracy))
        label = f"{framework}, {dtype}" + (f", scale: {scaling[0]}" if scaling else "")
        ends = (report.spread([curve[-1] for curve in run[what]]) for what in ("loss", "test_accuracy"))
        rows.append((label, *ends, *noise, report.yes(run["finite"]), ", ".join(run["dtypes_of_state"])))
    header = ("training", "final loss", "test accuracy", "epochs within noise", "accuracy within noise", "all finite")
    return report.table((*header, "parameter dtype"), rows)


def underflow(result):
    """Make a table with a row per trained network: the fraction of its weights with a zero gradient."""
    columns = ("float32", "float16", "float16, scaled")
    rows = []
    for name, run in result["runs"].items():
        if "no_gradient" in run:
            rows.append((name.split(", ")[-1], *(f"{run['no_gradient'][column]:.4%}" for column in columns)))
    return report.table(("loss scale", *(f"weights without gradient, {column}" for column in columns)), rows)


def parts(result):
    """Return the parts of the page."""
    return {"precision": table(result), "underflow": underflow(result)}


def draw(result, folder):
    """Draw the loss and the accuracy of every dtype, with one column per framework."""
    frameworks = list(dict.fromkeys(name.split(", ")[0] for name in result["runs"]))
    shared = {"sharex": True, "sharey": "row"}
    with report.picture(folder / "precision.png", 2, len(frameworks), size=(10, 5), **shared) as axes:
        for name, run in result["runs"].items():
            framework, label = name.split(", ", 1)
            loss, accuracy = axes[:, frameworks.index(framework)]
            loss.set(title=framework, yscale="log")
            accuracy.set(xlabel="epoch")
            for axis, what in ((loss, "loss"), (accuracy, "test_accuracy")):
                report.plot_seeds(axis, run[what], label=label.replace("float16, ", "float16, scale: "), alpha=0.15)
        axes[0, 0].set_ylabel("training loss")
        axes[1, 0].set_ylabel("test accuracy")
        axes[1, frameworks.index("nnx")].legend(frameon=False, title="mean and range of the seeds")
