"""A network trained on handwritten digits here, and its file in the other libraries: the same test accuracy there."""

import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from brainsurr.nir import to_nir
from brainsurr.nnx import LI, LIF, SpikingSequential

from ..digits import task
from ..lib.training import train_network
from . import peers
from .trials import OTHER_STEPS

STEPS, EPOCHS, BATCH = 20, 12, 64
GROUPS = {  # networks by who reads them
    "LIF, zero": ("snntorch", "norse", "spikingjelly", "jaxpike", "sparx"),
    "LIF, subtract": ("sinabs",),
    "LI, LIF, subtract": ("rockpool",),
}


def network(group: str) -> SpikingSequential:
    """Return 64-64-10 neurons; the digit is the neuron that fires most."""
    rngs, how = nnx.Rngs(0), {"decay": 0.9, "reset": group.split(", ")[-1]}

    def neurons(n):
        return [*([LI(n, decay=0.5)] if group.startswith("LI,") else []), LIF(n, **how)]

    layers = [nnx.Linear(64, 64, rngs=rngs), *neurons(64), nnx.Linear(64, 10, rngs=rngs), *neurons(10)]
    return SpikingSequential(layers)


def spikes(net: SpikingSequential, images) -> jax.Array:
    """Return the spikes of the last layer, ``[time, batch, 10]``, for an image that stays."""
    xs = jnp.repeat(jnp.asarray(images)[None], STEPS, axis=0)
    return net(net.initialize_carry(xs.shape[1:]), xs)[1]


def compare(folder):
    """Yield, for each library, the accuracy of its network here and there, and the share of spikes that differ."""
    import nir

    data, how = task.load(), {"epochs": EPOCHS, "batch": BATCH, "optimizer": optax.adam(2e-3)}
    known = jax.random.key(0), data.train_images, data.train_labels
    xs, labels = np.repeat(np.asarray(data.test_images)[None], STEPS, axis=0), np.asarray(data.test_labels)

    def accuracy(spikes):
        return float(np.mean(spikes.sum(0).argmax(-1) == labels))

    for group, libraries in GROUPS.items():
        present = [name for name in libraries if importlib.util.find_spec(name)]
        if not present:
            continue
        net, _ = train_network(network(group), lambda net, images, key: spikes(net, images).sum(0), *known, **how)
        expected = np.asarray(spikes(net, data.test_images))
        for library in present:
            nir.write(folder / "digits.nir", to_nir(net, (64,), dt=OTHER_STEPS.get(library, 1e-3), reader=library))
            with peers.quietly():
                theirs = peers.READERS[library](folder / "digits.nir", xs)
            about = {"network": group, "here": accuracy(expected), "accuracy": accuracy(theirs)}
            yield library, about | {"differ": float(np.mean(theirs != expected))}
