"""Causes: the distances of potentials from the threshold, the surrogate gradients there, and a width that follows them.

``python -m benchmarks.studies.causes --fashion FOLDER``. Data, networks and training are those of the comparison, with
four surrogates, at each of its learning rates. For each epoch and layer, a row has ``far``, the root mean square of the
potentials' distance from the threshold, and ``flat``, the fraction of surrogate gradients below a thousandth of the
peak. The width is either that of the surrogate, or a multiple of ``far``, set for each layer before the first epoch and
after each epoch.
"""

import itertools
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from brainsurr.nnx import LIF, SpikingActivation, SpikingSequential

from ..lib.report import table
from ..lib.study import Runs, arguments, finished, of_seeds, provenance, rows
from ..lib.training import evaluated, train_network, with_gains
from . import settings
from .comparison import Grid
from .entrants import ENTRANTS, FOUR
from .regret import score

KEY = ("entrant", "width", "rate", "seed")
MEASURED = ("validation", "loss", "far", "flat", "seconds", "cpu_seconds")
SETTINGS = {"counts": "", "deep": "fashion"}
WIDTHS, FLAT = ("fixed", "follows"), 1e-3
QUICK = Grid(FOUR[:1], (1e-3,), choosing=(1000,))
FAILS = 5.0  # percentage points, from docs/appendix/plan.md


def potentials(net, xs):
    """Return the distance of the potential from the threshold, 1, in each LIF layer, ``[time, batch, ...]``."""
    found = []
    for layer in net.layers:
        if isinstance(layer, LIF):

            def step(v, x, neuron=layer.neuron):
                v, s = neuron.step(v, x)
                return v, (s, v + s - 1)

            _, (xs, distance) = jax.lax.scan(step, jnp.zeros_like(xs[0]), xs)
            found.append(distance)
        else:
            alone = SpikingSequential([layer])
            xs = alone(alone.initialize_carry(xs.shape[1:]), xs)[1]
    return found


def flat(surrogate, distance):
    """Return the fraction of surrogate gradients below a thousandth of the peak, including NaN."""
    peak = surrogate.surrogate_grad(jnp.linspace(-5, 5, 10_001) * surrogate.width).max()
    return (~(surrogate.surrogate_grad(distance) >= FLAT * peak)).mean()


@partial(jax.jit, static_argnames=("setting", "surrogate"))
def train(setting, surrogate, rate, follows, seed, parts):
    """Train a network, with widths that follow the potentials or not; return the values that `MEASURED` names."""
    scaled, keys = surrogate.scaled(width=jnp.ones(())), jax.random.split(jax.random.key(seed))
    net = setting.network(keys[0], [SpikingActivation(scaled) for _ in range(setting.layers)])
    xs = setting.show(parts[0][0][:500])

    def look(net):
        neurons = [layer for layer in net.layers if isinstance(layer, LIF)]
        each = [(layer.spike_fn, x) for layer, x in zip(neurons, potentials(net, xs), strict=True)]
        far = [jnp.sqrt(jnp.square(x).mean()) for _, x in each]
        told = {"far": jnp.stack(far), "flat": jnp.stack([flat(fn.surrogate, x) for fn, x in each])}
        for (fn, _), width in zip(each, far, strict=True):
            fn.width[...] = scaled.width * jnp.where(follows, width, 1.0)
        return told

    net = with_gains(net, [setting.gain] * setting.layers)
    look(net)
    batch, steps = setting.batches(parts)
    how = {"epochs": setting.epochs, "batch": batch, "loss": setting.loss, "after": look}
    how["optimizer"] = setting.optimizer(rate, steps, setting.weight_decay)
    net, losses, told = train_network(net, setting.outputs, keys[1], *parts[0], **how)
    net.eval()
    (xs_held, targets) = parts[1]
    return told | {"loss": losses[-1], "validation": setting.score(evaluated(net, setting.outputs, xs_held), targets)}


def main(argv=None):
    """Run all settings."""
    args = arguments("studies.causes", __doc__, argv, quick="one epoch, 200 examples", settings=SETTINGS)
    for name in args.settings:
        made, of = settings.setting(name, getattr(args, SETTINGS[name], None)), Grid(FOUR)
        if args.quick:
            made, of = made._replace(epochs=1), QUICK
        runs = Runs(args.out / f"{name}.json", {"about": made.about, "epochs": made.epochs}, KEY, MEASURED)
        for seed in of.choosing:
            parts = [tuple(xs[: 200 if args.quick else None] for xs in part) for part in made.parts(seed)]
            for entrant, rate, width in itertools.product(of.entrants, of.rates, WIDTHS):
                run = partial(train, made, ENTRANTS[entrant], rate, width == "follows", seed, parts)
                runs.run(run, entrant, width, rate, seed)
        runs.finish("causes", entrants=of.entrants, rates=of.rates, choosing=of.choosing)
        jax.clear_caches()


# The report


class Cause(NamedTuple):
    """A setting: means over seeds, epochs and layers, for each pair of a surrogate and a learning rate, in order.

    Attributes:
      fixed: validation score in per cent with a fixed width.
      follows: the same with a width that follows.
      flat: the fraction of surrogate gradients that are almost 0, with the fixed width.
      far: distances from the threshold, with the fixed width.
    """

    fixed: np.ndarray
    follows: np.ndarray
    flat: np.ndarray
    far: np.ndarray

    def verdict(self) -> tuple[float, float, float]:
        """Return the rank correlation, the gain from following if a fixed width fails, and the loss otherwise."""
        more, fails = self.follows - self.fixed, self.fixed < self.fixed.max() - FAILS
        gain = more[fails].mean() if fails.any() else 0.0
        return stats.spearmanr(self.flat, self.fixed).statistic, gain, -more[~fails].mean()


def load(folder: Path) -> dict[str, Cause]:
    """Read the finished settings."""
    paths = {name: folder / f"{name}.json" for name in SETTINGS}
    return {name: _cause(path) for name, path in paths.items() if finished(path, "causes")}


def _cause(path):
    pairs = list(itertools.product(FOUR, Grid().rates))
    runs = of_seeds(rows(path), Grid().choosing, "width", "entrant", "rate")

    def of(width, what):
        return np.array([runs[width, *pair][what] for pair in pairs])

    fixed, follows = (score(of(width, "validation")).mean(1) for width in WIDTHS)
    flat, far = (of("fixed", what).mean((1, 2, 3)) for what in ("flat", "far"))
    return Cause(fixed, follows, flat, far)


def section(folder: Path) -> str:
    """Make the tables of docs/appendix/studies.md: a row for each setting, configuration and rate, and the verdicts."""
    causes = load(folder)
    lines = []
    for name, cause in causes.items():
        numbers = np.stack([cause.fixed, cause.follows, 100 * cause.flat, cause.far], 1)
        for (entrant, rate), of in zip(itertools.product(FOUR, Grid().rates), numbers, strict=True):
            lines.append((f"*{name}*, `bs.{entrant}`, {rate:g}", *(f"{x:z.1f}" for x in of)))
    header = "task, surrogate, learning rate", "fixed width, %", "adaptive width, %", "flat slopes, %", "distance"
    verdicts = [(name, *(f"{x:z.2f}" for x in cause.verdict())) for name, cause in causes.items()]
    head = "task", "rank correlation", "gain where the fixed width fails (points)", "loss elsewhere (points)"
    ran = provenance(*(folder / f"{name}.json" for name in causes))
    return "\n\n".join([table(header, lines), table(head, verdicts), f"{ran}."])


if __name__ == "__main__":
    main()
