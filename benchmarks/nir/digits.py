"""A network trained on handwritten digits here, and its file in the other libraries: the same test accuracy there."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from brainsurr.nir import to_nir
from brainsurr.nnx import LIF, SpikingSequential

from ..digits import task
from ..lib.training import train_network
from . import peers

STEPS, EPOCHS, BATCH = 20, 12, 64
READERS = {
    "snntorch": {"dt": peers.SNNTORCH_DT},
    "norse": {"dt": peers.NORSE_DT},
    "jaxpike": {"dt": 1e-3, "method": "exp"},
}


def network() -> SpikingSequential:
    """Return 64-64-10 neurons that reset to zero; the digit is the neuron that fires most."""
    rngs, how = nnx.Rngs(0), {"decay": 0.9, "reset": "zero"}
    first, second = nnx.Linear(64, 64, rngs=rngs), nnx.Linear(64, 10, rngs=rngs)
    return SpikingSequential([first, LIF(64, **how), second, LIF(10, **how)])


def spikes(net: SpikingSequential, images) -> jax.Array:
    """Return the spikes of the last layer, ``[time, batch, 10]``, for an image that stays."""
    xs = jnp.repeat(jnp.asarray(images)[None], STEPS, axis=0)
    return net(net.initialize_carry(xs.shape[1:]), xs)[1]


def compare(folder):
    """Yield, for each library, the accuracy on the test images and the share of spikes that differ from those here."""
    import nir

    data, how = task.load(), {"epochs": EPOCHS, "batch": BATCH, "optimizer": optax.adam(2e-3)}
    known = jax.random.key(0), data.train_images, data.train_labels
    net, _ = train_network(network(), lambda net, images, key: spikes(net, images).sum(0), *known, **how)
    xs, labels = np.repeat(np.asarray(data.test_images)[None], STEPS, axis=0), np.asarray(data.test_labels)
    expected = np.asarray(spikes(net, data.test_images))

    def accuracy(spikes):
        return float(np.mean(spikes.sum(0).argmax(-1) == labels))

    yield "brainsurr", {"accuracy": accuracy(expected), "differ": 0.0, "spikes": float(expected.mean())}
    for library, how in READERS.items():
        nir.write(folder / "digits.nir", to_nir(net, (64,), **how))
        try:
            with peers.quietly():
                theirs = peers.READERS[library](folder / "digits.nir", xs)
        except ImportError:
            continue
        yield library, {"accuracy": accuracy(theirs), "differ": float(np.mean(theirs != expected))}
