"""jaxpike: `unroll`, layer by layer, and `unroll_checkpointed`, the same in chunks that are recomputed.

An iteration of its scans takes several time steps by default, and one with `scan_unroll=1`.
"""

import functools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import jaxpike
import optax

from . import task
from .descent import stream

MODES = {
    "unroll": jaxpike.unroll,
    "unroll, scan_unroll=1": functools.partial(jaxpike.unroll, scan_unroll=1),
    "unroll_checkpointed": jaxpike.unroll_checkpointed,
    "unroll_checkpointed, scan_unroll=1": functools.partial(jaxpike.unroll_checkpointed, scan_unroll=1),
}
SCALE = 1 / (1 - task.DECAY)  # its neurons take (1 - decay) of their input


def network():
    tau, layers = -1 / math.log(task.DECAY), []
    for w in task.weights():
        dense = jaxpike.Dense(*w.shape, use_bias=False, key=jax.random.key(0))
        layers += [
            eqx.tree_at(lambda dense: dense.weight, dense, jnp.asarray(SCALE * w.T)),
            jaxpike.LIF(tau, threshold=task.THRESHOLD, surrogate=jaxpike.ATan(task.ALPHA)),
        ]
    return jaxpike.Sequential(*layers[:-1], jaxpike.LeakyIntegrator(tau))


def build(mode, batch, steps):
    unroll, net = MODES[mode], network()
    trained = jax.tree.map(lambda leaf: eqx.is_array(leaf) and leaf.ndim == 2, net)
    params, fixed = eqx.partition(net, trained)
    xs, labels = jax.device_put(task.inputs(batch, steps)), jnp.asarray(task.labels(batch))

    @jax.jit
    def train_step(params, xs, labels):
        def loss_fn(params):
            logits = unroll(eqx.combine(params, fixed), xs)[0].mean(0)
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

        loss, grads = jax.value_and_grad(loss_fn)(params)
        return jax.tree.map(lambda p, g: p - SCALE**2 * task.NETWORK.rate * g, params, grads), loss

    def step():
        nonlocal params
        params, loss = jax.block_until_ready(train_step(params, xs, labels))
        return float(loss)

    return step


def live():
    net = network()
    return stream(lambda carry, x: net(carry, x), net.init_state((1, task.NETWORK.sizes[0])))


if __name__ == "__main__":
    notes = ["takes (1 - decay) of its input: weights and learning rate are scaled to make up for it"]
    task.main(build, list(MODES), ["jaxpike", "jax", "equinox"], notes, live)
