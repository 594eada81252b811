"""Handwritten digits as a task for every framework: images, noise, network and sizes."""

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

WIDTH, STEPS, BATCH = 256, 8, 128
DECAY, DROPOUT, NOISE, SHIFTED = 0.9, 0.3, 0.1, 0.25


def network(layers, linear, dropout, surrogate, learnable):
    """Create a 64-256-256-10 network of LIF layers with a surrogate, or of ReLU layers without one.

    Args:
      layers: the module of a framework, such as `brainsurr.nnx`.
      linear: ``linear(inputs, outputs)`` creates a linear layer of the framework.
      dropout: ``dropout(inputs)`` creates a layer that drops the fraction `DROPOUT` after a layer with that many
        inputs.
      surrogate: the surrogate of the LIF layers, or None.
      learnable: the names of its trained parameters.
    """

    def hidden(features):
        neurons = jax.nn.relu
        if surrogate is not None:
            act = layers.SpikingActivation(surrogate, learnable=learnable)
            neurons = layers.LIF(WIDTH, decay=DECAY, spike_fn=act)
        return [linear(features, WIDTH), neurons, dropout(features)]

    readout = [linear(WIDTH, 10)] + ([layers.LI(10, decay=DECAY)] if surrogate is not None else [])
    return layers.SpikingSequential([*hidden(64), *hidden(WIDTH), *readout], return_spikes=True)


def load():
    """Load images in [0, 1] and labels for training and for the test, 75 % and 25 % of each digit."""
    images, labels = load_digits(return_X_y=True)
    return _split(images / 16, labels, 0.25)


def load_validated():
    """Load images and labels for training, validation (a fifth of the training images) and the test."""
    training, test = load()
    return *_split(*training, 0.2), test


def _split(images, labels, share):
    arrays = map(np.asarray, (images, labels))
    parts = train_test_split(*arrays, test_size=share, stratify=labels, random_state=0)
    kept, split_off, kept_labels, split_off_labels = map(jnp.asarray, parts)
    return (kept, kept_labels), (split_off, split_off_labels)


def augment(key, images):
    """Shift a quarter of the images by one pixel, and show all images for 8 steps with noise: ``[time, batch, 64]``."""
    keys = jax.random.split(key, 3)
    moved = jax.random.bernoulli(keys[0], SHIFTED, (len(images), 1))
    corner = jnp.where(moved, jax.random.randint(keys[1], (len(images), 2), 0, 3), 1)
    padded = jnp.pad(images.reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)))
    images = jax.vmap(lambda image, at: jax.lax.dynamic_slice(image, at, (8, 8)))(padded, corner).reshape(-1, 64)
    return images + NOISE * jax.random.normal(keys[2], (STEPS, *images.shape))


def still(images):
    """Show the images without noise for 8 steps."""
    return jnp.broadcast_to(images, (STEPS, *images.shape))
