"""Neurons: every neuron that the layers offer, in a recurrent network for spoken digits, to show that it trains.

``python -m benchmarks.studies.neurons free_spoken_digits.npz``; `benchmarks.studies.spoken_digits` builds that file.
Data, features, noise and readout are those of `speech`. All networks have the same surrogate, learning rate and size,
chosen so that each trains and best for none: their accuracies do not compare them.
"""

import importlib.metadata
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx

import brainsurr as bs
from brainsurr.nnx import ALIF, LI, LIF, Delay, SpikingSequential, bounds
from brainsurr.optim import project

from ..lib.study import Study, arguments
from ..lib.training import dense, map_grid, train_network
from . import sequences, speech

SURROGATE, RATE = bs.Arctan(2.0), 6e-3
CURRENT, ADAPTATION = 0.8, 0.95  # decays of a synaptic current and of an adaptation
GAIN = 4.0  # of the weights before a neuron that takes 1 - decay of its input
RECIPE = speech.RECIPE._replace(hidden=64)


class Neuron(NamedTuple):
    """The layers in the place of the hidden neurons.

    Attributes:
      options: arguments of the neuron's layer that are not at their defaults, apart from those that all have.
      layer: its class.
      current: whether a leaky integrator comes before, as a synaptic current.
      late: whether the spikes are delayed by a step.
      like: the neuron of another library that these layers have the spikes of.
    """

    options: Mapping[str, Any]
    layer: type[LIF] = LIF
    current: bool = False
    late: bool = False
    like: str = ""

    def __str__(self):
        options = ", ".join(f"{name}={value!r}" for name, value in self.options.items()).replace("'", '"')
        layers = ["LI"] * self.current + [f"{self.layer.__name__}({options})"] + ["Delay"] * self.late
        return " - ".join(layers)


ZERO = {"reset": "zero", "reset_grad": True}
BITTAR_GARNER = {"adapts": "input", "decay_input": True, "voltage_adaptation": 0.5}
FEEDFORWARD = {"recurrent": False}
NEURONS = [
    Neuron({}, like="snnTorch `Leaky(reset_delay=False)`"),
    Neuron(FEEDFORWARD),
    Neuron({"reset": "zero"}, like='snnTorch `Leaky(reset_mechanism="zero")`'),
    Neuron({"reset": "none"}, like='snnTorch `Leaky(reset_mechanism="none")`'),
    Neuron({"reset_delay": True, "reset_grad": False}, like="snnTorch `Leaky`"),
    Neuron(ZERO, like="SpikingJelly `LIFNode(decay_input=False)`"),
    Neuron({"decay_input": True} | ZERO, like="SpikingJelly `LIFNode`, norse `LIFBox`"),
    Neuron({"decay_input": True}, like="jaxpike `LIF`, brainpy.state `LIF`"),
    Neuron({"decay_input": True, "reset": "zero"}, like='brainpy.state `LIF(spk_reset="hard")`'),
    Neuron({"reset_delay": True}, late=True, like="spyx `LIF`"),
    Neuron({}, current=True, late=True, like="spyx `CuBaLIF`"),
    Neuron({"reset_delay": True, "reset_grad": False}, current=True, like="snnTorch `Synaptic`"),
    Neuron({"reset": "zero", "reset_delay": True}, current=True, like='snnTorch `Synaptic(reset_mechanism="zero")`'),
    Neuron({"decay_input": True} | ZERO, current=True, like="norse `LIF`"),
    Neuron({}, ALIF),
    Neuron(FEEDFORWARD, ALIF),
    Neuron({"learnable": ("decay", "adaptation_decay", "spike_adaptation")}, ALIF),
    Neuron({"decay_input": True}, ALIF, like="jaxpike `ALIF`"),
    Neuron({"decay_input": True, "reset": "zero"}, ALIF, like='brainpy.state `ALIF(spk_reset="hard")`'),
    Neuron({"decay_input": True, "reset_delay": True}, ALIF, like="Bellec et al. 2018"),
    Neuron({"reset_delay": True}, ALIF, late=True, like="spyx `ALIF`"),
    Neuron(BITTAR_GARNER, ALIF, like="Bittar and Garner 2022"),
    Neuron(BITTAR_GARNER | {"reset": "zero"}, ALIF, like="Baronig et al. 2024"),
    Neuron(BITTAR_GARNER | FEEDFORWARD, ALIF),
]


def network(neuron: Neuron, key, features: int, recipe: sequences.Recipe) -> SpikingSequential:
    """Make weights, neurons with decays from fast to slow, weights, and leaky integrators as outputs."""
    rngs, n = nnx.Rngs(key), recipe.hidden
    decay = jnp.linspace(sequences.FAST, sequences.SLOW, n)
    options = {"decay": decay, "spike_fn": SURROGATE, "recurrent": True, "rngs": rngs}
    options |= {"adaptation_decay": ADAPTATION} if neuron.layer is ALIF else {}
    layers = [
        dense(features, n, rngs, GAIN if "decay_input" in neuron.options else 1.0),
        *([LI(n, decay=CURRENT)] if neuron.current else []),
        neuron.layer(n, **options | neuron.options),
        *([Delay(n, 1)] if neuron.late else []),
        nnx.Dropout(recipe.dropout, rngs=rngs),
        dense(n, recipe.classes, rngs),
        LI(recipe.classes, decay=sequences.READOUT),
    ]
    return SpikingSequential(layers)


def train(neuron: Neuron, data, seeds, recipe: sequences.Recipe, rate: float = RATE):
    """Train from each seed; return accuracies, last loss and firing rate, one for each seed, and the parameters.

    Args:
      neuron: of the network.
      data: inputs ``[examples, time, features]`` and labels of training, validation and test.
      seeds: of weights, order and noise.
      recipe: sizes and training.
      rate: the learning rate at the start.
    """
    (train_xs, train_ys), *_ = data
    batch = min(recipe.batch, len(train_ys))
    steps = recipe.epochs * (len(train_ys) // batch)
    how = {"epochs": recipe.epochs, "batch": batch}

    def train_one(seed, train, validation, test):
        keys = jax.random.split(jax.random.key(seed))
        net = network(neuron, keys[0], train_xs.shape[-1], recipe)
        optimizer = optax.chain(sequences.optimizer(recipe, rate, steps), project(bounds(net)))
        net, losses = train_network(net, sequences.logits(recipe), keys[1], *train, optimizer=optimizer, **how)

        def measure(xs, ys):
            logits, (spikes,) = sequences.logits_and_rates(net, xs)
            return (logits.argmax(-1) == ys).mean(), spikes

        accuracy, firing = measure(*test)
        return {"validation": measure(*validation)[0], "test": accuracy, "rate": firing, "loss": losses[-1]}

    params = jax.eval_shape(
        lambda key: nnx.state(network(neuron, key, train_xs.shape[-1], recipe), nnx.Param), jax.random.key(0)
    )
    sizes = sum(leaf.size for leaf in jax.tree.leaves(params))
    return {"parameters": sizes, **map_grid(train_one, jnp.asarray(seeds), data=data)}


def main(argv=None):
    """Train every neuron from a few seeds."""

    def extend(parser):
        parser.add_argument("data", type=Path, help="the file of recordings, free_spoken_digits.npz")

    args = arguments("studies.neurons", __doc__, 5, argv, extend)
    features, digit, speaker, take = speech.load(args.data)
    neurons, recipe = NEURONS, RECIPE
    if args.quick:  # a plain one, a synaptic one, one that adapts and whose parameters are trained
        chosen = [NEURONS[0], *(n for n in NEURONS if (n.current and n.late) or "learnable" in n.options)]
        neurons, recipe = chosen, RECIPE._replace(hidden=32, batch=32, epochs=10)
    split = speech.by_take(take)
    data = [tuple(map(jnp.asarray, part)) for part in speech.parts(features, digit, take)]
    settings = {
        "task": f"spoken digits: {len(digit)} recordings, {len(set(speaker.tolist()))} speakers",
        "split": {part: len(rows) for part, rows in split.items()},
        "features": f"log-mel, {speech.BANDS} bands, {speech.FRAMES} frames",
        "features_by": f"kaldi-native-fbank {importlib.metadata.version('kaldi-native-fbank')}",
        "surrogate": str(SURROGATE),
        "optimiser": f"AdamW, {RATE:g}, cosine schedule",
        "recipe": recipe._asdict(),
        "seeds": list(range(args.seeds)),
    }
    study = Study("neurons", settings, args.out, total=len(neurons))
    for neuron in neurons:
        study.record(str(neuron), partial(train, neuron, data, settings["seeds"], recipe))
    study.finish()


if __name__ == "__main__":
    main()
