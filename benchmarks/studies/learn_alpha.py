"""Learning alpha: fixed, scheduled and learned alphas of LogTailedRelu from several starts, on three tasks.

The target: an alpha learned from 0.1 ends within half a point of the best fixed alpha. Rules are in `alpha_rules`.
Randman is not trained to the end here: the study is from the first edition.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp

import brainsurr as bs

from ..digits import task as digits_task
from ..lib.study import Study, arguments
from ..lib.training import map_grid, neurons, train_and_test
from . import randman, sequences, settings, speech
from .alpha_rules import BOUNDS, DECAY, INNER, RULES, optimizer

FIXED, STARTS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5), (0.01, 0.1, 0.5)
REDUCTIONS = {"mean": jnp.mean, "min": jnp.min, "max": jnp.max}


class Task(NamedTuple):
    """A task: the data of a seed, the network, how its inputs are shown, and how it is trained."""

    data: Callable
    network: Callable
    show: Callable
    logits: Callable
    epochs: int
    batch: int
    rate: float


def tasks(recordings=None):
    """Return the tasks by name; speech needs its recordings. Randman's first weights are times 3, digits' times 2."""

    def layered(sizes, gain, first_gain):
        def network(key, surrogate):
            return settings.feedforward(key, [surrogate] * (len(sizes) - 2), gain, sizes, first_gain)

        return network

    always = {
        "randman": Task(
            data=randman.sample,
            network=layered((randman.UNITS, randman.HIDDEN, randman.CLASSES), 1.0, 3.0),
            show=randman.show,
            logits=settings.mean_potential(randman.show),
            epochs=20,
            batch=125,
            rate=5e-3,
        ),
        "digits": Task(
            data=settings.digits,
            network=layered((64, 128, 128, 10), 2.0, 2.0),
            show=digits_task.still,
            logits=settings.mean_potential(digits_task.still),
            epochs=20,
            batch=128,
            rate=3e-3,
        ),
    }
    return always | ({"speech": speech_task(recordings)} if recordings else {})


def speech_task(recordings):
    """Make the task of `speech`, trained for half as many epochs."""
    features, digit, _, take = speech.load(recordings)
    parts, recipe = speech.parts(features, digit, take), speech.RECIPE
    return Task(
        data=lambda seed: parts,
        network=lambda key, surrogate: sequences.lif(key, features.shape[1:], recipe, surrogate),
        show=sequences.show,
        logits=sequences.logits(recipe),
        epochs=10,
        batch=recipe.batch,
        rate=6e-3,
    )


def train_rule(task, rule, starts, seeds):
    """Train with one rule from each start and seed: accuracies and the final alphas ``[starts, seeds]``."""
    data = jax.tree.map(lambda *of_seeds: jnp.stack(list(map(jnp.asarray, of_seeds))), *map(task.data, seeds))
    steps = task.epochs * (data[0][1].shape[1] // task.batch)

    def train_one(start, index, data):
        parts = jax.tree.map(lambda of_seeds: of_seeds[index], data)
        keys = jax.random.split(jax.random.key(jnp.asarray(seeds)[index]))
        net = task.network(keys[0], bs.LogTailedRelu())
        for layer in neurons(net):
            layer.spike_fn = rule.spike_fn(start, layer.features)
        tx = optimizer(net, rule, start, task.rate, steps)
        adapt = rule.adapt and partial(rule.adapt, start=start, task=task, rate=task.rate)
        net, measured = train_and_test(
            net, task.logits, keys[1], parts, epochs=task.epochs, batch=task.batch, optimizer=tx, adapt=adapt
        )
        alphas = [jnp.asarray(layer.spike_fn.surrogate.alpha) for layer in neurons(net)]
        return measured | {"alpha": {n: jnp.stack([reduce(a) for a in alphas]) for n, reduce in REDUCTIONS.items()}}

    outcome = map_grid(train_one, starts, range(len(seeds)), data=(data,))
    how = f"adam {task.rate}, {task.epochs} epochs, batch {task.batch}"
    return {"optimiser": how, **outcome}


def main(argv=None):
    """Train with every rule from every start on every task."""

    def extend(parser):
        parser.add_argument("--speech", type=Path, metavar="FILE", help="free_spoken_digits.npz, for the third task")

    args = arguments("studies.learn_alpha", __doc__, 10, argv, extend)
    rules, by_name = RULES, tasks(args.speech)
    if args.quick:
        rules = {name: RULES[name] for name in ("fixed", "3 steps, then 0", "learned, projected", "hypergradient")}
        by_name = {"digits": by_name["digits"]._replace(epochs=2)}
    about = {
        "alpha_rules": {"bounds": BOUNDS, "decay": DECAY, "inner_step": INNER},
        "seeds": list(range(args.seeds)),
    }
    study = Study("learn_alpha", about, args.out, total=len(rules) * len(by_name))
    for name, task in by_name.items():
        for rule_name, rule in rules.items():
            starts = FIXED if rule_name == "fixed" else STARTS
            train = partial(train_rule, task, rule, starts, about["seeds"])
            study.record(f"{name}, {rule_name}", train, starts=starts)
    study.finish()


if __name__ == "__main__":
    main()
