"""Half precision: the digits networks with bfloat16 and float32 activations, and float16 with loss scaling.

``python -m benchmarks.robustness.precision`` trains the LIF network of `benchmarks.digits` with a trained alpha, in
every framework, from the same weights on the same data. Parameters, alpha, membranes, gradients of parameters and the
loss are float32; the layers compute and return the other dtype. Defined before measuring: bfloat16 is within noise of
float32 if in every epoch the mean loss of its seeds lies between the least and the greatest loss of float32's seeds,
and the mean of the test accuracies after training likewise.

float16 has no numbers below 6e-8, so small gradients become 0 in the backward pass. Therefore the loss is multiplied,
and the gradients are divided, by a scale. The scale is halved, and the step left out, when a gradient is not finite; it
is doubled after ``PATIENCE`` finite steps (Micikevicius et al. 2018, "Mixed Precision Training").
"""

import importlib
import time

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import brainsurr as bs

from ..digits import nnx as digits_nnx
from ..digits import task
from ..digits.training import train
from ..lib import FRAMEWORKS, results
from ..lib.study import arguments, as_json, positive

SURROGATE, LEARNABLE = bs.LogTailedRelu(0.1), ("alpha",)
DTYPES = ("float32", "bfloat16")
EPOCHS, SEEDS = 20, 5
SCALE, PATIENCE = 2.0**15, 50
STEPPED = (nnx.Param, nnx.optimizer.OptState)  # the state that a training step changes, apart from random states


class LossScaledNetwork(digits_nnx.Network):
    """The network of `benchmarks.digits.nnx` in float16; with ``patience`` None the scale is constant."""

    def __init__(self, seed, steps, scale, patience=None):
        super().__init__(SURROGATE, LEARNABLE, seed, steps, jnp.float16)
        self.patience = patience
        self.scale, self.good, self.left_out = jnp.float32(scale), jnp.int32(0), jnp.int32(0)

    def train_epoch(self, images, labels, keys):
        self.net.train()
        scaling = (self.scale, self.good, self.left_out)
        loss, (self.scale, self.good, self.left_out) = train_epoch(
            self.net, self.optimizer, scaling, images, labels, keys, self.patience
        )
        return loss


@nnx.jit(static_argnames="patience")
def train_epoch(net, optimizer, scaling, images, labels, keys, patience):
    """Train on ``[batches, batch, ...]`` once; return the mean loss, and the scale with its counts."""

    @nnx.scan(in_axes=(nnx.Carry, 0, 0, 0), out_axes=(nnx.Carry, 0))
    def step(carry, images, labels, key):
        net, optimizer, (scale, good, left_out) = carry
        loss, grads = scaled_gradients(net, task.augment(key, images), labels, scale)
        finite = jnp.stack([jnp.isfinite(g).all() for g in jax.tree.leaves(grads)]).all()
        before = jax.tree.leaves(nnx.state((net, optimizer), STEPPED))  # arrays: the update would change variables
        optimizer.update(net, grads)
        after, structure = jax.tree.flatten(nnx.state((net, optimizer), STEPPED))
        kept = [jnp.where(finite, new, old) for new, old in zip(after, before, strict=True)]
        nnx.update((net, optimizer), jax.tree.unflatten(structure, kept))
        if patience is not None:
            good = jnp.where(finite, good + 1, 0)
            grown = jnp.where(good % patience == 0, 2 * scale, scale)
            scale = jnp.where(finite, grown, scale / 2)
        return (net, optimizer, (scale, good, left_out + ~finite)), loss

    (_, _, scaling), losses = step((net, optimizer, scaling), images, labels, keys)
    return losses.mean(), scaling


def scaled_gradients(net, xs, labels, scale):
    """Return the loss and its gradients, computed from ``scale`` times the loss."""

    def loss_fn(net):
        _, ys = net(net.initialize_carry(xs.shape[1:]), xs)
        loss = task.cross_entropy(ys, labels)
        return scale * loss, loss

    (_, loss), grads = nnx.value_and_grad(loss_fn, has_aux=True)(net)
    return loss, jax.tree.map(lambda g: g / scale, grads)


def underflow(data, params, scale):
    """Return the share of weights without gradient on one batch: in float32, in float16, and in float16 with a scale.

    A weight into a silent neuron, or from a black pixel, has none in float32 either.
    """
    shares = []
    xs, labels = task.still(data.train_images[: task.BATCH]), data.train_labels[: task.BATCH]
    for dtype, factor in ((jnp.float32, 1.0), (jnp.float16, 1.0), (jnp.float16, scale)):
        net = digits_nnx.build(0, SURROGATE, LEARNABLE, dtype)
        nnx.update(net, params)
        net.eval()
        grads = jax.tree.leaves(nnx.jit(scaled_gradients)(net, xs, labels, jnp.float32(factor))[1])
        shares.append(np.mean(np.concatenate([np.ravel(g) == 0 for g in grads])))
    return dict(zip(("float32", "float16", "float16, scaled"), shares, strict=True))


def outcome(networks, data, epochs):
    """Train networks, one per seed; return their curves, the dtypes of their state and whether all was finite."""
    curves, leaves = [], []
    for seed, network in enumerate(networks):
        curves.append(train(data, network, seed, epochs)[0]["curve"])
        leaves += [leaf for leaf in jax.tree.leaves(network.state()) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    numbers = [*map(np.asarray, leaves), *(np.asarray(curve["loss"]) for curve in curves)]
    return {
        "loss": [curve["loss"] for curve in curves],
        "test_accuracy": [curve["test_accuracy"] for curve in curves],
        "dtypes_of_state": sorted({str(leaf.dtype) for leaf in leaves}),
        "finite": bool(all(np.isfinite(number).all() for number in numbers)),
    }


def settings(epochs, seeds):
    """Return the settings that the numbers depend on, apart from versions and device."""
    return {
        "surrogate": repr(SURROGATE),
        "learnable": LEARNABLE,
        "epochs": epochs,
        "seeds": seeds,
        "scale": SCALE,
        "patience": PATIENCE,
    }


def main(argv=None):
    """Train everything and write the result."""

    def extend(parser):
        about = f"runs for each configuration (default: {SEEDS})"
        parser.add_argument("--seeds", type=positive, metavar="N", help=about)

    args = arguments("robustness.precision", __doc__, argv, quick="two epochs, two seeds", extend=extend)
    epochs, seeds, data = 2 if args.quick else EPOCHS, args.seeds or (2 if args.quick else SEEDS), task.load()
    steps, start, runs = epochs * (len(data.train_images) // task.BATCH), time.perf_counter(), {}
    for framework in FRAMEWORKS:
        make = importlib.import_module(f"..digits.{framework}", __package__).Network
        for dtype in DTYPES:
            networks = (make(SURROGATE, LEARNABLE, seed, steps, dtype) for seed in range(seeds))
            runs[f"{framework}, {dtype}"] = outcome(networks, data, epochs)
    for name, scale, patience in (("none", 1.0, None), ("dynamic", SCALE, PATIENCE)):
        networks = [LossScaledNetwork(seed, steps, scale, patience) for seed in range(seeds)]
        runs[f"nnx, float16, {name}"] = outcome(networks, data, epochs) | {
            "scale": [network.scale for network in networks],
            "left_out": [network.left_out for network in networks],
            "no_gradient": underflow(data, nnx.state(networks[0].net, nnx.Param), SCALE),
        }
    result = {"study": "precision", "settings": settings(epochs, seeds), **results.environment(), "runs": runs}
    results.write(args.out / "result.json", as_json(result | {"seconds": time.perf_counter() - start}))


if __name__ == "__main__":
    main()
