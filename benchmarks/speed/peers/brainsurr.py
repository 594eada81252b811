"""brainsurr: `unroll` with the `remat` of the mode, or layer by layer over all time steps; spikes as uint8."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import brainsurr as bs
from brainsurr.nnx import LI, LIF, SpikingSequential, unroll

from . import task
from .descent import descent


def build(mode, batch, steps):
    layers, rngs = [], nnx.Rngs(0)
    for w in task.weights():
        i, o = w.shape
        layers += [
            nnx.Linear(i, o, use_bias=False, kernel_init=lambda *_, w=w: jnp.asarray(w), rngs=rngs),
            LIF(o, decay=task.DECAY, threshold=task.THRESHOLD, spike_fn=bs.Arctan(task.ALPHA)),
        ]
    net = SpikingSequential([*layers[:-1], LI(o, decay=task.DECAY)])
    graphdef, params = nnx.split(net)
    xs = jax.device_put(task.inputs(batch, steps, dtype=np.uint8))

    def logits(params, xs):
        net = nnx.merge(graphdef, params)
        carry = net.initialize_carry(xs.shape[1:])
        if mode == "layer by layer":
            return net(carry, xs)[1].mean(0)
        return unroll(net, carry, xs, remat=mode, reduce="mean")[1]

    return descent(logits, params, xs, batch)


if __name__ == "__main__":
    task.main(build, ["dots", "full", "none", "layer by layer"], ["jax", "flax"])
