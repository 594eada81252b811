"""Data of the comparison: images, series that Python packages carry, and tasks that are drawn.

`speech` has the spoken digits.
"""

from functools import cache

import jax.numpy as jnp
import numpy as np
from sklearn.datasets import load_digits

from ..fashion.data import load

TRAIN, VALIDATION, TEST = 6000, 2000, 5000  # examples, where the data set doesn't say how many
CLASSES, UNITS, SPAN, SMOOTHNESS = 10, 20, 50, 3.0  # of Randman
BITS, LINES, PERIODS, RECALL = 4, 5, 8, 10  # of store and recall: kinds of inputs, lines of each, periods, their steps
WAIT, NOISE = 100, 0.15  # of the delayed exclusive or: steps, spikes a step of each line
CHANNELS = BITS * LINES
SERIES, DELAY, AHEAD = 100, 17, 10  # of Mackey-Glass
WINDOW, WORN, WINDOWS = 50, (5, 2, 3), (1000, 300, 500)  # of the watch: steps; people and windows of each part

load = cache(load)


def images(folder, examples, seed):
    """Draw so many training images of Fashion-MNIST to train on, and others for validation; all of the test."""
    (xs, ys), _, test = load(folder)
    return [*drawn(xs, ys, examples, VALIDATION, seed)[:2], test]


def drawn(xs, ys, train, validation, seed):
    """Draw so many examples to train on, others for validation, and take the rest for the test."""
    order = np.random.default_rng(seed).permutation(len(ys))
    return [(xs[rows], ys[rows]) for rows in np.split(order, [train, train + validation])]


@cache
def digits():
    """Load the digits of scikit-learn as bytes ``[examples, 8, 8, 1]``, and their labels."""
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
    """Cut exercises that a smart watch recorded into windows of `WINDOW` steps of 40 ms; a person is in one part alone.

    The file is that of the package seglearn: Burns et al. 2018, "Shoulder physiotherapy exercise recognition: machine
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
    """Convert images, bytes, to one spike for each pixel above 0, the brighter the earlier, in half of the steps."""
    pixels = images.reshape(len(images), -1) / 255.0
    time = jnp.round((1 - pixels) * (steps // 2))
    return ((time == jnp.arange(steps)[:, None, None]) & (pixels > 0)).astype(jnp.float32)


def randman(seed, train=200, held_out=(200, 500)):
    r"""Draw spike times ``[examples, units]`` and classes, so many of each class, for training, validation and test.

    The task of Zenke & Vogels 2021, "The Remarkable Robustness of Surrogate Gradient Learning for Instilling Complex
    Function in Spiking Neural Networks": each class is a smooth random curve in the space of 20 spike times, one spike
    a unit, and rates tell nothing. Each seed has its own curves. On a manifold of one dimension a unit's time is
    :math:`\sum_i \theta_i (i + 1)^{-\alpha} \sin(2 \pi (i x \phi_i + \psi_i))` with uniform parameters and x, scaled to
    the duration over all examples of the class.
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
    """Draw spikes ``[examples, time, CHANNELS]`` and the bits to be told in the last period.

    After Bellec et al. 2018, "Long short-term memory and learning-to-learn in networks of spiking neurons": in each
    period one of two groups of lines fires, a bit; a third group fires with the bit to be stored, in one of the first
    three periods, a fourth when it shall be told, at the end.
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
    """Draw spikes of each line of the groups that fire in a period, ``[examples, periods, BITS]``; of others, noise."""
    rates = np.maximum(0.4 * groups, noise).repeat(LINES, -1).repeat(RECALL, 1)
    return (rng.random(rates.shape) < rates).astype(np.uint8)


def delayed_xor(seed):
    """Draw spikes ``[examples, WAIT, CHANNELS]``, and whether two bits differ that are told at the start and the end.

    A group of lines for each value of each bit fires in the first period, and in the last but one.
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
    :math:`\dot x = 0.2\,x(t - 17) / (1 + x(t - 17)^{10}) - 0.1\,x`, by Euler's method in steps of .1.
    """
    counts = (500, VALIDATION, VALIDATION)
    fine, examples = 10, sum(counts)
    history = list(np.random.default_rng(seed).uniform(0.5, 1.3, (1, examples)).repeat(DELAY * fine + 1, 0))
    for _ in range((300 + SERIES + AHEAD) * fine):  # the first 300 steps are forgotten
        late, now = history[-1 - DELAY * fine], history[-1]
        history.append(now + (0.2 * late / (1 + late**10) - 0.1 * now) / fine)
    series = np.array(history[::-fine][SERIES + AHEAD - 1 :: -1], np.float32).T - 0.9
    starts = np.split(np.arange(examples), np.cumsum(counts)[:-1])
    return [(series[rows, :SERIES, None], series[rows, AHEAD:]) for rows in starts]


def standardised(inputs, train):
    """Scale each feature to mean 0 and deviation 1 over time and the training examples."""
    chosen = inputs[train]
    return (inputs - chosen.mean((0, 1))) / (chosen.std((0, 1)) + 1e-6)


def stretched(series, steps):
    """Stretch ``[time, features]`` to ``steps`` steps by linear interpolation."""
    at, time = np.linspace(0, len(series) - 1, steps), np.arange(len(series))
    return np.stack([np.interp(at, time, feature) for feature in series.T], axis=1).astype(np.float32)
