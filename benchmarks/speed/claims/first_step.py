"""Tracing and compilation: their time for a training step of 3 and of 20 LIF layers, T = 100, batch 32.

Each layer has 128 neurons. *blocks, dots* and *blocks, full* use `unroll` with this value of `remat=`. Lower is
better.
"""

import itertools
import time

import jax
from tqdm import tqdm

from ...lib import timing
from ...lib.report import at_most, table
from ..peers.task import STEPS, Network
from . import seconds
from .train_step import LAYERS, blocks, data, layer_by_layer, train_step

WAYS = {LAYERS: layer_by_layer, "blocks, dots": blocks("dots"), "blocks, full": blocks("full")}


def measure(quick):
    depths, rounds, steps = ((1, 2), 2, 10) if quick else ((3, 20), 5, STEPS)
    taken = {}
    turns = list(itertools.product(depths, range(rounds), WAYS.items()))
    for depth, _, (name, logits) in tqdm(turns, desc="first-step"):
        network = Network((*[128] * (depth + 1), 10))
        jax.clear_caches()
        step, params = train_step(network, logits)
        given = data(network, 32, steps)
        start = time.perf_counter()
        lowered = jax.jit(step).lower(params, *given)
        between = time.perf_counter()
        lowered.compile()
        parts = taken.setdefault((depth, name), {"trace": [], "compile": []})
        parts["trace"].append(between - start)
        parts["compile"].append(time.perf_counter() - between)
    runs = [
        {"layers": depth, "name": name, "part": part, "time": timing.summary(samples)}
        for (depth, name), parts in taken.items()
        for part, samples in parts.items()
    ]
    return {"depths": depths, "runs": runs}


def claims(result):
    few, many = result["depths"]
    times = {(run["layers"], run["name"], run["part"]): run["time"]["median"] for run in result["runs"]}
    whole = {depth: sum(times[depth, "blocks, dots", part] for part in ("trace", "compile")) for depth in (few, many)}
    what = f"tracing and compilation, {many} LIF layers / {few} LIF layers, blocks, dots"
    return [at_most(4, what, whole[many] / whole[few])]


def report(result):
    rows = [(f"{run['layers']} layers, {run['name']}: {run['part']}", seconds(run["time"])) for run in result["runs"]]
    return table(("network and stage", "time"), rows)
