"""Handwritten digits as a task: the images, how they are shown, the sizes, and the optimiser, for every framework."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from brainsurr.optim import project

WIDTH, STEPS, BATCH = 256, 8, 128
DECAY, DROPOUT, NOISE, SHIFTED = 0.9, 0.3, 0.1, 0.25


def network(layers, linear, dropout, surrogate, learnable):
    """64-256-256-10: LIF layers whose threshold function is the surrogate, or ReLU without one.

    Args:
      layers: those of brainsurr for a framework.
      linear: ``(inputs, outputs)`` to a linear layer of the framework.
      dropout: ``()`` to a layer that leaves out a share of `DROPOUT`.
      surrogate: of the LIF layers, or None.
      learnable: which of its parameters are trained.
    """

    def hidden(features):
        neurons = jax.nn.relu
        if surrogate is not None:
            act = layers.SpikingActivation(surrogate, learnable=learnable)
            neurons = layers.LIF(WIDTH, decay=DECAY, spike_fn=act)
        return [linear(features, WIDTH), neurons, dropout()]

    readout = [linear(WIDTH, 10)] + ([layers.LI(10, decay=DECAY)] if surrogate is not None else [])
    return layers.SpikingSequential([*hidden(64), *hidden(WIDTH), *readout])


def load():
    """Training and test images in [0, 1], 75 % and 25 % of each digit, and their labels."""
    images, labels = load_digits(return_X_y=True)
    split = train_test_split(images / 16, labels, test_size=0.25, stratify=labels, random_state=0)
    names = ("train_images", "test_images", "train_labels", "test_labels")
    return SimpleNamespace(**{name: jnp.asarray(part) for name, part in zip(names, split, strict=True)})


def load_validated():
    """Three pairs of images and labels: training, a fifth of the training images for validation, test."""
    data = load()
    parts = train_test_split(
        *map(np.asarray, (data.train_images, data.train_labels)),
        test_size=0.2,
        stratify=data.train_labels,
        random_state=0,
    )
    train_images, validation_images, train_labels, validation_labels = map(jnp.asarray, parts)
    return (train_images, train_labels), (validation_images, validation_labels), (data.test_images, data.test_labels)


def augment(key, images):
    """A quarter of the images moved by a pixel, shown for 8 steps with noise: ``[time, batch, 64]``."""
    keys = jax.random.split(key, 3)
    moved = jax.random.bernoulli(keys[0], SHIFTED, (len(images), 1))
    corner = jnp.where(moved, jax.random.randint(keys[1], (len(images), 2), 0, 3), 1)
    padded = jnp.pad(images.reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)))
    images = jax.vmap(lambda image, at: jax.lax.dynamic_slice(image, at, (8, 8)))(padded, corner).reshape(-1, 64)
    return images + NOISE * jax.random.normal(keys[2], (STEPS, *images.shape))


def still(images):
    """The images without noise, for 8 steps."""
    return jnp.broadcast_to(images, (STEPS, *images.shape))


def cross_entropy(ys, labels):
    """The loss of outputs ``[time, batch, 10]``, that of their average over time, in float32 whatever their dtype."""
    return optax.softmax_cross_entropy_with_integer_labels(_averaged(ys), labels).mean()


def accuracy(ys, labels):
    """The share of right answers of outputs ``[time, batch, 10]``."""
    return (_averaged(ys).argmax(-1) == labels).mean()


def _averaged(ys):
    return ys.astype(jnp.float32).mean(0)


def optimiser(bounds, steps):
    """AdamW on a cosine schedule; trained parameters of the surrogate stay inside their bounds."""
    schedule = optax.cosine_decay_schedule(3e-3, steps)
    return optax.chain(optax.adamw(schedule, weight_decay=1e-2), project(bounds))
