"""Initial weights: compare Flax's initialiser, also with a gain, and fluctuation-driven weights in several networks.

``python -m benchmarks.studies.weights --fashion FOLDER``. Data, networks and training are those of the comparison, with
one surrogate. The learning rate for each kind of weights is chosen by validation, from one seed. Fluctuation-driven
weights apply only to layers whose inputs are spikes or vary over time, because still pixels add up to more than their
count. They assume the same spike rate in every layer, like a user who has not run the network.
"""

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp

import brainsurr as bs
from brainsurr.initializers import fluctuation_driven

from ..lib.report import spread, table
from ..lib.study import arguments, finished, of_seeds, provenance, rows
from . import settings
from .comparison import Grid, Trials, compare_all

SURROGATE, GAINS, XIS = "Sigmoid(4.0)", (1.0, 1.4, 2.0), (1.0, 2.0)
RATE, FED_BACK = 0.1, 0.1  # spikes per step, and the recurrent weights' fraction of the variance
DEPTHS = {f"layers-{depth}": depth for depth in (6, 12, 24)}
SETTINGS = dict.fromkeys((*DEPTHS, "rows", "convolution"), "fashion") | {"recall": "", "randman": ""}
GRID, QUICK = Grid(seeds=tuple(range(5))), Grid(rates=(1e-3, 3e-3), seeds=(0, 1))


def setting(name: str, images: Path | None = None) -> settings.Setting:
    """Return a setting whose gain is fixed."""
    if name in DEPTHS:
        sizes = (784, *(64,) * DEPTHS[name], 10)
        return settings.of_images(f"{DEPTHS[name]} hidden layers", images, sizes=sizes, epochs=20)
    return settings.scaled(1.0) if name == "randman" else settings.setting(name, images)._replace(gain=1.0)


def fluctuating(made: settings.Setting, inputs: jax.Array, xi: float) -> tuple[settings.Setting, tuple]:
    """Return a setting with fluctuation-driven recurrent weights, and the gains that make its other weights so.

    Args:
      made: the setting.
      inputs: some of its examples.
      xi: the distance to the threshold, in standard deviations.
    """
    xs = made.show(inputs)
    net = made.network(jax.random.key(0), [bs.Arctan()] * made.layers)
    lifs = [layer for layer in net.layers if hasattr(layer, "spike_fn")]
    still = bool((xs == xs[0]).all())
    how, gains = {"xi": xi, "steps": len(xs)}, []
    for index, lif in enumerate(lifs):
        rate = RATE if index else float(jnp.square(xs).mean())
        share = 1 - FED_BACK if lif.recurrent else 1.0
        # For one input, the ratio to weights with a standard deviation of 1 / sqrt(inputs).
        one, key = (1, lif.features), jax.random.key(0)
        drawn = fluctuation_driven(lif.neuron, rate, share=share, **how)(key, one) / jax.random.normal(key, one)
        gains.append(1.0 if still and not index else drawn)
        if lif.recurrent:
            init = fluctuation_driven(lif.neuron, RATE, share=FED_BACK, **how)
            inside = partial(made.network.keywords["neurons"], recurrent_kernel_init=init)
            made = made._replace(network=partial(made.network, neurons=inside))
    return made, tuple(gains)


class Weights(Trials):
    """The runs of one setting, with each kind of weights."""

    def compare(self):
        """Choose the learning rate of each kind of weights, and train with it from all seeds."""
        alone, of, best = self.setting, self.grid, {}
        kinds = {f"x {gain:g}": (alone, (gain,) * alone.layers) for gain in GAINS}
        inputs = self.parts(of.choosing[0])[0][0][:500]
        kinds |= {f"xi {xi:g}": fluctuating(alone, inputs, xi) for xi in XIS}
        for kind, (self.setting, gains) in kinds.items():
            run = partial(self.run, SURROGATE, gain=kind, gains=lambda gains=gains: gains)
            scores = {rate: run(rate, of.choosing[0])["validation"] for rate in of.rates}
            best[kind] = max(of.rates, key=scores.get)
            for seed in of.seeds:
                run(best[kind], seed)
        self.runs.finish("weights", best=best, seeds=of.seeds, rates=of.rates)


def main(argv=None):
    """Run all settings."""
    quick = "one epoch of 200 examples, two rates and seeds"
    args = arguments("studies.weights", __doc__, argv, quick=quick, settings=SETTINGS)
    compare_all(args, Weights, setting, SETTINGS, GRID, QUICK)


# The report


def section(folder: Path) -> str:
    """Make the table of docs/appendix/studies.md, with a row for each finished setting."""
    lines, ran = [], []
    for name in SETTINGS:
        path = folder / f"{name}.json"
        if grid := finished(path, "weights"):
            runs = of_seeds(rows(path), grid["seeds"], "gain", "rate")
            of = {kind: runs[kind, rate] for kind, rate in grid["best"].items()}
            shown = (f"{spread(100 * run['test'], 1)} ({grid['best'][kind]:g})" for kind, run in of.items())
            kinds = ([kind for kind in of if kind.startswith(word)] for word in ("x ", "xi "))
            gain, xi = (max(each, key=lambda kind: of[kind]["validation"].mean()) for each in kinds)
            lines.append([name, *shown, f"{100 * (of[xi]['test'] - of[gain]['test']).mean():+z.1f}"])
            ran.append(path)
    kinds = [*(f"gain {gain:g} (%)" for gain in GAINS), *(f"xi {xi:g} (%)" for xi in XIS)]
    return f"{table(['task', *kinds, 'best xi - best gain (points)'], lines)}\n\n{provenance(*ran)}."


if __name__ == "__main__":
    main()
