"""The settings of the comparison: a data set, a network, and how long it is trained.

All networks of a setting have the same sizes, steps and optimiser (AdamW, gradients clipped to a norm of 1, the rate
falling to 0 as a cosine). Deep networks, amplitudes and spike times use scikit-learn's digits.
"""

import itertools
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from brainsurr.nnx import LI, LIF, SpikingSequential

from ..digits.task import still
from ..lib.training import averaged, dense
from . import data, sequences, speech
from .sequences import Recipe

GAINS = (1.0, 1.4, 2.0, 2.8)  # of the weights, where their scale is not what is studied
DECAY = 0.9
DEPTHS = {2: 40, 8: 40, 12: 40, 16: 120}  # hidden layers: epochs
SCALES = (0.03, 0.5, 3.0, 15.0)  # of Randman's first weights
DECADES = (2, 3)
FADING = 5.0  # steps after which an output spike counts e times less
SPEECH = Recipe(hidden=128, classes=10, epochs=20, batch=128, noise=0.2, shift=2, mask=4)
VOWELS = Recipe(hidden=128, classes=9, epochs=30, batch=32, noise=0.3, shift=1)


class Setting(NamedTuple):
    """A data set, a network and its training.

    Attributes:
      about: one line for a table.
      layers: how many spiking layers the network has.
      data: ``data(seed)``, inputs and labels for training, for validation and for the test.
      network: ``network(key, spike_fns, gain)`` with a threshold function for each spiking layer.
      logits: ``logits(net, inputs, key)``; the key is None in evaluation.
      show: ``show(inputs)``, the inputs over time ``[time, batch, features]``.
      gains: those to choose from.
      rate: of learning, at the start.
      epochs: passes over the training examples.
      batch: examples a step.
      weight_decay: of AdamW.
      recipe: sizes and noise of a network for sequences.
    """

    about: str
    layers: int
    data: Callable
    network: Callable
    logits: Callable
    show: Callable
    gains: tuple[float, ...] = GAINS
    rate: float = 5e-3
    epochs: int = 40
    batch: int = 128
    weight_decay: float = 0.0
    recipe: Recipe | None = None

    def parts(self, seed) -> list[tuple[jax.Array, jax.Array]]:
        """Return ``data(seed)`` as arrays of jax."""
        return [tuple(map(jnp.asarray, part)) for part in self.data(seed)]

    def batches(self, parts) -> tuple[int, int]:
        """Return how many examples a step has, all if they are fewer, and how many steps there are."""
        examples = len(parts[0][1])
        batch = min(self.batch, examples)
        return batch, self.epochs * (examples // batch)

    def written(self, *fields: str):
        """Return some fields, for a file of results."""
        return {name: getattr(self, name) for name in fields}


def feedforward(key, spike_fns, gain, sizes, first_gain=None):
    """Make a network of LIF layers, and of leaky integrators as outputs."""
    rngs = nnx.Rngs(key)
    layers = spiking_layers(rngs, spike_fns, gain, sizes[:-1], first_gain)
    return SpikingSequential([*layers, dense(sizes[-2], sizes[-1], rngs), LI(sizes[-1], decay=DECAY)])


def spiking_outputs(key, spike_fns, gain, sizes):
    """Make a network whose outputs are LIF neurons too."""
    return SpikingSequential(spiking_layers(nnx.Rngs(key), spike_fns, gain, sizes))


def spiking_layers(rngs, spike_fns, gain, sizes, first_gain=None):
    """Make linear layers, each with LIF neurons behind it."""
    layers = []
    for (features, hidden), spike_fn in zip(itertools.pairwise(sizes), spike_fns, strict=True):
        scale = gain if layers or first_gain is None else first_gain
        layers += [dense(features, hidden, rngs, scale), LIF(hidden, decay=DECAY, spike_fn=spike_fn)]
    return layers


def mean_potential(show):
    """Make the logits from the outputs' potential, averaged over time."""
    return lambda net, inputs, key: averaged(net, show(inputs))


def early_spikes(net, inputs, key):
    """Count the outputs' spikes, an early one more than a late one: the first spike has the largest part."""
    spikes = net(net.initialize_carry(inputs.shape), data.latency(inputs))[1]
    weights = jnp.exp(-jnp.arange(len(spikes)) / FADING)
    return 5 * jnp.tensordot(weights, spikes, 1)


def of_digits(about, layers, sizes, examples=data.digits, **how):
    """Make a setting of digits."""
    network, logits = partial(feedforward, sizes=sizes), mean_potential(still)
    return Setting(about, layers, examples, network, logits, show=still, **how)


def deep(depth):
    """Make the setting of digits through so many hidden layers."""
    sizes = (64,) * (depth + 1) + (10,)
    return of_digits(f"digits, {depth} hidden layers", depth, sizes, epochs=DEPTHS[depth])


def spread(kind, decades):
    """Make the setting of digits whose amplitudes are spread over decades."""
    about = f"digits, {decades} decades between {kind}"
    return of_digits(about, 2, (64, 128, 128, 10), partial(data.amplified, **{kind: decades}))


def scaled(scale):
    """Make the setting of Randman with so large first weights."""
    return Setting(
        f"Randman, first weights x {scale:g}",
        layers=1,
        data=data.randman,
        network=partial(feedforward, sizes=(data.UNITS, 64, data.CLASSES), first_gain=scale),
        logits=mean_potential(data.show_times),
        show=data.show_times,
        gains=(1.0,),
        rate=1.5e-2,
        epochs=25,
        batch=64,
    )


def first_spike():
    """Make the setting in which spike times are the inputs and the outputs."""
    network = partial(spiking_outputs, sizes=(64, 128, 10))
    return Setting("digits, spike times in and out", 2, data.digits, network, early_spikes, show=data.latency)


def sequential(about, parts, recipe):
    """Make the setting of a network that classifies sequences ``[examples, time, features]``.

    Args:
      about: one line for a table.
      parts: ``parts(seed)``, inputs and labels for training, for validation and for the test.
      recipe: sizes, training and noise.
    """
    shape = parts(0)[0][0].shape[1:]
    return Setting(
        about,
        layers=1,
        data=parts,
        network=lambda key, spike_fns, gain: sequences.lif(key, shape, recipe, *spike_fns, gain=gain),
        logits=sequences.logits(recipe),
        show=sequences.show,
        epochs=recipe.epochs,
        batch=recipe.batch,
        weight_decay=recipe.weight_decay,
        recipe=recipe,
    )


def spoken_digits(recordings, recipe=SPEECH._replace(hidden=64, epochs=15)):
    """Make the setting of spoken digits, on the data set's own split."""
    features, digit, _, take = speech.load(recordings)
    parts = speech.parts(features, digit, take)
    return sequential("spoken digits, recurrent", lambda seed: parts, recipe)


def japanese_vowels():
    """Make the setting of Japanese vowels; each seed holds out another third of the training series."""
    series, labels, split = data.vowels()
    series = data.standardised(series, split["train"])
    folds = [list(fold.values()) for fold in data.folds(labels, split)]

    def parts(seed):
        return [(series[rows], labels[rows]) for rows in folds[seed % len(folds)]]

    return sequential("Japanese vowels, recurrent", parts, VOWELS)


_MADE = {
    **{f"randman-{scale:g}": partial(scaled, scale) for scale in SCALES},
    **{f"depth-{depth}": partial(deep, depth) for depth in DEPTHS},
    **{f"{kind}-{decades}": partial(spread, kind, decades) for kind in ("examples", "channels") for decades in DECADES},
    "spike-times": first_spike,
    "vowels": japanese_vowels,
}


def names() -> list[str]:
    """List the settings."""
    return [*_MADE, "speech"]


@cache
def setting(name: str, recordings: Path | None = None) -> Setting:
    """Make a setting by name; ``speech`` needs its recordings."""
    return spoken_digits(recordings) if name == "speech" else _MADE[name]()
