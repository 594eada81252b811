"""Convolutional network of LIF neurons compared with one of ReLU: 16-32-128-10 on 28 x 28 pixels.

A training step of the LIF network runs all time steps, with brainsurr's or with flax's max_pool; the ReLU network runs
once. *One device* is the default of jax, and *all cores* means one jax device per core. Temporary memory is what each
device allocates for intermediate arrays. Lower is better.
"""

import functools
import itertools
import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from tqdm import tqdm

import brainsurr as bs
from brainsurr import cpu
from brainsurr.nnx import LI, LIF, SpikingSequential

from ...lib.report import ratio_at_most, table
from ...lib.training import averaged, flat
from ..libraries import AS_DOCUMENTED, EVERY_CORE, SHOWN, run_on
from ..peers.task import ALPHA
from . import compiled, megabytes, seconds, timed
from .train_step import step_of

SPIKING, RELU, FLAX = "LIF, all steps", "ReLU, one step", "LIF, all steps, flax's max_pool"


def network(side, neuron, readout, max_pool=bs.max_pool):
    """Create two convolutions with pooling and two linear layers; ``neuron(features)`` follows all but the last."""
    rngs = nnx.Rngs(0)
    convolutions = [nnx.Conv(i, o, (3, 3), rngs=rngs) for i, o in ((1, 16), (16, 32))]
    linear = [nnx.Linear(i, o, rngs=rngs) for i, o in ((32 * (side // 4) ** 2, 128), (128, 10))]
    pooled = functools.partial(max_pool, window_shape=(2, 2), strides=(2, 2))
    images = [layer for c in convolutions for layer in (c, neuron(c.out_features), pooled)]
    return [*images, flat, linear[0], neuron(128), linear[1], *readout]


def measure(quick):
    size, batches, terms = {"side": 28, "steps": 4, "rounds": 15}, (256, 32), (AS_DOCUMENTED, EVERY_CORE)
    if quick:
        size, batches, terms = {"side": 8, "steps": 2, "rounds": 2}, (4,), (EVERY_CORE,)
    runs, ways = [], list(itertools.product(terms, batches))
    for on, batch in (bar := tqdm(ways, desc="convolution")):
        bar.set_postfix_str(f"batch {batch}, {on}")
        job = json.dumps(size | {"batch": batch})
        runs += [{"terms": on, **run} for run in run_on(on, sys.executable, "convolution", __name__, job)]
    return {"steps": size["steps"], "runs": runs}


def of_both(batch, side, steps, rounds):
    """Time both networks in this process, with the batch split among its devices."""

    def spiking(net, images):
        return averaged(net, jnp.broadcast_to(images, (steps, *images.shape)))

    lif = functools.partial(LIF, spike_fn=bs.Arctan(ALPHA))
    ways = {
        SPIKING: (SpikingSequential(network(side, lif, [LI(10)])), spiking),
        FLAX: (SpikingSequential(network(side, lif, [LI(10)], nnx.max_pool)), spiking),
        RELU: (nnx.Sequential(*network(side, lambda features: jax.nn.relu, [])), lambda net, images: net(images)),
    }
    rng, programs = np.random.default_rng(0), {}
    given = cpu.split((rng.random((batch, side, side, 1), np.float32), rng.integers(10, size=batch)))
    for name, (net, outputs) in ways.items():
        step, params = step_of(net, outputs)
        programs[name] = compiled(step, cpu.split(params, axis=None), *given)
    return timed(programs, rounds, batch=batch)


def _where(run):
    return f"{SHOWN[run['terms']]}, batch {run['batch']}"


def claims(result):
    made, what = [], "training step of a convolutional network"
    for where in dict.fromkeys(map(_where, result["runs"])):
        times = {run["name"]: run["time"] for run in result["runs"] if _where(run) == where}
        step = {key: np.divide(times[SPIKING][key], result["steps"]).tolist() for key in ("median", "quartiles")}
        made.append(ratio_at_most(1.5, f"{what}, LIF per time step / ReLU, {where}", step, times[RELU]))
        made.append(ratio_at_most(0.9, f"{what}, max_pool of brainsurr / flax, {where}", times[SPIKING], times[FLAX]))
    return made


def report(result):
    rows = [(f"{r['name']}, {_where(r)}", seconds(r["time"]), megabytes(r["temporaries"])) for r in result["runs"]]
    header = (f"network, {result['steps']} time steps of LIF", "training step", "temporary memory per device")
    return table(header, rows)


if __name__ == "__main__":
    print(json.dumps(of_both(**json.loads(sys.argv[1]))))
