"""sparx: Flax linen layers, each over all time steps; `unroll` steps in an iteration of its scan."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import sparx

from . import task
from .descent import descent, stream

MODES = {"unroll=1": 1, "unroll=8": 8}


def network(unroll):
    weights, clock = task.weights(), {"tau": -1 / math.log(task.DECAY), "unroll": unroll}

    class Net(nn.Module):
        @nn.compact
        def __call__(self, xs):
            for i, w in enumerate(weights):
                xs = nn.Dense(w.shape[1], use_bias=False, kernel_init=lambda *_, w=w: jnp.asarray(w))(xs)
                if i < len(weights) - 1:
                    neuron = {"threshold": task.THRESHOLD, "surrogate": sparx.surrogate.ATan(task.ALPHA)}
                    xs = sparx.nn.LIF(**neuron, **clock)(xs)
            return sparx.nn.LI(**clock)(xs)

    return Net()


def build(mode, batch, steps):
    net = network(MODES[mode])
    xs = jax.device_put(task.inputs(batch, steps))
    params = net.init(jax.random.key(0), xs[:1])

    return descent(lambda params, xs: net.apply(params, xs).mean(0), params, xs, batch)


def live():
    net, x = network(1), jnp.zeros((1, 1, task.NETWORK.sizes[0]))
    params = net.init(jax.random.key(0), x)

    def step(state, x):
        ys, state = net.apply(params | state, x[None], mutable=["state"])
        return state, ys[0]

    return stream(step, net.apply(params, x, mutable=["state"])[1])


if __name__ == "__main__":
    task.main(build, list(MODES), ["sparxml", "jax", "flax"], live=live)
