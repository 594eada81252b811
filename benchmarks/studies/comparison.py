"""Comparison: configurations as people type them, in settings of six kinds of data, each at its best learning rate.

``docs/plan.md`` says what takes part, how rates are chosen and what is concluded; it was committed before the runs.
``python -m benchmarks.studies.comparison --fashion FOLDER --speech FILE`` goes through all settings that have their
data, or those that are named, and adds to one file each what that file does not have yet. Several processes may work
on different settings at once.
"""

import itertools
from functools import cached_property, partial
from pathlib import Path

import jax
import numpy as np
import optax

import brainsurr as bs
from brainsurr.nnx import diagnose

from ..lib.study import Runs, arguments, rounded
from ..lib.training import firing_rate, train_and_test
from . import settings
from .entrants import ARCTAN, DEFAULT, ENTRANTS, FAST_SIGMOID

RATES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
CHOOSING, SEEDS = 1000, range(5)
KEY, MEASURED = ("entrant", "rate", "gain", "seed"), ("validation", "test", "loss", "firing", "seconds")
WORKING_REGION = (DEFAULT, ARCTAN, "S2NN, width .69", FAST_SIGMOID)  # who runs at every gain and rate in `deep`
GAINS, POTENTIALS = (0.7, 1.0, 1.4, 2.0, 2.8), (0.5, 1.0, 2.0)  # of the weights; of the rule for them, in thresholds


@partial(jax.jit, static_argnames=("setting", "surrogate"))
def train(setting, surrogate, rate, gains, seed, parts):
    """Train a network with a surrogate; return what is reported of it.

    Args:
      setting: from `settings`.
      surrogate: of all layers.
      rate: at the start.
      gains: of the weights of each layer of neurons.
      seed: of weights, order and noise.
      parts: inputs and targets for training, validation and test.
    """
    keys = jax.random.split(jax.random.key(seed))
    net = with_gains(setting.network(keys[0], [surrogate] * setting.layers, 1.0), gains)
    batch, steps = setting.batches(parts)
    schedule = optax.cosine_decay_schedule(rate, steps)
    tx = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule, weight_decay=setting.weight_decay))
    how = {"epochs": setting.epochs, "batch": batch, "optimizer": tx, "loss": setting.loss, "score": setting.score}
    net, measured = train_and_test(net, setting.outputs, keys[1], parts, **how)
    return measured | {"firing": firing_rate(net, setting.show(parts[2][0][:500]))}


def with_gains(net, gains):
    """Multiply the weights of the layers before each layer of neurons, in their order; of a shorter list, the first."""
    for layer, gain in zip((layer for layer in net.layers if hasattr(layer, "kernel")), gains, strict=False):
        layer.kernel[...] *= gain
    return net


class Trials:
    """The runs of one setting, each of them made once.

    Args:
      name: of the setting.
      out: the folder of its file.
      images: the folder of Fashion-MNIST.
      recordings: the file of spoken digits.
      quick: few steps and examples, to see that it runs.
    """

    def __init__(self, name: str, out: Path, images: Path | None, recordings: Path | None, quick: bool = False):
        self.setting, self.quick = settings.setting(name, images, recordings), quick
        if quick:
            self.setting = self.setting._replace(epochs=1)
        about = self.setting.written("about", "layers", "gain", "epochs", "batch", "weight_decay")
        self.runs = Runs(out / f"{name}.json", about, KEY, MEASURED)

    def run(self, entrant: str, rate: float, seed: int, gain: float | str | None = None) -> dict:
        """Train an entrant, and return its row; a gain may be ``"potential 1"``, what the rule of docs/plan.md says."""
        gain = self.setting.gain if gain is None else gain
        return self.runs.run(lambda: self.train(entrant, rate, gain, seed), entrant, rate, gain, seed)

    def train(self, entrant, rate, gain, seed):
        """Train an entrant."""
        layers = self.setting.layers
        gains = [gain] * layers if not isinstance(gain, str) else self.by_potential(float(gain.split()[-1]), seed)
        return train(self.setting, ENTRANTS[entrant].surrogate, rate, tuple(gains), seed, self.parts(seed))

    def parts(self, seed):
        """Return the data of a seed."""
        parts = self.setting.parts(seed)
        return [tuple(values[:200] for values in part) for part in parts] if self.quick else parts

    def by_potential(self, target, seed) -> list[float]:
        """Return gains with which each layer's potential in the first batch has a deviation of so many thresholds.

        Layer by layer, as the gain of one decides the inputs of the next.
        """
        xs = self.setting.show(self.parts(seed)[0][0][: self.setting.batch])
        key, gains = jax.random.split(jax.random.key(seed))[0], [1.0] * self.setting.layers
        for layer in range(self.setting.layers):
            for _ in range(3):  # spikes reset the potential, so that it is not proportional to the gain
                net = with_gains(self.setting.network(key, [bs.Arctan()] * self.setting.layers, 1.0), gains)
                net.eval()
                report = diagnose(net, lambda net: net(net.initialize_carry(xs.shape[1:]), xs)[1].sum())
                x = list(report.values())[layer]  # potential minus threshold
                gains[layer] *= target / max(np.sqrt(x.rms**2 - x.membrane**2), 1e-3)
        return gains

    def best_rate(self, entrant) -> float:
        """Choose the rate of an entrant by validation; where it lies on an edge, a step outside is tried, twice."""
        rates = list(RATES)
        for _ in range(3):
            scores = {rate: self.run(entrant, rate, CHOOSING)["validation"] for rate in rates}
            best = max(scores, key=lambda rate: (scores[rate], -rate))
            if best not in (rates[0], rates[-1]) or self.quick:
                break
            rates = [rounded(best / 3), *rates] if best == rates[0] else [*rates, rounded(best * 3)]
        return best

    @cached_property
    def own_rate(self) -> float:
        """The setting's own rate: the one with the best mean validation over all entrants."""
        means = {r: np.mean([self.run(name, r, CHOOSING)["validation"] for name in ENTRANTS]) for r in RATES}
        return max(means, key=means.get)


def compare(trials: Trials):
    """Choose the rate of every entrant, and train it from all seeds at that and at the setting's own rate."""
    best = {name: trials.best_rate(name) for name in ENTRANTS}
    for name, of_its_own in best.items():
        for rate, seed in itertools.product(dict.fromkeys((of_its_own, trials.own_rate)), SEEDS):
            trials.run(name, rate, seed)
    chosen = {"best": best, "own": trials.own_rate, "seeds": list(SEEDS)}
    trials.runs.finish("compare", entrants=list(ENTRANTS), rates=RATES, choosing=CHOOSING, **chosen)


def explore(trials: Trials):
    """Train four entrants at every gain and rate, and at the gains of the rule."""
    gains = (*GAINS, *(f"potential {target:g}" for target in POTENTIALS))
    for name, gain, rate in itertools.product(WORKING_REGION, gains, RATES):
        trials.run(name, rate, CHOOSING, gain)
    trials.runs.finish("explore", entrants=WORKING_REGION, gains=gains, rates=RATES, choosing=CHOOSING)


def main(argv=None):
    """Go through the settings."""
    args = arguments("studies.comparison", __doc__, argv, quick="one epoch of 200 examples", settings=settings.NEEDS)
    for name in args.settings:
        trials = Trials(name, args.out, args.fashion, args.speech, args.quick)
        compare(trials)
        if name == "deep":
            explore(trials)


if __name__ == "__main__":
    main()
