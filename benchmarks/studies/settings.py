"""The settings of the comparison: data, a network, and how long it is trained; docs/plan.md lists them."""

import itertools
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from brainsurr.nnx import ALIF, LI, LIF, SpikingSequential

from ..lib.training import accuracy, averaged, cross_entropy, dense, flat, r_squared, squared_error
from . import data, sequences, speech
from .sequences import Recipe

DECAY, STEPS, HIDDEN, DEPTH = 0.9, 8, 128, 12
FADING = 5.0  # steps after which an output spike counts e times less
SPEECH = Recipe(hidden=128, classes=10, epochs=20, batch=128, noise=0.2, shift=2, mask=4)
ZERO = {"reset": "zero", "reset_grad": True}


class Setting(NamedTuple):
    """Data, a network and its training.

    Attributes:
      about: one line for a table.
      layers: how many spiking layers the network has.
      data: ``data(seed)``, inputs and targets for training, for validation and for the test.
      network: ``network(key, spike_fns)`` with a threshold function for each spiking layer.
      outputs: ``outputs(net, inputs, key)``; the key is None in evaluation.
      show: ``show(inputs)``, the inputs over time ``[time, batch, ...]``.
      gain: of the weights before each spiking layer, as drawn.
      epochs: passes over the training examples.
      batch: examples a step.
      weight_decay: of AdamW.
      loss: ``loss(outputs, targets)``.
      score: ``score(outputs, targets)``, 1 at best.
    """

    about: str
    layers: int
    data: Callable
    network: Callable
    outputs: Callable
    show: Callable
    gain: float = 1.0
    epochs: int = 10
    batch: int = 128
    weight_decay: float = 0.0
    loss: Callable = cross_entropy
    score: Callable = accuracy

    def parts(self, seed) -> list[tuple[jax.Array, jax.Array]]:
        """Return ``data(seed)`` as arrays of jax."""
        return [tuple(map(jnp.asarray, part)) for part in self.data(seed)]

    def batches(self, parts) -> tuple[int, int]:
        """Return how many examples a step has, all if they are fewer, and how many steps there are."""
        examples = len(parts[0][1])
        batch = min(self.batch, examples)
        return batch, self.epochs * (examples // batch)


def still(images):
    """Show images, bytes, for `STEPS` time steps as ``[time, batch, features]`` in [0, 1]."""
    return jnp.broadcast_to(images.reshape(len(images), -1) / 255.0, (STEPS, len(images), images[0].size))


def rows(images):
    """Show a row of pixels each time step."""
    return jnp.moveaxis(images[..., 0] / 255.0, 1, 0)


def pictures(images, steps=4):
    """Show images for some time steps as ``[time, batch, height, width, 1]``."""
    return jnp.broadcast_to(images / 255.0, (steps, *images.shape))


def feedforward(key, spike_fns, sizes, **neurons):
    """Make linear layers with LIF neurons behind each, or leaky integrators behind the last if it has no spike_fn."""
    rngs, layers = nnx.Rngs(key), []
    for (i, o), spike_fn in itertools.zip_longest(itertools.pairwise(sizes), spike_fns):
        neuron = LIF(o, spike_fn=spike_fn, **{"decay": DECAY} | neurons) if spike_fn else LI(o, decay=DECAY)
        layers += [dense(i, o, rngs), neuron]
    return SpikingSequential(layers)


def convolutional(key, spike_fns):
    """Make two convolutions in steps of two pixels, a hidden and a last linear layer."""
    rngs, layers = nnx.Rngs(key), []
    first, second, third = (partial(LIF, decay=0.5, spike_fn=spike_fn) for spike_fn in spike_fns)
    for i, o, neuron in ((1, 8, first), (8, 16, second)):
        layers += [nnx.Conv(i, o, (3, 3), strides=2, rngs=rngs), neuron(o)]
    layers += [flat, dense(16 * 7 * 7, 64, rngs), third(64), dense(64, 10, rngs), LI(10, decay=DECAY)]
    return SpikingSequential(layers)


def recurrent(key, spike_fns, sizes, neurons, decay):
    """Make a recurrent layer of such neurons, and leaky integrators with a decay as outputs."""
    rngs, (i, hidden, o), (spike_fn,) = nnx.Rngs(key), sizes, spike_fns
    layers = [dense(i, hidden, rngs), neurons(hidden, spike_fn=spike_fn, recurrent=True, rngs=rngs)]
    return SpikingSequential([*layers, dense(hidden, o, rngs), LI(o, decay=decay)])


def mean_potential(show):
    """Make the outputs from the readout's potential, averaged over time."""
    return lambda net, inputs, key: averaged(net, show(inputs))


def of_still(show):
    """Make the same for a still image: the first layer, which puts out the same at each step, sees it once."""

    def outputs(net, inputs, key):
        xs, (first, *others) = show(inputs), net.layers
        once = first(xs[0])
        return averaged(SpikingSequential(others), jnp.broadcast_to(once, (len(xs), *once.shape)))

    return outputs


def every_potential(show, last=None):
    """Make the outputs from the readout's potential at every step, or the mean of the last few."""

    def outputs(net, inputs, key):
        xs = show(inputs)
        ys = net(net.initialize_carry(xs.shape[1:]), xs)[1]
        return ys[..., 0].T if last is None else ys[-last:].mean(0)

    return outputs


def early_spikes(net, inputs, key):
    """Count the outputs' spikes, an early one more than a late one: the first spike has the largest part."""
    xs = data.latency(inputs)
    spikes = net(net.initialize_carry(xs.shape[1:]), xs)[1]
    weights = jnp.exp(-jnp.arange(len(spikes)) / FADING)
    return 5 * jnp.tensordot(weights, spikes, 1)


def of_images(about, folder, examples=data.TRAIN, sizes=(784, HIDDEN, HIDDEN, 10), neurons=None, **how):
    """Make a setting of still images of Fashion-MNIST through layers of neurons."""
    made: Mapping[str, Any] = {
        "network": partial(feedforward, sizes=sizes, **neurons or {}),
        "outputs": of_still(still),
        "show": still,
        "layers": len(sizes) - 2,
    }
    return Setting(f"Fashion-MNIST, {about}", data=partial(data.images, folder, examples), **made | how)


def convolutions(folder):
    """Make the setting of convolutions."""
    how = {"network": convolutional, "outputs": of_still(pictures), "show": pictures, "epochs": 6}
    return of_images("convolutions", folder, examples=4000, layers=3, gain=2.0, **how)


def of_rows(folder):
    """Make the setting of a recurrent layer that sees a row of pixels each time step."""
    neurons = partial(LIF, decay=jnp.linspace(0.5, 0.95, HIDDEN))
    network = partial(recurrent, sizes=(28, HIDDEN, 10), neurons=neurons, decay=DECAY)
    how = {"network": network, "outputs": mean_potential(rows), "show": rows}
    return of_images("rows, recurrent", folder, layers=1, epochs=20, **how)


def spike_times(folder):
    """Make the setting of spike times in, and out: the first output spike has the largest part."""
    how = {"layers": 2, "outputs": early_spikes, "show": data.latency}
    return of_images("spike times in and out", folder, sizes=(784, HIDDEN, 10), **how)


def scaled(scale):
    """Make the setting of Randman with so large first weights."""
    network = partial(feedforward, sizes=(data.UNITS, 64, data.CLASSES))
    how = {"outputs": mean_potential(data.show_times), "show": data.show_times, "gain": scale}
    about = f"Randman, first weights x {scale:g}"
    return Setting(about, 1, data.randman, network, **how, epochs=25, batch=64)


def spoken_digits(recordings, recipe=SPEECH._replace(hidden=64, epochs=15)):
    """Make the setting of spoken digits, on the data set's own split."""
    features, digit, _, take = speech.load(recordings)
    parts = speech.parts(features, digit, take)
    return Setting(
        "spoken digits, recurrent",
        layers=1,
        data=lambda seed: parts,
        network=lambda key, spike_fns: sequences.lif(key, speech.BANDS, recipe, *spike_fns),
        outputs=sequences.logits(recipe),
        show=sequences.show,
        epochs=recipe.epochs,
        batch=recipe.batch,
        weight_decay=recipe.weight_decay,
    )


def store_recall():
    """Make the setting in which neurons that adapt remember a bit."""
    neurons = partial(ALIF, decay=DECAY, adaptation_decay=0.98)
    network = partial(recurrent, sizes=(data.CHANNELS, 64, 2), neurons=neurons, decay=0.5)
    outputs, show = every_potential(sequences.show, last=data.RECALL), sequences.show
    return Setting("store and recall, ALIF", 1, data.store_recall, network, outputs, show, epochs=20)


def chaos():
    """Make the setting in which the next values of a chaotic series are told."""
    neurons = partial(LIF, decay=jnp.linspace(0.5, 0.95, 64))
    network = partial(recurrent, sizes=(1, 64, 1), neurons=neurons, decay=0.8)
    outputs, how = every_potential(sequences.show), {"loss": squared_error, "score": r_squared}
    about = f"Mackey-Glass, {data.AHEAD} steps ahead"
    return Setting(about, 1, data.mackey_glass, network, outputs, sequences.show, epochs=30, batch=32, **how)


MANY = {"examples": 12_000}
DEEP = {"sizes": (784, *(64,) * DEPTH, 10), "gain": 1.4, "epochs": 20}
MADE: dict[str, Callable[[Path | None, Path | None], Setting]] = {  # in the order in which they run
    "dense": lambda images, _: of_images("dense", images, **MANY),
    "deep": lambda images, _: of_images(f"{DEPTH} hidden layers", images, **DEEP),
    "recall": lambda *_: store_recall(),
    "chaos": lambda *_: chaos(),
    "rows": lambda images, _: of_rows(images),
    "convolution": lambda images, _: convolutions(images),
    "speech": lambda _, recordings: spoken_digits(recordings),
    "times": lambda images, _: spike_times(images),
    "zero": lambda images, _: of_images("reset to zero, with its gradient", images, neurons=ZERO, **MANY),
    "randman": lambda *_: scaled(0.5),
    "small": lambda images, _: of_images("500 images", images, examples=500, epochs=60, batch=50),
    "slow": lambda images, _: of_images("decay .99", images, neurons={"decay": 0.99}, **MANY),
    "fast": lambda images, _: of_images("decay .5", images, neurons={"decay": 0.5}, **MANY),
}
NEEDS = dict.fromkeys(MADE, "fashion") | {"speech": "speech", "recall": "", "chaos": "", "randman": ""}


@cache
def setting(name: str, images: Path | None = None, recordings: Path | None = None) -> Setting:
    """Make a setting by name, from the folder of Fashion-MNIST and the file of spoken digits, where it needs them."""
    return MADE[name](images, recordings)
