"""The family compared: which shape, width and rate suit each setting, and which single call needs no tuning.

PLAN.md, beside this file, says what is chosen how and what is reported; it was committed before the runs.
``python -m benchmarks.studies.family`` goes through all settings, or those that are named, and adds to one file each
what that file does not have yet. Several processes may work on different settings at once.
"""

import argparse
import itertools
import math
from functools import cached_property, partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from tqdm import tqdm

from brainsurr.nnx import SpikingActivation, bounds, calibrate
from brainsurr.optim import project

from ..lib import results
from ..lib.runs import Runs, rows
from ..lib.training import last_layers, neurons, train_and_test
from . import settings
from .shapes import SHAPES, WIDTHS, Call, calls

FACTORS = (1 / 3, 1.0, 3.0)  # of a setting's own rate
DEFAULT_WIDTH = 0.5
PILOTS = (Call("Arctan", None, 0.5), Call("GaussianGrad", None, 0.5), Call("S2NN", None, 0.5))
PILOTS += (Call("LogTailedRelu", 0.1, 0.5),)
CHOOSING, SEEDS = (1000, 1001, 1002), tuple(range(10))
KEPT = 4  # points of a shape's grid that get all choosing seeds
KEY, MEASURED = ("call", "rate", "gain", "seed"), ("validation", "test", "loss", "firing", "width")
CALIBRATED = {"calibrated k=0.5": 0.5, "calibrated k=1": 1.0}
TRAINED = ("trained width", "trained log width")
SHORTLIST = 8
ALWAYS = (Call("LogTailedRelu", 0.01, 1.0),)  # LogTailedRelu(0.01), the default of the layers when this was planned
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
    batch = min(setting.batch, len(parts[0][1]))
    steps = setting.epochs * (len(parts[0][1]) // batch)
    tx = optimizer(net, optax.cosine_decay_schedule(rate, steps), setting.weight_decay, trained)
    net, measured = train_and_test(
        net, setting.logits, keys[1], parts, epochs=setting.epochs, batch=batch, optimizer=tx
    )
    _, spikes = last_layers(net, setting.show(parts[2][0]))
    widths = [layer.spike_fn.surrogate.width if trained else jnp.nan for layer in neurons(net)]
    return measured | {"firing": jnp.stack([s.mean() for s in spikes]).mean(), "width": jnp.stack(widths).mean()}


def optimizer(net, schedule, weight_decay, trained):
    """Make AdamW with clipped gradients; a trained width has no weight decay, and may move in its logarithm."""

    def label(path, _):
        return "width" if "width" in jax.tree_util.keystr(path) else "weights"

    def labels(params):
        return jax.tree_util.tree_map_with_path(label, params)

    weights = optax.adamw(schedule, weight_decay=weight_decay)
    if not trained:
        return optax.chain(optax.clip_by_global_norm(1.0), weights)
    width = in_logarithm(optax.adam(schedule)) if trained == "trained log width" else optax.adam(schedule)
    by_label = optax.partition({"weights": weights, "width": width}, labels)
    return optax.chain(optax.clip_by_global_norm(1.0), by_label, project(bounds(net)))


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
      recordings: the file of spoken digits.
      quick: few steps, to see that it runs.
    """

    def __init__(self, name: str, out: Path, recordings: Path | None = None, quick: bool = False):
        self.setting = settings.setting(name, recordings)
        if quick:
            self.setting = self.setting._replace(epochs=2, gains=self.setting.gains[:2])
        kept = ("about", "layers", "gains", "rate", "epochs", "batch", "weight_decay")
        about = {name: getattr(self.setting, name) for name in kept}
        self.runs = Runs(out / f"{name}.json", about, KEY, MEASURED)
        self.bar = tqdm(desc=name, unit="run")
        self._parts: dict[int, list] = {}

    def run(self, call: Call | str, rate: float, gain: float, seed: int) -> dict:
        """Train with a call at so many times the setting's rate, and return its row."""
        self.bar.set_postfix_str(f"{call}, rate x {rate:.2g}")
        self.bar.update()
        return self.runs.run(lambda: self.train(call, rate, gain, seed), str(call), rate, gain, seed)

    def train(self, call, rate, gain, seed):
        """Train with a call, or with a word before it that says how its widths are set."""
        how, _, base = call.partition(": ") if isinstance(call, str) else (None, None, None)
        surrogate = (next(c for c in ADAPTED if str(c) == base) if how else call).surrogate
        parts, surrogates = self.parts(seed), [surrogate] * self.setting.layers
        if how in CALIBRATED:
            surrogates = self.calibrated(surrogates, gain, seed, CALIBRATED[how] * surrogate.width / DEFAULT_WIDTH)
        rate = rate * self.setting.rate
        return train(self.setting, how if how in TRAINED else None, surrogates, rate, gain, seed, parts)

    def calibrated(self, surrogates, gain, seed, k):
        """Fit the width of each layer to the first batch, before training."""
        net = self.setting.network(jax.random.split(jax.random.key(seed))[0], surrogates, gain)
        net.eval()
        xs = self.setting.show(self.parts(seed)[0][0][: self.setting.batch])
        calibrate(net, lambda net: net(net.initialize_carry(xs.shape[1:]), xs)[1], k=k)
        return [layer.spike_fn.surrogate for layer in neurons(net)]

    def parts(self, seed):
        """Return the data of a seed."""
        if seed not in self._parts:
            self._parts[seed] = [tuple(map(jnp.asarray, part)) for part in self.setting.data(seed)]
        return self._parts[seed]

    def validated(self, call, rate, gain, seeds) -> float:
        """Return the mean accuracy on the validation examples."""
        return float(np.mean([self.run(call, rate, gain, seed)["validation"] for seed in seeds]))

    @cached_property
    def gain(self) -> float:
        """The gain of the setting: the best on average over a few surrogates."""
        gains = self.setting.gains
        if len(gains) == 1:
            return gains[0]
        means = [np.mean([self.validated(call, 1.0, gain, CHOOSING[:1]) for call in PILOTS]) for gain in gains]
        return gains[int(np.argmax(means))]

    def tuned(self, shape: str) -> tuple[Call, float]:
        """Choose call and rate of a shape; a rate is a factor of the setting's own."""
        gain = self.gain
        grid = list(itertools.product(calls(shape), FACTORS))
        first = {point: self.validated(*point, gain, CHOOSING[:1]) for point in grid}
        kept = sorted(grid, key=partial(preference, first))[:KEPT]
        scores = {point: self.validated(*point, gain, CHOOSING) for point in kept}
        best = min(scores, key=partial(preference, scores))
        for point in beyond(*best):
            scores[point] = self.validated(*point, gain, CHOOSING)
        return min(scores, key=partial(preference, scores))

    def close(self):
        """Close the progress bar."""
        self.bar.close()


def preference(scores, point):
    """Sort key of a point: by accuracy, and by its distance to the default where two are equal."""
    call, rate = point
    width = 0.0 if call.width is None else abs(math.log(call.width / DEFAULT_WIDTH))
    return (-round(scores[point], 6), width + abs(math.log(rate)), str(call))


def beyond(call, rate):
    """Yield the points one step outside of the grid, where a point lies on its edge."""
    if call.width == WIDTHS[0]:
        yield call._replace(width=call.width / 2), rate
    if call.width == WIDTHS[-1]:
        yield call._replace(width=call.width * 2), rate
    if rate == FACTORS[0]:
        yield call, rate / 3
    if rate == FACTORS[-1]:
        yield call, rate * 3


def parse(argv=None):
    """The arguments, or an error of one line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studies.family", description=__doc__.splitlines()[0])
    parser.add_argument("settings", nargs="*", metavar="SETTING", help=f"{', '.join(settings.names())} (default: all)")
    parser.add_argument("--speech", type=Path, metavar="FILE", help="free_spoken_digits.npz, for the setting speech")
    parser.add_argument("--quick", action="store_true", help="two shapes and two epochs, to see that it runs")
    parser.add_argument("--stage", choices=("tune", "calls"), help="tune every shape, or compare single calls")
    results.add_out(parser, "family")
    args = parser.parse_args(argv)
    for name in args.settings:
        if name not in settings.names():
            parser.error(f"{name!r} is not one of {', '.join(settings.names())}")
    args.settings = args.settings or [n for n in settings.names() if n != "speech" or args.speech]
    if "speech" in args.settings and not args.speech:
        parser.error("speech needs its recordings: --speech free_spoken_digits.npz")
    results.try_out(parser, args.out)
    return args


def shortlist(out: Path) -> list[Call]:
    """Choose the calls that all settings try without tuning: those of the grid with the smallest worst regret.

    Regret is how far a call, at the setting's own rate, is behind the best call in a setting, by the validation
    accuracy of the first choosing seed. Two calls of a shape at most, two of LogTailedRelu, and the layers' default.

    Raises:
      SystemExit: a setting of the folder has no grid yet.
    """
    behind: dict[str, list[float]] = {}
    for path in sorted(out.glob("*.json")):
        scores = grid_scores(path)
        for call in map(str, itertools.chain.from_iterable(map(calls, SHAPES))):
            if call not in scores:
                raise SystemExit(f"{path} has no run of {call} yet: first --stage tune, for every setting")
            behind.setdefault(call, []).append(max(scores.values()) - scores[call])
    ordered = sorted(itertools.chain.from_iterable(map(calls, SHAPES)), key=lambda call: max(behind[str(call)]))
    chosen: list[Call] = []
    for call in ordered:
        of_shape = sum(call.shape == other.shape for other in chosen)
        if of_shape < 2 and (len(chosen) < SHORTLIST or call.shape == "LogTailedRelu"):
            chosen.append(call)
    return chosen + [call for call in ALWAYS if call not in chosen]


def grid_scores(path: Path) -> dict[str, float]:
    """Return the validation accuracy of each call at the setting's own rate, from the first choosing seed."""
    gains = {row["gain"] for row in rows(path) if row["seed"] in SEEDS}
    return {
        row["call"]: row["validation"]
        for row in rows(path)
        if row["rate"] == 1.0 and row["seed"] == CHOOSING[0] and row["gain"] in gains
    }


def tune(trials: Trials, shapes):
    """Tune every shape, and train it from all seeds."""
    for shape in shapes:
        call, rate = trials.tuned(shape)
        for seed in SEEDS:
            trials.run(call, rate, trials.gain, seed)


def try_calls(trials: Trials, chosen: list[Call]):
    """Train single calls from all seeds at one rate, and at the best of the three; and calls with an adapted width."""
    for call in chosen:
        first = {rate: trials.validated(call, rate, trials.gain, CHOOSING[:1]) for rate in FACTORS}
        for rate in dict.fromkeys([1.0, max(FACTORS, key=lambda rate: (first[rate], rate == 1.0))]):
            for seed in SEEDS:
                trials.run(call, rate, trials.gain, seed)
    for how, call in itertools.product((*CALIBRATED, *TRAINED), ADAPTED):
        for seed in SEEDS:
            trials.run(f"{how}: {call}", 1.0, trials.gain, seed)


def main(argv=None):
    """Go through the settings; then, with all grids there, through the single calls."""
    args = parse(argv)
    shapes = list(SHAPES)[:2] if args.quick else list(SHAPES)
    for stage in (args.stage,) if args.stage else ("tune", "calls"):
        for name in args.settings:
            trials = Trials(name, args.out, args.speech, args.quick)
            if stage == "tune":
                tune(trials, shapes)
            else:
                try_calls(trials, list(ADAPTED[:1]) if args.quick else shortlist(args.out))
            trials.close()


if __name__ == "__main__":
    main()
