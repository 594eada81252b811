"""Soak: train, save, resume, and change alphas and shapes for half an hour. Does memory grow, does jit recompile?

``python -m benchmarks.robustness.soak --minutes 30`` repeats rounds. Each takes the next framework and shape of the
batch, trains some steps, saves, reads the checkpoint back with a new `Checkpoints` as a resumed process would, expects
the same bits, and trains on from them with new alphas. After the first tour of all frameworks and shapes nothing may be
compiled again, and nothing may accumulate on the device, in memory, on the disk, or in open files.
``--no-checkpoints`` trains without saving, for comparison.
"""

import argparse
import itertools
import tempfile
import time
from collections import Counter
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import psutil
from tqdm import tqdm

import brainsurr as bs
from brainsurr.optim import project

from ..lib import FRAMEWORKS, results
from ..lib.checkpoints import Checkpoints, digest
from . import networks
from .reports import soak as report

SHAPES = ((12, 32), (12, 7), (48, 32), (5, 1), (200, 4), (12, 128))  # time steps, batch
TRAIN_STEPS, RATE, SEED = 10, 3e-3, 0
COMPILED = "/jax/core/compile/backend_compile_duration"  # the event of jax.monitoring
MEASURES = ("resident", "arrays", "on_device", "on_disk", "files", "threads", "programs")


class Model:
    """A network of one framework, and its training."""

    def __init__(self, framework):
        network = networks.build(framework, SEED)
        self.tx = optax.chain(optax.adamw(RATE), project(network.bounds))
        self.state = network.params, self.tx.init(network.params)
        self.about, self.steps = {"framework": framework}, 0

        @jax.jit
        def train_step(state, xs, labels):
            params, opt_state = state
            loss, grads = jax.value_and_grad(network.loss)(params, xs, labels)
            updates, opt_state = self.tx.update(grads, opt_state, params)
            return (optax.apply_updates(params, updates), opt_state), loss

        self.train_step = train_step

    def train(self, xs, labels):
        """Train some steps and return the last loss."""
        for _ in range(TRAIN_STEPS):
            self.state, loss = self.train_step(self.state, xs, labels)
        self.steps += TRAIN_STEPS
        if not jnp.isfinite(loss):
            raise FloatingPointError(f"expected a finite loss, got {loss} after {self.steps} steps of {self.about}")
        return float(loss)

    def save_and_resume(self, folder):
        """Write a checkpoint, and continue from it as another process would."""
        saved, folder = digest(self.state), folder / self.about["framework"]
        with Checkpoints(folder, self.about) as checkpoints:
            checkpoints.save(self.steps, self.state, {})
        with Checkpoints(folder, self.about) as checkpoints:
            step, self.state, _ = checkpoints.restore(jax.tree.map(jnp.zeros_like, self.state))
        if (step, digest(self.state)) != (self.steps, saved):
            raise RuntimeError(f"{self.about}: saved step {self.steps}, and step {step} came back with other bits")

    def new_alphas(self, rng):
        """Replace the trained alphas, one per neuron, by random ones."""

        def leaf(path, value):
            return jnp.asarray(rng.uniform(0, 0.3, value.shape), value.dtype) if "alpha" in str(path) else value

        params, opt_state = self.state
        self.state = jax.tree_util.tree_map_with_path(leaf, params), opt_state


@jax.jit
def answer(surrogate, x):
    """Compute spikes and gradient of a surrogate that is an argument: a new alpha must not compile a new program."""
    return jax.value_and_grad(lambda x: surrogate(x).sum())(x)


def batch(rng, steps, size):
    """Draw random spikes ``[time, batch, features]`` and labels."""
    spikes = rng.random((steps, size, networks.FEATURES)) < 0.3
    return spikes.astype(np.float32), rng.integers(networks.CLASSES, size=size).astype(np.int32)


def size(folder):
    """Sum the bytes in the files of a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def soak(shapes, minutes, tours, folder=None):
    """Repeat rounds for so many minutes, and at least so many tours; return the measures after each round, by name.

    Args:
      shapes: of the batches, (time steps, examples).
      minutes: how long, at least.
      tours: how often each framework trains on each shape, at least.
      folder: of the checkpoints; None writes none.
    """
    rng, process, compiled = np.random.default_rng(SEED), psutil.Process(), Counter()
    tour = list(itertools.product(shapes, FRAMEWORKS))
    jax.monitoring.register_event_duration_secs_listener(lambda event, *_, **__: compiled.update([event]))
    models = {name: Model(name) for name in FRAMEWORKS}
    measured = {name: [] for name in ("seconds", "loss", *MEASURES)}
    start = time.perf_counter()
    bar = tqdm(total=round(60 * minutes), unit="s", desc="soak", bar_format="{l_bar}{bar}| {n:.0f}/{total} s{postfix}")
    for round_, (shape, name) in enumerate(itertools.cycle(tour)):
        seconds = time.perf_counter() - start
        if round_ >= tours * len(tour) and seconds >= 60 * minutes:
            break
        model, data = models[name], batch(rng, *shape)
        model.train(*data)
        if folder:
            model.save_and_resume(folder)
        model.new_alphas(rng)
        loss = model.train(*data)
        jax.block_until_ready(answer(bs.LogTailedRelu(rng.random(dtype=np.float32)), jnp.linspace(-2, 2, 9)))
        sizes = [array.nbytes for array in jax.live_arrays()]  # not the arrays: this list would keep them alive
        now = {
            "seconds": time.perf_counter() - start,
            "loss": loss,
            "resident": process.memory_info().rss / 2**20,
            "arrays": len(sizes),
            "on_device": sum(sizes) / 2**20,
            "on_disk": size(folder) / 2**20 if folder else 0.0,
            "files": process.num_fds(),
            "threads": process.num_threads(),
            "programs": compiled[COMPILED],
        }
        for key, value in now.items():
            measured[key].append(round(value, 4))
        bar.set_postfix_str(f"round {round_ + 1}, {now['resident']:.0f} MB, {now['programs']} programs", refresh=False)
        bar.update(min(now["seconds"], bar.total) - bar.n)
    bar.close()
    return measured


def settings(minutes):
    """Return the settings that the numbers depend on, apart from versions and device."""
    return {
        "minutes": minutes,
        "seed": SEED,
        "frameworks": FRAMEWORKS,
        "shapes": SHAPES,
        "steps_a_round": 2 * TRAIN_STEPS,
    }


def main(argv=None):
    """Soak, and write the measures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.robustness.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30, metavar="M", help="how long to run (default: 30)")
    parser.add_argument("--no-checkpoints", action="store_false", dest="checkpoints", help="train without saving")
    results.add_out(parser, "soak")
    args = parser.parse_args(argv)
    results.try_out(parser, args.out)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        measured = soak(SHAPES, args.minutes, 2, Path(folder) if args.checkpoints else None)
    result = {
        "settings": settings(args.minutes),
        "measured": measured,
        "seconds": time.perf_counter() - start,
        **results.environment(),
    }
    results.write(args.out / "result.json", result)
    print(report.table(result))


if __name__ == "__main__":
    main()
