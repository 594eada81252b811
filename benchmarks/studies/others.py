"""Others: networks that do not spike, on the sequences of the comparison: a GRU, an MLP and logistic regression.

They show what accuracy a data set allows. Data, noise, epochs and the number of hidden units are those of the settings
of `family`; the MLP has two layers twice as wide. Learning rate and penalty are chosen by validation, with the same
seeds and factors.
"""

import argparse
from functools import partial
from pathlib import Path

import jax
import numpy as np
from flax import nnx
from sklearn.linear_model import LogisticRegression
from tqdm import tqdm

from ..lib import results
from ..lib.runs import Runs
from ..lib.training import train_and_test
from . import sequences, settings
from .choice import GRID

NETWORKS = {"GRU": sequences.gru, "MLP": sequences.mlp}
LOGISTIC, STRENGTHS = "logistic regression", (1e-3, 1e-2, 1e-1, 1.0)
KEY, MEASURED = ("entrant", "rate", "seed"), ("validation", "test", "loss", "weights")


@partial(jax.jit, static_argnames=("entrant", "setting"))
def train(entrant, setting, rate, seed, parts):
    """Train a network as `family.train` does one that spikes."""
    keys = jax.random.split(jax.random.key(seed))
    batch, steps = setting.batches(parts)
    net = NETWORKS[entrant](keys[0], parts[0][0].shape[1:], setting.recipe)
    how = {"epochs": setting.epochs, "batch": batch, "optimizer": sequences.optimizer(setting.recipe, rate, steps)}
    net, measured = train_and_test(net, setting.logits, keys[1], parts, **how)
    return measured | {"weights": sum(leaf.size for leaf in jax.tree.leaves(nnx.state(net, nnx.Param)))}


def logistic_regression(strength, parts):
    """Fit logistic regression to all time steps at once; its penalty is the inverse of the strength."""
    (xs, ys), *held_out = [(np.asarray(xs, np.float32).reshape(len(xs), -1), ys) for xs, ys in parts]
    model = LogisticRegression(C=strength, max_iter=1000, tol=1e-3).fit(xs, ys)
    validation, test = (model.score(*part) for part in held_out)
    return {"validation": validation, "test": test, "loss": None, "weights": model.coef_.size + len(model.intercept_)}


def chosen_rate(validations: dict[float, list[float]]) -> float:
    """Return the rate with the best mean accuracy on validation examples, given those of its seeds."""
    return max(validations, key=lambda rate: np.mean(validations[rate]))


def compare(name: str, setting: settings.Setting, out: Path, quick: bool):
    """Add to the setting's file what it does not have."""
    about = {field: getattr(setting, field) for field in ("about", "rate", "epochs", "batch", "weight_decay")}
    runs = Runs(out / f"{name}.json", about, KEY, MEASURED)
    (factors, choosing, seeds), strengths = GRID[-3:], STRENGTHS
    if quick:
        factors, strengths, choosing, seeds = factors[1:2], strengths[:1], choosing[:1], seeds[:2]
    parts = {seed: setting.parts(seed) for seed in (*choosing, *seeds)}
    total = 2 * (len(factors) * len(choosing) + len(seeds)) + len(strengths) * len(choosing) + len(seeds)
    with tqdm(total=total, desc=name, unit="run") as bar:

        def train_and_score(entrant, rate, seed):
            bar.set_postfix_str(f"{entrant}, {rate:.2g}")
            bar.update()
            if entrant == LOGISTIC:
                return runs.run(lambda: logistic_regression(rate, parts[seed]), entrant, rate, seed)
            how = entrant, setting, rate * setting.rate, seed, parts[seed]
            return runs.run(lambda: train(*how), entrant, rate, seed)

        for entrant, rates in {**dict.fromkeys(NETWORKS, factors), LOGISTIC: strengths}.items():
            tried = {r: [train_and_score(entrant, r, seed)["validation"] for seed in choosing] for r in rates}
            best = chosen_rate(tried)
            for seed in seeds:
                train_and_score(entrant, best, seed)
    runs.finish("compare", rates=factors, strengths=strengths, choosing=choosing, seeds=seeds)


def main(argv=None):
    """Compare on spoken digits, where their file is given, and on Japanese vowels."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studies.others", description=__doc__.splitlines()[0])
    parser.add_argument("settings", nargs="*", metavar="SETTING", help="speech, vowels (default: all with data)")
    parser.add_argument("--speech", type=Path, metavar="FILE", help="free_spoken_digits.npz")
    parser.add_argument("--quick", action="store_true", help="ten epochs, one rate, two seeds, to see that it runs")
    results.add_out(parser, "others")
    args = parser.parse_args(argv)
    results.check_names(parser, args.settings, ("speech", "vowels"))
    results.try_out(parser, args.out)
    settings.check_data(parser, args.settings, {"speech": args.speech})
    for name in args.settings or (["speech"] if args.speech else []) + ["vowels"]:
        setting = settings.setting(name, args.speech if name == "speech" else None)
        compare(name, setting._replace(epochs=10, batch=32) if args.quick else setting, args.out, args.quick)


if __name__ == "__main__":
    main()
