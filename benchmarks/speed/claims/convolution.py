"""A convolutional network of LIF neurons against one of ReLU, for each time step: 16-32-128-10 on 28 x 28 pixels."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from tqdm import tqdm

import brainsurr as bs
from brainsurr.nnx import LI, LIF, SpikingSequential

from ...lib import timing
from ...lib.report import ratio_at_most, table
from ..peers.task import ALPHA
from . import compiled, megabytes, seconds
from .train_step import descent

SPIKING, RELU = "LIF, all steps", "ReLU, one step"
WHY = """a layer of images is read and written several times by either; LIF neurons add their loop, and keep spikes and
slopes of all steps, for which the system clears pages: docs/fast-on-a-cpu.md"""


def pooled(xs):
    return nnx.max_pool(xs, (2, 2), (2, 2))


def flat(xs):
    return xs.reshape(*xs.shape[:-3], -1)


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


def train_step(net, outputs):
    """Make a step on the weights of a network, ``outputs(net, images)``, and the weights."""
    graphdef, params = nnx.split(net)

    def loss_fn(params, images, labels):
        ys = outputs(nnx.merge(graphdef, params), images)
        return optax.softmax_cross_entropy_with_integer_labels(ys, labels).mean()

    return descent(loss_fn, 0.01), params


def measure(quick):
    side, steps, batches, rounds = (8, 2, (4,), 2) if quick else (28, 4, (256, 32), 15)

    def spiking(net, images):
        xs = jnp.broadcast_to(images, (steps, *images.shape))
        return net(net.initialize_carry((len(images), side, side, 1)), xs)[1].mean(0)

    ways = {
        SPIKING: (SpikingSequential(network(side, lif, [LI(10)])), spiking),
        RELU: (nnx.Sequential(*network(side, relu, [])), lambda net, images: net(images)),
    }
    rng, runs = np.random.default_rng(0), []
    with tqdm(total=len(batches) * len(ways) * (1 + rounds), desc="convolution") as bar:
        for batch in batches:
            given = (
                jnp.asarray(rng.random((batch, side, side, 1), np.float32)),
                jnp.asarray(rng.integers(10, size=batch)),
            )
            programs = {}
            for name, (net, outputs) in ways.items():
                step, params = train_step(net, outputs)
                programs[name] = compiled(step, params, *given)
                bar.update()
            times = timing.interleaved({name: p.call for name, p in programs.items()}, rounds, each=bar.update)
            runs += [{"batch": batch, "name": name, "time": times[name], **p.costs} for name, p in programs.items()]
    return {"steps": steps, "runs": runs}


def _for_each_step(result, batch):
    """Return the times of a time step of the spiking network, and of the ReLU network."""
    times = {run["name"]: run["time"] for run in result["runs"] if run["batch"] == batch}
    one, other = times[SPIKING], times[RELU]
    return {key: np.divide(one[key], result["steps"]).tolist() for key in ("median", "quartiles")}, other


def claims(result):
    batches = dict.fromkeys(run["batch"] for run in result["runs"])
    what = "train step of a convolutional network, a time step of LIF / ReLU, batch"
    return [ratio_at_most(1.5, f"{what} {batch}", *_for_each_step(result, batch), WHY) for batch in batches]


def report(result):
    rows = [
        (f"{run['name']}, batch {run['batch']}", seconds(run["time"]), megabytes(run["temporaries"]))
        for run in result["runs"]
    ]
    return table((f"16-32-128-10, {result['steps']} time steps", "train step", "temporaries"), rows)
