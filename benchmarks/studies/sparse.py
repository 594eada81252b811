"""Sparse: accuracy against firing rate, with a penalty on how much the hidden layers fire.

Zenke & Vogels 2021 find that spiking networks keep their accuracy down to low rates; Aliyev & Adegbija 2024
("Fine-tuning surrogate gradient learning for optimal hardware performance in spiking neural networks") that with the
fast sigmoid, here SoftSign, networks fire less than with the arctangent at equal accuracy. Each call has a peak of 1
and the same half-width; the penalty is its strength times the mean rate of the hidden layers. Settings are those of
`family`.
"""

import argparse
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import optax
from tqdm import tqdm

from ..lib import results
from ..lib.runs import Runs
from ..lib.training import last_layers, train_and_test
from .choice import SEEDS
from .settings import setting
from .shapes import Call

SETTINGS = {"depth-2": 1.4, "randman-0.5": 1.0}  # and the gain of the weights
CALLS = [Call(shape, None, 0.5) for shape in ("Arctan", "SoftSign", "GaussianGrad", "S2NN")]
CALLS += [Call("LogTailedRelu", alpha, 0.5) for alpha in (0.01, 0.1)]
STRENGTHS = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0)
KEY, MEASURED = ("call", "strength", "seed"), ("validation", "test", "loss", "firing")


def firing(setting, net, inputs):
    """Return the mean firing rate over layers, neurons, examples and steps."""
    _, spikes = last_layers(net, setting.show(inputs))
    return jnp.stack([layer.mean() for layer in spikes]).mean()


def train(setting, surrogate, gain, strength, seed, parts):
    """Train a network with a penalty of this strength; return accuracies, loss and firing rate."""
    keys = jax.random.split(jax.random.key(seed))
    net = setting.network(keys[0], [surrogate] * setting.layers, gain)
    steps = setting.epochs * (len(parts[0][1]) // setting.batch)
    tx = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(setting.rate, steps)))

    def penalty(net, inputs):
        return strength * firing(setting, net, inputs)

    how = {"epochs": setting.epochs, "batch": setting.batch, "optimizer": tx, "penalty": penalty}
    net, measured = train_and_test(net, setting.logits, keys[1], parts, **how)
    return measured | {"firing": firing(setting, net, parts[2][0])}


def main(argv=None):
    """Train every call with every strength in every setting."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studies.sparse", description=__doc__.splitlines()[0])
    parser.add_argument("settings", nargs="*", metavar="SETTING", help=f"{', '.join(SETTINGS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="two epochs, two calls, two strengths, two seeds")
    results.add_out(parser, "sparse")
    args = parser.parse_args(argv)
    results.try_out(parser, args.out)
    for name in args.settings or SETTINGS:
        if name not in SETTINGS:
            parser.error(f"{name!r} is not one of {', '.join(SETTINGS)}")
        few = 2 if args.quick else None
        run_setting(name, args.out, CALLS[:few], STRENGTHS[:: 5 if args.quick else 1], SEEDS[: few or 5], few)


def run_setting(name: str, out: Path, calls, strengths, seeds, epochs=None):
    """Add what its file does not have."""
    here, gain = setting(name), SETTINGS[name]
    here = here._replace(epochs=epochs or here.epochs)
    about = {field: getattr(here, field) for field in ("about", "rate", "epochs", "batch")} | {"gain": gain}
    runs, parts = Runs(out / f"{name}.json", about, KEY, MEASURED), {}
    for seed in seeds:
        parts[seed] = [tuple(map(jnp.asarray, part)) for part in here.data(seed)]
    with tqdm(total=len(calls) * len(strengths) * len(seeds), desc=name, unit="run") as bar:
        for call in calls:
            compiled = jax.jit(partial(train, here, call.surrogate, gain))
            for strength in strengths:
                for seed in seeds:
                    bar.set_postfix_str(f"{call}, strength {strength:g}")
                    runs.run(lambda s=strength, k=seed, c=compiled: c(s, k, parts[k]), str(call), strength, seed)
                    bar.update()


if __name__ == "__main__":
    main()
