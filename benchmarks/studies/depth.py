"""Depth: digits through 2 to 16 hidden layers; accuracy, gradients before training and firing rates per layer.

For every surrogate its parameter and the gain of the weights are chosen at 12 hidden layers by the accuracy on a
validation set held out of the training examples. LogTailedRelu stands beside LeakyRelu, which is the same without the
logarithmic tail.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from brainsurr.nnx import LI, LIF

from ..digits.task import STEPS, load_validated, still
from ..lib.study import Study, arguments
from ..lib.training import cross_entropy, dense, map_grid, train_and_test
from .grid import members, record

WIDTH, DECAY, BATCH, RATE, EPOCHS = 64, 0.9, 128, 3e-3, 20
DEPTHS, CHOSEN_AT, GAINS = (2, 4, 8, 12, 16), 12, (1.4, 2.0, 2.8)


class Deep(nnx.Module):
    """A network of ``depth`` hidden layers of LIF neurons; all but the first are computed by one scan."""

    def __init__(self, key, surrogate, gain, depth):
        rngs = nnx.Rngs(key)
        self.first = dense(64, WIDTH, rngs, gain)
        normal = jax.random.normal(rngs.params(), (depth - 1, WIDTH, WIDTH))
        self.kernels = nnx.Param(gain / jnp.sqrt(WIDTH) * normal)
        self.biases = nnx.Param(jnp.zeros((depth - 1, 1, 1, WIDTH)))
        self.lif = LIF(WIDTH, decay=DECAY, spike_fn=surrogate)
        self.readout = dense(WIDTH, 10, rngs)
        self.li = LI(10, decay=DECAY)

    def __call__(self, xs):
        """Return the readout's potential over time, and the firing rate of each hidden layer."""

        def layer(spikes, weights):
            kernel, bias = weights
            spikes = self.neurons(spikes @ kernel + bias)
            return spikes, spikes.mean()

        spikes = self.neurons(self.first(xs))
        last, rates = jax.lax.scan(layer, spikes, (self.kernels[...], self.biases[...]))
        ys = self.readout(last)
        return self.li(self.li.initialize_carry(ys.shape[1:]), ys)[1], jnp.append(spikes.mean(), rates)

    def neurons(self, xs):
        return self.lif(self.lif.initialize_carry(xs.shape[1:]), xs)[1]


def logits(net, images, key):
    return net(still(images))[0].mean(0)


def gradient_norms(net, images, labels):
    """Return the norm of the loss's gradient with respect to the weights of each hidden layer."""

    def loss_fn(net):
        return cross_entropy(logits(net, images, None), labels)

    grads = nnx.grad(loss_fn)(net)
    first = jnp.linalg.norm(grads["first"]["kernel"][...])
    return jnp.append(first, jnp.linalg.norm(grads["kernels"][...], axis=(1, 2)))


def train_grid(surrogates, gains, seeds, depth, epochs=EPOCHS):
    """Train each surrogate, gain and seed: measures ``[surrogates, gains, seeds]``, some with a last axis of layers."""
    parts = load_validated()
    (xs, ys), _, (test_xs, _) = parts

    def train_one(surrogate, gain, seed):
        keys = jax.random.split(jax.random.key(seed))
        net = Deep(keys[0], surrogate, gain, depth)
        before = {
            "gradient": gradient_norms(net, xs[:BATCH], ys[:BATCH]),
            "rates": net(still(xs[:BATCH]))[1],
        }
        net, measured = train_and_test(
            net, logits, keys[1], parts, epochs=epochs, batch=BATCH, optimizer=optax.adam(RATE)
        )
        return measured | {"before": before, "rates": net(still(test_xs))[1]}

    return map_grid(train_one, surrogates, gains, seeds)


def choice(grid):
    """Return the indices of the surrogate and of the gain with the best validation accuracy of a grid."""
    validation = np.mean(grid["validation"], axis=-1)
    return np.unravel_index(validation.argmax(), validation.shape)


def main(argv=None):
    """Choose parameter and gain of every surrogate at one depth, then train it at every depth."""
    args = arguments("studies.depth", __doc__, 10, argv)
    family, depths, chosen_at, gains, epochs = members(args.quick), DEPTHS, CHOSEN_AT, GAINS, EPOCHS
    if args.quick:
        depths, chosen_at, gains, epochs = (3,), 3, (2.0,), 5
    choosing, seeds = [1000, 1001][: args.seeds], list(range(args.seeds))
    settings = {
        "task": "scikit-learn digits, 75/25 stratified split, a fifth of the training examples for validation",
        "network": f"64, hidden layers of {WIDTH}, 10; {STEPS} steps, decay {DECAY}, readout averaged over time",
        "optimiser": f"adam {RATE}, {epochs} epochs, batch {BATCH}",
        "depths": depths,
        "gains": gains,
        "chosen_at": chosen_at,
        "choosing_seeds": choosing,
        "seeds": seeds,
    }
    study = Study("depth", settings, args.out, total=(1 + len(depths)) * len(family))
    for name, surrogates in family.items():
        grid = record(study, f"{name}, grid", train_grid, surrogates, gains, choosing, chosen_at, epochs)
        best, gain = choice(grid)
        for depth in depths:
            setting = [gains[gain]], seeds, depth, epochs
            record(study, f"{name}, {depth} layers", train_grid, [surrogates[best]], *setting)
    study.finish()


if __name__ == "__main__":
    main()
