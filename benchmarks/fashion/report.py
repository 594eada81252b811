"""Fashion-MNIST.

Spiking networks on 60,000 images, each beside a twin of equal size without spikes.

One loop trains both: AdamW on a cosine schedule, batches of 256. The last 5,000 training images validate: the weights
of the epoch with the best accuracy on them are the ones tested, on 10,000 images (standard error .3 points), and no
test image decides anything. Rates and epochs were chosen by validation, with another seed.

LIF neurons have `{surrogate}` as their surrogate, and see a still image for several steps; the twin sees it once. *MB*
is what a train step holds beside weights, optimiser and images, by the compiled program.

What others report on the same test images. Spiking networks: 400-400, 5 steps: 89.75 ± .03 %, and 32C5-P2-64C5-P2-1024,
5 steps: 92.69 ± .09 % (Zhang and Li 2020, TSSL-BP, [their repository](https://github.com/stonezwr/TSSL-BP)). Two 3 x 3
convolutions of 128 with batch normalisation, a linear layer of 2,048, trained time constants, 8 steps: 93.85 % with the
weights that validate best, 94.38 % at the epoch that tests best (Fang et al. 2021, PLIF, [their
repository](https://github.com/fangwei123456/Parametric-Leaky-Integrate-and-Fire-Spiking-Neuron)). Such layers of
neurons without a leak, 4 steps: 92.96 % after 64 epochs, 93.3 % at the epoch that tests best ([SpikingJelly's
tutorial](https://github.com/fangwei123456/spikingjelly/blob/master/docs/source/activation_based_en/4_conv_fashion_mnist.rst)).
Of spiking networks that read an image row by row, no figure was found.

Without spikes, as submitted to the [README of the data](https://github.com/zalandoresearch/fashion-mnist#benchmark),
whose authors did not test them: an MLP 256-128-64 90.0 %; two convolutions with max pooling 87.6 and 91.6 %, two
convolutions of fewer than 100,000 weights 92.5 %; a GRU before a support vector machine 88.8 %, with dropout 89.7.
"""

from pathlib import Path

import jax
import numpy as np
from sklearn.metrics import ConfusionMatrixDisplay

from brainsurr import plot

from ..lib.report import picture, plot_seeds, spread, table, wrapped
from ..lib.results import read
from ..lib.study import finished, provenance, rows
from .data import CLASSES, NAMES, SIDE
from .networks import NETWORKS, SURROGATE, Network

GOAL, REACHED = 0.5, 92.0  # points that a spiking network may be behind its twin; per cent that it may reach
SHOWN, IMAGES_OF = 40, (0, 1, 7, 8)  # neurons of a layer in a raster, and of which classes it has an image
HEADER = ("network", "kind", "seeds", "test accuracy, %", "to its twin", "firing rates", "seconds an epoch", "MB")
PICTURES = ("curves", "confusion", "raster-convolution")
NORMALISED = "batch normalisation; rates chosen after five epochs of 10,240 images, epochs by the time they take"
ABOUT = {
    "dense": "linear layers",
    "rows": "a recurrent layer that sees a row of pixels a step, 28 in all: LIF with decays from .5 to .95, or gated "
    "recurrent units",
    "convolution": "3 x 3 convolutions with max pooling, and a linear layer",
    "residual": "a 3 x 3 convolution with average pooling and three residual blocks, of 14, 7 and 4 pixels a side, "
    f"whose shortcuts carry currents (Hu et al. 2021); {NORMALISED}",
    "attention": "a 3 x 3 convolution with average pooling, one in steps of two pixels and one with a shortcut, which "
    "give 49 tokens, and two blocks of spiking self-attention, of four heads (Zhou et al. 2023); the twin has softmax "
    f"attention, and ReLU; {NORMALISED}",
}
COMMAND = "`python -m benchmarks.fashion --data FOLDER --out benchmarks/results/fashion`"


def load(folder: Path):
    """Read the finished runs by seed, of each network and kind, LIF first."""
    table = rows(folder / "result.json")
    kinds = [(name, kind) for name, network in NETWORKS.items() for kind in ("LIF", network.twin)]
    by_kind = {of: {row["seed"]: row for row in table if (row["network"], row["kind"]) == of} for of in kinds}
    return {of: runs for of, runs in by_kind.items() if runs}


def to_twin(studied, name: str) -> list[float]:
    """Return by how many points the spiking network is better than its twin, for each seed that both have."""
    one, other = (studied.get((name, kind), {}) for kind in ("LIF", NETWORKS[name].twin))
    return [100 * (one[seed]["test"] - other[seed]["test"]) for seed in one if seed in other]


def summary(folder: Path) -> str:
    """Make the table: a row a network and kind, over its seeds; what a train step holds, in MB."""
    studied, lines, held = load(folder), [], finished(folder / "result.json", "temporaries") or {}
    for (name, kind), runs in studied.items():
        gaps = to_twin(studied, name) if kind == "LIF" else []
        columns = {key: [run[key] for run in runs.values()] for key in ("test", "firing", "epoch_seconds")}
        firing = ", ".join(f"{rate:.2f}" for rate in np.mean(columns["firing"], axis=0))
        gap, accuracy = f"{np.mean(gaps):+.2f}" if gaps else "", spread(100 * np.array(columns["test"]), 2)
        size = f"{held[of] / 1e6:.0f}" if (of := f"{name}, {kind}") in held else ""
        lines.append((name, kind, len(runs), accuracy, gap, firing, f"{np.median(columns['epoch_seconds']):.3g}", size))
    return table(HEADER, lines)


def section(folder: Path) -> str:
    """Write the section of a page: the docstring of this module, with what was measured before what others report."""
    title, *about = map(wrapped, __doc__.format(surrogate=SURROGATE).strip().split("\n\n"))
    path = folder / "result.json"
    trained, studied = read(path)["settings"]["networks"].items(), load(folder)
    measured = [
        "\n".join(described(name, Network(**network)) for name, network in trained),
        summary(folder),
        goals(studied),
        *(f"![{name}](../benchmarks/results/fashion/{name}.png)" for name in PICTURES),
        wrapped(f"It took {provenance(path)}."),
    ]
    return "\n\n".join([f"## {title.rstrip('.')}", *about[:3], *measured, *about[3:], COMMAND])


def goals(studied) -> str:
    """Say which spiking networks come near their twins, and which reach what larger ones do."""
    spiking = {name: runs for (name, kind), runs in studied.items() if kind == "LIF"}
    near = [name for name in spiking if (gaps := to_twin(studied, name)) and np.mean(gaps) >= -GOAL - 1e-9]
    high = [name for name, runs in spiking.items() if 100 * np.mean([run["test"] for run in runs.values()]) >= REACHED]
    near, high = (", ".join(f"*{name}*" for name in names) or "none" for names in (near, high))
    said = f"Spiking networks at most {GOAL} points behind their twins: {near}; of {REACHED:g} % or more: {high}."
    return wrapped(said)


def described(name: str, network: Network) -> str:
    """List the sizes of a network, and how it and its twin were trained."""
    steps, rates = network.steps or SIDE, f"{network.rate:g} (LIF) and {network.twin_rate:g} ({network.twin})"
    sizes = f"{'-'.join(map(str, network.sizes))}, {steps} steps, {network.epochs} epochs"
    return wrapped(f"- *{name}*: {sizes}, rates of {rates} at first, dropout {network.dropout:g}: {ABOUT[name]}.", "  ")


def draw(folder: Path):
    """Draw loss and validation accuracy of all runs, and which class the last spiking network takes for which."""
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
    """Draw a few test images, and below each the spikes of every layer of a network that sees it."""
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
