"""Sparse: accuracy against firing rate, with a penalty on how much the hidden layers fire.

Zenke & Vogels 2021 find that spiking networks keep their accuracy down to low rates; Aliyev & Adegbija 2024
("Fine-tuning surrogate gradient learning for optimal hardware performance in spiking neural networks") that with the
fast sigmoid, here SoftSign, networks fire less than with the arctangent at equal accuracy. Each call has a peak of 1
and the same half-width; the penalty is its strength times the mean rate of the hidden layers. Settings are those of
`family`.
"""

import itertools
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from ..lib.report import Claim, picture, table, unfinished
from ..lib.study import Runs, arguments, finished, of_seeds, rows
from .choice import GRID
from .family import train
from .settings import setting
from .shapes import Call

SETTINGS = {"depth-2": 1.4, "randman-0.5": 1.0}  # and the gain of the weights
NAMES = {"depth-2": "digits", "randman-0.5": "Randman"}
CALLS = [Call(shape, None, 0.5) for shape in ("Arctan", "SoftSign", "GaussianGrad", "S2NN")]
CALLS += [Call("LogTailedRelu", alpha, 0.5) for alpha in (0.01, 0.1)]
STRENGTHS = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0)
KEY, MEASURED = ("call", "strength", "seed"), ("validation", "test", "loss", "firing")
COST = 1.0  # points of accuracy that may be given up


def main(argv=None):
    """Train every call with every strength in every setting."""
    quick = "two epochs, two configurations, two strengths, two seeds"
    args = arguments("studies.sparse", __doc__, argv, quick=quick, settings=list(SETTINGS))
    calls, strengths, seeds = CALLS, STRENGTHS, GRID.seeds[:5]
    if args.quick:
        calls, strengths, seeds = CALLS[:2], STRENGTHS[::5], GRID.seeds[:2]
    for name in args.settings:
        here, gain = setting(name), SETTINGS[name]
        here = here._replace(epochs=2) if args.quick else here
        about = here.written("about", "rate", "epochs", "batch") | {"gain": gain}
        total = len(calls) * len(strengths) * len(seeds)
        runs, data = Runs(args.out / f"{name}.json", about, KEY, MEASURED, total), {s: here.parts(s) for s in seeds}
        for call, strength, seed in itertools.product(calls, strengths, seeds):
            how = here, None, [call.surrogate] * here.layers, here.rate, gain, seed, data[seed], strength
            runs.run(partial(train, *how), str(call), strength, seed)
        runs.finish("sparse", calls=list(map(str, calls)), strengths=strengths, seeds=seeds)


# The report


def load(folder: Path) -> dict[str, dict[str, np.ndarray]]:
    """Read, for each finished setting and call, ``[strengths, (accuracy in per cent, firing)]``, means of seeds."""
    studied = {}
    for name in SETTINGS:
        path = folder / f"{name}.json"
        if grid := finished(path, "sparse"):
            runs = of_seeds(rows(path), grid["seeds"], "call", "strength")
            means = {key: ((100 * columns["test"]).mean(), columns["firing"].mean()) for key, columns in runs.items()}
            strengths = sorted(grid["strengths"])
            studied[name] = {call: np.array([means[call, s] for s in strengths]) for call in sorted(grid["calls"])}
    return studied


def parts(studied) -> list[str]:
    """List what the page has: the picture, the tables, and the names of the settings that are not finished."""
    shown = ["![accuracy over firing rate](pictures/evidence/sparse.png)", tables(studied)] if studied else []
    return shown + unfinished(studied, NAMES)


def sparsest(by_call) -> dict[str, float]:
    """Return the lowest firing rate of each call within `COST` points of the best accuracy; 9 if there is none."""
    best = max(points[:, 0].max() for points in by_call.values())
    return {c: min((f for a, f in points if a >= best - COST - 1e-9), default=9.0) for c, points in by_call.items()}


def tables(studied) -> str:
    """Make a table of accuracy and firing rate without a penalty, and of the lowest rate within a point of the best."""
    parts = []
    for name, by_call in studied.items():
        lowest, lines = sparsest(by_call), []
        for call in sorted(by_call, key=lowest.get):
            accuracy, firing = by_call[call][0]
            lines.append([f"`{call}`", f"{accuracy:.1f}", f"{firing:.3f}", _rate(lowest[call], "-")])
        header = [NAMES[name], "accuracy, %", "firing", f"lowest firing within {COST:g} point of the best"]
        parts.append(table(header, lines))
    return "\n\n".join(parts)


def _rate(firing: float, none: str) -> str:
    return none if firing == 9 else f"{firing:.3f}"


def claims(studied) -> Iterator[Claim]:
    """Yield the published reading: the fast sigmoid fires less than the arctangent at equal accuracy."""
    both = ("SoftSign width=0.5", "Arctan width=0.5")
    for name, by_call in studied.items():
        if by_call.keys() >= set(both):
            fast, arctan = (sparsest(by_call)[call] for call in both)
            yield Claim(
                f"{NAMES[name]}: with the fast sigmoid (SoftSign) networks fire less than with Arctan at equal "
                "accuracy, as Aliyev and Adegbija 2024 find",
                fast < arctan,
                f"lowest firing rate within {COST:g} point of the best {_rate(fast, 'none')} and "
                f"{_rate(arctan, 'none')}, at one half-width",
            )


def draw(studied, folder: Path):
    """Draw accuracy over firing rate."""
    with picture(folder / "sparse.png", columns=len(studied), size=(5 * len(studied), 3.8)) as axes:
        for axis, (name, by_call) in zip(axes[0], studied.items(), strict=True):
            for call, points in by_call.items():
                axis.plot(points[:, 1], points[:, 0], ".-", label=call)
            top = max(points[:, 0].max() for points in by_call.values())
            axis.set(title=NAMES[name], xlabel="firing rate of the hidden layers", ylim=(top - 25, top + 2))
        axes[0, 0].set_ylabel("test accuracy, %")
        axes[0, -1].legend(frameon=False, fontsize=8, title="one point a strength of the penalty", title_fontsize=8)


if __name__ == "__main__":
    main()
