"""A convolutional network of LIF neurons against one of ReLU, for each time step: 16-32-128-10 on 28 x 28 pixels."""

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
from ...lib.training import averaged, flat, pooled
from ..libraries import AS_DOCUMENTED, EVERY_CORE, run_on
from ..peers.task import ALPHA
from . import compiled, megabytes, seconds, timed
from .train_step import step_of

SPIKING, RELU = "LIF, all steps", "ReLU, one step"


def network(side, neurons, readout):
    """Make two convolutions with pooling and two linear layers; ``neurons(features)`` follow all but the last."""
    rngs = nnx.Rngs(0)
    convolutions = [nnx.Conv(i, o, (3, 3), rngs=rngs) for i, o in ((1, 16), (16, 32))]
    linear = [nnx.Linear(i, o, rngs=rngs) for i, o in ((32 * (side // 4) ** 2, 128), (128, 10))]
    images = [layer for c in convolutions for layer in (c, *neurons(c.out_features), pooled)]
    return [*images, flat, linear[0], *neurons(128), linear[1], *readout]


def lif(features):
    return [LIF(features, spike_fn=bs.Arctan(ALPHA))]


def relu(features):
    return [jax.nn.relu]


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
    """Time both networks in this process, the batch cut among its devices."""

    def spiking(net, images):
        return averaged(net, jnp.broadcast_to(images, (steps, *images.shape)))

    ways = {
        SPIKING: (SpikingSequential(network(side, lif, [LI(10)])), spiking),
        RELU: (nnx.Sequential(*network(side, relu, [])), lambda net, images: net(images)),
    }
    rng, programs = np.random.default_rng(0), {}
    given = cpu.split((rng.random((batch, side, side, 1), np.float32), rng.integers(10, size=batch)))
    for name, (net, outputs) in ways.items():
        step, params = step_of(net, outputs)
        programs[name] = compiled(step, cpu.split(params, axis=None), *given)
    return timed(programs, rounds, batch=batch)


def _of(run):
    """Return the terms of a run and its batch."""
    return run["terms"], run["batch"]


def _for_each_step(result, which):
    """Return the times of a time step of the spiking network, and of the ReLU network."""
    times = {run["name"]: run["time"] for run in result["runs"] if _of(run) == which}
    one, other = times[SPIKING], times[RELU]
    return {key: np.divide(one[key], result["steps"]).tolist() for key in ("median", "quartiles")}, other


def claims(result):
    what = "train step of a convolutional network, a time step of LIF / ReLU"
    return [
        ratio_at_most(1.5, f"{what}, {on}, batch {batch}", *_for_each_step(result, (on, batch)))
        for on, batch in dict.fromkeys(map(_of, result["runs"]))
    ]


def report(result):
    rows = [
        ("{}, {}, batch {}".format(run["name"], *_of(run)), seconds(run["time"]), megabytes(run["temporaries"]))
        for run in result["runs"]
    ]
    return table((f"16-32-128-10, {result['steps']} time steps", "train step", "temporaries of a device"), rows)


if __name__ == "__main__":
    print(json.dumps(of_both(**json.loads(sys.argv[1]))))
