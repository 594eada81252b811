"""Handwritten digits: a spiking network beside a ReLU network of the same widths, trained by the same loop.

``python -m benchmarks.digits`` trains on scikit-learn's 1,797 images of 8 x 8 pixels and writes the result and
three pictures to ``runs/digits``. Of its two spiking networks the second trains ``--learnable`` parameters of the
surrogate with the weights. All see the same noisy, shifted images over 8 time steps, in the same order.
"""

import argparse
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import optax
from flax import nnx
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tqdm import tqdm

import brainsurr as bs
from brainsurr import plot
from brainsurr.nnx import LI, LIF, SpikingActivation, SpikingSequential, bounds
from brainsurr.optim import project

from . import results

WIDTH, STEPS, BATCH = 256, 8, 128
DROPOUT, NOISE, SHIFTED = 0.3, 0.1, 0.25


def load():
    """Training and test images in [0, 1], 75 % and 25 % of each digit, and their labels."""
    images, labels = load_digits(return_X_y=True)
    split = train_test_split(images / 16, labels, test_size=0.25, stratify=labels, random_state=0)
    names = ("train_images", "test_images", "train_labels", "test_labels")
    return SimpleNamespace(**{name: jnp.asarray(part) for name, part in zip(names, split, strict=True)})


def network(rngs, spike_fn=None):
    """64-256-256-10: LIF layers with ``spike_fn()`` as their threshold function, or ReLU without one."""

    def neurons():
        return jax.nn.relu if spike_fn is None else LIF(WIDTH, decay=0.9, spike_fn=spike_fn())

    def hidden(features):
        return [nnx.Linear(features, WIDTH, rngs=rngs), neurons(), nnx.Dropout(DROPOUT, rngs=rngs)]

    readout = [nnx.Linear(WIDTH, 10, rngs=rngs)]
    return SpikingSequential([*hidden(64), *hidden(WIDTH), *readout, *([LI(10, decay=0.9)] if spike_fn else [])])


def logits(net, xs):
    """The output averaged over time, for inputs ``[time, batch, 64]``."""
    _, ys = net(net.initialize_carry(xs.shape[1:]), xs)
    return ys.mean(0)


def augment(key, images):
    """A quarter of the images moved by a pixel, shown for 8 steps with noise: ``[time, batch, 64]``."""
    keys = jax.random.split(key, 3)
    moved = jax.random.bernoulli(keys[0], SHIFTED, (len(images), 1))
    corner = jnp.where(moved, jax.random.randint(keys[1], (len(images), 2), 0, 3), 1)
    padded = jnp.pad(images.reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)))
    images = jax.vmap(lambda image, at: jax.lax.dynamic_slice(image, at, (8, 8)))(padded, corner).reshape(-1, 64)
    return images + NOISE * jax.random.normal(keys[2], (STEPS, *images.shape))


@nnx.jit
def train_epoch(net, optimizer, images, labels, keys):
    """One pass over ``[batches, batch, ...]``; the mean loss."""

    @nnx.scan(in_axes=(nnx.Carry, 0, 0, 0), out_axes=(nnx.Carry, 0))
    def step(carry, images, labels, key):
        net, optimizer = carry
        xs = augment(key, images)

        def loss_fn(net):
            return optax.softmax_cross_entropy_with_integer_labels(logits(net, xs), labels).mean()

        loss, grads = nnx.value_and_grad(loss_fn)(net)
        optimizer.update(net, grads)
        return (net, optimizer), loss

    return step((net, optimizer), images, labels, keys)[1].mean()


@nnx.jit
def evaluate(net, images, labels):
    """Accuracy without noise, and the spikes ``[time, batch, neurons]`` of each LIF layer."""
    xs, spikes = jnp.broadcast_to(images, (STEPS, *images.shape)), []
    for layer, carry in zip(net.layers, net.initialize_carry(images.shape), strict=True):
        xs = layer(xs) if carry is None else layer(carry, xs)[1]
        if isinstance(layer, LIF):
            spikes.append(xs)
    return (xs.mean(0).argmax(-1) == labels).mean(), spikes


def optimiser(net, steps):
    """AdamW on a cosine schedule; trained parameters of the surrogate stay inside their bounds."""
    schedule = optax.cosine_decay_schedule(3e-3, steps)
    return optax.chain(optax.adamw(schedule, weight_decay=1e-2), project(bounds(net)))


def train(data, spike_fn, tx, seed, epochs, on_epoch):
    """Train one network from one seed; what came of it, and its spikes for the first test image."""
    net = network(nnx.Rngs(seed), spike_fn)
    optimizer = nnx.Optimizer(net, tx, wrt=nnx.Param)
    before, batches = parameters(net), len(data.train_images) // BATCH
    losses, accuracies, order = [], [], np.random.default_rng(seed)
    for epoch in range(epochs):
        rows = order.permutation(len(data.train_images))[: batches * BATCH].reshape(batches, BATCH)
        keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), epoch), batches)
        net.train()
        losses.append(float(train_epoch(net, optimizer, data.train_images[rows], data.train_labels[rows], keys)))
        net.eval()
        accuracy, spikes = evaluate(net, data.test_images, data.test_labels)
        accuracies.append(float(accuracy))
        on_epoch(losses[-1], accuracies[-1])
    return {
        "seed": seed,
        "test_accuracy": accuracies[-1],
        "firing_rate": [float(s.mean()) for s in spikes],
        "silent": [float((s.sum((0, 1)) == 0).mean()) for s in spikes],
        "parameters": {"before": before, "after": parameters(net)},
        "curve": {"loss": losses, "test_accuracy": accuracies},
    }, [np.asarray(s[:, 0]) for s in spikes]


def parameters(net):
    """The parameters of the surrogate of each LIF layer, as they are now."""
    surrogates = [layer.spike_fn.surrogate for layer in net.layers if isinstance(layer, LIF)]
    return [{name: float(value) for name, value in f.named_parameters()[1].items()} for f in surrogates]


def main(argv=None):
    """Train every network from every seed, print the table, write the result and the pictures."""
    args = parse(argv)
    data, start = load(), time.perf_counter()
    networks = {"LIF": partial(SpikingActivation, args.surrogate)}
    if args.learnable:
        networks["LIF, trained"] = partial(SpikingActivation, args.surrogate, learnable=args.learnable)
    networks["ReLU"] = None
    runs, spikes = {name: [] for name in networks}, {}
    with tqdm(total=len(networks) * args.seeds * args.epochs, unit="epoch", desc="training") as bar:
        for name, spike_fn in networks.items():
            # One optimiser for all seeds: jit knows it by identity, and compiles once.
            tx = optimiser(network(nnx.Rngs(0), spike_fn), args.epochs * (len(data.train_images) // BATCH))
            for seed in range(args.seeds):

                def on_epoch(loss, accuracy, name=name, seed=seed):
                    bar.set_postfix_str(f"{name}, seed {seed}, loss {loss:.3f}, test {accuracy:.3f}", refresh=False)
                    bar.update()

                run, last = train(data, spike_fn, tx, seed, args.epochs, on_epoch)
                runs[name].append(run)
                spikes.setdefault(name, last)
    result = {
        "task": "scikit-learn digits, 75/25 stratified split, random_state 0",
        "surrogate": repr(args.surrogate),
        "epochs": args.epochs,
        "test_accuracy": {name: summary([run["test_accuracy"] for run in several]) for name, several in runs.items()},
        "runs": runs,
        "seconds": time.perf_counter() - start,
        **results.environment(),
    }
    results.write(args.out / "result.json", result)
    draw(args.out, args.surrogate, runs, spikes["LIF"], int(data.test_labels[0]))
    print(report(result))
    print(f"\n{result['seconds']:.0f} s on {result['device']}; see {args.out} for result.json and the pictures")


def summary(values):
    """Each seed's value, their mean and their standard deviation."""
    return {"mean": float(np.mean(values)), "sd": float(np.std(values, ddof=min(1, len(values) - 1))), "seeds": values}


def report(result):
    """The table: a row a network, means over the seeds."""

    def mean(runs, key, form):
        layers = np.mean([run[key] for run in runs], axis=0)
        return ", ".join(form.format(v) for v in layers) if len(runs[0][key]) else "-"

    def alpha(runs):
        pairs = [(run["parameters"]["before"], run["parameters"]["after"]) for run in runs]
        if not pairs[0][0]:
            return "-"
        texts = []
        for name, start in pairs[0][0][0].items():
            ends = [np.mean([after[i][name] for _, after in pairs]) for i in range(len(pairs[0][0]))]
            texts.append(f"{name} {start:g} -> {', '.join(f'{end:.3g}' for end in ends)}")
        return "; ".join(texts)

    header = ("network", "test accuracy", "firing rate per layer", "silent neurons", "surrogate, before -> after")
    rows = []
    for name, runs in result["runs"].items():
        accuracy = result["test_accuracy"][name]
        spread = f"{accuracy['mean']:.4f} ± {accuracy['sd']:.4f}"
        rows.append((name, spread, mean(runs, "firing_rate", "{:.3f}"), mean(runs, "silent", "{:.1%}"), alpha(runs)))
    return f"\n{result['surrogate']}, mean over {len(next(iter(result['runs'].values())))} seeds\n\n" + results.table(
        header, rows
    )


def draw(out, surrogate, runs, spikes, digit):
    """The three pictures."""
    plt = matplotlib.pyplot
    left, _ = plot.surrogate(surrogate, xlim=(-2, 4))
    left.figure.suptitle(f"{surrogate}: the step's stand-in, and the gradient that is used")
    left.figure.savefig(out / "surrogate.png", dpi=150)

    figure, axes = plt.subplots(1, len(spikes), figsize=(4.5 * len(spikes), 3.4), layout="constrained", sharey=True)
    for i, (axis, layer) in enumerate(zip(axes, spikes, strict=True), 1):
        plot.raster(layer, axes=axis).set_title(f"hidden layer {i}: {layer.mean():.0%} fire per step")
    figure.suptitle(f"spikes while one test image, a {digit}, is shown")
    figure.savefig(out / "raster.png", dpi=150)

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for name, several in runs.items():
        for axis, curve in zip(axes, ("loss", "test_accuracy"), strict=True):
            values = np.array([run["curve"][curve] for run in several])
            epochs = np.arange(1, values.shape[1] + 1)
            axis.plot(epochs, values.mean(0), label=name)
            axis.fill_between(epochs, values.min(0), values.max(0), alpha=0.2)
    axes[0].set(xlabel="epoch", ylabel="training loss", yscale="log")
    axes[1].set(xlabel="epoch", ylabel="test accuracy", ylim=(0.9, 1.0))
    axes[1].legend(frameon=False, title="mean and range of the seeds")
    figure.savefig(out / "training.png", dpi=150)
    plt.close("all")


def parse(argv):
    """The arguments, or an error of one line."""
    exported = {name: getattr(bs, name) for name in bs.__all__ if name not in ("Surrogate", "Scaled")}
    classes = {name: c for name, c in exported.items() if isinstance(c, type)}
    parser = argparse.ArgumentParser(prog="python -m benchmarks.digits", description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=positive, default=5, metavar="N", help="networks of each kind (default: 5)")
    parser.add_argument("--epochs", type=positive, default=40, metavar="N", help="passes over the data (default: 40)")
    parser.add_argument("--surrogate", default="LogTailedRelu", metavar="NAME", help=", ".join(sorted(classes)))
    parser.add_argument("--alpha", type=float, metavar="A", help="its alpha (default: 0.1 for LogTailedRelu)")
    parser.add_argument(
        "--learnable", nargs="*", default=["alpha"], metavar="NAME", help="parameters trained in a second network"
    )
    parser.add_argument("--out", type=Path, default=Path("runs/digits"), metavar="DIR", help="(default: runs/digits)")
    args = parser.parse_args(argv)
    if args.surrogate not in classes:
        parser.error(f"--surrogate: {args.surrogate!r} is not one of {', '.join(sorted(classes))}")
    surrogate = classes[args.surrogate]()
    if args.alpha is None and args.surrogate == "LogTailedRelu":
        args.alpha = 0.1
    try:
        args.surrogate = surrogate if args.alpha is None else surrogate.replace(alpha=args.alpha)
        SpikingActivation(args.surrogate, learnable=args.learnable)
    except (TypeError, ValueError) as error:
        parser.error(str(error))
    return args


def positive(text):
    """A positive integer."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a positive integer, got {text}")
    return number


if __name__ == "__main__":
    main()
