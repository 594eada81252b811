"""The family compared: which shape, width and rate suit each setting, and which single call needs no tuning.

``docs/plan.md`` says how everything is chosen and what is reported; it was committed before the runs, and amended
before those of 16 layers were made anew.
``python -m benchmarks.studies.family`` goes through all settings, or those that are named, and adds to one file each
what that file does not have yet. Several processes may work on different settings at once.
"""

import itertools
from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

import brainsurr as bs
from brainsurr.nnx import SpikingActivation, bounds, diagnose
from brainsurr.optim import project

from ..lib.study import Runs, arguments
from ..lib.training import firing_rate, neurons, partitioned, train_and_test
from . import settings
from .choice import DEFAULT_WIDTH, GRID, Grid, best_factor, choose, common, recorded, shortlist, together
from .shapes import SHAPES, Call

PILOTS = (Call("Arctan", None, 0.5), Call("GaussianGrad", None, 0.5), Call("S2NN", None, 0.5))
PILOTS += (Call("LogTailedRelu", 0.1, 0.5),)
KEY, MEASURED = ("call", "rate", "gain", "seed"), ("validation", "test", "loss", "firing", "width")
CALIBRATED = {"calibrated k=0.5": 0.5, "calibrated k=1": 1.0}
TRAINED = ("trained width", "trained log width")
STAGES = ("tune", "calls", "adapt")
ADAPTED = (Call("Arctan", None, 0.5), Call("S2NN", None, 0.5), Call("LogTailedRelu", 0.1, 0.5))


@partial(jax.jit, static_argnames=("setting", "trained"))
def train(setting, trained, surrogates, rate, gain, seed, parts):
    """Train a network with a surrogate for each layer; return what is reported of it.

    Args:
      setting: from `settings`.
      trained: which of `TRAINED` is done with the widths, or None.
      surrogates: one for each spiking layer.
      rate: at the start.
      gain: of the weights.
      seed: of weights, order and noise.
      parts: inputs and labels for training, validation and test.
    """
    keys = jax.random.split(jax.random.key(seed))
    spike_fns = [SpikingActivation(f, learnable="width") for f in surrogates] if trained else surrogates
    net = setting.network(keys[0], spike_fns, gain)
    batch, steps = setting.batches(parts)
    tx = optimizer(net, optax.cosine_decay_schedule(rate, steps), setting.weight_decay, trained)
    how = {"epochs": setting.epochs, "batch": batch, "optimizer": tx}
    net, measured = train_and_test(net, setting.logits, keys[1], parts, **how)
    firing = firing_rate(net, setting.show(parts[2][0]))
    widths = [jnp.asarray(layer.spike_fn.surrogate.width) for layer in neurons(net)]
    return measured | {"firing": firing, "width": jnp.stack(widths).mean()}


def optimizer(net, schedule, weight_decay, trained):
    """Make AdamW with clipped gradients; a trained width has no weight decay, and may move in its logarithm."""
    clipped, weights = optax.clip_by_global_norm(1.0), optax.adamw(schedule, weight_decay=weight_decay)
    if not trained:
        return optax.chain(clipped, weights)
    width = in_logarithm(optax.adam(schedule)) if trained == "trained log width" else optax.adam(schedule)
    return optax.chain(clipped, partitioned("width", width, weights), project(bounds(net)))


def in_logarithm(inner: optax.GradientTransformation) -> optax.GradientTransformation:
    """Optimise positive parameters in their logarithm: the update of log p is the inner one's."""

    def update(grads, state, params):
        updates, state = inner.update(jax.tree.map(jnp.multiply, grads, params), state, params)
        return jax.tree.map(lambda u, p: p * jnp.expm1(u), updates, params), state

    return optax.GradientTransformation(inner.init, update)


class Trials:
    """The runs of one setting, each of them made once.

    Args:
      name: of the setting.
      out: the folder of its file.
      recordings: the file of spoken digits, for the setting of these.
      quick: few steps, to see that it runs.
    """

    def __init__(self, name: str, out: Path, recordings: Path | None = None, quick: bool = False):
        self.setting = settings.setting(name, recordings if name == "speech" else None)
        if quick:
            self.setting = self.setting._replace(epochs=2, gains=self.setting.gains[:2])
        about = self.setting.written("about", "layers", "gains", "rate", "epochs", "batch", "weight_decay")
        self.runs = Runs(out / f"{name}.json", about, KEY, MEASURED)
        self._parts: dict[int, list] = {}
        self._rms: dict[tuple[float, int], list[float]] = {}

    def run(self, call: Call | str, factor: float, gain: float, seed: int) -> dict:
        """Train with a call at so many times the setting's rate, and return its row."""
        return self.runs.run(lambda: self.train(call, factor, gain, seed), str(call), factor, gain, seed)

    def train(self, call, factor, gain, seed):
        """Train with a call, or with a word before it that says how its widths are set."""
        how, _, base = call.partition(": ") if isinstance(call, str) else (None, None, None)
        surrogates = [(Call.parse(base) if how else call).surrogate] * self.setting.layers
        if how in CALIBRATED:
            widths = (CALIBRATED[how] / DEFAULT_WIDTH * rms for rms in self.rms(gain, seed))
            surrogates = [f.replace(width=jnp.asarray(f.width * w)) for f, w in zip(surrogates, widths, strict=True)]
        rate = factor * self.setting.rate
        return train(self.setting, how if how in TRAINED else None, surrogates, rate, gain, seed, self.parts(seed))

    def rms(self, gain, seed) -> list[float]:
        """Return how large membrane minus threshold is in each layer on the first batch, which no surrogate changes."""
        if (gain, seed) not in self._rms:
            key, any_will_do = jax.random.split(jax.random.key(seed))[0], [bs.Arctan()] * self.setting.layers
            net = self.setting.network(key, any_will_do, gain)
            net.eval()
            xs = self.setting.show(self.parts(seed)[0][0][: self.setting.batch])
            report = diagnose(net, lambda net: net(net.initialize_carry(xs.shape[1:]), xs)[1].sum())
            self._rms[gain, seed] = [layer.rms for layer in report.values()]
        return self._rms[gain, seed]

    def parts(self, seed):
        """Return the data of a seed."""
        if seed not in self._parts:
            self._parts[seed] = self.setting.parts(seed)
        return self._parts[seed]

    def validated(self, call, factor, gain, seeds) -> float:
        """Return the mean accuracy on the validation examples."""
        return float(np.mean([self.run(call, factor, gain, seed)["validation"] for seed in seeds]))

    def score(self, call, factor, seeds) -> float:
        """Return the mean accuracy on the validation examples at the setting's gain."""
        return self.validated(call, factor, self.gain, seeds)

    @cached_property
    def gain(self) -> float:
        """The gain of the setting: the best on average over a few surrogates."""
        gains = self.setting.gains
        if len(gains) == 1:
            return gains[0]
        means = [np.mean([self.validated(call, 1.0, gain, GRID.choosing[:1]) for call in PILOTS]) for gain in gains]
        return gains[int(np.argmax(means))]


def tune(trials: Trials, shapes):
    """Tune every shape, and train it from all seeds."""
    for shape in shapes:
        call, factor = choose(shape, trials.score, GRID)
        for seed in GRID.seeds:
            trials.run(call, factor, trials.gain, seed)
    trials.runs.finish("tune", gain=trials.gain, shapes=shapes, **GRID._asdict())


def try_calls(trials: Trials, chosen: list[Call]):
    """Train single calls from all seeds at one rate, and at the best of the three."""
    for call in chosen:
        for factor in dict.fromkeys([1.0, best_factor(call, trials.score, GRID)]):
            for seed in GRID.seeds:
                trials.run(call, factor, trials.gain, seed)
    trials.runs.finish("calls", calls=list(map(str, chosen)))


def adapt(trials: Trials, adapted: Sequence[Call]):
    """Train calls with a calibrated and with a trained width from all seeds."""
    for how, call in itertools.product((*CALIBRATED, *TRAINED), adapted):
        for seed in GRID.seeds:
            trials.run(f"{how}: {call}", 1.0, trials.gain, seed)


def main(argv=None):
    """Go through the settings; then, with all grids there, through the single calls."""

    def extend(parser):
        parser.add_argument("--stage", choices=STAGES, help="tune every shape, compare configurations, or adapt widths")

    quick = "two shapes and two epochs"
    args = arguments("studies.family", __doc__, argv, quick=quick, settings=settings.names(), extend=extend)
    shapes = list(SHAPES)[:2] if args.quick else list(SHAPES)
    for stage in (args.stage,) if args.stage else STAGES:
        chosen = list(ADAPTED[:1])
        if stage == "calls" and not args.quick:
            paths, tuned = together(sorted(args.out.glob("*.json")))
            chosen = shortlist(list(map(recorded, paths)), tuned, common(list(map(Grid.of, paths))))
        for name in args.settings:
            trials = Trials(name, args.out, args.speech, args.quick)
            if stage == "tune":
                tune(trials, shapes)
            elif stage == "calls":
                try_calls(trials, chosen)
            else:
                adapt(trials, ADAPTED[: 2 if args.quick else None])


if __name__ == "__main__":
    main()
