"""Neurons: train every type of neuron in a recurrent network on spoken digits, to show that it can learn.

``python -m benchmarks.studies.neurons --speech free_spoken_digits.npz``; `benchmarks.studies.speech` builds that file.
Data, features, noise and readout are those of the comparison. All networks have the same surrogate, learning rate and
size, chosen so that each network trains, and not tuned for any. So their accuracies do not compare the neurons.
"""

import importlib.metadata
import inspect
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

import brainsurr as bs
from brainsurr import nnx as layers

from ..lib.report import spread, table
from ..lib.study import Runs, arguments, finished, of_seeds, provenance, rows
from ..lib.training import adamw, dense, firing_rate, train_and_test
from . import sequences, settings, speech

KEY, MEASURED = ("neuron", "seed"), ("validation", "test", "loss", "firing", "parameters", "seconds", "cpu_seconds")
SURROGATE, RATE = bs.Arctan(2.0), 6e-3
CURRENT, ADAPTATION = 0.8, 0.95  # decays of a synaptic current and of an adaptation
LONGEST = 10  # the longest trained delay, in frames
SLOWLY, QUICKLY = 0.05, 0.8  # the frequencies of resonating neurons, in radians per frame
GAIN = 4.0  # the gain of the weights before a neuron that scales its input by 1 - decay
# A plain neuron, a synaptic one, and an adaptive one with trained parameters.
QUICK = ("LIF()", "LI - LIF() - Delay", 'ALIF(learnable=("decay", "adaptation_decay", "spike_adaptation"))')


class Neuron(NamedTuple):
    """The layers that replace the hidden neurons.

    Attributes:
      options: arguments of the neuron's layer that are not at their defaults, apart from those that all have.
      layer: the layer class.
      current: whether a leaky integrator comes first, as a synaptic current.
      late: whether the spikes are delayed by one step.
      learned: whether trained delays follow, of at most `LONGEST` frames.
      like: the neuron of another library that gives the same spikes.
    """

    options: Mapping[str, Any]
    layer: type[Any] = layers.LIF
    current: bool = False
    late: bool = False
    learned: bool = False
    like: str = ""

    def __str__(self):
        options = ", ".join(f"{name}={value!r}" for name, value in self.options.items()).replace("'", '"')
        names = ["LI"] * self.current + [f"{self.layer.__name__}({options})"] + ["Delay"] * self.late
        return " - ".join(names + ["LearnableDelay"] * self.learned)


BITTAR_GARNER = {"adapts": "input", "decay_input": True, "voltage_adaptation": 0.5}
FEEDFORWARD = {"recurrent": False}
NEURONS = [
    Neuron({}, like="snnTorch `Leaky(reset_delay=False)`"),
    Neuron(FEEDFORWARD),
    Neuron({"reset": "zero"}, like='snnTorch `Leaky(reset_mechanism="zero")`'),
    Neuron({"reset": "none"}, like='snnTorch `Leaky(reset_mechanism="none")`'),
    Neuron({"reset_delay": True, "reset_grad": False}, like="snnTorch `Leaky`"),
    Neuron(settings.ZERO, like="SpikingJelly `LIFNode(decay_input=False)`"),
    Neuron({"decay_input": True} | settings.ZERO, like="SpikingJelly `LIFNode`, norse `LIFBox`"),
    Neuron({"decay_input": True}, like="jaxpike `LIF`, brainpy.state `LIF`"),
    Neuron({"decay_input": True, "reset": "zero"}, like='brainpy.state `LIF(spk_reset="hard")`'),
    Neuron({"reset_delay": True}, late=True, like="spyx `LIF`"),
    Neuron({}, current=True, late=True, like="spyx `CuBaLIF`"),
    Neuron({"reset_delay": True, "reset_grad": False}, current=True, like="snnTorch `Synaptic`"),
    Neuron({"reset": "zero", "reset_delay": True}, current=True, like='snnTorch `Synaptic(reset_mechanism="zero")`'),
    Neuron({"decay_input": True} | settings.ZERO, current=True, like="norse `LIF`"),
    Neuron({}, layers.ALIF),
    Neuron(FEEDFORWARD, layers.ALIF),
    Neuron({"learnable": ("decay", "adaptation_decay", "spike_adaptation")}, layers.ALIF),
    Neuron({"decay_input": True}, layers.ALIF, like="jaxpike `ALIF`"),
    Neuron({"decay_input": True, "reset": "zero"}, layers.ALIF, like='brainpy.state `ALIF(spk_reset="hard")`'),
    Neuron({"decay_input": True, "reset_delay": True}, layers.ALIF, like="Bellec et al. 2018"),
    Neuron({"reset_delay": True}, layers.ALIF, late=True, like="spyx `ALIF`"),
    Neuron(BITTAR_GARNER, layers.ALIF, like="Bittar and Garner 2022"),
    Neuron(BITTAR_GARNER | {"reset": "zero"}, layers.ALIF, like="Baronig et al. 2024"),
    Neuron(BITTAR_GARNER | FEEDFORWARD, layers.ALIF),
    Neuron({"reset_adapted": False}, layers.ALIF, like="sparx `ALIF`"),
    Neuron({"refractory": 2}, like="norse `LIFRefrac`, brainpy.state `LIFRef`, except for their input"),
    Neuron({"self_connections": False}),
    Neuron({}, layers.Synaptic, like="sparx `Recurrent(Synaptic)`"),
    Neuron({"reset_delay": True, "reset_grad": False}, layers.Synaptic, like="snnTorch `RSynaptic`"),
    Neuron(FEEDFORWARD, learned=True, like="Hammouamri et al. 2024, a delay per axon"),
    Neuron({}, layers.ILIF, like="SpikingJelly `ILIFNode`"),
    Neuron({"learnable": "weights", "recurrent": False}, layers.SlidingPSN, like="SpikingJelly `SlidingPSN`"),
    Neuron({"learnable": ("frequency", "damping")}, layers.RF),
    Neuron({"learnable": ("frequency", "damping")}, layers.BRF, like="Higuchi et al. 2024"),
    Neuron({"learnable": ("frequency", "damping")}, layers.BHRF, like="Higuchi et al. 2024, harmonic"),
]


def network(neuron: Neuron, key, features: int, recipe: sequences.Recipe) -> layers.SpikingSequential:
    """Create a network: weights, neurons with decays from fast to slow, weights, and leaky integrators as outputs."""
    rngs, n = nnx.Rngs(key), recipe.hidden
    numbers = {
        "decay": jnp.linspace(sequences.FAST, sequences.SLOW, n),
        "adaptation_decay": ADAPTATION,
        "current_decay": CURRENT,
        "frequency": jnp.geomspace(SLOWLY, QUICKLY, n),
    }
    takes = inspect.signature(neuron.layer).parameters
    options = {name: value for name, value in numbers.items() if name in takes}
    options |= {"spike_fn": SURROGATE, "recurrent": True, "rngs": rngs}
    delays = {"delay": jnp.linspace(0, LONGEST, n), "learnable": "delay", "bounds": {"delay": (0, LONGEST)}}
    stack = [
        dense(features, n, rngs, GAIN if "decay_input" in neuron.options else 1.0),
        *([layers.LI(n, decay=CURRENT)] if neuron.current else []),
        neuron.layer(n, **options | neuron.options),
        *([layers.Delay(n, 1)] if neuron.late else []),
        *([layers.LearnableDelay(n, longest=LONGEST, width=1.5, **delays)] if neuron.learned else []),
        nnx.Dropout(recipe.dropout, rngs=rngs),
        dense(n, recipe.classes, rngs),
        layers.LI(recipe.classes, decay=sequences.READOUT),
    ]
    return layers.SpikingSequential(stack)


@partial(jax.jit, static_argnames=("index", "recipe"))
def train(index: int, recipe: sequences.Recipe, seed, parts):
    """Train a network of one of `NEURONS` from a seed."""
    keys, features = jax.random.split(jax.random.key(seed)), parts[0][0].shape[-1]
    net = network(NEURONS[index], keys[0], features, recipe)
    batch = min(recipe.batch, len(parts[0][1]))
    steps = recipe.epochs * (len(parts[0][1]) // batch)
    how = {"epochs": recipe.epochs, "batch": batch, "optimizer": adamw(RATE, steps, recipe.weight_decay)}
    net, measured = train_and_test(net, sequences.logits(recipe), keys[1], parts, **how)
    parameters = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(net, nnx.Param)))
    return measured | {"firing": firing_rate(net, sequences.show(parts[2][0])), "parameters": parameters}


def main(argv=None):
    """Train every neuron from a few seeds."""
    args = arguments("studies.neurons", __doc__, argv, quick="three neurons, ten epochs", settings=["speech"])
    features, digit, speaker, take = speech.load(args.speech)
    chosen, recipe, seeds = {str(neuron): i for i, neuron in enumerate(NEURONS)}, settings.SPEECH, list(range(5))
    if args.quick:
        chosen, recipe = {name: chosen[name] for name in QUICK}, recipe._replace(hidden=32, batch=32, epochs=10)
        seeds = [0, 1]
    parts = [tuple(map(jnp.asarray, part)) for part in speech.parts(features, digit, take)]
    about = {
        "task": f"spoken digits: {len(digit)} recordings, {len(set(speaker.tolist()))} speakers",
        "split": {part: len(rows) for part, rows in speech.by_take(take).items()},
        "features": f"log-mel, {speech.BANDS} bands, {speech.FRAMES} frames",
        "features_by": f"kaldi-native-fbank {importlib.metadata.version('kaldi-native-fbank')}",
        "surrogate": str(SURROGATE),
        "optimiser": f"AdamW, {RATE:g}, cosine schedule",
        "recipe": recipe._asdict(),
    }
    runs = Runs(args.out / "result.json", about, KEY, MEASURED, total=len(chosen) * len(seeds))
    for name, index in chosen.items():
        for seed in seeds:
            runs.run(partial(train, index, recipe, seed, parts), name, seed)
    runs.finish("neurons", neurons=list(chosen), seeds=seeds)


# The report


def part(folder: Path) -> str:
    """Make the table of docs/appendix/neurons.md: a row for each neuron."""
    path = folder / "result.json"
    grid, like = finished(path, "neurons"), {str(neuron): neuron.like for neuron in NEURONS}
    runs, lines = of_seeds(rows(path), grid["seeds"], "neuron"), []
    for name in grid["neurons"]:
        run = runs[name]
        numbers = spread(run["test"]), f"{run['firing'].mean():.2f}", run["parameters"][0]
        lines.append([f"`{name}`", like.get(name, ""), *numbers, f"{run['cpu_seconds'].mean():.1f} s"])
    head = ["layers", "same equations", "test accuracy", "firing rate", "parameters", "time per seed"]
    return f"{table(head, lines)}\n\n{provenance(path)}."


if __name__ == "__main__":
    main()
