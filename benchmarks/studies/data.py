"""The data of the comparison: images, time series from Python packages, and generated tasks.

`speech` has the spoken digits.
"""

from functools import cache

import jax.numpy as jnp
import numpy as np
from sklearn.datasets import load_digits

from ..fashion.data import load

TRAIN, VALIDATION, TEST = 6000, 2000, 5000  # numbers of examples, if the data set does not define them
CLASSES, UNITS, SPAN, SMOOTHNESS = 10, 20, 50, 3.0  # of Randman
BITS, LINES, PERIODS, RECALL = 4, 5, 8, 10  # store and recall: input groups, lines per group, periods, steps per period
WAIT, NOISE = 100, 0.15  # of the delayed exclusive or: steps, and noise spikes per step of each line
CHANNELS = BITS * LINES
SERIES, DELAY, AHEAD = 100, 17, 10  # of Mackey-Glass
WINDOW, WORN, WINDOWS = 50, (5, 2, 3), (1000, 300, 500)  # watch: steps per window; people and windows per part

load = cache(load)


def images(folder, examples, seed):
    """Draw training and validation images from the training images of Fashion-MNIST; the test uses all test images."""
    (xs, ys), _, test = load(folder)
    return [*drawn(xs, ys, examples, VALIDATION, seed)[:2], test]


def drawn(xs, ys, train, validation, seed):
    """Draw examples for training and for validation, and use the rest for the test."""
    order = np.random.default_rng(seed).permutation(len(ys))
    return [(xs[rows], ys[rows]) for rows in np.split(order, [train, train + validation])]


@cache
def digits():
    """Load the scikit-learn digits as bytes ``[examples, 8, 8, 1]``, and their labels."""
    images, labels = load_digits(return_X_y=True)
    return np.round(images * 255 / 16).astype(np.uint8).reshape(-1, 8, 8, 1), labels.astype(np.int32)


@cache
def series(folder, name):
    """Read both files of a data set in the format of the package aeon: ``[examples, time, features]``, and classes."""
    texts = [(folder / f"{name}_{part}.ts").read_text() for part in ("TRAIN", "TEST")]
    lines = [line.split(":") for line in "\n".join(texts).splitlines() if line and line[0] not in "#@"]
    features = np.array([[feature.split(",") for feature in line[:-1]] for line in lines]).astype(np.float32)
    return features.swapaxes(1, 2), np.unique([line[-1] for line in lines], return_inverse=True)[1].astype(np.int32)


def watch(folder, seed):
    """Cut recorded smartwatch exercises into windows of `WINDOW` steps of 40 ms; each person is in only one part.

    The file is from the package seglearn: Burns et al. 2018, "Shoulder physiotherapy exercise recognition: machine
    learning the inertial signals from a smartwatch".
    """
    rng, parts = np.random.default_rng(seed), []
    found = np.load(folder / "watch_dataset.npy", allow_pickle=True).item()
    recorded = list(zip(found["X"], found["y"], found["subject"], strict=True))
    for people, most in zip(np.split(rng.permutation(10) + 1, np.cumsum(WORN)[:-1]), WINDOWS, strict=True):
        worn = [(x[::2], y) for x, y, who in recorded if who in people]
        cut = [x[: len(x) // WINDOW * WINDOW].reshape(-1, WINDOW, 6) for x, _ in worn]
        classes = np.repeat([y for _, y in worn], [len(windows) for windows in cut])
        rows = rng.permutation(len(classes))[:most]
        parts.append((np.concatenate(cut)[rows].astype(np.float32), classes[rows].astype(np.int32)))
    return parts


def latency(images, steps=16):
    """Convert byte images to one spike per pixel above 0, earlier if brighter, in the first half of the steps."""
    pixels = images.reshape(len(images), -1) / 255.0
    time = jnp.round((1 - pixels) * (steps // 2))
    return ((time == jnp.arange(steps)[:, None, None]) & (pixels > 0)).astype(jnp.float32)


def randman(seed, train=200, held_out=(200, 500)):
    r"""Draw spike times ``[examples, units]`` and classes, as many for each class, for training, validation and test.

    This is the task of Zenke & Vogels 2021, "The Remarkable Robustness of Surrogate Gradient Learning for Instilling
    Complex Function in Spiking Neural Networks". Each class is a smooth random curve in the space of 20 spike times,
    with one spike per unit, so firing rates contain no information. Each seed has its own curves. On a manifold of one
    dimension, the time of a unit is :math:`\sum_i \theta_i (i + 1)^{-\alpha} \sin(2 \pi (i x \phi_i + \psi_i))` with
    uniform parameters and x, scaled to the duration over all examples of the class.
    """
    rng = np.random.default_rng(seed)
    i = np.arange(int(np.ceil(1e-3 ** (-1 / SMOOTHNESS))))  # up to the frequency with weight 1e-3
    theta, phi, psi = rng.uniform(size=(3, CLASSES, 1, UNITS, len(i)))
    x = rng.uniform(size=(CLASSES, train + sum(held_out), 1, 1))
    waves = theta * (i + 1.0) ** -SMOOTHNESS * np.sin(2 * np.pi * (i * x * phi + psi))
    values = waves.sum(-1)
    low, high = values.min(1, keepdims=True), values.max(1, keepdims=True)
    times = np.minimum((values - low) / (high - low) * SPAN, SPAN - 1).astype(np.int32)
    classes = np.broadcast_to(np.arange(CLASSES)[:, None], times.shape[:2])
    parts = np.split(np.arange(times.shape[1]), [train, train + held_out[0]])
    return [(times[:, part].reshape(-1, UNITS), classes[:, part].ravel()) for part in parts]


def show_times(times):
    """Convert spike times ``[examples, units]`` to spikes ``[time, examples, units]``."""
    return (times == jnp.arange(SPAN)[:, None, None]).astype(jnp.float32)


def store_recall(seed):
    """Draw spikes ``[examples, time, CHANNELS]``, and the bit to recall in the last period.

    After Bellec et al. 2018, "Long short-term memory and learning-to-learn in networks of spiking neurons". In each
    period, one of two groups of lines fires to represent a bit. A third group fires together with the bit to store, in
    one of the first three periods. A fourth group fires in the last period, to request that bit.
    """

    def draw(examples):
        groups = np.zeros((examples, PERIODS, BITS))
        bits = rng.integers(0, 2, (examples, PERIODS))
        stored, every = rng.integers(0, 3, examples), np.arange(examples)
        np.put_along_axis(groups, bits[..., None], 1, axis=-1)
        groups[:, -1, :2] = 0
        groups[every, stored, 2], groups[:, -1, 3] = 1, 1
        return spikes(rng, groups), bits[every, stored].astype(np.int32)

    rng = np.random.default_rng(seed)
    return [draw(examples) for examples in (4000, VALIDATION, TEST)]


def spikes(rng, groups, noise=0.0):
    """Draw spikes of the lines in the ``groups`` of each period, ``[examples, periods, BITS]``, and noise elsewhere."""
    rates = np.maximum(0.4 * groups, noise).repeat(LINES, -1).repeat(RECALL, 1)
    return (rng.random(rates.shape) < rates).astype(np.uint8)


def delayed_xor(seed):
    """Draw spikes ``[examples, WAIT, CHANNELS]``, and whether a bit shown at the start differs from one near the end.

    There is a group of lines for each value of each bit. It fires in the first period, or in the second to last.
    """
    rng, parts = np.random.default_rng(seed), []
    for examples in (2000, VALIDATION, TEST):
        groups, bits = np.zeros((examples, WAIT // RECALL, BITS)), rng.integers(0, 2, (2, examples))
        groups[np.arange(examples), 0, bits[0]] = groups[np.arange(examples), -2, 2 + bits[1]] = 1
        parts.append((spikes(rng, groups, NOISE), (bits[0] != bits[1]).astype(np.int32)))
    return parts


def mackey_glass(seed):
    r"""Draw chaotic series ``[examples, time, 1]``, and their values `AHEAD` steps later, ``[examples, time]``.

    Mackey and Glass 1977, "Oscillation and chaos in physiological control systems":
    :math:`\dot x = 0.2\,x(t - 17) / (1 + x(t - 17)^{10}) - 0.1\,x`, with Euler steps of 0.1.
    """
    counts = (500, VALIDATION, VALIDATION)
    fine, examples = 10, sum(counts)
    history = list(np.random.default_rng(seed).uniform(0.5, 1.3, (1, examples)).repeat(DELAY * fine + 1, 0))
    for _ in range((300 + SERIES + AHEAD) * fine):  # skip the first 300 steps
        late, now = history[-1 - DELAY * fine], history[-1]
        history.append(now + (0.2 * late / (1 + late**10) - 0.1 * now) / fine)
    series = np.array(history[::-fine][SERIES + AHEAD - 1 :: -1], np.float32).T - 0.9
    starts = np.split(np.arange(examples), np.cumsum(counts)[:-1])
    return [(series[rows, :SERIES, None], series[rows, AHEAD:]) for rows in starts]


def standardised(inputs, train):
    """Scale each feature to mean 0 and standard deviation 1 over time and the training examples."""
    chosen = inputs[train]
    return (inputs - chosen.mean((0, 1))) / (chosen.std((0, 1)) + 1e-6)


def stretched(series, steps):
    """Stretch ``[time, features]`` to ``steps`` steps by linear interpolation."""
    at, time = np.linspace(0, len(series) - 1, steps), np.arange(len(series))
    return np.stack([np.interp(at, time, feature) for feature in series.T], axis=1).astype(np.float32)
