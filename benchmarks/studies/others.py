"""Others: networks that do not spike, on the sequences of the comparison: a GRU, an MLP and logistic regression.

They show what accuracy a data set allows. Data, noise, epochs and the number of hidden units are those of the settings
of `family`; the MLP has two layers twice as wide. Learning rate and penalty are chosen by validation, with the same
seeds and factors.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import jax
import numpy as np
from flax import nnx
from sklearn.linear_model import LogisticRegression

from ..lib.report import Claim, spread, table, unfinished
from ..lib.study import Runs, arguments, finished, of_seeds, rounded, rows
from ..lib.training import train_and_test
from . import sequences, settings
from .choice import GRID

SETTINGS = {"speech": "Spoken digits", "vowels": "Japanese vowels"}
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


def compare(name: str, setting: settings.Setting, out: Path, quick: bool):
    """Add to the setting's file what it does not have."""
    about = setting.written("about", "rate", "epochs", "batch", "weight_decay")
    runs = Runs(out / f"{name}.json", about, KEY, MEASURED)
    (factors, choosing, seeds), strengths = GRID[-3:], STRENGTHS
    if quick:
        factors, strengths, choosing, seeds = factors[1:2], strengths[:1], choosing[:1], seeds[:2]
    parts = {seed: setting.parts(seed) for seed in (*choosing, *seeds)}

    def run(entrant, rate, seed):
        if entrant == LOGISTIC:
            return runs.run(lambda: logistic_regression(rate, parts[seed]), entrant, rate, seed)
        return runs.run(lambda: train(entrant, setting, rate * setting.rate, seed, parts[seed]), entrant, rate, seed)

    for entrant, rates in {**dict.fromkeys(NETWORKS, factors), LOGISTIC: strengths}.items():
        validated = {rate: np.mean([run(entrant, rate, seed)["validation"] for seed in choosing]) for rate in rates}
        for seed in seeds:
            run(entrant, max(rates, key=validated.get), seed)
    runs.finish("compare", rates=factors, strengths=strengths, choosing=choosing, seeds=seeds)


def main(argv=None):
    """Compare on spoken digits, where their file is given, and on Japanese vowels."""
    quick = "ten epochs, one rate, two seeds"
    args = arguments("studies.others", __doc__, argv, quick=quick, settings=list(SETTINGS))
    for name in args.settings:
        setting = settings.setting(name, args.speech if name == "speech" else None)
        compare(name, setting._replace(epochs=10, batch=32) if args.quick else setting, args.out, args.quick)


# The report


def load(folder: Path) -> dict[str, dict[str, tuple[np.ndarray, int]]]:
    """Read, for each finished setting and entrant, test accuracies in per cent by seed, and the number of weights.

    They are those at the rate that validation chose among the rates of the finished grid. An entrant that has not run
    over all of it is left out.
    """
    studied = {}
    for name in SETTINGS:
        path = folder / f"{name}.json"
        if grid := finished(path, "compare"):
            tried, tested = (of_seeds(rows(path), grid[seeds], "entrant", "rate") for seeds in ("choosing", "seeds"))
            studied[name] = {}
            for entrant in dict.fromkeys(row["entrant"] for row in rows(path)):
                rates = grid["strengths" if entrant == LOGISTIC else "rates"]
                if all((entrant, rate) in tried for rate in rates):
                    best = max(rates, key=lambda rate: tried[entrant, rate]["validation"].mean())
                    if columns := tested.get((entrant, best)):
                        studied[name][entrant] = (100 * columns["test"], int(columns["weights"][0]))
    return studied


def parts(studied, outcomes) -> list[str]:
    """List what the page has: the tables, and the names of the settings that are not finished."""
    return [tables(studied, outcomes)] * bool(studied) + unfinished(studied, SETTINGS)


def tables(studied, outcomes) -> str:
    """Make a table a setting, with the best surrogate, tuned, among them."""
    parts = []
    for name, entrants in studied.items():
        lines = [(entrant, f"{weights:,}", test) for entrant, (test, weights) in entrants.items()]
        if name in outcomes:
            best = max(outcomes[name].tuned.values(), key=lambda entry: entry.mean)
            lines.append((f"LIF, `{best.call}`", "", best.test))
        lines = [(*line, spread(test, 1)) for *line, test in sorted(lines, key=lambda line: -line[-1].mean())]
        parts.append(table([SETTINGS[name], "weights", "test accuracy, %"], lines))
    return "\n\n".join(parts)


def claims(studied, outcomes) -> Iterator[Claim]:
    """Yield what the first edition said of spiking networks beside others."""
    for name in studied:
        if name not in outcomes:
            continue
        entrants, tuned = studied[name], outcomes[name].tuned.values()
        lif = max(tuned, key=lambda entry: outcomes[name].grid[entry.call, rounded(entry.factor)])
        tests = {entrant: float(test.mean()) for entrant, (test, _) in entrants.items()}
        numbers = f"`{lif.call}` {lif.mean:.1f}%, {', '.join(f'{e} {mean:.1f}%' for e, mean in tests.items())}"
        text = f"{SETTINGS[name]}: the LIF network that validation prefers is"
        if name == "speech":
            yield Claim(f"{text} within 1.5 points of a GRU", lif.mean >= tests["GRU"] - 1.5, numbers)
        else:
            yield Claim(f"{text} at least as good as a GRU", lif.mean >= tests["GRU"], numbers)
            text = f"{SETTINGS[name]}: logistic regression is at least as good as either"
            yield Claim(text, tests["logistic regression"] >= max(lif.mean, tests["GRU"]), numbers)


if __name__ == "__main__":
    main()
