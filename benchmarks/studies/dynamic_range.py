"""Dynamic range: digits whose amplitudes are spread over up to three decades, between examples or between channels.

What the logarithmic tail is for: with inputs far above threshold the gradient of LogTailedRelu falls as 1 / x, and that
of LeakyRelu, the same without the tail, stays 1. Each example, or each pixel, is multiplied by 10^(D u) with u uniform
in [0, 1]. A surrogate's parameter is chosen by the validation accuracy, averaged over two decades of either kind; of
LogTailedRelu and LeakyRelu every alpha is run from all seeds as well.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from brainsurr.nnx import LI, LIF, SpikingSequential

from ..digits.task import STEPS, load_validated, still
from ..lib.study import Study, arguments
from ..lib.training import averaged, dense, map_grid, train_and_test
from .grid import members, record

WIDTH, DECAY, BATCH, RATE, EPOCHS = 128, 0.9, 128, 3e-3, 20
SPREADS = ((0, 0), (2, 0), (3, 0), (0, 2), (0, 3))  # decades between examples, between channels
CHOSEN_AT = ((2, 0), (0, 2))


def network(key, surrogate):
    """Make a network 64-128-128-10."""
    rngs = nnx.Rngs(key)
    layers = []
    for features in (64, WIDTH):
        layers += [dense(features, WIDTH, rngs, 2.0), LIF(WIDTH, decay=DECAY, spike_fn=surrogate)]
    return SpikingSequential([*layers, dense(WIDTH, 10, rngs), LI(10, decay=DECAY)])


def logits(net, images, key):
    """Return the readout's potential, averaged over time."""
    return averaged(net, still(images))


def amplify(key, images, spread):
    """Multiply each example, and each channel, by its own power of ten; channels have the same one in all parts."""
    between_examples = jax.random.uniform(jax.random.fold_in(key, len(images)), (len(images), 1))
    between_channels = jax.random.uniform(key, (1, images.shape[1]))
    return images * 10 ** (spread[0] * between_examples + spread[1] * between_channels)


def train_grid(surrogates, spreads, seeds, epochs):
    """Train each surrogate, spread and seed: accuracies ``[surrogates, spreads, seeds]``."""
    data = load_validated()

    def train_one(surrogate, spread, seed):
        keys = jax.random.split(jax.random.key(seed), 3)
        parts = [(amplify(keys[2], xs, spread), ys) for xs, ys in data]
        net, how = network(keys[0], surrogate), {"epochs": epochs, "batch": BATCH, "optimizer": optax.adam(RATE)}
        return train_and_test(net, logits, keys[1], parts, **how)[1]

    return map_grid(train_one, surrogates, list(map(jnp.asarray, spreads)), seeds)


def main(argv=None):
    """Choose the parameter of every surrogate, then train it from more seeds."""
    args = arguments("studies.dynamic_range", __doc__, 10, argv)
    family, spreads, chosen_at, epochs = members(args.quick), SPREADS, CHOSEN_AT, EPOCHS
    if args.quick:
        spreads, chosen_at, epochs = ((0, 0), (2, 0)), ((2, 0),), 5
    choosing, seeds = [1000], list(range(args.seeds))
    settings = {
        "task": "scikit-learn digits, 75/25 stratified split, a fifth of the training examples for validation",
        "network": f"64-{WIDTH}-{WIDTH}-10, {STEPS} steps, decay {DECAY}, readout averaged over time",
        "optimiser": f"adam {RATE}, {epochs} epochs, batch {BATCH}",
        "spreads": spreads,
        "chosen_at": chosen_at,
        "choosing_seeds": choosing,
        "seeds": seeds,
    }
    study = Study("dynamic_range", settings, args.out, total=2 * len(family) + 2)
    for name, surrogates in family.items():
        grid = record(study, f"{name}, grid", train_grid, surrogates, chosen_at, choosing, epochs)
        best = int(np.mean(grid["validation"], axis=(1, 2)).argmax())
        record(study, f"{name}, best", train_grid, [surrogates[best]], spreads, seeds, epochs)
    for name in ("LogTailedRelu", "LeakyRelu"):
        record(study, f"{name}, every alpha", train_grid, family[name], spreads, seeds, epochs)
    study.finish()


if __name__ == "__main__":
    main()
