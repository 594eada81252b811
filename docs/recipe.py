"""Train a spiking network on data of your own: copy this, change load, show, network.

From NumPy arrays to a tested network: a check of the data, every core, a schedule,
dropout, the weights of the best epoch, an early stop, curves and a raster. Started again
after a stop, it goes on. If the loss does not move, it says which layers are silent.
"""

import sys
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

    Features are floats between 0 and 1, or scaled to a deviation of 1. Labels are 0, 1, 2, ...:
    For other labels ``y``, of all parts together, pass ``np.unique(y, return_inverse=True)[1]``.
    """
    x, y = load_digits(return_X_y=True)
    part = partial(train_test_split, test_size=0.2, random_state=SEED)
    x, x_test, y, y_test = part(x.astype(np.float32) / 16, y, stratify=y)
    x, x_validation, y, y_validation = part(x, y, stratify=y)
    return (x, y), (x_validation, y_validation), (x_test, y_test)


def show(x):
    """Make a batch ``[time, batch, features]``, here of images that stand still."""
    return jnp.broadcast_to(x, (STEPS, *x.shape))


def mask(x):
    """Return where a batch has values, ``[time, batch]``: here everywhere."""
    return jnp.ones(show(x).shape[:2], bool)


def network(features, classes):
    """Make the network."""
    rngs = nnx.Rngs(SEED)
    hidden = [nnx.Linear(features, 128, rngs=rngs), LIF(128)]
    output = [nnx.Linear(128, classes, rngs=rngs), LI(classes)]
    return SpikingSequential([*hidden, nnx.Dropout(0.2, rngs=rngs), *output])


def usable(x):
    """Return which examples of a batch have values, none of them NaN or infinite."""
    xs = show(x)
    return jnp.isfinite(xs).all((0, *range(2, xs.ndim))) & mask(x).any(0)


def check(**parts):
    """Raise an error for data that can't be trained on, and name its rows."""
    y = parts["training"][1]
    if len(y) < BATCH:
        raise ValueError(f"training: expected BATCH={BATCH} examples or more, got {len(y)}")
    labels = np.arange(len(np.unique(y)))
    for name, (x, y) in parts.items():
        good = np.concatenate([usable(x[i : i + BATCH]) for i in range(0, len(x), BATCH)])
        known = np.isin(y, labels) & (y.ndim == 1 and y.dtype.kind in "iu")
        label = f"integer labels 0 to {labels[-1]}"
        for rows, expected in ((good, "values, none NaN or inf"), (known, label)):
            if not rows.all():
                wrong = np.flatnonzero(~rows)
                raise ValueError(f"{name}: expected {expected}, not so in rows {wrong}")


def run(net, x):
    """Return the potentials of the last layer, ``[time, batch, classes]``."""
    xs = show(x)
    return net(net.initialize_carry((len(x), *xs.shape[2:])), xs)[1]


def logits(net, x):
    """Average over the steps that have values."""
    m = mask(x)[..., None]
    return (run(net, x) * m).sum(0) / m.sum(0)


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
def evaluate(net, x, y):
    """Return the loss, and the share of right answers."""
    return loss_fn(net, x, y), (logits(net, x).argmax(-1) == y).mean()


def train_epoch(net, optimizer, x, y, epoch):
    """Train on all batches, in an order of this epoch's own, and return the mean loss."""
    batches = len(y) // BATCH
    order = np.random.default_rng([SEED, epoch]).permutation(len(y))[: batches * BATCH]
    parts = ((cpu.split(x[rows]), cpu.split(y[rows])) for rows in order.reshape(batches, BATCH))
    net.train()
    losses = [train_step(net, optimizer, *part) for part in parts]  # each core takes a part
    net.eval()
    return float(np.mean(losses))


def train(folder, train_set, validation):
    """Train, or go on; return the network of the best epoch, and the curves."""
    (x, y), curves = train_set, [[], [], []]
    net = network(show(x[:1]).shape[-1], y.max() + 1)
    schedule = optax.cosine_decay_schedule(RATE, EPOCHS * (len(y) // BATCH))
    optimizer = nnx.Optimizer(net, optax.adamw(schedule), wrt=nnx.Param)
    kept = net, optimizer, best = net, optimizer, nnx.clone(net)
    nnx.update(kept, cpu.split(nnx.state(kept), axis=None))  # a copy for each core

    few, share = (x[:BATCH], y[:BATCH]), np.bincount(validation[1]).max() / len(validation[1])
    numbers = [BATCH, EPOCHS, PATIENCE, RATE, STEPS, SEED]
    handler, how = ocp.StandardCheckpointHandler(), ocp.CheckpointManagerOptions(max_to_keep=1)
    folder = Path(folder).absolute()
    with ocp.CheckpointManager(folder, item_handlers=handler, options=how) as manager:
        if (last := manager.latest_step()) is not None:
            print(f"{folder} has {last + 1} epochs; to start anew, name another folder")
            notes, like = manager.metadata(last).custom_metadata, nnx.state(kept)
            if notes["numbers"] != numbers:
                raise ValueError(f"it was trained with {notes['numbers']}, not with {numbers}")
            nnx.update(kept, manager.restore(last, args=ocp.args.StandardRestore(like)))
            curves = notes["curves"]
        losses, _, accuracies = curves
        for epoch in (bar := tqdm(range(len(losses), EPOCHS), unit="epoch")):
            if losses and epoch - 1 - accuracies.index(max(accuracies)) >= PATIENCE:
                break
            loss = train_epoch(net, optimizer, x, y, epoch)
            if not np.isfinite(loss):
                raise FloatingPointError(f"epoch {epoch}, loss {loss}: {cause(net)}")
            for curve, value in zip(curves, (loss, *evaluate(net, *validation)), strict=True):
                curve.append(float(value))
            bar.set_postfix(loss=loss, validation=accuracies[-1])
            if accuracies[-1] > max(accuracies[:-1], default=-1):
                nnx.update(best, nnx.state(net))
            guess = accuracies[-1] < (1 + 3 * share) / 4  # little more than the largest class
            if epoch == 2 and guess and loss > 0.9 * losses[0]:
                print("\nthe loss does not move")
                print(diagnose(net, lambda net: loss_fn(net, *few), mask=mask(few[0])))
            notes = {"numbers": numbers, "curves": [curve.copy() for curve in curves]}
            args = ocp.args.StandardSave(nnx.state(kept))
            manager.save(epoch, args=args, custom_metadata=notes)
    best.eval()
    return best, curves


def cause(net):
    """Say which parameters are NaN, after a loss that was; the data was checked."""
    params = nnx.to_flat_state(nnx.state(net, nnx.Param))
    bad = [".".join(map(str, path)) for path, p in params if not jnp.isfinite(p[...]).all()]
    return f"the data is finite, but not the parameters {bad}: try a lower RATE"


def draw(path, net, curves, x):
    """Draw the curves, and the spikes of the first layer for one example."""
    _, spikes = run(SpikingSequential(net.layers, return_spikes=True), x[:1])
    _, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    left.plot(np.transpose(curves))
    left.legend(["training loss", "validation loss", "validation accuracy"], frameon=False)
    left.set(xlabel="epoch")
    plot.raster(next(iter(spikes.values()))[mask(x[:1])], axes=right)
    right.figure.savefig(path, dpi=120)


def main(folder="runs/recipe"):
    """Train, test once, draw; return the test accuracy."""
    print(cpu.use_all_cores(batch=BATCH))
    train_set, validation, test = load()
    check(training=train_set, validation=validation, test=test)
    net, curves = train(f"{folder}/checkpoints", train_set, validation)
    tested = float(evaluate(net, *test)[1])
    print(f"test accuracy {tested:.3f}, by the weights of the best validation accuracy")
    draw(f"{folder}/recipe.png", net, curves, test[0])
    return tested


if __name__ == "__main__":
    main(*sys.argv[1:])
