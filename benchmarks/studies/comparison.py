"""Comparison: configurations as people type them, in settings of several kinds, each at its best learning rate.

``docs/plan.md`` says what takes part, how rates are chosen and what is concluded; it was committed before the runs.
``python -m benchmarks.studies.comparison --fashion FOLDER --speech FILE`` goes through all settings that have their
data, or those that are named, and adds to one file each what that file does not have yet. Several processes may work
on different settings at once.
"""

import itertools
import math
from functools import cache, partial
from typing import NamedTuple

import jax
import numpy as np

import brainsurr as bs
from brainsurr.nnx import SpikingSequential, diagnose

from ..lib.study import Runs, arguments, rounded
from ..lib.training import adamw, firing_rate, train_and_test, with_gains
from . import settings
from .entrants import ARCTAN, ENTRANTS, FAST_SIGMOID, PRESENT

KEY, MEASURED = ("entrant", "rate", "gain", "seed"), ("validation", "test", "loss", "firing", "seconds", "cpu_seconds")
EXPLORED = "deep"  # the setting whose gains and rates are explored
BY_POTENTIAL = "potential"  # a gain may be "potential 1", as the rule of docs/plan.md sets it


class Grid(NamedTuple):
    """What runs.

    Attributes:
      entrants: names of `ENTRANTS`.
      rates: of learning; where the best is an edge, further ones are tried.
      seeds: of the results.
      exploring: the entrants that run at every gain and rate in `EXPLORED`.
      gains: of the weights there.
      choosing: the seed that rates are chosen from.
    """

    entrants: tuple[str, ...] = tuple(ENTRANTS)
    rates: tuple[float, ...] = (1e-3, 3e-3, 1e-2, 3e-2)
    seeds: tuple[int, ...] = tuple(range(5))
    exploring: tuple[str, ...] = (PRESENT, ARCTAN, "S2NN().scaled(width=0.694)", FAST_SIGMOID, "Sigmoid(4.0)")
    gains: tuple[float | str, ...] = (0.7, 1.0, 1.4, 2.0, 2.8, *(f"{BY_POTENTIAL} {x:g}" for x in (0.5, 1, 2)))
    choosing: int = 1000


QUICK = Grid((PRESENT, FAST_SIGMOID), (1e-3, 3e-3), (0, 1), (PRESENT,), (0.7, f"{BY_POTENTIAL} 1"))


@partial(jax.jit, static_argnames=("setting", "surrogate"))
def train(setting, surrogate, rate, gains, seed, parts):
    """Train a network with a surrogate; return what is reported of it.

    Args:
      setting: from `settings`.
      surrogate: of all layers.
      rate: at the start.
      gains: of the weights before each layer of neurons.
      seed: of weights, order and noise.
      parts: inputs and targets for training, validation and test.
    """
    keys = jax.random.split(jax.random.key(seed))
    net = with_gains(setting.network(keys[0], [surrogate] * setting.layers), gains)
    batch, steps = setting.batches(parts)
    tx = adamw(rate, steps, setting.weight_decay)
    how = {"epochs": setting.epochs, "batch": batch, "optimizer": tx, "loss": setting.loss, "score": setting.score}
    net, measured = train_and_test(net, setting.outputs, keys[1], parts, **how)
    return measured | {"firing": firing_rate(net, setting.show(parts[2][0][:500]))}


class Trials:
    """The runs of one setting, each of them made once.

    Args:
      setting: from `settings`.
      path: of the file.
      grid: what runs.
      examples: how many each part has at most.
    """

    def __init__(self, setting, path, grid, examples=None):
        self.setting, self.grid, self.examples, self.drawn, self.edges = setting, grid, examples, {}, []
        fields = ("about", "layers", "gain", "epochs", "batch", "weight_decay")
        about = {name: getattr(setting, name) for name in fields}
        about["examples"] = [len(targets) for _, targets in self.parts(grid.choosing)]
        self.runs = Runs(path, about, KEY, MEASURED)

    def run(self, entrant, rate, seed, gain=None, gains=None):
        """Train an entrant, with the setting's gain or another, or with ``gains()``, one a layer; return its row."""
        gain = self.setting.gain if gain is None else gain

        def of_layers():
            return tuple(gains() if gains else [gain] * self.setting.layers)

        return self.runs.run(
            lambda: train(self.setting, ENTRANTS[entrant], rate, of_layers(), seed, self.parts(seed)),
            *(entrant, rate, gain, seed),
        )

    def parts(self, seed):
        """Return the data of a seed, drawn once."""
        if seed not in self.drawn:
            self.drawn[seed] = [tuple(xs[: self.examples] for xs in part) for part in self.setting.parts(seed)]
        return self.drawn[seed]

    def best_rate(self, entrant):
        """Choose the rate of an entrant by validation; where it lies on an edge, one outside is tried, up to twice."""
        scores, new = {}, list(self.grid.rates)
        for _ in range(3):
            scores |= {rate: self.run(entrant, rate, self.grid.choosing)["validation"] for rate in new}
            best = max(sorted(scores), key=scores.get)
            new = [rounded(best / 3)] * (best == min(scores)) + [rounded(best * 3)] * (best == max(scores))
        self.edges += [entrant] * bool(new)
        return best

    def compare(self):
        """Choose the rate of each entrant, and one for all; train each entrant from all seeds at both."""
        of, choosing = self.grid, self.grid.choosing
        best = {name: self.best_rate(name) for name in of.entrants}
        scores = {rate: [self.run(name, rate, choosing)["validation"] for name in of.entrants] for rate in of.rates}
        own = max(of.rates, key=lambda rate: np.median(scores[rate]))
        for name in of.entrants:
            for rate, seed in itertools.product(dict.fromkeys((best[name], own)), of.seeds):
                self.run(name, rate, seed)
        how = {"own": own, "edges": self.edges, "seeds": of.seeds, "choosing": choosing}
        self.runs.finish("compare", entrants={name: str(ENTRANTS[name]) for name in of.entrants}, best=best, **how)

    def explore(self):
        """Train some entrants at every gain and rate, and at the gains of the rule."""
        of = self.grid
        for gain in of.gains:
            gains = cache(partial(self.by_potential, float(gain.split()[-1]))) if isinstance(gain, str) else None
            for name, rate in itertools.product(of.exploring, of.rates):
                self.run(name, rate, of.choosing, gain, gains)
        self.runs.finish("explore", entrants=of.exploring, gains=of.gains, rates=of.rates, choosing=of.choosing)

    def by_potential(self, target):
        """Return gains with which each layer's potential in the first batch has a deviation of so many thresholds.

        Layer by layer, as the gain of one decides the inputs of the next.
        """
        xs = self.setting.show(self.parts(self.grid.choosing)[0][0][: self.setting.batch])
        key, gains = jax.random.split(jax.random.key(self.grid.choosing))[0], [1.0] * self.setting.layers
        net = self.setting.network(key, [bs.Arctan()] * self.setting.layers)
        for layer in range(self.setting.layers):
            pair = SpikingSequential(net.layers[2 * layer : 2 * layer + 2])

            def run(pair, xs=xs):
                return pair(pair.initialize_carry(xs.shape[1:]), xs)[1]

            for _ in range(3):  # spikes reset the potential, so that it is not proportional to the gain
                x = diagnose(pair, lambda pair: run(pair).sum())["layers.1"]
                factor = target / math.sqrt(max(x.rms**2 - x.membrane**2, 1e-6))  # x is potential minus threshold
                gains[layer] *= factor
                with_gains(pair, [factor])
            xs = run(pair)
        return gains


def main(argv=None):
    """Go through the settings."""
    quick = "one epoch of 200 examples, two configurations"
    args = arguments("studies.comparison", __doc__, argv, quick=quick, settings=settings.NEEDS)
    for part, name in [("compare", name) for name in args.settings] + [("explore", EXPLORED)]:
        if name in args.settings:
            setting, how = settings.setting(name, args.fashion, args.speech), {"grid": Grid()}
            if args.quick:
                setting, how = setting._replace(epochs=1), {"grid": QUICK, "examples": 200}
            getattr(Trials(setting, args.out / f"{name}.json", **how), part)()
            jax.clear_caches()  # of programs that no other setting calls


if __name__ == "__main__":
    main()
