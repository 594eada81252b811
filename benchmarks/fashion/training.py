"""Train one network with AdamW on a cosine schedule, and keep the weights of the best validation epoch."""

import time
from functools import cache

import jax
import numpy as np
from flax import nnx
from tqdm import tqdm

from brainsurr import cpu

from ..lib.training import CLIP, adamw, cross_entropy
from .data import CLASSES, SIDE
from .networks import Classifier, Network

BATCH, WEIGHT_DECAY = 256, 1e-2
SETTINGS = {"batch": BATCH, "clip": CLIP, "weight_decay": WEIGHT_DECAY}
MEASURED = ("validation", "test", "loss", "best_epoch", "firing", "epoch_seconds", "losses", "validations", "confusion")


optimiser = cache(adamw)  # one for all seeds: jit compares it by identity, so it compiles once


@nnx.jit
def train_step(net, optimizer, images, labels):
    """Update the weights, and return the loss."""
    loss, grads = nnx.value_and_grad(lambda net: cross_entropy(net(images)[0], labels))(net)
    optimizer.update(net, grads)
    return loss


@nnx.jit
def classify(net, images):
    """Return the class of each image, and the firing rate of each LIF layer while it sees that image."""
    logits, spikes = net(images)
    return logits.argmax(-1), [s.mean((0, *range(2, s.ndim))) for s in spikes]


def classify_all(net, images):
    """Classify all images in batches; the last batch is filled up with images whose results are dropped."""
    net.eval()
    filled = np.concatenate([images, images[: -len(images) % BATCH]]).reshape(-1, BATCH, *images.shape[1:])
    batches = [jax.device_get(classify(net, cpu.split(batch))) for batch in filled]
    return jax.tree.map(lambda *of_batches: np.concatenate(of_batches)[: len(images)], *batches)


def made(name: str, network: Network, spiking: bool, seed: int, batches: int):
    """Create a network, and an optimiser with the network's learning rate over all batches."""
    net, rate = Classifier(name, network, spiking, nnx.Rngs(seed)), network.rate if spiking else network.twin_rate
    return net, nnx.Optimizer(net, optimiser(rate, network.epochs * batches, WEIGHT_DECAY), wrt=nnx.Param)


def temporaries(name: str, network: Network, spiking: bool) -> int:
    """Return the bytes that a training step needs in addition to weights, optimiser and images, on one device."""
    images, labels = np.zeros((BATCH, SIDE, SIDE, 1), np.uint8), np.zeros(BATCH, np.uint8)
    compiled = train_step.lower(*made(name, network, spiking, 0, 1), images, labels).compile()
    return compiled.memory_analysis().temp_size_in_bytes


def train(name: str, network: Network, spiking: bool, seed: int, data, on_test=None):
    """Train a network, and test it with the weights of the epoch with the best validation accuracy.

    The seed determines the initial weights, the order of the images and the dropout.

    Args:
      name: the name of the network.
      network: its sizes and learning rates.
      spiking: True for the network of LIF neurons, False for the twin.
      seed: any integer.
      data: images and labels for training, validation and the test.
      on_test: called with the tested network, and the images and labels of the test.

    Returns:
      The values that `MEASURED` names.
    """
    (images, labels), (validation_images, validation_labels), (test_images, test_labels) = data
    batches, order = len(labels) // BATCH, np.random.default_rng(seed)
    net, optimizer = made(name, network, spiking, seed, batches)
    nnx.update((net, optimizer), cpu.split(nnx.state((net, optimizer)), axis=None))
    best, losses, accuracies, seconds = net, [], [], []
    what = f"{name}, {'LIF' if spiking else network.twin}, seed {seed}"
    with tqdm(total=network.epochs * batches, desc=what, unit="batch", leave=False) as bar:
        for _ in range(network.epochs):
            net.train()
            start, of_batches = time.perf_counter(), []
            # A Python loop: inside a jax loop, XLA would run each batch on one thread.
            for rows in order.permutation(len(labels))[: batches * BATCH].reshape(batches, BATCH):
                of_batches.append(float(train_step(net, optimizer, *cpu.split((images[rows], labels[rows])))))
                bar.update()
            seconds.append(time.perf_counter() - start)
            losses.append(np.mean(of_batches))
            accuracies.append((classify_all(net, validation_images)[0] == validation_labels).mean())
            if accuracies[-1] == max(accuracies):
                best = nnx.clone(net)
            bar.set_postfix_str(f"loss {losses[-1]:.3f}, validation {accuracies[-1]:.4f}, best {max(accuracies):.4f}")
    classes, rates = classify_all(best, test_images)
    if on_test is not None:
        on_test(best, test_images, test_labels)
    confusion = np.bincount(CLASSES * test_labels.astype(int) + classes, minlength=CLASSES**2)
    return {
        "validation": max(accuracies),
        "test": (classes == test_labels).mean(),
        "loss": losses[-1],
        "best_epoch": len(accuracies) - accuracies[::-1].index(max(accuracies)),  # if several are equal, the last
        "firing": [rate.mean() for rate in rates],
        "epoch_seconds": np.median(seconds),
        "losses": losses,
        "validations": accuracies,
        "confusion": confusion,  # one row per true class, flattened
    }
