"""Learning alpha: fixed, scheduled and learned alphas of LogTailedRelu from several starts, on three tasks.

The target: an alpha learned from 0.1 ends within half a point of the best fixed alpha. Rules are in `alpha_rules`.
Randman is not trained to the end here: the study is from the first edition.
"""

import itertools
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import brainsurr as bs

from ..lib.report import Claim, picture, spread, table, unfinished
from ..lib.study import Runs, arguments, finished, of_seeds, rows
from ..lib.training import neurons, train_and_test
from . import settings
from .alpha_rules import BOUNDS, DECAY, INNER, RULES, optimizer

FIXED, STARTS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5), (0.01, 0.1, 0.5)
TASKS = ("randman", "digits", "speech")
KEY, MEASURED = ("task", "rule", "start", "seed"), ("validation", "test", "loss", "alpha", "seconds", "cpu_seconds")
GOOD = 0.005  # of accuracy: within half a point
START = 0.1
DECAYED, PLAIN = "learned, projected, decayed", "learned, projected"
SHOWN = (DECAYED, PLAIN, "hypergradient")


def task(name, recordings=None) -> settings.Setting:
    """Make a task; Randman's first weights are times 3, digits' times 2."""
    if name == "randman":
        return settings.scaled(3.0)._replace(rate=5e-3, epochs=20, batch=125)
    if name == "digits":
        return settings.of_digits("digits", 2, (64, 128, 128, 10), gains=(2.0,), rate=3e-3, epochs=20)
    speech = settings.spoken_digits(recordings, settings.SPEECH)
    return speech._replace(gains=(1.0,), rate=6e-3, epochs=10)


@partial(jax.jit, static_argnames=("setting", "rule"))
def train(setting, rule, start, seed, parts):
    """Train with a rule from a start; return accuracies and the mean of the final alpha of each layer."""
    keys = jax.random.split(jax.random.key(seed))
    net = setting.network(keys[0], [bs.LogTailedRelu()] * setting.layers, setting.gains[0])
    for layer in neurons(net):
        layer.spike_fn = RULES[rule].spike_fn(start, layer.features)
    batch, steps = setting.batches(parts)
    tx = optimizer(net, RULES[rule], start, setting.rate, steps)
    adapt = RULES[rule].adapt and partial(RULES[rule].adapt, start=start, setting=setting)
    how = {"epochs": setting.epochs, "batch": batch, "optimizer": tx, "adapt": adapt}
    net, measured = train_and_test(net, setting.logits, keys[1], parts, **how)
    alphas = [jnp.asarray(layer.spike_fn.surrogate.alpha) for layer in neurons(net)]
    return measured | {"alpha": jnp.stack([alpha.mean() for alpha in alphas])}


def main(argv=None):
    """Train with every rule from every start on every task."""
    quick = "two epochs of digits, four rules, two seeds, two fixed alphas"
    args = arguments("studies.learn_alpha", __doc__, argv, quick=quick, settings=TASKS)
    rules, seeds, names = list(RULES), range(10), args.settings
    if args.quick:
        rules, seeds, names = ["fixed", "3 steps, then 0", PLAIN, "hypergradient"], range(2), ["digits"]
    about = {"bounds": BOUNDS, "decay": DECAY, "inner_step": INNER}
    runs = Runs(args.out / "result.json", about, KEY, MEASURED)
    for name in names:
        setting = task(name, args.speech)
        setting = setting._replace(epochs=2) if args.quick else setting
        parts = {seed: setting.parts(seed) for seed in seeds}
        starts = {rule: FIXED[:: 4 if args.quick else 1] if rule == "fixed" else STARTS for rule in rules}
        for rule in rules:
            for start, seed in itertools.product(starts[rule], seeds):
                runs.run(partial(train, setting, rule, start, seed, parts[seed]), name, rule, start, seed)
        how = f"adam {setting.rate}, {setting.epochs} epochs, batch {setting.batch}"
        runs.finish(name, optimiser=how, rules=starts, seeds=list(seeds))


# The report


class Outcome(NamedTuple):
    """What came of a task: accuracies and the final alphas of each layer, by rule and start, then by seed."""

    optimiser: str
    tests: dict[str, dict[float, np.ndarray]]
    alphas: dict[str, dict[float, np.ndarray]]

    @property
    def fixed(self) -> dict[float, float]:
        """The test accuracy of each fixed alpha."""
        return {start: test.mean() for start, test in self.tests["fixed"].items()}

    @property
    def best(self) -> float:
        """The best test accuracy of a fixed alpha, the hardest mark: the test itself has chosen it."""
        return max(self.fixed.values())

    @property
    def others(self) -> dict[str, dict[float, np.ndarray]]:
        """The rules that are not a fixed alpha."""
        return {rule: of for rule, of in self.tests.items() if rule != "fixed"}

    def learned(self, rule: str) -> float:
        """Return the test accuracy of a rule from `START`."""
        return self.tests[rule][START].mean()

    def within(self, rule: str) -> bool:
        """Check whether it is within half a point of the best fixed alpha."""
        return bool(self.learned(rule) >= self.best - GOOD)

    @property
    def better(self) -> bool:
        """Whether a learned alpha is better than the best fixed one by more than half a point."""
        return bool(max(self.learned(DECAYED), self.learned(PLAIN)) > self.best + GOOD)


def load(folder: Path) -> dict[str, Outcome]:
    """Read each task that is finished."""
    path, outcomes = folder / "result.json", {}
    for name in TASKS:
        if grid := finished(path, name):
            runs = of_seeds(rows(path), grid["seeds"], *KEY[:-1])
            tests, alphas = (
                {rule: {start: runs[name, rule, start][column] for start in of} for rule, of in grid["rules"].items()}
                for column in ("test", "alpha")
            )
            outcomes[name] = Outcome(grid["optimiser"], tests, alphas)
    return outcomes


def parts(studied) -> list[str]:
    """List what the page has: the picture, a table per task, and the names of the tasks that are not finished."""
    shown = ["![learning alpha](pictures/evidence/learn-alpha.png)"] * bool(studied)
    return [*shown, tables(studied), *unfinished(studied, {name: name for name in TASKS})]


def tables(studied) -> str:
    """Make a table per task: a line of fixed alphas, then a row per rule."""
    texts = ["A + is within half a point of the best fixed alpha."]
    for name, outcome in studied.items():
        fixed = outcome.tests["fixed"]
        line = ", ".join(f"{alpha:g}: {spread(test)}" for alpha, test in fixed.items())
        lines = []
        for rule, by_start in outcome.others.items():
            cells = [spread(t) + (" +" if t.mean() >= outcome.best - GOOD else "") for t in by_start.values()]
            ends = ", ".join(f"{alpha:.3f}" for alpha in outcome.alphas[rule][START].mean(0))
            lines.append([rule, *cells, ends])
        header = ["rule", *(f"from {start:g}" for start in by_start), f"alpha from {START}"]
        how = f"**{name}** ({len(fixed[START])} seeds; {outcome.optimiser})"
        texts.append(f"{how}.\n\nFixed alpha, by its value: {line}.\n\n{table(header, lines)}")
    return "\n\n".join(texts)


def draw(studied, folder: Path):
    """Draw every rule from every start, and the best fixed alpha, in one panel per task."""
    size = (4.6 * len(studied) + 2, 4.4)
    with picture(folder / "learn-alpha.png", columns=len(studied), size=size, dpi=100, sharey=True) as (axes,):
        for axis, (name, outcome) in zip(axes, studied.items(), strict=True):
            for y, by_start in enumerate(outcome.others.values()):
                for i, (start, test) in enumerate(by_start.items()):
                    label = f"from {start:g}" if not y else None
                    axis.plot(test, np.full(len(test), y + 0.22 * (i - 1)), ".", color=f"C{i}", alpha=0.25)
                    axis.plot(test.mean(), y + 0.22 * (i - 1), "|", markersize=11, color=f"C{i}", label=label)
            axis.axvline(outcome.best, color="0.3", linewidth=1)
            axis.axvspan(outcome.best - GOOD, outcome.best, color="0.85")
            axis.set(title=name, xlabel="test accuracy")
            axis.set_yticks(range(len(outcome.others)), list(outcome.others))
        axes[0].invert_yaxis()
        title = f"dots: seeds; bars: means;\nline: best fixed alpha;\ngrey: {100 * GOOD:g} points below"
        axes[0].legend(frameon=False, fontsize=8, title=title)


def claims(studied) -> Iterator[Claim]:
    """Yield the target, and the findings of the trial."""
    for name, outcome in studied.items():
        best, alpha = outcome.best, max(outcome.fixed, key=outcome.fixed.get)
        shown = ", ".join(f"{rule} {outcome.learned(rule):.3f}" for rule in SHOWN)
        yield Claim(
            f"{name}: an alpha learned from {START} with a decay towards 0 ends within half a point of the best fixed "
            "one",
            outcome.within(DECAYED),
            f"{shown}; best fixed {best:.3f}, alpha {alpha:g}",
        )
        worst = {rule: min(test.mean() for test in by_start.values()) for rule, by_start in outcome.others.items()}
        learned = [rule for rule in worst if rule.startswith(("learned", "per channel", "hypergradient"))]
        safest = max(learned, key=worst.get)
        yield Claim(
            f"{name}: a rule that learns alpha is within half a point of the best fixed alpha from every start",
            bool(worst[safest] >= best - GOOD),
            f"the safest, {safest}, has at least {worst[safest]:.3f}",
        )
        if silent := outcome.tests.get("only silent channels"):
            yield Claim(
                f"{name}: alpha on silent channels alone is within half a point of the best fixed alpha from any start",
                bool(worst["only silent channels"] >= best - GOOD),
                ", ".join(f"{test.mean():.3f}" for test in silent.values()),
            )


if __name__ == "__main__":
    main()
