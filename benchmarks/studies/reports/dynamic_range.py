"""Dynamic range: amplitudes that differ by orders of magnitude, with and without the logarithmic tail."""

import matplotlib.pyplot as plt
import numpy as np

from ...lib import results
from ...lib.report import Claim, accuracies, colour, finished, spread


def tables(result):
    """Make a table with a row per surrogate at its best parameter, sorted by the mean over all spreads."""
    best = finished(result, "best")
    names = list(map(_name, result["settings"]["spreads"]))
    order = sorted(best, key=lambda name: -np.mean(best[name]["test"]))
    rows = ([f"`{best[name]['surrogates'][0]}`", *map(spread, best[name]["test"][0])] for name in order)
    pairs = ", ".join(f"{f} {spread(run)}" for f, run in _alphas(result))
    return results.table(["decades between", *names], rows) + f"\n\nEvery alpha, over all spreads: {pairs}."


def draw(result, folder):
    """Draw accuracy over the spread between examples, and between channels."""
    spreads = np.array(result["settings"]["spreads"])
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained", sharey=True)
    for i, (axis, kind) in enumerate(zip(axes, ("examples", "channels"), strict=True)):
        chosen = spreads[:, 1 - i] == 0
        for name, run in finished(result, "best").items():
            test = np.array(run["test"])[0, chosen]
            axis.plot(spreads[chosen, i], test.mean(-1), marker=".", **colour(name))
        axis.set(xlabel=f"decades between {kind}", xticks=spreads[chosen, i])
    axes[0].set_ylabel("test accuracy")
    axes[0].legend(frameon=False, title="mean of the seeds; grey: the others")
    figure.savefig(folder / "dynamic-range.png", dpi=110)
    plt.close("all")


def standing(result):
    """Yield the accuracies by surrogate at the widest spreads."""
    at = sum(result["settings"]["chosen_at"][0])
    for i, decades in enumerate(result["settings"]["spreads"]):
        if sum(decades) == max(map(sum, result["settings"]["spreads"])):
            setting = f"digits, {sum(decades)} decades between {_name(decades).split()[0]}, chosen at {at}"
            yield setting, accuracies(finished(result, "best"), i)


def claims(result):
    """Make the claims about the logarithmic tail."""
    spreads = result["settings"]["spreads"]
    wide = [i for i, (a, b) in enumerate(spreads) if a + b == max(map(sum, spreads)) - 1]
    tail, none = (_of(result, name, wide) for name in ("LogTailedRelu", "LeakyRelu"))
    yield Claim(
        "Over two decades the tail is worth 2 points or more at alpha 0",
        bool(tail[0] - none[0] >= 0.02),
        f"LogTailedRelu(0) {tail[0]:.3f}, LeakyRelu(0) {none[0]:.3f}",
    )
    at = [i for i, f in enumerate(result["runs"]["LogTailedRelu, every alpha"]["surrogates"]) if "alpha=0.1" in f]
    if at:
        yield Claim(
            "Over two decades the tail is worth less than 2 points at alpha 0.1",
            bool(tail[at[0]] - none[at[0]] < 0.02),
            f"LogTailedRelu(0.1) {tail[at[0]]:.3f}, LeakyRelu(0.1) {none[at[0]]:.3f}",
        )
    best = finished(result, "best")
    means = {name: np.mean(np.array(run["test"])[0, wide]) for name, run in best.items()}
    first = max(means, key=means.get)
    yield Claim(
        "Over two decades a surrogate without a special tail, Sigmoid or Arctan, is as good as LogTailedRelu",
        bool(max(means["Sigmoid"], means["Arctan"]) >= means["LogTailedRelu"] - 0.005) if "Arctan" in means else False,
        ", ".join(f"{n} {means[n]:.3f}" for n in ("Sigmoid", "Arctan", "LogTailedRelu") if n in means)
        + f"; best: {first} {means[first]:.3f}",
    )


def _alphas(result):
    for name in ("LogTailedRelu", "LeakyRelu"):
        run = result["runs"][f"{name}, every alpha"]
        yield from zip(run["surrogates"], run["test"], strict=True)


def _of(result, name, wide):
    return np.mean(np.array(result["runs"][f"{name}, every alpha"]["test"])[:, wide], axis=(1, 2))


def _name(decades):
    examples, channels = decades
    return f"examples {examples}" if examples else f"channels {channels}" if channels else "none"
