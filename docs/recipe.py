"""Train a spiking network on data of your own: copy this, change load, show, network.

From NumPy arrays to a tested network: every core, mini-batches, a schedule, dropout,
the checkpoint of the best validation accuracy, an early stop, progress, curves and a
raster. If the loss does not move, it says which layers are silent.
"""

import shutil
from functools import partial
from pathlib import Path

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
import orbax.checkpoint as ocp
from flax import nnx
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tqdm import tqdm

from brainsurr import cpu, plot
from brainsurr.nnx import LI, LIF, SpikingSequential, diagnose

BATCH, EPOCHS, PATIENCE, RATE, STEPS, SEED = 64, 40, 8, 3e-3, 10, 0


def load():
    """Return examples and labels, NumPy arrays, to train, to validate and to test.

    Features are floats between 0 and 1, or scaled to a deviation of 1; none is NaN. Labels are 0, 1, 2, ...:
    ``np.unique(y, return_inverse=True)[1]`` makes them of others. To train there are BATCH examples or more.
    """
    x, y = load_digits(return_X_y=True)
    part = partial(train_test_split, test_size=0.2, random_state=SEED)
    x, x_test, y, y_test = part(x.astype(np.float32) / 16, y, stratify=y)
    x, x_validation, y, y_validation = part(x, y, stratify=y)
    return (x, y), (x_validation, y_validation), (x_test, y_test)


def show(x):
    """Make a batch ``[time, batch, features]``, here of images that stand still."""
    return jnp.broadcast_to(x, (STEPS, *x.shape))


def network(features, classes):
    """Make the network."""
    rngs = nnx.Rngs(SEED)
    hidden = [nnx.Linear(features, 128, rngs=rngs), LIF(128)]
    output = [nnx.Linear(128, classes, rngs=rngs), LI(classes)]
    return SpikingSequential([*hidden, nnx.Dropout(0.2, rngs=rngs), *output])


def run(net, x):
    """Return the potentials of the last layer, ``[time, batch, classes]``."""
    xs = show(x)
    return net(net.initialize_carry((len(x), *xs.shape[2:])), xs)[1]


def logits(net, x):
    """Average over time."""
    return run(net, x).mean(0)


def loss_fn(net, x, y):
    """Return the mean cross-entropy."""
    return optax.softmax_cross_entropy_with_integer_labels(logits(net, x), y).mean()


@nnx.jit
def train_step(net, optimizer, x, y):
    """Update the weights, and return the loss."""
    loss, grads = nnx.value_and_grad(loss_fn)(net, x, y)
    optimizer.update(net, grads)
    return loss


@nnx.jit
def accuracy(net, x, y):
    """Return the share of right answers."""
    return (logits(net, x).argmax(-1) == y).mean()


def train_epoch(net, optimizer, x, y, rng):
    """Train on all batches in a new order, and return the mean loss."""
    batches = len(y) // BATCH
    order = rng.permutation(len(y))[: batches * BATCH].reshape(batches, BATCH)
    net.train()
    losses = []
    for rows in order:
        batch = cpu.split(x[rows]), cpu.split(y[rows])  # a part for each core
        losses.append(train_step(net, optimizer, *batch))
    net.eval()
    return float(np.mean(losses))


def train(folder, train_set, validation):
    """Return the network of the best epoch, and loss and accuracy of each epoch."""
    (x, y), rng, losses, accuracies = train_set, np.random.default_rng(SEED), [], []
    net = network(show(x[:1]).shape[-1], y.max() + 1)
    schedule = optax.cosine_decay_schedule(RATE, EPOCHS * (len(y) // BATCH))
    optimizer = nnx.Optimizer(net, optax.adamw(schedule), wrt=nnx.Param)
    state = cpu.split(nnx.state((net, optimizer)), axis=None)  # a copy for each core
    nnx.update((net, optimizer), state)

    shutil.rmtree(folder, ignore_errors=True)  # the checkpoints of an earlier run
    how = {"max_to_keep": 1, "best_fn": lambda metrics: metrics["accuracy"]}
    options = ocp.CheckpointManagerOptions(**how)
    with ocp.CheckpointManager(Path(folder).absolute(), options=options) as kept:
        for epoch in (bar := tqdm(range(EPOCHS), unit="epoch")):
            losses.append(train_epoch(net, optimizer, x, y, rng))
            accuracies.append(float(accuracy(net, *validation)))
            bar.set_postfix(loss=losses[-1], validation=accuracies[-1])
            if epoch == 2 and not losses[-1] <= 0.9 * losses[0]:  # NaN too
                print("\nthe loss does not move")
                print(diagnose(net, lambda net: loss_fn(net, x[:BATCH], y[:BATCH])))
            weights, metrics = nnx.state(net, nnx.Param), {"accuracy": accuracies[-1]}
            kept.save(epoch, args=ocp.args.StandardSave(weights), metrics=metrics)
            if epoch - accuracies.index(max(accuracies)) >= PATIENCE:
                break
        kept.wait_until_finished()
        best = kept.restore(kept.best_step(), args=ocp.args.StandardRestore(weights))
    nnx.update(net, best)
    return net, losses, accuracies


def draw(path, net, losses, accuracies, x):
    """Draw the curves, and the spikes of the first layer for one example."""
    _, spikes = run(SpikingSequential(net.layers, return_spikes=True), x[:1])
    _, (curves, spiking) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    curves.plot(losses, label="training loss")
    curves.plot(accuracies, label="validation accuracy")
    curves.set(xlabel="epoch")
    curves.legend(frameon=False)
    plot.raster(next(iter(spikes.values()))[:, 0], axes=spiking)
    spiking.figure.savefig(path, dpi=120)


def main(folder="runs/recipe"):
    """Train, test once, draw; return the test accuracy."""
    print(cpu.use_all_cores(batch=BATCH))
    train_set, validation, test = load()
    net, *curves = train(f"{folder}/checkpoints", train_set, validation)
    tested = float(accuracy(net, *test))
    print(f"test accuracy {tested:.3f}, by the weights of the best validation accuracy")
    draw(f"{folder}/recipe.png", net, *curves, test[0])
    return tested


if __name__ == "__main__":
    main()
