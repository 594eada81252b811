"""Causes: how far potentials are from the threshold, what slopes they meet there, and a width that follows them.

``python -m benchmarks.studies.causes --fashion FOLDER``. Data, networks and training are those of the comparison, with
the four surrogates that have most seeds, at each of its rates. A row has, for each epoch and layer, how ``far``
potentials are from the threshold on average, as a root mean square, and which share of slopes is ``flat``, below a
thousandth of the peak. The width is that of the surrogate, or that many times as much as they are far: set before the
first epoch and after each, for each layer.
"""

import itertools
from functools import partial

import jax
import jax.numpy as jnp

from brainsurr.nnx import LIF, SpikingActivation, SpikingSequential

from ..lib.study import Runs, arguments
from ..lib.training import evaluated, neurons, train_network, with_gains
from . import settings
from .comparison import Grid
from .entrants import ENTRANTS, FOUR

KEY = ("entrant", "width", "rate", "seed")
MEASURED = ("validation", "loss", "far", "flat", "seconds", "cpu_seconds")
SETTINGS = {"counts": "", "deep": "fashion"}
WIDTHS, FLAT = ("fixed", "follows"), 1e-3
QUICK = Grid(FOUR[:1], (1e-3,), choosing=(1000,))


def potentials(net, xs):
    """Return the distance of the potential to the threshold, 1, of each LIF layer, ``[time, batch, ...]``."""
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
    """Return the share of slopes below a thousandth of the peak, those of NaN among them."""
    peak = surrogate.surrogate_grad(jnp.linspace(-5, 5, 10_001) * surrogate.width).max()
    return 1 - (surrogate.surrogate_grad(distance) >= FLAT * peak).mean()


@partial(jax.jit, static_argnames=("setting", "surrogate"))
def train(setting, surrogate, rate, follows, seed, parts):
    """Train a network, whose widths follow or not; return what `MEASURED` names."""
    scaled, keys = surrogate.scaled(width=jnp.ones(())), jax.random.split(jax.random.key(seed))
    net = setting.network(keys[0], [SpikingActivation(scaled) for _ in range(setting.layers)])
    xs = setting.show(parts[0][0][:500])

    def look(net):
        each = [(layer.spike_fn, x) for layer, x in zip(neurons(net), potentials(net, xs), strict=True)]
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
    """Go through the settings."""
    quick = "one epoch of 200 examples, one configuration and rate"
    args = arguments("studies.causes", __doc__, argv, quick=quick, settings=SETTINGS)
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


if __name__ == "__main__":
    main()
