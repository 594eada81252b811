"""spyx: `spyx.nn.run`, a scan over time steps."""

import jax
import jax.numpy as jnp
import optax
import spyx
from flax import nnx

from . import task


def build(mode, batch, steps):
    arctan = spyx.axn.custom(lambda x: task.ALPHA / 2 / (1 + (jnp.pi / 2 * task.ALPHA * x) ** 2))
    layers, rngs = [], nnx.Rngs(0)
    for w in task.weights():
        i, o = w.shape
        layers += [
            nnx.Linear(i, o, use_bias=False, kernel_init=lambda *_, w=w: jnp.asarray(w), rngs=rngs),
            spyx.nn.LIF((o,), beta=task.DECAY, threshold=task.THRESHOLD, activation=arctan, rngs=rngs),
        ]
    net = spyx.nn.Sequential(*layers[:-1], spyx.nn.LI((o,), beta=task.DECAY, rngs=rngs))
    graphdef, params, decays = nnx.split(net, lambda path, _: path[-1] == "kernel", ...)
    xs, labels = jax.device_put(task.inputs(batch, steps)), jnp.asarray(task.labels(batch))

    @jax.jit
    def train_step(params, xs, labels):
        def loss_fn(params):
            logits = spyx.nn.run(nnx.merge(graphdef, params, decays), xs)[0].mean(0)
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

        loss, grads = jax.value_and_grad(loss_fn)(params)
        return jax.tree.map(lambda p, g: p - task.RATE * g, params, grads), loss

    def step():
        nonlocal params
        params, loss = jax.block_until_ready(train_step(params, xs, labels))
        return float(loss)

    return step


if __name__ == "__main__":
    notes = ["a spike comes one step after the threshold is passed, and is taken off undecayed"]
    task.main(build, ["scan"], ["spyx", "jax", "flax"], notes)
