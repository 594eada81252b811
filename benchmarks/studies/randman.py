"""Randman: spike times on random smooth manifolds; accuracy over the scale of the first weights, for every surrogate.

The task of Zenke & Vogels 2021, "The Remarkable Robustness of Surrogate Gradient Learning for Instilling Complex
Function in Spiking Neural Networks": each class is a smooth random curve in the space of 20 spike times, one spike a
unit, and rates tell nothing. Each seed has its own curves, weights and order. A surrogate's parameter is chosen by the
accuracy on validation examples at scale 3; what is reported is the accuracy on the test examples.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from brainsurr.nnx import LI, LIF, SpikingSequential

from ..lib.study import Study, arguments
from ..lib.training import averaged, dense, last_layers, map_grid, train_and_test
from .grid import members, record

CLASSES, UNITS, STEPS, SMOOTHNESS = 10, 20, 50, 3.0
TRAIN, HELD_OUT = 200, 50  # examples per class, for training, and for each of validation and test
HIDDEN, DECAY, BATCH, RATE = 64, 0.9, 125, 5e-3
SCALES, CHOSEN_AT = (0.03, 0.1, 0.5, 3.0, 15.0), 3.0


def sample(seed, train=TRAIN):
    r"""Draw spike times ``[examples, units]`` and classes, for training, validation and test.

    On a manifold of one dimension a unit's time is :math:`\sum_i \theta_i (i + 1)^{-\alpha} \sin(2 \pi (i x
    \phi_i + \psi_i))` with uniform parameters and x, scaled to the duration over all examples of the class.
    """
    rng = np.random.default_rng(seed)
    i = np.arange(int(np.ceil(1e-3 ** (-1 / SMOOTHNESS))))  # up to the frequency with weight 1e-3
    theta, phi, psi = rng.uniform(size=(3, CLASSES, 1, UNITS, len(i)))
    x = rng.uniform(size=(CLASSES, train + 2 * HELD_OUT, 1, 1))
    waves = theta * (i + 1.0) ** -SMOOTHNESS * np.sin(2 * np.pi * (i * x * phi + psi))
    values = waves.sum(-1)
    low, high = values.min(1, keepdims=True), values.max(1, keepdims=True)
    times = np.minimum((values - low) / (high - low) * STEPS, STEPS - 1).astype(np.int32)
    classes = np.broadcast_to(np.arange(CLASSES)[:, None], times.shape[:2])
    parts = np.split(np.arange(times.shape[1]), [train, train + HELD_OUT])
    return [(times[:, part].reshape(-1, UNITS), classes[:, part].ravel()) for part in parts]


def network(key, surrogate, scale):
    """Make a network 20-64-10; its first weights are normal with standard deviation ``scale / sqrt(20)``."""
    rngs = nnx.Rngs(key)
    hidden = [dense(UNITS, HIDDEN, rngs, scale), LIF(HIDDEN, decay=DECAY, spike_fn=surrogate)]
    return SpikingSequential([*hidden, dense(HIDDEN, CLASSES, rngs), LI(CLASSES, decay=DECAY)])


def show(times):
    """Convert spike times ``[examples, units]`` to spikes ``[time, examples, units]``."""
    return (times == jnp.arange(STEPS)[:, None, None]).astype(jnp.float32)


def logits(net, times, key):
    """Return the readout's potential, averaged over time."""
    return averaged(net, show(times))


def train_grid(surrogates, scales, seeds, epochs, train=TRAIN):
    """Train each surrogate, scale and seed: accuracies and firing rates ``[surrogates, scales, seeds]``."""
    data = jax.tree.map(lambda *of_seeds: jnp.stack(of_seeds), *[sample(seed, train) for seed in seeds])

    def train_one(surrogate, scale, index):
        parts = jax.tree.map(lambda of_seeds: of_seeds[index], data)
        keys = jax.random.split(jax.random.key(jnp.asarray(seeds)[index]))
        net = network(keys[0], surrogate, scale)
        net, measured = train_and_test(
            net, logits, keys[1], parts, epochs=epochs, batch=BATCH, optimizer=optax.adam(RATE)
        )
        _, [spikes] = last_layers(net, show(parts[2][0]))
        return measured | {"rate": spikes.mean()}

    return map_grid(train_one, surrogates, scales, range(len(seeds)))


def main(argv=None):
    """Train every surrogate over its grid, then the best of each, and every LogTailedRelu, from more seeds."""
    args = arguments("studies.randman", __doc__, 10, argv)
    family, epochs, train, scales = members(args.quick), 20, TRAIN, SCALES
    if args.quick:
        epochs, train, scales = 6, 100, (0.1, CHOSEN_AT)
    choosing, seeds = [1000, 1001][: args.seeds], list(range(args.seeds))
    settings = {
        "task": f"Randman: {CLASSES} classes, {UNITS} units, {STEPS} steps, smoothness {SMOOTHNESS:g}, dimension 1",
        "train_examples": train * CLASSES,
        "network": f"{UNITS}-{HIDDEN}-{CLASSES}, decay {DECAY}, readout averaged over time",
        "optimiser": f"adam {RATE}, {epochs} epochs, batch {BATCH}",
        "scales": scales,
        "chosen_at": CHOSEN_AT,
        "choosing_seeds": choosing,
        "seeds": seeds,
    }
    study = Study("randman", settings, args.out, total=2 * len(family) + 1)
    for name, surrogates in family.items():
        grid = record(study, f"{name}, grid", train_grid, surrogates, scales, choosing, epochs, train)
        best = int(np.mean(grid["validation"], axis=-1)[:, scales.index(CHOSEN_AT)].argmax())
        record(study, f"{name}, best", train_grid, [surrogates[best]], scales, seeds, epochs, train)
    alphas = family["LogTailedRelu"]
    record(study, "LogTailedRelu, every alpha", train_grid, alphas, scales, seeds, epochs, train)
    study.finish()


if __name__ == "__main__":
    main()
