"""The first step: what it takes to trace and to compile a train step of 3 and of 20 LIF layers, T = 100, batch 32."""

import time

import jax
import jax.numpy as jnp
from tqdm import tqdm

from ...lib import results, timing
from ..peers import task
from . import Mark, seconds
from .train_step import LAYERS, blocks, layer_by_layer, spiking, train_step

WAYS = {LAYERS: layer_by_layer, "blocks, dots": blocks("dots"), "blocks, full": blocks("full")}


def measure(quick):
    depths, rounds, steps = ((1, 3), 2, 20) if quick else ((3, 20), 5, task.STEPS)
    taken = {}
    with tqdm(total=len(depths) * len(WAYS) * rounds, desc="first-step") as bar:
        for depth in depths:
            sizes = (*[128] * (depth + 1), 10)
            xs, labels = jnp.asarray(task.inputs(32, steps, sizes[0])), jnp.asarray(task.labels(32, sizes[-1]))
            for _ in range(rounds):
                for name, logits in WAYS.items():
                    jax.clear_caches()
                    step, params = train_step(spiking(task.Network(sizes)), logits)
                    start = time.perf_counter()
                    lowered = jax.jit(step).lower(params, xs, labels)
                    between = time.perf_counter()
                    lowered.compile()
                    parts = taken.setdefault((depth, name), {"trace": [], "compile": []})
                    parts["trace"].append(between - start)
                    parts["compile"].append(time.perf_counter() - between)
                    bar.update()
    runs = [
        {"layers": depth, "name": name, "part": part, "time": timing.summary(samples)}
        for (depth, name), parts in taken.items()
        for part, samples in parts.items()
    ]
    return {"depths": depths, "runs": runs}


def marks(result):
    few, many = result["depths"]
    times = {(run["layers"], run["name"], run["part"]): run["time"]["median"] for run in result["runs"]}
    whole = {depth: sum(times[depth, "blocks, dots", part] for part in ("trace", "compile")) for depth in (few, many)}
    why = "each layer is a loop of its own, forward and backward, which XLA compiles by itself"
    return [Mark(f"first step of {many} LIF layers / of {few}, blocks, `dots`", 4, whole[many] / whole[few], why=why)]


def report(result):
    rows = [(f"{run['layers']} layers, {run['name']}: {run['part']}", seconds(run["time"])) for run in result["runs"]]
    return results.table(("LIF layers of 128, T = 100, batch 32", "time"), rows)
