"""The Fashion-MNIST tables of docs/appendix/studies.md, and pictures."""

from pathlib import Path

import jax
import numpy as np
from sklearn.metrics import ConfusionMatrixDisplay

from brainsurr import plot

from ..lib.report import picture, plot_seeds, spread, table
from ..lib.results import read
from ..lib.study import finished, provenance, rows
from .data import CLASSES, NAMES, SIDE
from .networks import NETWORKS

SHOWN, IMAGES_OF = 40, (0, 1, 7, 8)  # neurons of a layer in a raster, and of which classes it has an image
HEADER = ("network", "kind", "seeds", "test accuracy, %", "gain, points", "firing rates", "epoch time, s", "memory, MB")


def load(folder: Path):
    """Read the finished runs by seed, for each network and kind, LIF first."""
    table = rows(folder / "result.json")
    kinds = [(name, kind) for name, network in NETWORKS.items() for kind in ("LIF", network.twin)]
    by_kind = {of: {row["seed"]: row for row in table if (row["network"], row["kind"]) == of} for of in kinds}
    return {of: runs for of, runs in by_kind.items() if runs}


def summary(folder: Path) -> str:
    """Make the table with a row per network and kind over its seeds, with the memory of a training step in MB."""
    studied, lines, held = load(folder), [], finished(folder / "result.json", "temporaries") or {}
    for (name, kind), runs in studied.items():
        twin = studied.get((name, NETWORKS[name].twin), {}) if kind == "LIF" else {}
        gaps = [100 * (run["test"] - twin[seed]["test"]) for seed, run in runs.items() if seed in twin]
        columns = {key: [run[key] for run in runs.values()] for key in ("test", "firing", "epoch_seconds")}
        firing = ", ".join(f"{rate:.2f}" for rate in np.mean(columns["firing"], axis=0))
        gap, accuracy = f"{np.mean(gaps):+.2f}" if gaps else "", spread(100 * np.array(columns["test"]), 2)
        size = f"{held[of] / 1e6:.0f}" if (of := f"{name}, {kind}") in held else ""
        lines.append((name, kind, len(runs), accuracy, gap, firing, f"{np.median(columns['epoch_seconds']):.3g}", size))
    return table(HEADER, lines)


def section(folder: Path) -> str:
    """Make the tables of docs/appendix/studies.md: the training settings and the results of each network."""
    path, lines = folder / "result.json", []
    for name, network in read(path)["settings"]["networks"].items():
        sizes, rates = "-".join(map(str, network["sizes"])), (f"{network[rate]:g}" for rate in ("rate", "twin_rate"))
        lines.append((name, sizes, network["steps"] or SIDE, network["epochs"], *rates, network["dropout"]))
    header = "network", "sizes", "steps", "epochs", "learning rate, LIF", "learning rate, baseline", "dropout"
    return "\n\n".join([table(header, lines), summary(folder), f"{provenance(path)}."])


def draw(folder: Path):
    """Draw the loss and validation accuracy of all runs, and the confusion matrix of the last spiking network."""
    studied = load(folder)
    names = list(dict.fromkeys(name for name, _ in studied))
    with picture(folder / "curves.png", 2, len(names), size=(3.6 * len(names), 5.4)) as axes:
        for (name, kind), runs in studied.items():
            loss, accuracy = axes[:, names.index(name)]
            plot_seeds(loss, [run["losses"] for run in runs.values()], label=kind, alpha=0.2)
            plot_seeds(accuracy, 100 * np.array([run["validations"] for run in runs.values()]), label=kind, alpha=0.2)
            loss.set(title=name, yscale="log", ylabel="training loss")
            accuracy.set(xlabel="epoch", ylabel="validation accuracy, %")
            accuracy.legend(frameon=False)
    *_, (name, runs) = [(name, runs) for (name, kind), runs in studied.items() if kind == "LIF"]
    counts = np.sum([run["confusion"] for run in runs.values()], axis=0).reshape(CLASSES, CLASSES)
    with picture(folder / "confusion.png", size=(6, 5.4)) as axes:
        display = ConfusionMatrixDisplay(100 * counts / counts.sum(1, keepdims=True), display_labels=NAMES)
        display.plot(ax=axes[0, 0], cmap="Blues", values_format=".0f", xticks_rotation="vertical", colorbar=False)
        axes[0, 0].set(xlabel="taken for", ylabel="true class", title=f"{name}, LIF: % of the test images of a class")


def draw_raster(folder: Path, name: str, net, images, labels):
    """Draw a few test images and, below each, the spikes of every layer of a network that sees the image."""
    chosen = [int(np.flatnonzero(labels == label)[0]) for label in IMAGES_OF]
    net.eval()
    logits, spikes = jax.device_get(net(images[chosen]))
    with picture(folder / f"raster-{name}.png", 1 + len(spikes), len(chosen), size=(9, 2 + 2 * len(spikes))) as axes:
        for j, (first, *others) in enumerate(axes.T):
            first.imshow(images[chosen[j], :, :, 0], cmap="Greys")
            first.set(title=f"{NAMES[IMAGES_OF[j]]},\ntaken for {NAMES[logits[j].argmax()]}", xticks=[], yticks=[])
            for i, (layer, axis) in enumerate(zip(spikes, others, strict=True), 1):
                flat = layer[:, j].reshape(len(layer), -1)
                plot.raster(flat[:, np.linspace(0, flat.shape[1] - 1, SHOWN).astype(int)], axes=axis)
                axis.set(ylabel="" if j else f"layer {i}")
