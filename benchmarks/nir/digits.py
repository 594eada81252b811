"""A network trained on handwritten digits here, and its file in the other libraries: the same test accuracy there."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from brainsurr.nir import to_nir
from brainsurr.nnx import LIF, SpikingSequential

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


def train(net: SpikingSequential, images, labels):
    """Train on the number of spikes."""
    optimiser = nnx.Optimizer(net, optax.adam(2e-3), wrt=nnx.Param)

    @nnx.jit
    def step(net, optimiser, images, labels):
        def loss(net):
            counts = spikes(net, images).sum(0)
            return optax.softmax_cross_entropy_with_integer_labels(counts, labels).mean()

        optimiser.update(net, nnx.grad(loss)(net))

    rng = np.random.default_rng(0)
    for _ in range(EPOCHS):
        for batch in np.array_split(rng.permutation(len(labels)), len(labels) // BATCH)[:-1]:
            step(net, optimiser, images[batch[:BATCH]], labels[batch[:BATCH]])


def load():
    """Return training and test images in [0, 1], and their labels."""
    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype(np.float32)
    return train_test_split(images, labels, test_size=0.25, stratify=labels, random_state=0)


def compare(folder):
    """Yield, for each library, the accuracy on the test images and the share of spikes that differ from those here."""
    import nir

    train_images, test_images, train_labels, test_labels = load()
    net = network()
    train(net, train_images, train_labels)
    xs, expected = np.repeat(test_images[None], STEPS, axis=0), np.asarray(spikes(net, test_images))

    def accuracy(spikes):
        return float(np.mean(spikes.sum(0).argmax(-1) == test_labels))

    yield "brainsurr", {"accuracy": accuracy(expected), "differ": 0.0, "spikes": float(expected.mean())}
    for library, how in READERS.items():
        nir.write(folder / "digits.nir", to_nir(net, (64,), **how))
        try:
            with peers.quietly():
                found = peers.READERS[library](folder / "digits.nir", xs)
        except ImportError:
            continue
        yield library, {"accuracy": accuracy(found), "differ": float(np.mean(found != expected))}
