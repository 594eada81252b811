"""Soak test: train, save, resume, and change alphas and shapes for half an hour; measure memory and recompilation.

``python -m benchmarks.robustness.soak`` repeats rounds. Each round uses the next framework and batch shape, trains some
steps, saves, loads the checkpoint as a resumed process would, checks that all bits are equal, and continues from it
with new alphas. It reports the programs that are compiled again after the first tour of all frameworks and shapes, and
the growth of device memory, process memory, disk space and open files.
"""

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

from ..lib import FRAMEWORKS, checkpoints, results
from ..lib.study import arguments
from . import mesh, networks
from .reports import soak as report

SHAPES = ((12, 32), (12, 7), (48, 32), (5, 1), (200, 4), (12, 128))  # time steps, batch
MINUTES, TRAIN_STEPS, RATE, SEED = 30, 10, 3e-3, 0
COMPILED = "/jax/core/compile/backend_compile_duration"  # the event of jax.monitoring


class Model:
    """A network of one framework, and its training."""

    def __init__(self, framework):
        network = networks.build(framework, SEED)
        tx = optax.chain(optax.adamw(RATE), project(network.bounds))
        self.framework, self.steps, self.state = framework, 0, (network.params, tx.init(network.params))
        self.train_step = jax.jit(mesh.train_step(network.loss, tx, groups=1))

    def train(self, xs, labels):
        """Train some steps."""
        for _ in range(TRAIN_STEPS):
            *self.state, loss, _ = self.train_step(*self.state, xs, labels)
        self.steps += TRAIN_STEPS
        if not jnp.isfinite(loss):
            raise FloatingPointError(f"{self.framework}: expected a finite loss, got {loss} after {self.steps} steps")

    def save_and_resume(self, folder):
        """Write a checkpoint, and continue from it like another process."""
        saved, folder = checkpoints.digest(self.state), folder / self.framework
        with checkpoints.manager(folder) as kept:
            checkpoints.save(kept, self.steps, self.state, {"steps": self.steps})
        with checkpoints.manager(folder) as kept:
            self.state, progress = checkpoints.restore(kept, like=jax.tree.map(jnp.zeros_like, self.state))
        if (progress, checkpoints.digest(self.state)) != ({"steps": self.steps}, saved):
            raise RuntimeError(f"{self.framework}: saved step {self.steps}, got other bits back, or of {progress}")

    def new_alphas(self, rng):
        """Replace the trained alphas, one per neuron, by random ones."""

        def leaf(path, value):
            return jnp.asarray(rng.uniform(0, 0.3, value.shape), value.dtype) if "alpha" in str(path) else value

        params, opt_state = self.state
        self.state = jax.tree_util.tree_map_with_path(leaf, params), opt_state


@jax.jit
def answer(surrogate, x):
    """Compute the spikes and gradient of a surrogate passed as an argument; a new alpha must not recompile."""
    return jax.value_and_grad(lambda x: surrogate(x).sum())(x)


def batch(rng, steps, size):
    """Draw random spikes ``[time, batch, features]`` and labels."""
    spikes = rng.random((steps, size, networks.FEATURES)) < 0.3
    return spikes.astype(np.float32), rng.integers(networks.CLASSES, size=size).astype(np.int32)


def usage(folder):
    """Measure the current memory (in MB) and objects of this process, and the files of a folder."""
    process, sizes = psutil.Process(), [array.nbytes for array in jax.live_arrays()]
    files = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return {
        "resident": process.memory_info().rss / 2**20,
        "on_device": sum(sizes) / 2**20,
        "arrays": len(sizes),
        "on_disk": sum(files) / 2**20,
        "files": process.num_fds(),
        "threads": process.num_threads(),
    }


def soak(shapes, minutes, folder):
    """Repeat rounds for a number of minutes and at least two tours; return the measures after each round, by name.

    Args:
      shapes: shapes of the batches, (time steps, examples).
      minutes: the minimum duration.
      folder: the folder of the checkpoints.
    """
    rng, compiled, rounds = np.random.default_rng(SEED), Counter(), []
    tour = list(itertools.product(shapes, FRAMEWORKS))
    jax.monitoring.register_event_duration_secs_listener(lambda event, *_, **__: compiled.update([event]))
    models = {name: Model(name) for name in FRAMEWORKS}
    start = time.perf_counter()
    bar = tqdm(total=round(60 * minutes), unit="s", desc="soak", bar_format="{l_bar}{bar}| {n:.0f}/{total} s{postfix}")
    for shape, name in itertools.cycle(tour):
        if len(rounds) >= 2 * len(tour) and rounds[-1]["seconds"] >= 60 * minutes:
            break
        model, data = models[name], batch(rng, *shape)
        model.train(*data)
        model.save_and_resume(folder)
        model.new_alphas(rng)
        model.train(*data)
        jax.block_until_ready(answer(bs.LogTailedRelu(rng.random(dtype=np.float32)), jnp.linspace(-2, 2, 9)))
        now = {"seconds": time.perf_counter() - start, **usage(folder), "programs": compiled[COMPILED]}
        rounds.append(now)
        bar.set_postfix_str(f"round {len(rounds)}, {now['resident']:.0f} MB, {now['programs']} programs", refresh=False)
        bar.update(min(now["seconds"], bar.total) - bar.n)
    bar.close()
    return {key: [measures[key] for measures in rounds] for key in rounds[0]}


def summary(measured, tour):
    """Summarise the measures of `soak`.

    Args:
      measured: a list over the rounds for each measure.
      tour: the number of rounds that go through every framework with every shape.

    Returns:
      Medians of the last tour at some times, and the maximum; the memory growth in KB per round, from a straight line
      fitted to the second half; and for a picture, the first tour and 200 later rounds.
    """
    programs, rounds = measured["programs"], len(measured["seconds"])
    late, resident = np.arange(rounds // 2, rounds), np.array(measured["resident"])
    shown = sorted({*range(tour), *np.linspace(tour, rounds - 1, 200, dtype=int).tolist()})
    ends = {"first tour": tour, "a quarter": rounds // 4, "half": rounds // 2, "the end": rounds}
    table = {}
    for name in report.NAMES:
        table[name] = {at: np.median(measured[name][max(0, end - tour) : end]) for at, end in ends.items()}
        table[name]["most"] = max(measured[name])
    curves = ("seconds", "resident", "programs")
    return {
        "rounds": rounds,
        "tour": tour,
        "programs": {"first tour": programs[tour - 1], "all": programs[-1]},
        "growth": 1024 * np.polyfit(late, resident[late], 1)[0],
        "table": table,
        "picture": {name: [round(measured[name][i], 1) for i in shown] for name in curves},
    }


def main(argv=None):
    """Run the soak test, and write the summary."""
    args, start = arguments("robustness.soak", __doc__, argv), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        measured = soak(SHAPES, MINUTES, Path(folder))
    settings = {"minutes": MINUTES, "seed": SEED, "frameworks": FRAMEWORKS, "shapes": SHAPES}
    result = {
        "settings": settings | {"steps_a_round": 2 * TRAIN_STEPS},
        "summary": summary(measured, len(FRAMEWORKS) * len(SHAPES)),
        "seconds": time.perf_counter() - start,
        **results.environment(),
    }
    results.write(args.out / "result.json", result)
    print(report.table(result))


if __name__ == "__main__":
    main()
