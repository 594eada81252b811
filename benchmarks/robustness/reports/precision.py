"""Low precision: bfloat16 and float32 in every framework, and float16 with and without loss scaling."""

import numpy as np

from ...lib import report


def within(run, reference):
    """Check whether the mean of the seeds lies between the least and the greatest of the reference.

    Returns:
      The number of epochs in which the training loss does, and whether the test accuracy after the last one does.
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
    header = ("", "loss, last epoch", "test accuracy", "epochs within noise", "accuracy within noise", "all finite")
    return report.table((*header, "parameters"), rows)


def underflow(result):
    """Make a table with a row per trained network: the share of its weights without any gradient."""
    columns = ("float32", "float16", "float16, scaled")
    rows = []
    for name, run in result["runs"].items():
        if "no_gradient" in run:
            rows.append((name.split(", ")[-1], *(f"{run['no_gradient'][column]:.4%}" for column in columns)))
    return report.table(("trained with scale", *(f"no gradient in {column}" for column in columns)), rows)


def compared(result):
    """Return for each framework the results of `within`, and the accuracies of the seeds in bfloat16 and float32."""
    pairs = {}
    for name, half in result["runs"].items():
        if name.endswith("bfloat16"):
            whole = result["runs"][name.replace("bfloat16", "float32")]
            ends = ([curve[-1] for curve in run["test_accuracy"]] for run in (half, whole))
            pairs[name] = (*within(half, whole), *ends)
    return pairs


def counts(result):
    """Count the frameworks, and those in which bfloat16's loss and accuracy are within noise."""
    epochs, accuracy, *_ = zip(*compared(result).values(), strict=True)
    return len(epochs), epochs.count(result["settings"]["epochs"]), accuracy.count(True)


def verdict(result):
    """Say in how many frameworks bfloat16 is within noise, and how far it is from it in the others."""
    total, loss, accuracy = counts(result)
    text = f"By that, bfloat16's loss is within noise in {loss} of {total} frameworks, "
    text += f"its accuracy in {accuracy} of {total}."
    for name, (_, inside, half, whole) in compared(result).items():
        if not inside:
            text += f" {name}: {np.mean(half):.4f}, where float32's seeds have {min(whole):.4f} to {max(whole):.4f}."
    return text


def line(result):
    """Make the row of the summary."""
    total, loss, accuracy = counts(result)
    same = f"loss in {loss} of {total} frameworks, accuracy in {accuracy} (bfloat16)"
    return "half precision", f"bfloat16 in {total} frameworks, float16 in one", f"within float32's noise: {same}"


def section(result):
    """Write the section of the page."""
    settings, runs = result["settings"], result["runs"]
    every = "Every" if all(run["finite"] for run in runs.values()) else "NOT every"
    scaled = runs["nnx, float16, dynamic"]
    return f"""## Half precision

The LIF network of `benchmarks.digits` with a trained alpha, {settings["surrogate"]} at first, {settings["epochs"]}
epochs, {settings["seeds"]} seeds, from the same weights on the same data. Layers compute in bfloat16 or float16;
parameters, alpha, membranes and the loss stay in float32. *Within noise* was defined beforehand: in every epoch the
mean loss of the seeds is between the lowest and the highest loss in float32, and so is the mean test accuracy at the
end. {verdict(result)} {every} loss and parameter is finite.

![Training loss and test accuracy in float32 and half precision](pictures/withstands/precision.png)

{table(result)}

float16, in Flax NNX, with and without dynamic loss scaling from {settings["scale"]:g}: the scale ends at
{", ".join(f"{scale:g}" for scale in scaled["scale"])} in the seeds, with {sum(scaled["left_out"])} steps left out. The
table shows how many weights lose their small gradient to rounding: the share of weights without a gradient, on one
batch, with a scale of {settings["scale"]:g}. A weight into a silent neuron, or from a black pixel, has none in float32
either.

{underflow(result)}"""


def draw(result, folder):
    """Draw the loss and the accuracy of every dtype, in one column per framework."""
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
