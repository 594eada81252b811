"""Train each network from each seed, with checkpoints, and stop where a signal says so."""

import importlib
import sys

import jax
import numpy as np
from tqdm import tqdm

from ..lib import results
from ..lib.checkpoints import CheckpointError, Checkpoints, catch_signals, digest
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


def has_checkpoints(folder):
    """Whether a folder of checkpoints holds anything, be it half written."""
    return any(path.is_file() for path in folder.rglob("*"))


def train_all(args, data, folder):
    """Each network from each seed: what came of them, and the spikes of the first seed's."""
    make = importlib.import_module(f".{args.framework}", __package__).Network
    networks = thresholds(args)
    runs, spikes = {name: [] for name in networks}, {}
    if not args.resume and has_checkpoints(folder):
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
        catch_signals() as caught,
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
