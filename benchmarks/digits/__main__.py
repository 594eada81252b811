"""Handwritten digits: a spiking network beside a ReLU network of the same widths, trained by the same loop.

``python -m benchmarks.digits`` trains on scikit-learn's 1,797 images of 8 x 8 pixels and writes the result and
three pictures to ``runs/digits``. Of its two spiking networks the second trains ``--learnable`` parameters of the
surrogate with the weights. All see the same noisy, shifted images over 8 time steps, in the same order, and every
``--framework`` starts from the same weights. The network and its loop are in ``digits_nnx.py`` and its siblings.

Checkpoints are kept in ``checkpoints`` beside the result until it is written. A run that was stopped, by whatever,
goes on with ``--resume`` to the bits it would have come to; SIGTERM and Ctrl-C save before they stop it.
"""

import argparse
import importlib
import json
import sys
import tempfile
import time
from pathlib import Path

import jax
import matplotlib.pyplot as plt
import numpy as np
from tqdm import tqdm

import brainsurr as bs
from brainsurr import plot
from brainsurr.nnx import SpikingActivation

from ..lib import FRAMEWORKS, results
from ..lib.checkpoints import CheckpointError, Checkpoints, alone, differences, digest, interruptions
from ..lib.study import positive
from . import task

# Of jax, what decides about bits beside versions and device.
CONFIG = (
    "jax_enable_x64",
    "jax_default_matmul_precision",
    "jax_default_prng_impl",
    "jax_threefry_partitionable",
    "jax_numpy_dtype_promotion",
)


def train(data, network, seed, epochs, on_epoch=lambda loss, accuracy: None, checkpoints=None, every=1, stop=()):
    """Train one network; what came of it, and its spikes for the first test image.

    With ``checkpoints`` it goes on from the newest, and saves after ``every`` so many epochs, after the last, and
    when something is in ``stop``, which also ends it.
    """
    before, batches = parameters(network), len(data.train_images) // task.BATCH
    losses, accuracies, order = [], [], np.random.default_rng(seed)
    if saved := checkpoints and checkpoints.restore(network.state()):
        _, state, progress = saved
        network.load(state)
        losses, accuracies, order.bit_generator.state = (progress[name] for name in ("losses", "accuracies", "order"))
        for loss, accuracy in zip(losses, accuracies, strict=True):
            on_epoch(loss, accuracy)
    for epoch in range(len(losses), epochs):
        rows = order.permutation(len(data.train_images))[: batches * task.BATCH].reshape(batches, task.BATCH)
        keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), epoch), batches)
        losses.append(float(network.train_epoch(data.train_images[rows], data.train_labels[rows], keys)))
        accuracies.append(float(network.evaluate(data.test_images, data.test_labels)[0]))
        on_epoch(losses[-1], accuracies[-1])
        stopping = bool(stop)  # looked at once: a signal may come at any time
        if checkpoints and (stopping or (epoch + 1) % every == 0 or epoch + 1 == epochs):
            progress = {"losses": losses, "accuracies": accuracies, "order": order.bit_generator.state}
            checkpoints.save(epoch + 1, network.state(), progress)
        if stopping:
            break
    spikes = network.evaluate(data.test_images, data.test_labels)[1]
    return {
        "seed": seed,
        "test_accuracy": accuracies[-1],
        "firing_rate": [float(s.mean()) for s in spikes],
        "silent": [float((s.sum((0, 1)) == 0).mean()) for s in spikes],
        "parameters": {"before": before, "after": parameters(network)},
        "curve": {"loss": losses, "test_accuracy": accuracies},
        "sha256_of_state": digest(network.state()),
    }, [np.asarray(s[:, 0]) for s in spikes]


def parameters(network):
    """The parameters of the surrogate of each LIF layer, as they are now."""
    return [{name: float(value) for name, value in f.named_parameters()[1].items()} for f in network.surrogates()]


def main(argv=None):
    """Train every network from every seed, print the table, write the result and the pictures."""
    args = parse(argv)
    try:
        with alone(args.out):
            if not finished(args):
                run(args)
    except CheckpointError as error:
        sys.exit(f"python -m benchmarks.digits: error: {error}")


def finished(args) -> bool:
    """Whether ``--resume`` finds a result in the place of checkpoints; then there is nothing to go on with."""
    path = args.out / "result.json"
    if not args.resume or (args.out / "checkpoints").exists() or not path.exists():
        return False
    try:
        result = json.loads(path.read_text())
        theirs = result["about"] | {"seeds": len(result["runs"]["LIF"])}
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is no result of this program: --out takes another folder") from error
    mine = about(args) | {"seeds": args.seeds}
    if theirs != mine:
        raise CheckpointError(
            f"{path} is the result of another run: {differences(theirs, mine)}. --out takes another folder"
        )
    print(f"{report(result)}\n\n{path} is finished: nothing to resume")
    return True


def run(args):
    """Train, and write what came of it."""
    data, start, folder = task.load(), time.perf_counter(), args.out / "checkpoints"
    resumed = begun(folder)
    runs, spikes = train_all(args, data, folder)
    result = {
        "task": "scikit-learn digits, 75/25 stratified split, random_state 0",
        **settings(args),
        "test_accuracy": {name: summary([run["test_accuracy"] for run in several]) for name, several in runs.items()},
        "runs": runs,
        "seconds": time.perf_counter() - start,
        "resumed": resumed,  # then the seconds are those of the last process
        "about": about(args),
        **results.environment(),
    }
    results.write(args.out / "result.json", result)
    draw(args.out, args.surrogate, runs, spikes["LIF"], int(data.test_labels[0]))
    with tempfile.TemporaryDirectory(dir=args.out) as done:  # at once: what is half removed would look damaged
        folder.rename(Path(done) / folder.name)
    print(report(result))
    print(f"\n{result['seconds']:.0f} s on {result['device']}; see {args.out} for result.json and the pictures")


def begun(folder):
    """Whether a folder of checkpoints holds anything, be it half written."""
    return any(path.is_file() for path in folder.rglob("*"))


def settings(args):
    """What every number depends on beside versions and device."""
    return {"framework": args.framework, "surrogate": repr(args.surrogate), "epochs": args.epochs, "dtype": args.dtype}


def about(args):
    """What must be the same for a run to be gone on with, to the bit."""
    here = {name: value for name, value in results.environment().items() if name in ("python", "versions", "device")}
    config = {name: str(getattr(jax.config, name)) for name in CONFIG}
    return {"program": "benchmarks.digits", **settings(args), "learnable": args.learnable, "jax": config, **here}


def thresholds(args):
    """The networks by name: the surrogate of each, None for a ReLU, and which of its parameters are trained."""
    trained = {"LIF, trained": (args.surrogate, tuple(args.learnable))} if args.learnable else {}
    return {"LIF": (args.surrogate, ()), **trained, "ReLU": (None, ())}


def train_all(args, data, folder):
    """Each network from each seed: what came of them, and the spikes of the first seed's."""
    make = importlib.import_module(f".{args.framework}", __package__).Network
    networks = thresholds(args)
    runs, spikes = {name: [] for name in networks}, {}
    if not args.resume and begun(folder):
        raise CheckpointError(
            f"{args.out} holds an unfinished run: --resume goes on with it, --out takes another; or remove {folder}"
        )
    places = {(name, seed): f"{name.replace(', ', '-')}-{seed}" for name in networks for seed in range(args.seeds)}
    if strangers := sorted({path.name for path in folder.glob("*")} - set(places.values())):
        raise CheckpointError(
            f"{folder} holds {', '.join(strangers)}, no part of this run: give another folder by --out"
        )
    steps = args.epochs * (len(data.train_images) // task.BATCH)
    of_all = about(args)
    with (
        interruptions() as caught,
        tqdm(total=len(networks) * args.seeds * args.epochs, unit="epoch", desc="training") as bar,
    ):
        for name, threshold in networks.items():
            for seed in range(args.seeds):

                def on_epoch(loss, accuracy, name=name, seed=seed):
                    bar.set_postfix_str(f"{name}, seed {seed}, loss {loss:.3f}, test {accuracy:.3f}", refresh=False)
                    bar.update()

                network = make(*threshold, seed, steps, args.dtype)
                what = of_all | {"network": name, "seed": seed}
                with Checkpoints(folder / places[name, seed], what) as checkpoints:
                    run, last = train(
                        data, network, seed, args.epochs, on_epoch, checkpoints, args.save_every, stop=caught
                    )
                if caught:
                    bar.close()
                    print(f"{caught[0].name}: saved in {folder}; --resume goes on from there", file=sys.stderr)
                    sys.exit(128 + caught[0])
                runs[name].append(run)
                spikes.setdefault(name, last)
    return runs, spikes


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
    classes = {name: c for name, c in exported.items() if isinstance(c, type) and issubclass(c, bs.Surrogate)}
    parser = argparse.ArgumentParser(prog="python -m benchmarks.digits", description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=positive, default=5, metavar="N", help="networks of each kind (default: 5)")
    parser.add_argument("--epochs", type=positive, default=40, metavar="N", help="passes over the data (default: 40)")
    parser.add_argument("--surrogate", default="LogTailedRelu", metavar="NAME", help=", ".join(sorted(classes)))
    parser.add_argument("--alpha", type=float, metavar="A", help="its alpha (default: 0.1 for LogTailedRelu)")
    parser.add_argument(
        "--learnable", nargs="*", default=["alpha"], metavar="NAME", help="parameters trained in a second network"
    )
    parser.add_argument("--framework", choices=FRAMEWORKS, default="nnx", help="of layers and loop (default: nnx)")
    parser.add_argument(
        "--dtype", choices=("float32", "bfloat16"), default="float32", help="of activations (default: float32)"
    )
    results.add_out(parser, "digits")
    parser.add_argument(
        "--save-every", type=positive, default=10, metavar="EPOCHS", help="between checkpoints (default: 10)"
    )
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoints in DIR, where there are any")
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
    results.try_out(parser, args.out)
    return args


if __name__ == "__main__":
    main()
