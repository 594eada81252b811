"""Draw the pictures of neurons and of the start page into docs/drawn: ``python -m tools.site_pictures``."""

import shutil
import textwrap
from pathlib import Path

import jax
import matplotlib.pyplot as plt
import numpy as np

from brainsurr import neurons, plot

from .surrogate_pictures import STYLE, save

FOLDER = Path(__file__).parent.parent / "docs" / "drawn"
TIME = np.arange(120)
STEPS = np.select([TIME < 10, TIME < 40, TIME < 50, TIME < 90], [0.0, 0.08, 0.0, 0.25], 0.0)  # first weak, then strong
PULSES = np.float32(np.isin(TIME, [10, 40, 44, 48, 80, 84, 88, 92, 96]))
RHYTHMS = 0.9 * np.where(TIME < 80, TIME % 17 == 2, TIME % 8 == 0)  # the neurons' frequency, then twice that
STAIRS = 0.5 * np.array([0, 1, 2, 4, 6, 10])[TIME // 20]
CURRENT = np.repeat([0.0, 1.0, 0.0], [50, 500, 50])
# Adaptation and bursting at steps of 0.5 ms: table 1 of Naud et al. 2008 in dimensionless form.
ADAPTING = {"rate": 0.03, "adaptation_rate": 1 / 600, "adaptation_coupling": 1 / 6, "adaptation_jump": 0.25}
BURSTING = {"rate": 0.025, "sharpness": 0.25, "adaptation_rate": 1 / 240, "adaptation_coupling": 0.2}
# Of each neuron: its input, and with what arguments it is shown.
SHOWN = {
    "LIF": (STEPS, {}, {"refractory": 8}),
    "ALIF": (STEPS, {"adaptation_decay": 0.95, "spike_adaptation": 6.0}),
    "Synaptic": (0.3 * PULSES, {}),
    "RF": (RHYTHMS, {"frequency": 0.35, "damping": 0.1}),
    "BRF": (RHYTHMS, {"frequency": 0.35, "damping": 0.05}),
    "BHRF": (RHYTHMS, {"frequency": 0.35}),
    "ILIF": (STAIRS, {"decay": 0.5}),
    "AdEx": (2.1 * CURRENT, ADAPTING, BURSTING | {"adaptation_jump": 1.25, "reset_to": 1.5}, {"adaptation_jump": 0}),
    "Izhikevich": (10 * CURRENT, {}, {"c": -50.0, "d": 2.0}, {"a": 0.1, "d": 2.0}),
}


def watch(neuron: neurons.Neuron, xs: np.ndarray) -> np.ndarray:
    """Return the potential before the reset, the threshold and the spikes at each step, ``[3, time]``."""
    state, rows = neuron.initial_state(np.float32(xs[0])), []
    for x in np.float32(xs):
        before = dict(zip(neuron.states, jax.tree.leaves(state), strict=True))
        state, s = neuron.step(state, x)
        after = dict(zip(neuron.states, jax.tree.leaves(state), strict=True))
        threshold = getattr(neuron, "threshold", np.nan) + before.get("a", before.get("q", 0.0))  # of ALIF, of BRF
        subtracts = hasattr(neuron, "threshold") and "u" not in after
        rows.append((after[neuron.states[0]] + (threshold * s if subtracts else 0), threshold, s))
    return np.array(rows).T


def neuron_picture(name: str):
    """Draw the input of a neuron and, below it, its potential, threshold and spikes for each choice of arguments."""
    xs, *chosen = SHOWN[name]
    rows = 1 + len(chosen)
    sizes = {"figsize": (6.4, 0.9 + 1.3 * len(chosen)), "height_ratios": [1] + [2] * len(chosen)}
    figure, axes = plt.subplots(rows, 1, sharex=True, layout="constrained", **sizes)
    time = np.arange(len(xs))
    axes[0].step(time, xs, where="mid", color="0.4")
    axes[0].set(ylabel="input")
    for axis, given in zip(axes[1:], chosen, strict=True):
        potential, threshold, spikes = watch(getattr(neurons, name)(**given), xs)
        axis.plot(time, potential, color="C0")
        axis.plot(time, threshold, "--", color="0.4", linewidth=1)
        low, high = potential.min(), np.nanmax([potential, threshold])
        top = high + 0.1 * (high - low)
        axis.vlines(time, top, top + 0.25 * (high - low) * spikes, color="C1")
        call = f"{name}({', '.join(f'{argument}={value:.3g}' for argument, value in given.items())})"
        axis.set_title(textwrap.fill(call, 84), loc="left", fontsize=9, family="monospace")
        axis.set(ylabel="potential")
    axes[-1].set(xlabel="time (steps)")
    return figure


def raster():
    """Draw the spikes of a row of neurons that a moving bump of input drives."""
    figure, axis = plt.subplots(figsize=(5.0, 3.9), layout="constrained")
    distance = np.linspace(0, 1, 48) - (0.5 + 0.4 * np.sin(TIME / 12))[:, None]
    noise = np.random.default_rng(0).uniform(0, 0.12, distance.shape)
    xs = np.float32(0.3 * np.exp(-((distance / 0.1) ** 2)) + noise)
    lif = neurons.LIF()
    plot.raster(lif(lif.initial_state(xs[0]), xs)[1], axes=axis)
    return figure


def main():
    """Draw all pictures again."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    with plt.rc_context(STYLE):
        for name in SHOWN:
            save(neuron_picture(name), FOLDER / f"{name}.png")
        save(raster(), FOLDER / "raster.png")


if __name__ == "__main__":
    main()
