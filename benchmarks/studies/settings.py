"""The settings of the comparison: data, a network, and how long it is trained; docs/appendix/plan.md lists them."""

import itertools
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

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
FADING = 5.0  # steps after which an output spike counts e times less
SPEECH = Recipe(hidden=64, classes=10, epochs=20, batch=128, noise=0.2, shift=2, mask=4)
ZERO = {"reset": "zero", "reset_grad": True}


class Setting(NamedTuple):
    """Data, a network and its training.

    Attributes:
      about: one line for a table.
      layers: how many spiking layers the network has.
      data: ``data(seed)``, inputs and targets for training, for validation and for the test.
      network: ``network(key, spike_fns)`` with a threshold function for each spiking layer.
      show: ``show(inputs)``, the inputs over time ``[time, batch, ...]``.
      readout: ``readout(net, xs)``, what is scored, of inputs as shown: by default the mean of the output over time.
      noise: ``noise(key, inputs)``, what inputs become in training.
      gain: of the weights before each spiking layer, as drawn.
      epochs: passes over the training examples.
      batch: examples a step.
      weight_decay: of AdamW.
      optimizer: ``optimizer(rate, steps, weight_decay)``.
      loss: ``loss(outputs, targets)``.
      score: ``score(outputs, targets)``, 1 at best.
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

    def parts(self, seed) -> list[tuple[jax.Array, jax.Array]]:
        """Return ``data(seed)`` as arrays of jax."""
        return [tuple(map(jnp.asarray, part)) for part in self.data(seed)]

    def outputs(self, net, inputs, key):
        """Return what a network puts out, with a key as in training, without one as in evaluation."""
        return self.readout(net, self.show(inputs if key is None else self.noise(key, inputs)))

    def batches(self, parts) -> tuple[int, int]:
        """Return how many examples a step has, all if they are fewer, and how many steps there are."""
        examples = len(parts[0][1])
        batch = min(self.batch, examples)
        return batch, self.epochs * (examples // batch)


def momentum(rate, steps, weight_decay):
    """Make gradient descent with momentum on a cosine schedule, at 30 times the rate, without clipping."""
    return optax.sgd(optax.cosine_decay_schedule(30 * rate, steps), momentum=0.9)


def plain_adam(rate, steps, weight_decay):
    """Make Adam at a constant rate, without clipping."""
    return optax.adam(rate)


def still(images):
    """Show images, bytes, for `STEPS` time steps as ``[time, batch, features]`` in [0, 1]."""
    return jnp.broadcast_to(images.reshape(len(images), -1) / 255.0, (STEPS, len(images), images[0].size))


def rows(images):
    """Show a row of pixels each time step."""
    return jnp.moveaxis(images[..., 0] / 255.0, 1, 0)


def pictures(images, steps=4):
    """Show images for some time steps as ``[time, batch, height, width, 1]``."""
    return jnp.broadcast_to(images / 255.0, (steps, *images.shape))


def feedforward(key, spike_fns, sizes, norm=None, **neurons):
    """Make linear layers with LIF neurons behind each, or leaky integrators behind the last if it has no spike_fn.

    Before each layer of LIF neurons stands a layer ``norm(features, rngs=rngs)``, if there is one.
    """
    rngs, layers = nnx.Rngs(key), []
    for (i, o), spike_fn in itertools.zip_longest(itertools.pairwise(sizes), spike_fns):
        neuron = LIF(o, spike_fn=spike_fn, **{"decay": DECAY} | neurons) if spike_fn else LI(o, decay=DECAY)
        layers += [dense(i, o, rngs), *([norm(o, rngs=rngs)] if norm and spike_fn else []), neuron]
    return SpikingSequential(layers)


def counting(key, spike_fns, decay):
    """Make a convolution, pools that add up four pixels, and a linear layer whose neurons tell the class by spikes."""
    rngs, (first, last) = nnx.Rngs(key), (partial(LIF, decay=decay, spike_fn=spike_fn) for spike_fn in spike_fns)
    images = [nnx.Conv(1, 8, (3, 3), rngs=rngs), first(8), summed]
    return SpikingSequential([*images, flat, dense(128, 10, rngs), last(10)])


def summed(xs):
    """Add up four pixels, channels last."""
    return 4 * pool(xs)


def residual(key, spike_fns):
    """Make two residual blocks that add spikes, with normalisation, behind a convolution."""
    rngs, spike_fns = nnx.Rngs(key), iter(spike_fns)

    def neurons(features):
        return LIF(features, decay=0.5, spike_fn=next(spike_fns))

    layers = [*stem(1, 8, rngs), neurons(8), spike_block(8, 8, neurons, rngs), spike_block(8, 16, neurons, rngs, 2)]
    return SpikingSequential([*layers, over_pixels, dense(16, 10, rngs), LI(10, decay=DECAY)])


def convolutional(key, spike_fns):
    """Make two convolutions in steps of two pixels, a hidden and a last linear layer."""
    rngs, layers = nnx.Rngs(key), []
    first, second, third = (partial(LIF, decay=0.5, spike_fn=spike_fn) for spike_fn in spike_fns)
    for i, o, neuron in ((1, 8, first), (8, 16, second)):
        layers += [windows, nnx.Linear(9 * i, o, rngs=rngs), neuron(o)]
    layers += [flat, dense(16 * 7 * 7, 64, rngs), third(64), dense(64, 10, rngs), LI(10, decay=DECAY)]
    return SpikingSequential(layers)


def windows(xs):
    """Take nine pixels as channels, in steps of two: a linear layer of them is a convolution, and fast in a loop."""
    height, width = xs.shape[-3:-1]
    padded = jnp.pad(xs, [(0, 0)] * (xs.ndim - 3) + [(0, 1), (0, 1), (0, 0)])
    places = itertools.product(range(3), repeat=2)
    return jnp.concatenate([padded[..., i : i + height : 2, j : j + width : 2, :] for i, j in places], -1)


def recurrent(key, spike_fns, sizes, neurons, decay=DECAY):
    """Make a recurrent layer of such neurons, and leaky integrators with a decay as outputs."""
    rngs, (i, hidden, o), (spike_fn,) = nnx.Rngs(key), sizes, spike_fns
    layers = [dense(i, hidden, rngs), neurons(hidden, spike_fn=spike_fn, recurrent=True, rngs=rngs)]
    return SpikingSequential([*layers, dense(hidden, o, rngs), LI(o, decay=decay)])


def of_still(net, xs, still=1):
    """Average potentials of a still image, which the first layers see once: they put out the same at each step."""
    layers, once = list(net.layers), xs[0]
    for layer in layers[:still]:
        once = layer(once)
    return averaged(SpikingSequential(layers[still:]), jnp.broadcast_to(once, (len(xs), *once.shape)))


def every_potential(net, xs):
    """Return the potential of one output at every step."""
    return over_time(net, xs)[..., 0].T


def last_potentials(net, xs):
    """Average potentials over the last period."""
    return over_time(net, xs)[-data.RECALL :].mean(0)


def counts(net, xs):
    """Count the outputs' spikes."""
    return len(xs) * averaged(net, xs)


def early_spikes(net, xs):
    """Count the outputs' spikes, an early one more than a late one: the first spike has the largest part."""
    spikes = over_time(net, xs)
    weights = jnp.exp(-jnp.arange(len(spikes)) / FADING)
    return 5 * jnp.tensordot(weights, spikes, 1)


def of_images(about, folder, examples=data.TRAIN, sizes=(784, HIDDEN, HIDDEN, 10), neurons=None, **how):
    """Make a setting of still images of Fashion-MNIST through layers of neurons."""
    made: Mapping[str, Any] = {
        "network": partial(feedforward, sizes=sizes, **neurons or {}),
        "show": still,
        "readout": of_still,
        "layers": len(sizes) - 2,
    }
    return Setting(f"Fashion-MNIST, {about}", data=partial(data.images, folder, examples), **made | how)


def of_digits(about, sizes=(64, HIDDEN, HIDDEN, 10), **how):
    """Make the same of the digits of scikit-learn."""
    made = of_images(about, None, sizes=sizes, batch=50, **how)
    return made._replace(about=f"digits, {about}", data=partial(data.drawn, *data.digits(), 500, 300))


def spike_counts(about, decay):
    """Make a setting whose outputs are spike counts."""
    show = partial(pictures, steps=STEPS)
    how = {"network": partial(counting, decay=decay), "show": show, "readout": counts, "layers": 2}
    return of_digits(about, **how, epochs=40)


def residuals():
    """Make the setting of residual blocks."""
    how = {"network": residual, "show": pictures, "readout": partial(of_still, still=3), "layers": 6}
    return of_digits("residual blocks, BatchNorm", **how, epochs=30)


def convolutions(folder):
    """Make the setting of convolutions."""
    how = {"network": convolutional, "show": pictures, "layers": 3}
    return of_images("convolutions", folder, examples=4000, gain=2.0, epochs=6, **how)


def of_rows(folder):
    """Make the setting of a recurrent layer that sees a row of pixels each time step."""
    network = partial(recurrent, sizes=(28, HIDDEN, 10), neurons=sequences.lifs(HIDDEN))
    how = {"network": network, "show": rows, "readout": averaged, "layers": 1}
    return of_images("rows, recurrent", folder, epochs=20, **how)


def spike_times(folder):
    """Make the setting of spike times in, and out: the first output spike has the largest part."""
    how = {"layers": 2, "show": data.latency, "readout": early_spikes}
    return of_images("spike times in and out", folder, sizes=(784, HIDDEN, 10), **how)


def scaled(scale):
    """Make the setting of Randman with so large first weights."""
    about, network = f"Randman, first weights x {scale:g}", partial(feedforward, sizes=(data.UNITS, 64, data.CLASSES))
    return Setting(about, 1, data.randman, network, data.show_times, gain=scale, epochs=25, batch=64)


def spoken_digits(recordings):
    """Make the setting of spoken digits, on the data set's own split."""
    recipe, (features, digit, _, take) = SPEECH._replace(epochs=15), speech.load(recordings)
    parts = speech.parts(features, digit, take)
    return Setting(
        "spoken digits, recurrent",
        layers=1,
        data=lambda seed: parts,
        network=lambda key, spike_fns: sequences.lif(key, speech.BANDS, recipe, *spike_fns),
        show=sequences.show,
        noise=partial(sequences.augment, recipe=recipe),
        epochs=recipe.epochs,
        batch=recipe.batch,
        weight_decay=recipe.weight_decay,
    )


def remembering(about, drawn, adaptation_decay):
    """Make a setting in which neurons that adapt remember what lines of spikes have told."""
    neurons = partial(ALIF, decay=DECAY, adaptation_decay=adaptation_decay)
    network = partial(recurrent, sizes=(data.CHANNELS, 64, 2), neurons=neurons, decay=0.5)
    return Setting(about, 1, drawn, network, sequences.show, last_potentials, epochs=20)


def of_series(about, data, network, layers=1, **how):
    """Make a setting of sequences."""
    return Setting(about, layers, data, network, sequences.show, **how)


def vowels(folder):
    """Make the setting of Japanese vowels, through neurons without a leak."""
    drawn = partial(data.drawn, *data.series(folder, "JapaneseVowels_eq"), 220, 120)
    network = partial(feedforward, sizes=(12, *(64,) * 4, 9), decay=1.0)
    return of_series("Japanese vowels, no leak", drawn, network, 4, epochs=60, batch=55)


def power(folder):
    """Make the setting of two seasons of power demand, 24 hours."""
    drawn = partial(data.drawn, *data.series(folder, "ItalyPowerDemand"), 54, 200)
    network = partial(recurrent, sizes=(1, 64, 2), neurons=sequences.lifs(64))
    return of_series("Italian power demand, recurrent", drawn, network, epochs=100, batch=27)


def watch(folder):
    """Make the setting of exercises by a smart watch, with Adam alone."""
    network = partial(recurrent, sizes=(6, 64, 7), neurons=sequences.lifs(64))
    how = {"optimizer": plain_adam, "epochs": 30}
    return of_series("exercises by a watch, recurrent, Adam", partial(data.watch, folder), network, **how)


def chaos():
    """Make the setting in which the next values of a chaotic series are told."""
    network = partial(recurrent, sizes=(1, 64, 1), neurons=sequences.lifs(64), decay=0.8)
    how = {"readout": every_potential, "loss": squared_error, "score": r_squared}
    return of_series(f"Mackey-Glass, {data.AHEAD} steps ahead", data.mackey_glass, network, epochs=30, batch=32, **how)


MANY, FEW = {"examples": 12_000}, {"examples": 500, "epochs": 60, "batch": 50}
DEEP = {"sizes": (784, *(64,) * DEPTH, 10), "gain": 1.4, "epochs": 20}
BATCHES = {"sizes": (784, *(64,) * DEPTH, 10), "neurons": {"norm": partial(nnx.BatchNorm, momentum=0.9)}}
LAYERS = {"sizes": (64, *(64,) * 10, 10), "neurons": {"norm": nnx.LayerNorm}, "epochs": 40}
MOMENTUM = {"sizes": (64, *(HIDDEN,) * 4, 10), "optimizer": momentum, "epochs": 40}
MADE: dict[str, Callable[[Path | None], Setting]] = {  # of the path that it needs, in the order in which they run
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
FAMILIES = dict.fromkeys(("zero", "slow", "fast", "small"), "dense") | {"sums": "counts"}  # what counts as one


@cache
def setting(name: str, path: Path | None = None) -> Setting:
    """Make a setting by name, from the path that `NEEDS` names, if it needs one."""
    return MADE[name](path)
