"""Train one network with checkpoints, and all networks of a job until a signal stops them."""

import importlib
import signal
from functools import partial
from pathlib import Path

import jax
import numpy as np
from tqdm import tqdm

from ..lib.checkpoints import Checkpoints, catch_signals, digest
from . import task
from .job import Job, place


class StoppedBySignal(Exception):
    """A signal stopped the training, after the last finished epoch was saved."""

    def __init__(self, number: signal.Signals):
        super().__init__(number)
        self.number = number


class Progress:
    """The curves of a training so far, and the generator that orders the images of each epoch."""

    def __init__(self, seed):
        self.losses, self.accuracies, self.order = [], [], np.random.default_rng(seed)

    def as_json(self):
        """Return everything that a checkpoint holds beside the arrays of the network."""
        return {"losses": self.losses, "accuracies": self.accuracies, "order": self.order.bit_generator.state}

    def restore(self, saved):
        """Continue from what `as_json` returned."""
        self.losses, self.accuracies, self.order.bit_generator.state = (
            saved[name] for name in ("losses", "accuracies", "order")
        )


def train_all(job: Job, data, folder: Path, save_every: int):
    """Train each network of a job from each seed; continue from the checkpoints in a folder.

    Args:
      job: networks, seeds and settings.
      data: of `task.load`.
      folder: of the checkpoints, one folder for each network.
      save_every: epochs between checkpoints.

    Returns:
      For each network the outcomes of `train`, a list over seeds; and its spikes with the first seed.

    Raises:
      StoppedBySignal: after SIGTERM or SIGINT.
    """
    make = importlib.import_module(f".{job.framework}", __package__).Network
    networks, identity = job.networks(), job.identity()
    trainings, steps = list(job.trainings()), job.epochs * (len(data.train_images) // task.BATCH)
    outcomes, spikes = {}, {}
    with (
        catch_signals() as caught,
        tqdm(total=len(trainings) * job.epochs, unit="epoch", desc="training") as bar,
    ):
        for name, seed in trainings:
            network = make(*networks[name], seed, steps, job.dtype)
            on_epoch = partial(_advance, bar, f"{name}, seed {seed}")
            with Checkpoints(folder / place(name, seed), identity | {"network": name, "seed": seed}) as checkpoints:
                outcome, of_first_image = train(
                    data, network, seed, job.epochs, on_epoch, checkpoints, save_every, stop=caught
                )
            if caught:
                raise StoppedBySignal(caught[0])
            outcomes.setdefault(name, []).append(outcome)
            spikes.setdefault(name, of_first_image)
    return outcomes, spikes


def _advance(bar, what, loss, accuracy):
    """Show one more epoch in the progress bar."""
    bar.set_postfix_str(f"{what}, loss {loss:.3f}, test {accuracy:.3f}", refresh=False)
    bar.update()


def train(data, network, seed, epochs, on_epoch=lambda loss, accuracy: None, checkpoints=None, every=1, stop=()):
    """Train one network.

    Args:
      data: of `task.load`.
      network: a ``Network`` of one of the frameworks.
      seed: of the order of the images and of their noise.
      epochs: passes over the training images, those of a restored checkpoint included.
      on_epoch: called with the loss and the test accuracy of each epoch, also of those before a restored checkpoint.
      checkpoints: training continues from the newest; without them nothing is read or saved.
      every: epochs between checkpoints; the last epoch is always saved.
      stop: a list to which something is added, at any time, to end the training after the current epoch, saved.

    Returns:
      The outcome as JSON, and the spikes ``[time, neurons]`` of each LIF layer for the first test image.
    """
    before, progress = parameters(network), Progress(seed)
    if saved := checkpoints and checkpoints.restore(network.state()):
        network.load(saved[1])
        progress.restore(saved[2])
        for loss, accuracy in zip(progress.losses, progress.accuracies, strict=True):
            on_epoch(loss, accuracy)
    for epoch in range(len(progress.losses), epochs):
        images, labels, keys = batches(data, progress.order, seed, epoch)
        progress.losses.append(float(network.train_epoch(images, labels, keys)))
        progress.accuracies.append(float(network.evaluate(data.test_images, data.test_labels)[0]))
        on_epoch(progress.losses[-1], progress.accuracies[-1])
        stopping = bool(stop)  # read once: a signal may come between two reads
        if checkpoints and (stopping or (epoch + 1) % every == 0 or epoch + 1 == epochs):
            checkpoints.save(epoch + 1, network.state(), progress.as_json())
        if stopping:
            break
    spikes = network.evaluate(data.test_images, data.test_labels)[1]
    return {
        "seed": seed,
        "test_accuracy": progress.accuracies[-1],
        "firing_rate": [float(s.mean()) for s in spikes],
        "silent": [float((s.sum((0, 1)) == 0).mean()) for s in spikes],
        "parameters": {"before": before, "after": parameters(network)},
        "curve": {"loss": progress.losses, "test_accuracy": progress.accuracies},
        "sha256_of_state": digest(network.state()),
    }, [np.asarray(s[:, 0]) for s in spikes]


def batches(data, order, seed, epoch):
    """Draw the order of an epoch: images and labels ``[batches, batch, ...]``, and a key for each batch."""
    number = len(data.train_images) // task.BATCH
    rows = order.permutation(len(data.train_images))[: number * task.BATCH].reshape(number, task.BATCH)
    keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), epoch), number)
    return data.train_images[rows], data.train_labels[rows], keys


def parameters(network):
    """Read the parameters of the surrogate of each LIF layer."""
    return [{name: float(value) for name, value in f.named_parameters()[1].items()} for f in network.surrogates()]
