"""spyx: `spyx.nn.run`, a scan over time steps."""

import jax
import jax.numpy as jnp
import spyx
from flax import nnx

from . import task
from .descent import descent, stream


def network():
    arctan = spyx.axn.custom(lambda x: task.ALPHA / 2 / (1 + (jnp.pi / 2 * task.ALPHA * x) ** 2))
    layers, rngs = [], nnx.Rngs(0)
    for w in task.weights():
        i, o = w.shape
        layers += [
            nnx.Linear(i, o, use_bias=False, kernel_init=lambda *_, w=w: jnp.asarray(w), rngs=rngs),
            spyx.nn.LIF((o,), beta=task.DECAY, threshold=task.THRESHOLD, activation=arctan, rngs=rngs),
        ]
    return spyx.nn.Sequential(*layers[:-1], spyx.nn.LI((o,), beta=task.DECAY, rngs=rngs))


def build(mode, batch, steps):
    net = network()
    graphdef, params, decays = nnx.split(net, lambda path, _: path[-1] == "kernel", ...)
    xs = jax.device_put(task.inputs(batch, steps))

    def logits(params, xs):
        return spyx.nn.run(nnx.merge(graphdef, params, decays), xs)[0].mean(0)

    return descent(logits, params, xs, batch)


def live():
    net = network()
    graphdef, state = nnx.split(net)

    def step(carry, x):
        y, carry = nnx.merge(graphdef, state)(x, carry)
        return carry, y

    return stream(step, net.initial_state(1))


if __name__ == "__main__":
    notes = ["a spike comes one step after the threshold is passed, and is taken off undecayed"]
    task.main(build, ["scan"], ["spyx", "jax", "flax"], notes, live)
