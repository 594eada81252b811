"""Half precision: train the digits networks in bfloat16 and float32, and in float16 with loss scaling.

``python -m benchmarks.robustness.precision`` trains the LIF network of `benchmarks.digits` with a trained alpha, in
every framework, from the same weights on the same data. Parameters, alpha, membrane potentials, parameter gradients and
the loss are float32; the layers compute and return the other dtype. We defined before measuring: bfloat16 is within
noise of float32 if, in every epoch, the mean training loss of its seeds is between the smallest and the largest of
float32's seeds, and so is the mean test accuracy after training.

float16 has no numbers below 6e-8, so small gradients become 0 in the backward pass. Therefore the loss is multiplied by
a scale, and the gradients are divided by it. If a gradient is not finite, the step is skipped and the scale is halved.
After ``PATIENCE`` finite steps, the scale is doubled (Micikevicius et al. 2018, "Mixed Precision Training").
"""

import time
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

import brainsurr as bs

from ..digits import network as digits
from ..digits import task
from ..digits.network import Network
from ..digits.training import train
from ..lib import FRAMEWORKS, results
from ..lib.study import arguments, as_json
from ..lib.training import cross_entropy

SURROGATE, LEARNABLE = bs.LogTailedRelu(0.1), ("alpha",)
DTYPES = ("float32", "bfloat16")
EPOCHS, SEEDS = 20, 5
SCALE, PATIENCE = 2.0**15, 50


def model(dtype):
    """Return the NNX layers that compute in a dtype."""
    return digits.model("nnx", SURROGATE, LEARNABLE, dtype)


@cache
def optimiser(steps):
    """Create one optimiser for all seeds, which skips a step if a gradient is not finite."""
    return optax.apply_if_finite(digits.optimiser(model("float16"), steps), max_consecutive_errors=steps)


class LossScaledNetwork(Network):
    """The network of `benchmarks.digits` in float16; with ``patience=None`` the scale is constant."""

    def __init__(self, seed, steps, scale, patience=None):
        super().__init__("nnx", SURROGATE, LEARNABLE, seed, steps, "float16")
        self.tx, (params, _) = optimiser(steps), self.state
        self.state = params, self.tx.init(params)
        self.patience, self.scale, self.good = patience, jnp.float32(scale), jnp.int32(0)

    def train_epoch(self, images, labels, keys):
        carry, loss = train_epoch(self.tx, (self.state, self.scale, self.good), images, labels, keys, self.patience)
        self.state, self.scale, self.good = carry
        return loss

    def left_out(self):
        """Return the number of steps skipped so far."""
        return self.state[1].total_notfinite


@partial(jax.jit, static_argnames=("tx", "patience"))
def train_epoch(tx, carry, images, labels, keys, patience):
    """Train on ``[batches, batch, ...]`` once; return the state, the scale, the count of finite steps and the loss."""

    def step(carry, batch):
        (params, opt_state), scale, good = carry
        loss, grads = scaled_gradients(lambda params: model("float16").loss(params, *batch), params, scale)
        updates, opt_state = tx.update(grads, opt_state, params)
        if patience is not None:
            finite = opt_state.last_finite
            good = jnp.where(finite, good + 1, 0)
            scale = jnp.where(finite, jnp.where(good % patience == 0, 2 * scale, scale), scale / 2)
        return ((optax.apply_updates(params, updates), opt_state), scale, good), loss

    carry, losses = jax.lax.scan(step, carry, (images, labels, keys))
    return carry, losses.mean()


def scaled_gradients(loss_fn, params, scale):
    """Return a loss and its gradients, computed from ``scale`` times the loss."""
    grads, loss = jax.grad(lambda params: (scale * (loss := loss_fn(params)), loss), has_aux=True)(params)
    return loss, jax.tree.map(lambda g: g / scale, grads)


@partial(jax.jit, static_argnames="dtype")
def still_gradients(dtype, params, images, labels, scale):
    """Return the loss and its gradients without noise and dropout."""

    def loss_fn(params):
        return cross_entropy(model(dtype).run(params, task.still(images))[0], labels)

    return scaled_gradients(loss_fn, params, scale)


def underflow(data, params, scale):
    """Return the fraction of weights with a zero gradient on one batch: float32, float16, and float16 with a scale.

    The gradients of weights to a silent neuron, or from a black pixel, are also 0 in float32.
    """
    shares, batch = {}, [array[: task.BATCH] for array in data[0]]
    for name, factor in (("float32", 1.0), ("float16", 1.0), ("float16, scaled", scale)):
        grads = jax.tree.leaves(still_gradients(name.partition(",")[0], params, *batch, jnp.float32(factor))[1])
        shares[name] = np.mean(np.concatenate([np.ravel(g) == 0 for g in grads]))
    return shares


def outcome(networks, data, epochs):
    """Train networks, one per seed; return their curves, their state's dtypes, and whether all values are finite."""
    curves, leaves, (training, test) = [], [], data
    for seed, network in enumerate(networks):
        curves.append(train((training, test, test), network, seed, epochs)["curve"])  # tested after each epoch
        leaves += [leaf for leaf in jax.tree.leaves(network.state) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    numbers = [*map(np.asarray, leaves), *(np.asarray(curve["loss"]) for curve in curves)]
    return {
        "loss": [curve["loss"] for curve in curves],
        "test_accuracy": [curve["validation_accuracy"] for curve in curves],
        "dtypes_of_state": sorted({str(leaf.dtype) for leaf in leaves}),
        "finite": bool(all(np.isfinite(number).all() for number in numbers)),
    }


def plain(framework, dtype, seeds, epochs, data, steps):
    """Train the networks of a framework in a dtype."""
    networks = (Network(framework, SURROGATE, LEARNABLE, seed, steps, dtype) for seed in range(seeds))
    return outcome(networks, data, epochs)


def scaled(scale, patience, seeds, epochs, data, steps):
    """Train the networks in float16."""
    networks = [LossScaledNetwork(seed, steps, scale, patience) for seed in range(seeds)]
    return outcome(networks, data, epochs) | {
        "scale": [network.scale for network in networks],
        "left_out": [network.left_out() for network in networks],
        "no_gradient": underflow(data, networks[0].state[0], SCALE),
    }


def main(argv=None):
    """Train everything and write the result."""
    args = arguments("robustness.precision", __doc__, argv, quick="two epochs, two seeds")
    (epochs, seeds), data = (2, 2) if args.quick else (EPOCHS, SEEDS), task.load()
    how, start = (seeds, epochs, data, epochs * (len(data[0][1]) // task.BATCH)), time.perf_counter()
    runs = {f"{name}, {dtype}": plain(name, dtype, *how) for name in FRAMEWORKS for dtype in DTYPES}
    runs["nnx, float16, none"] = scaled(1.0, None, *how)
    runs["nnx, float16, dynamic"] = scaled(SCALE, PATIENCE, *how)
    settings = {"surrogate": repr(SURROGATE), "learnable": LEARNABLE, "epochs": epochs, "seeds": seeds}
    settings |= {"scale": SCALE, "patience": PATIENCE}
    result = {"study": "precision", "settings": settings, **results.environment(), "runs": runs}
    results.write(args.out / "result.json", as_json(result | {"seconds": time.perf_counter() - start}))


if __name__ == "__main__":
    main()
