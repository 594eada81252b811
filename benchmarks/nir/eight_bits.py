"""Accuracy in the integers of Speck, Xylo and Loihi: networks rounded after training, and trained with the rounding.

Run `COMMAND`. The environment variable LAVA names a Python with Lava, and CHIPS one with sinabs, rockpool and xylosim;
they run the networks of the first seed. Images are shown as spikes at regular intervals.
"""

import functools
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import nir
import numpy as np
import optax
from flax import nnx

from brainsurr.nir import quantized, to_nir
from brainsurr.nnx import SpikingSequential

from ..digits import task
from ..fashion import data
from ..lib.report import spread, table
from ..lib.study import Runs, arguments, of_seeds, provenance, rows
from ..lib.training import accuracy, evaluated, over_time, train_network
from . import peers, trials

COMMAND = "LAVA=PYTHON CHIPS=PYTHON python -m benchmarks.nir.eight_bits --fashion FOLDER "
COMMAND += "--out benchmarks/results/eight-bits"
KEY = ("data", "network", "seed")
MEASURED = ("floats", "single", "after", "trained", "differ", "there", "seconds", "cpu_seconds")
STEPS, BATCH, COMPARED, SEEDS = 16, 64, 100, (0, 1, 2)
NETWORKS = {  # reader, bits, decays of synapse and membrane, learning rate, epochs for each of SIDES
    "Speck": ("speck", 8, (1.0, 1.0), 8e-3, (12, 6)),
    "Loihi, 8 bits": ("lava", 8, (None, 0.9), 2e-3, (30, 30)),
    "Loihi, 4 bits": ("lava", 4, (None, 0.9), 2e-3, (30, 30)),
    "Xylo, decays 0.8 and 0.9": ("rockpool", 8, (0.8, 0.9), 2e-3, (30, 30)),
    "Xylo, decays 0.75 and 0.875": ("rockpool", 8, (0.75, 0.875), 2e-3, (30, 30)),
}
SIDES, MOST = {"digits": 8, "fashion": 14}, (4000, 1000)


def network(kind: str, side: int, seed: int) -> SpikingSequential:
    """Return a network that the chip supports."""
    reader, _, (synapse, decay), *_ = NETWORKS[kind]
    if reader == "speck":
        return trials.image_network(side, seed)
    reset = "zero" if reader == "lava" else "subtract"
    return trials.dense_network(side**2, seed, synapse, decay=decay, reset=reset)


def trains(reader: str, images):
    """Return images as spikes ``[time, batch, features]``; for Speck, as square images with one channel."""
    steps = jnp.floor(jnp.arange(STEPS + 1.0)[:, None, None] * images)
    xs, side = steps[1:] - steps[:-1], math.isqrt(images.shape[-1])
    return xs.reshape(*xs.shape[:2], side, side, 1) if reader == "speck" else xs


def spikes(kind: str, how: str, net: SpikingSequential, images, key=None):
    """Return the last layer's spikes, ``[batch, time, 10]``, in floats, rounded, or rounded with one spike per step."""
    reader, bits, *_ = NETWORKS[kind]
    net = net if how == "floats" else quantized(net, reader=reader, bits=bits)
    for layer in net.layers if how == "single" else ():
        if isinstance(layer, nnx.Module) and hasattr(layer, "levels"):
            layer.levels = 1
    return over_time(net, trains(reader, images)).swapaxes(0, 1)


def load(name: str, folder: Path | None, small: bool):
    """Load images ``[count, features]`` in [0, 1] and labels, for training and for the test."""
    found, parts = [], task.load() if name == "digits" else data.load(folder)[::2]
    for (images, labels), most in zip(parts, MOST, strict=True):
        images, labels = np.asarray(images)[:most], np.asarray(labels)[:most]
        if name == "fashion":
            images = images.reshape(-1, 14, 2, 14, 2).mean((2, 4)).reshape(-1, 14 * 14) / 255
        cut = 2 * BATCH if small else None
        found.append((jnp.asarray(images, jnp.float32)[:cut], jnp.asarray(labels)[:cut]))
    return found


def run(kind: str, name: str, seed: int, parts, small: bool) -> dict:
    """Train a network in floats and with the rounding, and return the test results of each."""
    (images, labels), (test, answers) = parts
    reader, *_, rate, epochs = NETWORKS[kind]
    start, nets = network(kind, SIDES[name], seed), {}
    for how in ("floats", "rounded"):
        seen = functools.partial(spikes, kind, how)
        recipe = {"epochs": 1 if small else epochs[[*SIDES].index(name)], "batch": BATCH, "optimizer": optax.adam(rate)}
        train = functools.partial(train_network, logits=lambda *args, seen=seen: seen(*args).sum(1), **recipe)
        nets[how], *_ = train(nnx.clone(start), key=jax.random.key(seed), inputs=images, labels=labels)
    ways = {"floats": ("floats", "floats"), "single": ("floats", "single"), "after": ("floats", "rounded")}
    ways["trained"] = "rounded", "rounded"
    shown = {of: evaluated(nets[net], functools.partial(spikes, kind, how), test) for of, (net, how) in ways.items()}
    found = {of: float(accuracy(ys.sum(1), answers)) for of, ys in shown.items()}
    there = None
    if seed == SEEDS[0] and ("LAVA" if reader == "lava" else "CHIPS") in os.environ:
        pairs = ((nets["floats"], shown["after"]), (nets["rounded"], shown["trained"]))
        there = float(np.mean([differ(kind, *pair, test[:COMPARED]) for pair in pairs]))
    return found | {"differ": float(np.mean(shown["floats"] != shown["after"])), "there": there}


def differ(kind: str, net: SpikingSequential, expected, images) -> float:
    """Return the fraction of spikes that differ between the tool of a chip and the rounded network."""
    reader, bits, *_ = NETWORKS[kind]
    xs = np.asarray(trains(reader, images))
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder, name)) for name in ("net.nir", "xs.npy", "out.npz")]
        nir.write(paths[0], to_nir(net, xs.shape[2:], dt=trials.OTHER_STEPS.get(reader, 1e-3), reader=reader))
        if reader == "lava":
            theirs = peers.lava_reads(paths[0], xs, bits=bits)
        else:
            np.save(paths[1], np.moveaxis(xs, -1, 2))
            code = [os.environ["CHIPS"], "-m", "benchmarks.nir.chips", reader, *paths]
            subprocess.run(code, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            theirs = np.load(paths[2])["spikes"]
    late = int(reader == "rockpool")  # XyloSim passes spikes to the next layer one step later
    return float(np.mean(theirs[late:] != np.asarray(expected)[: len(images)].swapaxes(0, 1)[: STEPS - late]))


def main(argv=None):
    """Train the networks that the file lacks, and write it."""
    args = arguments("nir.eight_bits", __doc__, argv, quick="one network and seed, two batches", settings=[*SIDES])
    settings = {"steps": STEPS, "batch": BATCH, "most": MOST, "networks": NETWORKS}
    kinds, seeds = (list(NETWORKS)[-1:], SEEDS[:1]) if args.quick else (list(NETWORKS), SEEDS)
    total = len(args.settings) * len(kinds) * len(seeds)
    runs = Runs(args.out / "result.json", settings | {"quick": args.quick}, KEY, MEASURED, total)
    for name in args.settings:
        parts = load(name, args.fashion, args.quick)
        for seed in seeds:
            for kind in kinds:
                runs.run(functools.partial(run, kind, name, seed, parts, args.quick), name, kind, seed)
        runs.finish(name, networks=kinds, seeds=seeds)
    print(part(args.out / "result.json"))


def part(path: Path) -> str:
    """Return the table of docs/appendix/chips.md and how it was made."""
    heads = "data", "network", "float, %", "rounded, %", "multiple spikes, %", "quantized, %", "changed, %", "in tool"
    seeds, shown = sorted({row["seed"] for row in rows(path)}), []
    for (name, kind), found in of_seeds(rows(path), seeds, "data", "network").items():
        one = kind.startswith("Loihi")  # one spike per step
        cells = ["" if one and of == "after" else spread(100 * found[of], 1) for of in MEASURED[:5]]
        there = [share for share in found["there"] if share is not None]
        shown.append((name, kind, *cells, f"{100 * np.mean(there):.2g} %" if there else ""))
    return "\n\n".join([table(heads, shown), f"`{COMMAND}`:\n{provenance(path)}."])


if __name__ == "__main__":
    sys.exit(main())
