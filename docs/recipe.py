"""Train a spiking network on data of your own: copy this file, then change `load`, `show` and `network`.

It goes from NumPy arrays to a tested network: every core, mini-batches, a learning-rate schedule, dropout, the
checkpoint of the best validation accuracy, an early stop, progress, curves and a raster. If the loss does not move, it
says which layers are silent.
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
    """Return examples and labels, NumPy arrays, for training, for validation and for the test."""
    x, y = load_digits(return_X_y=True)
    part = partial(train_test_split, test_size=0.2, random_state=SEED)
    x, x_test, y, y_test = part(x.astype(np.float32) / 16, y, stratify=y)
    x, x_validation, y, y_validation = part(x, y, stratify=y)
    return (x, y), (x_validation, y_validation), (x_test, y_test)


def show(x):
    """Make a batch ``[time, batch, features]``; of sequences ``[batch, time, features]``, ``jnp.swapaxes(x, 0, 1)``."""
    return jnp.broadcast_to(x, (STEPS, *x.shape))


def network(features, classes):
    """Make the network."""
    rngs = nnx.Rngs(SEED)
    first, last = nnx.Linear(features, 128, rngs=rngs), nnx.Linear(128, classes, rngs=rngs)
    return SpikingSequential([first, LIF(128), nnx.Dropout(0.2, rngs=rngs), last, LI(classes)])


def run(net, x):
    """Return what a network gives for a batch: the potentials of its last layer ``[time, batch, classes]``."""
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


def train(folder, train_set, validation):
    """Train, keep the best checkpoint in a folder; return its network, and loss and accuracy of each epoch."""
    (x, y), rng = train_set, np.random.default_rng(SEED)
    net = network(show(x[:1]).shape[-1], y.max() + 1)
    batches = len(y) // BATCH
    schedule = optax.cosine_decay_schedule(RATE, EPOCHS * batches)
    optimizer = nnx.Optimizer(net, optax.adamw(schedule), wrt=nnx.Param)
    nnx.update((net, optimizer), cpu.split(nnx.state((net, optimizer)), axis=None))  # a copy for each core
    shutil.rmtree(folder, ignore_errors=True)  # the checkpoints of an earlier run
    options = ocp.CheckpointManagerOptions(max_to_keep=1, best_fn=lambda metrics: metrics["accuracy"])
    history = []
    with ocp.CheckpointManager(Path(folder).absolute(), options=options) as checkpoints:
        for epoch in (bar := tqdm(range(EPOCHS), unit="epoch")):
            net.train()
            order = rng.permutation(len(y))[: batches * BATCH].reshape(batches, BATCH)
            losses = [train_step(net, optimizer, cpu.split(x[rows]), cpu.split(y[rows])) for rows in order]
            net.eval()
            history.append((float(np.mean(losses)), float(accuracy(net, *validation))))
            bar.set_postfix_str("loss {:.3f}, validation {:.3f}".format(*history[-1]))
            if epoch == 2 and history[-1][0] > 0.9 * history[0][0]:
                print(f"\nthe loss does not move\n{diagnose(net, lambda net: loss_fn(net, x[:BATCH], y[:BATCH]))}")
            weights = nnx.state(net, nnx.Param)
            checkpoints.save(epoch, args=ocp.args.StandardSave(weights), metrics={"accuracy": history[-1][1]})
            accuracies = [value for _, value in history]
            if epoch - accuracies.index(max(accuracies)) >= PATIENCE:
                break
        checkpoints.wait_until_finished()
        nnx.update(net, checkpoints.restore(checkpoints.best_step(), args=ocp.args.StandardRestore(weights)))
    return net, history


def draw(path, net, history, x):
    """Draw the curves, and the spikes of the first layer of neurons for one example."""
    _, spikes = run(SpikingSequential(net.layers, return_spikes=True), x[:1])
    figure, (curves, spiking) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    curves.plot(history, label=["training loss", "validation accuracy"])
    curves.set(xlabel="epoch")
    curves.legend(frameon=False)
    plot.raster(next(iter(spikes.values()))[:, 0], axes=spiking)
    figure.savefig(path, dpi=120)


def main(folder="runs/recipe"):
    """Train, test once, draw; return the test accuracy."""
    print(cpu.use_all_cores(batch=BATCH))
    train_set, validation, test = load()
    net, history = train(f"{folder}/checkpoints", train_set, validation)
    tested = float(accuracy(net, *test))
    print(f"test accuracy {tested:.3f}, after the epoch of the best validation accuracy; a picture is in {folder}")
    draw(Path(folder) / "recipe.png", net, history, test[0])
    return tested


if __name__ == "__main__":
    main()
