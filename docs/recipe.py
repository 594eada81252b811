"""Train a spiking network on data of your own: copy this file, then change `load`, `show` and `network`.

It goes from NumPy arrays to a tested network: every core, mini-batches, a learning-rate schedule, dropout, the
checkpoint of the best validation accuracy, an early stop, progress, curves and a raster. If the loss does not move, it
says which layers are silent.
"""

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
    """Make a batch ``[time, batch, features]``. Of sequences ``[batch, time, features]``: ``jnp.swapaxes(x, 0, 1)``."""
    return jnp.broadcast_to(x, (STEPS, *x.shape))


def network(features, classes):
    """Make the network."""
    rngs = nnx.Rngs(SEED)
    first, last = nnx.Linear(features, 128, rngs=rngs), nnx.Linear(128, classes, rngs=rngs)
    return SpikingSequential([first, LIF(128), nnx.Dropout(0.2, rngs=rngs), last, LI(classes)])


def logits(net, x):
    """Average the last layer's potential over time."""
    xs = show(x)
    return net(net.initialize_carry(xs.shape[1:]), xs)[1].mean(0)


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
    """Train, keep the best checkpoint below a folder; return its network, and loss and accuracy of each epoch."""
    (x, y), rng = train_set, np.random.default_rng(SEED)
    net = network(x.shape[-1], y.max() + 1)
    steps = EPOCHS * (len(y) // BATCH)
    optimizer = nnx.Optimizer(net, optax.adamw(optax.cosine_decay_schedule(RATE, steps)), wrt=nnx.Param)
    nnx.update((net, optimizer), cpu.split(nnx.state((net, optimizer)), axis=None))
    options = ocp.CheckpointManagerOptions(max_to_keep=1, best_fn=lambda metrics: metrics["accuracy"])
    history, saved = [], nnx.Not(nnx.RngState)
    with ocp.CheckpointManager(Path(folder).resolve() / "checkpoints", options=options) as checkpoints:
        for epoch in (bar := tqdm(range(EPOCHS), unit="epoch")):
            net.train()
            order = rng.permutation(len(y))[: len(y) // BATCH * BATCH].reshape(-1, BATCH)
            losses = [train_step(net, optimizer, cpu.split(x[rows]), cpu.split(y[rows])) for rows in order]
            net.eval()
            history.append((float(np.mean(losses)), float(accuracy(net, *validation))))
            bar.set_postfix_str("loss {:.3f}, validation {:.3f}".format(*history[-1]))
            if epoch == 2 and history[-1][0] > 0.9 * history[0][0]:
                print(f"\nthe loss does not move\n{diagnose(net, lambda net: loss_fn(net, x[:BATCH], y[:BATCH]))}")
            state = nnx.state(net, saved)
            checkpoints.save(epoch, args=ocp.args.StandardSave(state), metrics={"accuracy": history[-1][1]})
            if epoch - checkpoints.best_step() >= PATIENCE:
                break
        best = checkpoints.restore(checkpoints.best_step(), args=ocp.args.StandardRestore(state))
    nnx.update(net, best)
    return net, history


def draw(path, net, history, x):
    """Draw the curves, and the spikes of the first layer of neurons for one example."""
    xs = show(x[:1])
    spikes = SpikingSequential(net.layers, return_spikes=True)(net.initialize_carry(xs.shape[1:]), xs)[1][1]
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
    net, history = train(folder, train_set, validation)
    tested = float(accuracy(net, *test))
    print(f"test accuracy {tested:.3f}, by the epoch with the best validation accuracy; pictures in {folder}")
    draw(Path(folder) / "recipe.png", net, history, test[0])
    return tested


if __name__ == "__main__":
    main()
