"""sparx: Flax linen layers, each over all time steps; `unroll` steps in an iteration of its scan."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import sparx

from . import task
from .descent import descent

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
    xs = jax.device_put(task.inputs(batch, steps))
    params = net.init(jax.random.key(0), xs[:1])

    return descent(lambda params, xs: net.apply(params, xs).mean(0), params, xs, batch)


if __name__ == "__main__":
    task.main(build, list(MODES), ["sparxml", "jax", "flax"])
