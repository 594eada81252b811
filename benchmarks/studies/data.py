"""Data of the comparison: Randman, digits in other forms, Japanese vowels; `speech` has the spoken digits."""

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.model_selection import StratifiedKFold

from ..digits.task import load_validated

CLASSES, UNITS, STEPS, SMOOTHNESS = 10, 20, 50, 3.0  # of Randman
TRAIN, HELD_OUT = 200, 50  # examples per class, for training, and for each of validation and test
VOWEL_STEPS, FOLDS = 25, 3


def randman(seed, train=TRAIN):
    r"""Draw spike times ``[examples, units]`` and classes, for training, validation and test.

    The task of Zenke & Vogels 2021, "The Remarkable Robustness of Surrogate Gradient Learning for Instilling Complex
    Function in Spiking Neural Networks": each class is a smooth random curve in the space of 20 spike times, one spike
    a unit, and rates tell nothing. Each seed has its own curves. On a manifold of one dimension a unit's time is
    :math:`\sum_i \theta_i (i + 1)^{-\alpha} \sin(2 \pi (i x \phi_i + \psi_i))` with uniform parameters and x, scaled to
    the duration over all examples of the class.
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


def show_times(times):
    """Convert spike times ``[examples, units]`` to spikes ``[time, examples, units]``."""
    return (times == jnp.arange(STEPS)[:, None, None]).astype(jnp.float32)


def digits(seed):
    return load_validated()


def amplified(seed, examples=0, channels=0):
    """Multiply each example, or each channel, by its own power of ten up to so many decades."""
    parts = []
    for part, (images, labels) in enumerate(load_validated()):
        keys = [jax.random.fold_in(jax.random.key(seed), part), jax.random.key(seed)]
        between_examples = jax.random.uniform(keys[0], (len(images), 1))
        between_channels = jax.random.uniform(keys[1], (1, images.shape[1]))  # the same in all parts
        parts.append((images * 10 ** (examples * between_examples + channels * between_channels), labels))
    return parts


def latency(images, steps=20):
    """Convert images in [0, 1] to one spike for each pixel above 0, the brighter the earlier, in half of the steps."""
    time = jnp.round((1 - images) * (steps // 2))
    return ((time == jnp.arange(steps)[:, None, None]) & (images > 0)).astype(jnp.float32)


def vowels():
    """Load Japanese vowels: series ``[640, VOWEL_STEPS, 12]``, speakers, and the data set's own split of 270 and 370.

    Nine speakers are told apart by one vowel. The series are aeon's (Kudo, Toyama and Shimbo 1999, "Multidimensional
    curve classification using passing-through regions"), 12 cepstral coefficients over 7 to 29 steps.
    """
    import aeon.datasets  # here: other settings do without it

    (xs, ys), (test_xs, test_ys) = (aeon.datasets.load_japanese_vowels(split=part) for part in ("train", "test"))
    series = np.stack([stretched(x.T, VOWEL_STEPS) for x in (*xs, *test_xs)])
    labels = np.concatenate([ys, test_ys]).astype(np.int32) - 1
    return series, labels, {"train": np.arange(len(ys)), "test": np.arange(len(ys), len(labels))}


def folds(labels, split):
    """Split the training series, which are few, into three parts, each once for validation."""
    train = split["train"]
    parts = StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(train, labels[train])
    return [{"train": train[rest], "validation": train[chosen], "test": split["test"]} for rest, chosen in parts]


def standardised(inputs, train):
    """Scale each feature to mean 0 and deviation 1 over time and the training examples."""
    chosen = inputs[train]
    return (inputs - chosen.mean((0, 1))) / (chosen.std((0, 1)) + 1e-6)


def stretched(series, steps):
    """Stretch ``[time, features]`` to ``steps`` steps by linear interpolation."""
    at, time = np.linspace(0, len(series) - 1, steps), np.arange(len(series))
    return np.stack([np.interp(at, time, feature) for feature in series.T], axis=1).astype(np.float32)
