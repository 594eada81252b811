"""The settings of the comparison: the data, network and training of each; docs/appendix/plan.md lists them."""

import itertools
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from brainsurr.nnx import ALIF, LI, LIF, SpikingSequential

from ..fashion.networks import over_pixels
from ..lib.blocks import pool, spike_block, stem
from ..lib.training import accuracy, adamw, averaged, cross_entropy, dense, flat, over_time, r_squared, squared_error
from . import data, sequences, speech
from .sequences import Recipe

DECAY, STEPS, HIDDEN, DEPTH = 0.9, 8, 128, 12
FADING = 5.0  # the number of steps after which an output spike counts e times less
SPEECH = Recipe(hidden=64, classes=10, epochs=20, batch=128, noise=0.2, shift=2, mask=4)
ZERO = {"reset": "zero", "reset_grad": True}


class Setting(NamedTuple):
    """The data of a setting, its network and its training.

    Attributes:
      about: a one-line description for a table.
      layers: the number of spiking layers.
      data: ``data(seed)`` returns inputs and targets for training, validation and the test.
      network: ``network(key, spike_fns)``, with a threshold function for each spiking layer.
      show: ``show(inputs)`` returns the inputs over time, ``[time, batch, ...]``.
      readout: ``readout(net, xs)`` returns the values to score, by default the mean of the output over time.
      noise: ``noise(key, inputs)`` returns the inputs for training.
      gain: the gain of the initial weights before each spiking layer.
      epochs: passes over the training examples.
      batch: examples per step.
      weight_decay: the weight decay of AdamW.
      optimizer: ``optimizer(rate, steps, weight_decay)``.
      loss: ``loss(outputs, targets)``.
      score: ``score(outputs, targets)``; the best is 1.
      after: ``after(net)`` returns the state of the network after an epoch, and may change the network.
    """

    about: str
    layers: int
    data: Callable
    network: Callable
    show: Callable
    readout: Callable = averaged
    noise: Callable = lambda key, inputs: inputs
    gain: float = 1.0
    epochs: int = 10
    batch: int = 128
    weight_decay: float = 0.0
    optimizer: Callable = adamw
    loss: Callable = cross_entropy
    score: Callable = accuracy
    after: Callable = nnx.state

    def parts(self, seed) -> list[tuple[jax.Array, jax.Array]]:
        """Return ``data(seed)`` as jax arrays."""
        return [tuple(map(jnp.asarray, part)) for part in self.data(seed)]

    def outputs(self, net, inputs, key):
        """Return the outputs of a network, in training mode with a key and in evaluation mode without one."""
        return self.readout(net, self.show(inputs if key is None else self.noise(key, inputs)))

    def batches(self, parts) -> tuple[int, int]:
        """Return the batch size, at most the number of examples, and the number of training steps."""
        examples = len(parts[0][1])
        batch = min(self.batch, examples)
        return batch, self.epochs * (examples // batch)


def momentum(rate, steps, weight_decay):
    """Create gradient descent with momentum on a cosine schedule, at 30 times the rate, without clipping."""
    return optax.sgd(optax.cosine_decay_schedule(30 * rate, steps), momentum=0.9)


def plain_adam(rate, steps, weight_decay):
    """Create Adam at a constant learning rate, without clipping."""
    return optax.adam(rate)


def still(images):
    """Show byte images for `STEPS` time steps as ``[time, batch, features]`` in [0, 1]."""
    return jnp.broadcast_to(images.reshape(len(images), -1) / 255.0, (STEPS, len(images), images[0].size))


def rows(images):
    """Show one row of pixels at each time step."""
    return jnp.moveaxis(images[..., 0] / 255.0, 1, 0)


def pictures(images, steps=4):
    """Show images for some time steps as ``[time, batch, height, width, 1]``."""
    return jnp.broadcast_to(images / 255.0, (steps, *images.shape))


def feedforward(key, spike_fns, sizes, norm=None, **neurons):
    """Create linear layers, each followed by LIF neurons, or the last by leaky integrators if it has no spike_fn.

    If ``norm`` is given, a layer ``norm(features, rngs=rngs)`` comes before each layer of LIF neurons.
    """
    rngs, layers = nnx.Rngs(key), []
    for (i, o), spike_fn in itertools.zip_longest(itertools.pairwise(sizes), spike_fns):
        neuron = LIF(o, spike_fn=spike_fn, **{"decay": DECAY} | neurons) if spike_fn else LI(o, decay=DECAY)
        layers += [dense(i, o, rngs), *([norm(o, rngs=rngs)] if norm and spike_fn else []), neuron]
    return SpikingSequential(layers)


def counting(key, spike_fns, decay):
    """Create a convolution, pools that add four pixels, and a linear layer whose spike counts give the class."""
    rngs, (first, last) = nnx.Rngs(key), (partial(LIF, decay=decay, spike_fn=spike_fn) for spike_fn in spike_fns)
    images = [nnx.Conv(1, 8, (3, 3), rngs=rngs), first(8), summed]
    return SpikingSequential([*images, flat, dense(128, 10, rngs), last(10)])


def summed(xs):
    """Add each 2 x 2 pixels, channels last."""
    return 4 * pool(xs)


def residual(key, spike_fns):
    """Create a convolution and two normalised residual blocks that add spikes."""
    rngs, spike_fns = nnx.Rngs(key), iter(spike_fns)

    def neurons(features):
        return LIF(features, decay=0.5, spike_fn=next(spike_fns))

    layers = [*stem(1, 8, rngs), neurons(8), spike_block(8, 8, neurons, rngs), spike_block(8, 16, neurons, rngs, 2)]
    return SpikingSequential([*layers, over_pixels, dense(16, 10, rngs), LI(10, decay=DECAY)])


def convolutional(key, spike_fns):
    """Create two convolutions with stride 2, a hidden and an output linear layer."""
    rngs, layers = nnx.Rngs(key), []
    first, second, third = (partial(LIF, decay=0.5, spike_fn=spike_fn) for spike_fn in spike_fns)
    for i, o, neuron in ((1, 8, first), (8, 16, second)):
        layers += [windows, nnx.Linear(9 * i, o, rngs=rngs), neuron(o)]
    layers += [flat, dense(16 * 7 * 7, 64, rngs), third(64), dense(64, 10, rngs), LI(10, decay=DECAY)]
    return SpikingSequential(layers)


def windows(xs):
    """Stack nine pixels as channels, with stride 2; a linear layer on them is a convolution that is fast in a loop."""
    height, width = xs.shape[-3:-1]
    padded = jnp.pad(xs, [(0, 0)] * (xs.ndim - 3) + [(0, 1), (0, 1), (0, 0)])
    places = itertools.product(range(3), repeat=2)
    return jnp.concatenate([padded[..., i : i + height : 2, j : j + width : 2, :] for i, j in places], -1)


def recurrent(key, spike_fns, sizes, neurons, decay=DECAY):
    """Create a recurrent layer of the given neurons, and leaky integrators with a decay as outputs."""
    rngs, (i, hidden, o), (spike_fn,) = nnx.Rngs(key), sizes, spike_fns
    layers = [dense(i, hidden, rngs), neurons(hidden, spike_fn=spike_fn, recurrent=True, rngs=rngs)]
    return SpikingSequential([*layers, dense(hidden, o, rngs), LI(o, decay=decay)])


def of_still(net, xs, still=1):
    """Return the mean potentials for a still image; the first layers see it once, since their output stays the same."""
    layers, once = list(net.layers), xs[0]
    for layer in layers[:still]:
        once = layer(once)
    return averaged(SpikingSequential(layers[still:]), jnp.broadcast_to(once, (len(xs), *once.shape)))


def every_potential(net, xs):
    """Return the potential of one output at every step."""
    return over_time(net, xs)[..., 0].T


def last_potentials(net, xs):
    """Return the mean potentials over the last period."""
    return over_time(net, xs)[-data.RECALL :].mean(0)


def counts(net, xs):
    """Count the spikes of the outputs."""
    return len(xs) * averaged(net, xs)


def early_spikes(net, xs):
    """Count the spikes of the outputs, with more weight for earlier ones, so that the first spike matters most."""
    spikes = over_time(net, xs)
    weights = jnp.exp(-jnp.arange(len(spikes)) / FADING)
    return 5 * jnp.tensordot(weights, spikes, 1)


def of_images(about, folder, examples=data.TRAIN, sizes=(784, HIDDEN, HIDDEN, 10), neurons=None, **how):
    """Create a setting of still Fashion-MNIST images through layers of neurons."""
    network = partial(feedforward, sizes=sizes, **neurons or {})
    made = {"network": network, "show": still, "readout": of_still, "layers": len(sizes) - 2}
    return Setting(f"Fashion-MNIST, {about}", data=partial(data.images, folder, examples), **made | how)


def of_digits(about, sizes=(64, HIDDEN, HIDDEN, 10), **how):
    """Create the same setting with the scikit-learn digits."""
    made = of_images(about, None, sizes=sizes, batch=50, **how)
    return made._replace(about=f"digits, {about}", data=partial(data.drawn, *data.digits(), 500, 300))


def spike_counts(about, decay):
    """Create a setting whose outputs are spike counts."""
    network, show = partial(counting, decay=decay), partial(pictures, steps=STEPS)
    return of_digits(about, network=network, show=show, readout=counts, layers=2, epochs=40)


def residuals():
    """Create the setting with residual blocks."""
    how = {"network": residual, "show": pictures, "readout": partial(of_still, still=3), "layers": 6}
    return of_digits("residual blocks, BatchNorm", **how, epochs=30)


def convolutions(folder):
    """Create the setting with convolutions."""
    how = {"network": convolutional, "show": pictures, "layers": 3}
    return of_images("convolutions", folder, examples=4000, gain=2.0, epochs=6, **how)


def of_rows(folder):
    """Create the setting with a recurrent layer that sees one row of pixels at each time step."""
    network = partial(recurrent, sizes=(28, HIDDEN, 10), neurons=sequences.lifs(HIDDEN))
    how = {"network": network, "show": rows, "readout": averaged, "layers": 1}
    return of_images("rows, recurrent", folder, epochs=20, **how)


def spike_times(folder):
    """Create the setting of spike times as inputs and outputs; the first output spike matters most."""
    how = {"layers": 2, "show": data.latency, "readout": early_spikes}
    return of_images("spike times in and out", folder, sizes=(784, HIDDEN, 10), **how)


def scaled(scale):
    """Create the Randman setting with initial weights of this scale."""
    about, network = f"Randman, first weights x {scale:g}", partial(feedforward, sizes=(data.UNITS, 64, data.CLASSES))
    return Setting(about, 1, data.randman, network, data.show_times, gain=scale, epochs=25, batch=64)


def spoken_digits(recordings):
    """Create the setting of spoken digits, with the data set's own split."""
    recipe, (features, digit, _, take) = SPEECH._replace(epochs=15), speech.load(recordings)
    parts = speech.parts(features, digit, take)
    return Setting(
        "spoken digits, recurrent",
        layers=1,
        data=lambda seed: parts,
        network=partial(sequences.lif, sizes=(speech.BANDS, 64, 10), neurons=sequences.lifs(64)),
        show=sequences.show,
        noise=partial(sequences.augment, recipe=recipe),
        epochs=recipe.epochs,
        batch=recipe.batch,
        weight_decay=recipe.weight_decay,
    )


def remembering(about, drawn, adaptation_decay):
    """Create a setting in which adaptive neurons must remember the bits that input spikes represent."""
    neurons = partial(ALIF, decay=DECAY, adaptation_decay=adaptation_decay)
    network = partial(recurrent, sizes=(data.CHANNELS, 64, 2), neurons=neurons, decay=0.5)
    return Setting(about, 1, drawn, network, sequences.show, last_potentials, epochs=20)


def vowels(folder):
    """Create the setting of Japanese vowels, with neurons without a leak."""
    drawn = partial(data.drawn, *data.series(folder, "JapaneseVowels_eq"), 220, 120)
    network = partial(feedforward, sizes=(12, *(64,) * 4, 9), decay=1.0)
    return Setting("Japanese vowels, no leak", 4, drawn, network, sequences.show, epochs=60, batch=55)


def power(folder):
    """Create the setting of power demand in two seasons, 24 hours."""
    drawn = partial(data.drawn, *data.series(folder, "ItalyPowerDemand"), 54, 200)
    network = partial(recurrent, sizes=(1, 64, 2), neurons=sequences.lifs(64))
    return Setting("Italian power demand, recurrent", 1, drawn, network, sequences.show, epochs=100, batch=27)


def watch(folder):
    """Create the setting of smartwatch exercises, with Adam."""
    network = partial(recurrent, sizes=(6, 64, 7), neurons=sequences.lifs(64))
    about, how = "exercises by a watch, recurrent, Adam", {"optimizer": plain_adam, "epochs": 30}
    return Setting(about, 1, partial(data.watch, folder), network, sequences.show, **how)


def chaos():
    """Create the setting that predicts later values of a chaotic series."""
    network = partial(recurrent, sizes=(1, 64, 1), neurons=sequences.lifs(64), decay=0.8)
    about = f"Mackey-Glass, {data.AHEAD} steps ahead"
    how = {"loss": squared_error, "score": r_squared, "epochs": 30, "batch": 32}
    return Setting(about, 1, data.mackey_glass, network, sequences.show, every_potential, **how)


MANY, FEW = {"examples": 12_000}, {"examples": 500, "epochs": 60, "batch": 50}
DEEP = {"sizes": (784, *(64,) * DEPTH, 10), "gain": 1.4, "epochs": 20}
BATCHES = {"sizes": (784, *(64,) * DEPTH, 10), "neurons": {"norm": partial(nnx.BatchNorm, momentum=0.9)}}
LAYERS = {"sizes": (64, *(64,) * 10, 10), "neurons": {"norm": nnx.LayerNorm}, "epochs": 40}
MOMENTUM = {"sizes": (64, *(HIDDEN,) * 4, 10), "optimizer": momentum, "epochs": 40}
MADE: dict[str, Callable[[Path | None], Setting]] = {  # each gets the path to its data; the order is that of the runs
    "dense": lambda images: of_images("dense", images, **MANY),
    "zero": lambda images: of_images("reset to zero, with its gradient", images, neurons=ZERO, **MANY),
    "slow": lambda images: of_images("decay .99", images, neurons={"decay": 0.99}, **MANY),
    "fast": lambda images: of_images("decay .5", images, neurons={"decay": 0.5}, **MANY),
    "small": lambda images: of_images("500 images", images, **FEW),
    "deep": lambda images: of_images(f"{DEPTH} hidden layers", images, **DEEP),
    "rows": of_rows,
    "convolution": convolutions,
    "times": spike_times,
    "batch": lambda images: of_images(f"{DEPTH} hidden layers, BatchNorm", images, **BATCHES),
    "residual": lambda _: residuals(),
    "layer": lambda _: of_digits("10 hidden layers, LayerNorm", **LAYERS),
    "counts": lambda _: spike_counts("spike counts", 0.9),
    "sums": lambda _: spike_counts("spike counts, no leak", 1.0),
    "momentum": lambda _: of_digits("4 hidden layers, SGD with momentum", **MOMENTUM),
    "speech": spoken_digits,
    "vowels": vowels,
    "watch": watch,
    "power": power,
    "recall": lambda _: remembering("store and recall, ALIF", data.store_recall, 0.98),
    "memory": lambda _: remembering(f"exclusive or over {data.WAIT} steps, ALIF", data.delayed_xor, 0.99),
    "chaos": lambda _: chaos(),
    "randman": lambda _: scaled(0.5),
}
DRAWN = ("residual", "layer", "counts", "sums", "momentum", "recall", "memory", "chaos", "randman")
NEEDS = dict.fromkeys(MADE, "fashion") | dict.fromkeys(DRAWN, "") | {"speech": "speech"}
NEEDS |= dict.fromkeys(("vowels", "watch", "power"), "series")
FAMILIES = dict.fromkeys(("zero", "slow", "fast", "small"), "dense") | {"sums": "counts"}  # one task group each


@cache
def setting(name: str, path: Path | None = None) -> Setting:
    """Return a setting by name, with the path to the data that `NEEDS` names, if any."""
    return MADE[name](path)
