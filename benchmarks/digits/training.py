"""Train one network with checkpoints, or all networks."""

import re
from pathlib import Path

import jax
import numpy as np
from tqdm import tqdm

from brainsurr import cpu

from ..lib import checkpoints
from . import task
from .job import NETWORKS
from .network import Network


def train_all(args, data, folder: Path):
    """Train each network from each seed, resuming from the checkpoints in a folder.

    Args:
      args: the command line: framework, epochs, seeds and the epochs between checkpoints.
      data: from `task.load_validated`.
      folder: the folder of the checkpoints, with one folder for each network.

    Returns:
      For each network, a list of the outcomes of `train` over seeds.
    """
    steps, outcomes = args.epochs * (len(data[0][1]) // task.BATCH), {name: [] for name in NETWORKS}
    with tqdm(total=len(NETWORKS) * args.seeds * args.epochs, unit="epoch", desc="training") as bar:
        for name, of_network in NETWORKS.items():
            for seed in range(args.seeds):

                def on_epoch(loss, accuracy, what=f"{name}, seed {seed}"):
                    bar.set_postfix_str(f"{what}, loss {loss:.3f}, validation {accuracy:.3f}", refresh=False)
                    bar.update()

                network = Network(args.framework, *of_network, seed, steps)
                with checkpoints.manager(folder / re.sub(r"\W+", "-", f"{name} {seed}")) as kept:
                    outcomes[name].append(train(data, network, seed, args.epochs, on_epoch, kept, args.save_every))
    return outcomes


def train(data, network, seed, epochs, on_epoch=lambda loss, accuracy: None, kept=None, every=1):
    """Train one network, and test it at the end.

    Args:
      data: from `task.load_validated`.
      network: as `Network` creates it.
      seed: the seed of the image order and of the noise.
      epochs: passes over the training images, including those of a restored checkpoint.
      on_epoch: called with the loss and validation accuracy of each epoch, also of those before a restored checkpoint.
      kept: a checkpoint manager; training resumes from its newest checkpoint. Without it, nothing is read or saved.
      every: epochs between checkpoints; the last epoch is always saved.

    Returns:
      The outcome as JSON.
    """
    before, curve, order = network.surrogates(), {"loss": [], "validation_accuracy": []}, np.random.default_rng(seed)
    training, validation, test = data
    network.state = cpu.split(network.state, axis=None)
    if saved := kept and checkpoints.restore(kept, like=network.state):
        network.state, curve = saved
    done = len(curve["loss"])
    for epoch in range(epochs):
        images, labels, keys = batches(*training, order, seed, epoch)  # also when resumed: each call changes the order
        if epoch >= done:
            loss = network.train_epoch(*cpu.split((images, labels), axis=1), keys)
            curve["loss"].append(float(loss))
            curve["validation_accuracy"].append(float(network.evaluate(*validation)[0]))
            if kept and ((epoch + 1) % every == 0 or epoch + 1 == epochs):
                checkpoints.save(kept, epoch + 1, network.state, curve)
        on_epoch(*(values[epoch] for values in curve.values()))
    accuracy, spikes = network.evaluate(*test)
    return {
        "seed": seed,
        "test_accuracy": float(accuracy),
        "firing_rate": [float(s.mean()) for s in spikes],
        "silent": [float((s.sum((0, 1)) == 0).mean()) for s in spikes],
        "parameters": {"before": before, "after": network.surrogates()},
        "curve": curve,
        "sha256_of_state": checkpoints.digest(network.state),
    }


def batches(images, labels, order, seed, epoch):
    """Draw the order of an epoch: images and labels ``[batches, batch, ...]``, and a key for each batch."""
    number = len(labels) // task.BATCH
    rows = order.permutation(len(labels))[: number * task.BATCH].reshape(number, task.BATCH)
    keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), epoch), number)
    return images[rows], labels[rows], keys
