"""Randman: spike times on random smooth manifolds.

The task of Zenke & Vogels 2021, "The Remarkable Robustness of Surrogate Gradient Learning for Instilling Complex
Function in Spiking Neural Networks": each class is a smooth random curve in the space of 20 spike times, one spike a
unit, and rates tell nothing. Each seed has its own curves.
"""

import jax.numpy as jnp
import numpy as np

CLASSES, UNITS, STEPS, SMOOTHNESS = 10, 20, 50, 3.0
TRAIN, HELD_OUT = 200, 50  # examples per class, for training, and for each of validation and test
HIDDEN = 64


def sample(seed, train=TRAIN):
    r"""Draw spike times ``[examples, units]`` and classes, for training, validation and test.

    On a manifold of one dimension a unit's time is :math:`\sum_i \theta_i (i + 1)^{-\alpha} \sin(2 \pi (i x
    \phi_i + \psi_i))` with uniform parameters and x, scaled to the duration over all examples of the class.
    """
    rng = np.random.default_rng(seed)
    i = np.arange(int(np.ceil(1e-3 ** (-1 / SMOOTHNESS))))  # up to the frequency with weight 1e-3
    theta, phi, psi = rng.uniform(size=(3, CLASSES, 1, UNITS, len(i)))
    x = rng.uniform(size=(CLASSES, train + 2 * HELD_OUT, 1, 1))
    waves = theta * (i + 1.0) ** -SMOOTHNESS * np.sin(2 * np.pi * (i * x * phi + psi))
    values = waves.sum(-1)
    low, high = values.min(1, keepdims=True), values.max(1, keepdims=True)
    times = np.minimum((values - low) / (high - low) * STEPS, STEPS - 1).astype(np.int32)
    classes = np.broadcast_to(np.arange(CLASSES)[:, None], times.shape[:2])
    parts = np.split(np.arange(times.shape[1]), [train, train + HELD_OUT])
    return [(times[:, part].reshape(-1, UNITS), classes[:, part].ravel()) for part in parts]


def show(times):
    """Convert spike times ``[examples, units]`` to spikes ``[time, examples, units]``."""
    return (times == jnp.arange(STEPS)[:, None, None]).astype(jnp.float32)
