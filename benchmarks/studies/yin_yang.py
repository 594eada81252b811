"""The Yin-Yang data set: spiking networks read by their first spike, spike count or mean potential, and a ReLU network.

``python -m benchmarks.studies.yin_yang --out benchmarks/results/yin_yang`` takes an hour on two cores. All
seeds of a learning rate train in one program. The learning rate with the best mean validation accuracy is shown.

The data are from Kriener, Göltz and Petrovici 2022, "The Yin-Yang dataset", https://arxiv.org/abs/2102.08211.
"""

from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import optax

import brainsurr as bs
from brainsurr.neurons import LI, Synaptic

from ..lib.report import table
from ..lib.study import Runs, arguments, provenance, rows
from .trained import MEASURED, interval

SIZES, HOW = (5, 120, 3), {"batch": 100, "updates": 3000, "steps": 45, "decay": 0.95, "tau": 10.0, "silent": 0.3}
RATES = {
    "first spike": (0.001, 0.002, 0.005, 0.01, 0.02),
    "spike count": (0.005, 0.01, 0.02),
    "mean potential": (0.005, 0.01, 0.02, 0.05),
    "ReLU network": (0.005, 0.01, 0.02, 0.05, 0.1),
}
SEEDS = list(range(10))
DATA = {"train": (5000, 42), "validation": (1000, 41), "test": (10_000, 43)}  # examples and seeds


def classes(xy):
    """Return the class of each point in the unit square: yin 0, yang 1, one of the dots 2, or -1 outside."""
    x, y = xy.T - 0.5
    left, right = np.hypot(x + 0.25, y), np.hypot(x - 0.25, y)
    halves = np.where((left <= 0.25) | ((y > 0) & (right > 0.25)), 0, 1)
    return np.where(np.hypot(x, y) > 0.5, -1, np.where(np.minimum(left, right) <= 0.1, 2, halves))


def points(n, seed):
    """Draw ``n`` points ``[n, 2]``, a third of each class on average, and their classes."""
    rng = np.random.default_rng(seed)
    xy = rng.random((30 * n, 2))
    of_class = [iter(xy[classes(xy) == label]) for label in range(3)]
    labels = rng.integers(0, 3, n)
    return jnp.array([next(of_class[label]) for label in labels]), jnp.array(labels)


def inputs(xy, readout):
    """Return four values of each point and a 1; spiking networks get them as the times of spikes, larger ones first."""
    values = jnp.pad(jnp.concatenate([xy, 1 - xy], 1), ((0, 0), (0, 1)), constant_values=1.0)
    late = ((0, HOW["steps"] // 3), (0, 0), (0, 0))
    return values if readout == "ReLU network" else jnp.pad(bs.encoders.latency(values, 2 * HOW["steps"] // 3), late)


def outputs(params, xs, readout):
    """Return the spikes ``[time, batch, 3]`` of the output neurons, or the logits of the other readouts."""
    first, last = params
    if readout == "ReLU network":
        return jax.nn.relu(xs @ first) @ last
    neuron = Synaptic(decay=HOW["decay"], current_decay=HOW["decay"], spike_fn=bs.Sigmoid(2.0), reset="zero")
    end = LI(decay=HOW["decay"]) if readout == "mean potential" else neuron
    for layer, weights in ((neuron, first), (end, last)):
        _, xs = layer(layer.initial_state(xs[0] @ weights), xs @ weights)
    return {"first spike": xs, "spike count": xs.sum(0), "mean potential": xs.mean(0)}[readout]


def train(readout, rate, parts, seed):
    """Train from a seed; return the accuracies on the validation and the test data."""
    (xs, labels), (*keys, order) = parts["train"], jax.random.split(jax.random.key(seed), 3)
    params = [0.5 * jax.random.normal(*of) / of[1][0] ** 0.5 for of in zip(keys, pairwise(SIZES), strict=True)]
    rows = jax.random.randint(order, (HOW["updates"], HOW["batch"]), 0, len(labels))
    optimizer = optax.adam(optax.cosine_decay_schedule(rate, HOW["updates"]))

    def loss(params, rows):
        ys = outputs(params, jnp.take(xs, rows, -2), readout)
        if readout == "first spike":
            silent = HOW["silent"] * bs.losses.never_fires(ys).mean()
            return silent + bs.losses.first_spike_cross_entropy(ys, labels[rows], tau=HOW["tau"]).mean()
        return optax.softmax_cross_entropy_with_integer_labels(ys, labels[rows]).mean()

    def step(carry, rows):
        updates, state = optimizer.update(jax.grad(loss)(carry[0], rows), carry[1])
        return (optax.apply_updates(carry[0], updates), state), None

    (params, _), _ = jax.lax.scan(step, (params, optimizer.init(params)), rows)

    def accuracy(xs, labels):
        ys = outputs(params, xs, readout)
        late = bs.losses.first_spike_times(ys) if readout == "first spike" else -ys
        return (late.argmin(-1) == labels).mean()

    return {part: accuracy(*parts[part]) for part in ("validation", "test")}


def main(argv=None):
    """Train every readout at every learning rate."""
    out = arguments("studies.yin_yang", __doc__, argv).out
    runs = Runs(out / "result.json", HOW | {"sizes": SIZES, "seeds": SEEDS}, ("readout", "rate"), MEASURED)
    for readout, rate in [(name, rate) for name, rates in RATES.items() for rate in rates]:
        drawn = [(part, *points(*how)) for part, how in DATA.items()]
        parts = {part: (inputs(xy, readout), labels) for part, xy, labels in drawn}
        runs.run(partial(jax.vmap(jax.jit(partial(train, readout, rate, parts))), np.array(SEEDS)), readout, rate)
    runs.finish("yin_yang")


def section(path):
    """Make the table of docs/spike-timing.md."""
    ran, score = rows(path), lambda row: np.mean(row["validation"])
    best = (max((row for row in ran if row["readout"] == readout), key=score) for readout in RATES)
    lines = [(row["readout"], interval(row["test"]), f"{row['rate']:g}") for row in best]
    return f"{table(('readout', 'test accuracy (%)', 'learning rate'), lines)}\n\n{provenance(path)}."


if __name__ == "__main__":
    main()
