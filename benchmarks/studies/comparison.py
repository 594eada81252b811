"""Compare surrogates, configured as users would type them, in several kinds of settings and over learning rates.

docs/appendix/plan.md lists the configurations, learning rates and rules; it was committed before the runs. ``python -m
benchmarks.studies.comparison --fashion FOLDER --speech FILE --series FOLDER`` runs all settings whose data are given,
or those that are named. It adds to the file of each setting the runs that are missing. Several processes can work on
different settings at the same time.
"""

import itertools
from functools import partial
from typing import NamedTuple

import jax

from ..lib.study import Runs, arguments, rounded
from ..lib.training import firing_rate, train_and_test, with_gains
from . import settings
from .entrants import ARCTAN, ENTRANTS, FAST_SIGMOID

KEY = ("entrant", "rate", "gain", "seed")
MEASURED = ("validation", "half", "test", "loss", "firing", "seconds", "cpu_seconds")
EQUAL = 1e-5  # validation means closer than this are equal, because files round scores to six digits


class Grid(NamedTuple):
    """The runs to make.

    Attributes:
      entrants: names in `ENTRANTS`.
      rates: learning rates; if the best one is at an edge, further ones are tried.
      seeds: the seeds of the results.
      choosing: the seeds from which learning rates are chosen.
    """

    entrants: tuple[str, ...] = tuple(ENTRANTS)
    rates: tuple[float, ...] = (1e-3, 3e-3, 1e-2, 3e-2)
    seeds: tuple[int, ...] = tuple(range(15))
    choosing: tuple[int, ...] = tuple(range(1000, 1004))


QUICK = Grid((ARCTAN, FAST_SIGMOID), (1e-3, 3e-3), (0, 1), (1000, 1001))


@partial(jax.jit, static_argnames=("setting", "surrogate"))
def train(setting, surrogate, rate, gains, seed, parts):
    """Train a network with a surrogate, and return its results.

    Args:
      setting: a setting from `settings`.
      surrogate: the surrogate of all layers.
      rate: the initial learning rate.
      gains: the gains of the weights before each layer of neurons.
      seed: the seed of weights, order and noise.
      parts: inputs and targets for training, validation and the test.
    """
    keys = jax.random.split(jax.random.key(seed))
    net = with_gains(setting.network(keys[0], [surrogate] * setting.layers), gains)
    batch, steps = setting.batches(parts)
    tx = setting.optimizer(rate, steps, setting.weight_decay)
    how = {"epochs": setting.epochs, "batch": batch, "optimizer": tx, "loss": setting.loss, "score": setting.score}
    net, measured = train_and_test(net, setting.outputs, keys[1], parts, **how)
    return measured | {"firing": firing_rate(net, setting.show(parts[2][0][:500]))}


class Trials:
    """The runs of one setting, each made once.

    Args:
      setting: a setting from `settings`.
      path: the file.
      grid: the runs to make.
      examples: the maximum number of examples in each part.
    """

    def __init__(self, setting, path, grid, examples=None):
        self.setting, self.grid, self.examples, self.drawn, self.edges = setting, grid, examples, {}, []
        fields = ("about", "layers", "gain", "epochs", "batch", "weight_decay")
        about = {name: getattr(setting, name) for name in fields}
        about["examples"] = [len(targets) for _, targets in self.parts(grid.choosing[0])]
        self.runs = Runs(path, about, KEY, MEASURED)

    def run(self, entrant, rate, seed, gain=None, gains=None):
        """Train an entrant with the setting's gain, another, or one per layer from ``gains()``; return its row."""
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
        """Choose the learning rate of an entrant by validation; at an edge, try one outside, up to twice."""
        scores, new, seeds = {}, list(self.grid.rates), self.grid.choosing
        for _ in range(3):
            runs = {rate: [self.run(entrant, rate, seed)["validation"] for seed in seeds] for rate in new}
            scores |= {rate: rounded(sum(validation) / len(seeds)) for rate, validation in runs.items()}
            best = min(rate for rate, score in scores.items() if score >= max(scores.values()) - EQUAL)
            new = [rounded(best / 3)] * (best == min(scores)) + [rounded(best * 3)] * (best == max(scores))
        self.edges += [entrant] * bool(new)
        return best

    def compare(self):
        """Train each entrant at every learning rate, and from all seeds at its best one."""
        of = self.grid
        best = {name: self.best_rate(name) for name in of.entrants}
        for name, seed in itertools.product(of.entrants, of.seeds):
            self.run(name, best[name], seed)
        entrants = {name: str(ENTRANTS[name]) for name in of.entrants}
        how = {"rates": of.rates, "choosing": of.choosing, "seeds": of.seeds, "edges": self.edges}
        self.runs.finish("compare", entrants=entrants, best=best, **how)


def compare_all(args, trials, make, needs, grid, quick):
    """Run ``trials`` on each chosen setting ``make(name, path)``; ``needs`` names the option with its path."""
    for name in args.settings:
        setting, how = make(name, getattr(args, needs[name], None)), {"grid": grid}
        if args.quick:
            setting, how = setting._replace(epochs=1), {"grid": quick, "examples": 200}
        trials(setting, args.out / f"{name}.json", **how).compare()
        jax.clear_caches()  # compiled programs that no other setting uses


def main(argv=None):
    """Run all settings."""
    quick = "one epoch of 200 examples, two configurations"
    args = arguments("studies.comparison", __doc__, argv, quick=quick, settings=settings.NEEDS)
    compare_all(args, Trials, settings.setting, settings.NEEDS, Grid(), QUICK)


if __name__ == "__main__":
    main()
