"""sparx: Flax linen layers, each over all time steps; `unroll` steps in an iteration of its scan."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
import sparx

from . import task

MODES = {"unroll=1": 1, "unroll=8": 8}


def build(mode, batch, steps):
    weights, clock = task.weights(), {"tau": -1 / math.log(task.DECAY), "unroll": MODES[mode]}

    class Net(nn.Module):
        @nn.compact
        def __call__(self, xs):
            for i, w in enumerate(weights):
                xs = nn.Dense(w.shape[1], use_bias=False, kernel_init=lambda *_, w=w: jnp.asarray(w))(xs)
                if i < len(weights) - 1:
                    neuron = {"threshold": task.THRESHOLD, "surrogate": sparx.surrogate.ATan(task.ALPHA)}
                    xs = sparx.nn.LIF(**neuron, **clock)(xs)
            return sparx.nn.LI(**clock)(xs)

    net = Net()
    xs, labels = jax.device_put(task.inputs(batch, steps)), jnp.asarray(task.labels(batch))
    params = net.init(jax.random.key(0), xs[:1])

    @jax.jit
    def train_step(params, xs, labels):
        def loss_fn(params):
            logits = net.apply(params, xs).mean(0)
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

        loss, grads = jax.value_and_grad(loss_fn)(params)
        return jax.tree.map(lambda p, g: p - task.RATE * g, params, grads), loss

    def step():
        nonlocal params
        params, loss = jax.block_until_ready(train_step(params, xs, labels))
        return float(loss)

    return step


if __name__ == "__main__":
    task.main(build, list(MODES), ["sparxml", "jax", "flax"])
