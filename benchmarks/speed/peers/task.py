"""What every peer trains: inputs, labels, starting weights, and the one line of JSON that it prints.

Three matrix products without biases, two layers of LIF neurons between them and a leaky integrator behind; decay 0.9,
threshold 1, reset by subtraction in the step of the spike, the arctan surrogate with alpha = 2; cross-entropy of the
output's mean over time; plain gradient descent. All start from the same weights, so that the losses tell whether they
train the same thing.
"""

import argparse
import importlib.metadata
import itertools
import json
import platform
import time
from typing import NamedTuple

import numpy as np

from ...lib import timing


class Network(NamedTuple):
    """A network and how it is trained.

    Attributes:
      sizes: of the layers, the inputs first.
      scale: the standard deviation of the weights of a layer, times the square root of its inputs.
      readout: the same, of the last layer.
      rate: the learning rate.
    """

    sizes: tuple[int, ...]
    scale: float = 1.5
    readout: float = 1.5
    rate: float = 0.02


NETWORKS = {
    "usual": Network((700, 256, 256, 20)),
    "long": Network((64, 128, 128, 10)),
    "deep": Network((*[128] * 21, 10), 1.8, 0.1, 0.002),  # so that all layers fire, and the loss falls
}
NETWORK, INPUTS = NETWORKS["usual"], "float32"  # of this process
STEPS, DECAY, THRESHOLD, ALPHA = 100, 0.9, 1.0, 2.0


def weights(network=None):
    """Draw the matrices ``[inputs, outputs]``, scaled so that neurons fire; of this process's network if None."""
    rng, network = np.random.default_rng(0), network or NETWORK
    scales = [*[network.scale] * (len(network.sizes) - 2), network.readout]
    shapes = zip(scales, itertools.pairwise(network.sizes), strict=True)
    return [rng.normal(0, scale / i**0.5, (i, o)).astype(np.float32) for scale, (i, o) in shapes]


def inputs(batch, steps, features=None, dtype=None):
    """Draw spikes ``[time, batch, features]`` of which 5 % are 1.

    Aligned as XLA wants its arrays, so that ``jax.device_put``, like ``torch.from_numpy``, makes no copy, and made a
    step at a time: neither may be what a process needs most memory for.
    """
    features, dtype = features or NETWORK.sizes[0], dtype or INPUTS
    size = np.dtype(dtype).itemsize * steps * batch * features
    memory = np.empty(size + 64, np.uint8)
    start = -memory.ctypes.data % 64
    xs = memory[start : start + size].view(dtype).reshape(steps, batch, features)
    rng = np.random.default_rng(1)
    for x in xs:
        x[:] = rng.random(x.shape, np.float32) < 0.05
    return xs


def labels(batch, classes=None):
    """Draw a class for each example."""
    return np.random.default_rng(2).integers(0, classes or NETWORK.sizes[-1], batch, np.int32)


def time_live(step, rounds, calls=1000):
    """Return the `timing.summary` of a call of ``step(x)``."""
    xs = itertools.cycle(inputs(1, 16, dtype="float32"))
    return timing.interleaved({"live": lambda: step(next(xs))}, rounds, calls)["live"]


def main(build, modes, packages, notes=(), live=None):
    """Run one peer: its first step, one more, and then those that are timed.

    Args:
      build: ``(mode, batch, steps) -> step``; each ``step()`` trains once and returns the loss as a float.
      modes: the ways to run it that its own documentation gives.
      packages: whose versions to state.
      notes: how it differs from the task.
      live: ``() -> step``; each ``step(x)`` takes one time step of one example, ``[1, features]``, and waits for it.
    """
    global NETWORK, INPUTS
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", choices=modes, default=modes[0])
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--steps", type=int, default=STEPS, help="time steps")
    parser.add_argument("--network", choices=NETWORKS, default="usual")
    parser.add_argument("--inputs", choices=("float32", "uint8"), default="float32", help="dtype of the input spikes")
    parser.add_argument("--live", action="store_true", help="time single time steps of the long network instead")
    parser.add_argument("--rounds", type=int, default=5, help="train steps to time")
    parser.add_argument("--patience", type=float, default=15, help="stop timing after this many seconds")
    args = parser.parse_args()
    NETWORK, INPUTS = NETWORKS["long" if args.live else args.network], args.inputs
    if args.live:
        print(json.dumps({"live": time_live(live(), args.rounds)}))
        return
    imported = timing.peak_memory()
    step = build(args.mode, args.batch, args.steps)
    built = timing.peak_memory()
    seconds, losses = [], []
    while len(seconds) < 2 or (len(seconds) < 2 + args.rounds and sum(seconds[1:]) < args.patience):
        start = time.perf_counter()
        losses.append(step())
        seconds.append(time.perf_counter() - start)
    result = {
        "first_step": seconds[0],
        "seconds": seconds[2:] or seconds[1:],
        "peak_memory": timing.peak_memory(),
        "memory_after_import": imported,
        "memory_before_training": built,
        "losses": losses,
        "notes": list(notes),
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in packages},
    }
    print(json.dumps(result))
