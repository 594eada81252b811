"""brainsurr: `unroll` with the `remat` of the mode, or layer by layer over all time steps."""

import jax
import jax.numpy as jnp
from flax import nnx

import brainsurr as bs
from brainsurr.nnx import LI, LIF, SpikingSequential, unroll

from . import task
from .descent import descent, stream


def network():
    layers, rngs = [], nnx.Rngs(0)
    for w in task.weights():
        i, o = w.shape
        layers += [
            nnx.Linear(i, o, use_bias=False, kernel_init=lambda *_, w=w: jnp.asarray(w), rngs=rngs),
            LIF(o, decay=task.DECAY, threshold=task.THRESHOLD, spike_fn=bs.Arctan(task.ALPHA)),
        ]
    return SpikingSequential([*layers[:-1], LI(o, decay=task.DECAY)])


def build(mode, batch, steps):
    graphdef, params = nnx.split(network())
    xs = jax.device_put(task.inputs(batch, steps))

    def logits(params, xs):
        net = nnx.merge(graphdef, params)
        carry = net.initialize_carry(xs.shape[1:])
        if mode == "layer by layer":
            return net(carry, xs)[1].mean(0)
        return unroll(net, carry, xs, remat=mode, reduce="mean")[1]

    return descent(logits, params, xs, batch)


def live():
    net = network()
    graphdef, params = nnx.split(net)
    return stream(
        lambda carry, x: nnx.merge(graphdef, params)(carry, x[None]), net.initialize_carry((1, task.NETWORK.sizes[0]))
    )


if __name__ == "__main__":
    task.main(build, ["dots", "full", "none", "layer by layer"], ["jax", "flax"], live=live)
