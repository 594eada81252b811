"""Train networks on handwritten digits, and compare their test accuracy in other libraries after export."""

import jax
import jax.numpy as jnp
import nir
import numpy as np
import optax
from flax import nnx

from brainsurr.nir import to_nir
from brainsurr.nnx import SpikingSequential

from ..digits import task
from ..lib.training import over_time, train_network
from . import peers, trials

STEPS, EPOCHS, BATCH = 20, 12, 64
GROUPS = {  # the networks, by the libraries that read them
    "LIF, zero": ("snntorch", "norse", "spikingjelly", "jaxpike", "sparx"),
    "LIF, subtract": ("sinabs",),
    "Conv, LIF, subtract, `decay=1.0`": ("speck",),
    "LI, LIF, subtract": ("rockpool",),
}
SEVERAL = ("sinabs", "speck", "rockpool")  # their neurons can fire multiple spikes per step, unless limited


def network(group: str) -> SpikingSequential:
    """Return a 64-64-10 network, or a convolution for Speck; the output neuron that fires most is the digit."""
    if group.startswith("Conv"):
        return trials.image_network(8, 0)
    synapse = 0.5 if group.startswith("LI,") else None
    return trials.dense_network(64, 0, synapse, bias=True, decay=0.9, reset=group.split(", ")[-1])


def spikes(net: SpikingSequential, images) -> jax.Array:
    """Return the spikes of the last layer, ``[time, batch, 10]``, for a constant image."""
    xs = jnp.repeat(jnp.asarray(images)[None], STEPS, axis=0)
    xs = xs.reshape(*xs.shape[:2], 8, 8, 1) if isinstance(net.layers[0], nnx.Conv) else xs
    return over_time(net, xs)


def compare(folder):
    """Yield the accuracy of each library's network here and there, and the fraction of spikes that differ."""
    training, (images, labels) = task.load()
    known, labels = (jax.random.key(0), *training), np.asarray(labels)
    xs = np.repeat(np.asarray(images)[None], STEPS, axis=0)

    def accuracy(spikes):
        return float(np.mean(spikes.sum(0).argmax(-1) == labels))

    for group, libraries in GROUPS.items():
        present = [name for name in libraries if peers.installed(name)]
        if not present:
            continue
        shape, seen, rate = (64,), xs, 2e-3
        if group.startswith("Conv"):
            shape, seen = (8, 8, 1), xs.reshape(*xs.shape[:2], 1, 8, 8)  # channels first in the other libraries
            rate = 8e-3  # without a leak, training uses a higher learning rate
        how = {"epochs": EPOCHS, "batch": BATCH, "optimizer": optax.adam(rate)}
        net, *_ = train_network(network(group), lambda net, images, key: spikes(net, images).sum(0), *known, **how)
        expected = np.asarray(spikes(net, images))
        for library in present:
            path, read = folder / "digits.nir", peers.READERS[peers.package(library)]
            nir.write(path, to_nir(net, shape, dt=trials.OTHER_STEPS.get(library, 1e-3), reader=library))
            with peers.quietly():
                theirs = read(path, seen)
                several = read(path, seen, single=False) if library in SEVERAL else None
            about = {"network": group, "here": accuracy(expected), "accuracy": accuracy(theirs)}
            about |= {} if several is None else {"several": accuracy(several)}
            yield library, about | {"differ": float(np.mean(theirs != expected))}
