"""Sparse networks: how far each call can be silenced by a penalty before its accuracy falls."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from ...lib import results
from ...lib.report import Claim, missing
from ...lib.runs import finished, rows
from ..sparse import SETTINGS

NAMES = {"depth-2": "digits", "randman-0.5": "Randman"}
COST = 1.0  # points of accuracy that may be given up


def load(folder: Path) -> dict[str, dict[str, np.ndarray]]:
    """Read, for each finished setting and call, ``[strengths, (accuracy in per cent, firing)]``, means of seeds."""
    studied = {}
    for name in SETTINGS:
        path = folder / f"{name}.json"
        if path.exists() and (grid := finished(path, "sparse")):
            table = {(r["call"], r["strength"], r["seed"]): (100 * r["test"], r["firing"]) for r in rows(path)}
            calls, strengths = sorted(grid["calls"]), sorted(grid["strengths"])
            runs = np.array([table[key] for key in itertools.product(calls, strengths, grid["seeds"])])
            means = runs.reshape(len(calls), len(strengths), -1, 2).mean(2)
            studied[name] = dict(zip(calls, means, strict=True))
    return studied


def parts(studied) -> list[str]:
    """List what the page has: the picture, the tables, and the names of the settings that are not finished."""
    shown = ["![accuracy over firing rate](pictures/evidence/sparse.png)", tables(studied)] if studied else []
    return shown + missing(studied, {name: NAMES.get(name, name) for name in SETTINGS})


def sparsest(points: np.ndarray, best: float) -> float:
    """Return the lowest firing rate at an accuracy within `COST` points of the best; NaN if there is none."""
    within = points[points[:, 0] >= best - COST]
    return float(within[:, 1].min()) if len(within) else float("nan")


def tables(studied) -> str:
    """Make a table of accuracy and firing rate without a penalty, and of the lowest rate within a point of the best."""
    parts = []
    for name, by_call in studied.items():
        best = max(points[:, 0].max() for points in by_call.values())
        table = []
        for call in sorted(by_call, key=lambda call: np.nan_to_num(sparsest(by_call[call], best), nan=9.0)):
            accuracy, firing = by_call[call][0]
            lowest = sparsest(by_call[call], best)
            table.append(
                [f"`{call}`", f"{accuracy:.1f}", f"{firing:.3f}", "-" if np.isnan(lowest) else f"{lowest:.3f}"]
            )
        header = [NAMES.get(name, name), "accuracy, %", "firing", f"lowest firing within {COST:g} point of the best"]
        parts.append(results.table(header, table))
    return "\n\n".join(parts)


def claims(studied) -> Iterator[Claim]:
    """Yield the published reading: the fast sigmoid fires less than the arctangent at equal accuracy."""
    both = ("SoftSign width=0.5", "Arctan width=0.5")
    for name, by_call in studied.items():
        if not by_call.keys() >= set(both):
            continue
        best = max(points[:, 0].max() for points in by_call.values())
        fast, arctan = (sparsest(by_call[call], best) for call in both)
        rates = [f"{rate:.3f}" if rate > 0 else "none" for rate in (fast, arctan)]
        yield Claim(
            f"{NAMES.get(name, name)}: with the fast sigmoid (SoftSign) networks fire less than with Arctan at equal "
            "accuracy, as Aliyev and Adegbija 2024 find",
            fast < arctan,
            f"lowest firing rate within {COST:g} point of the best {rates[0]} and {rates[1]}, at one half-width",
        )


def draw(studied, folder: Path):
    """Draw accuracy over firing rate, if a setting is finished."""
    if not studied:
        return
    figure, axes = plt.subplots(1, len(studied), figsize=(5 * len(studied), 3.8), layout="constrained", squeeze=False)
    for axis, (name, by_call) in zip(axes[0], studied.items(), strict=True):
        for call, points in by_call.items():
            axis.plot(points[:, 1], points[:, 0], ".-", label=call)
        top = max(points[:, 0].max() for points in by_call.values())
        axis.set(title=NAMES.get(name, name), xlabel="firing rate of the hidden layers", ylim=(top - 25, top + 2))
    axes[0, 0].set_ylabel("test accuracy, %")
    axes[0, -1].legend(frameon=False, fontsize=8, title="one point a strength of the penalty", title_fontsize=8)
    figure.savefig(folder / "sparse.png", dpi=110)
    plt.close(figure)
