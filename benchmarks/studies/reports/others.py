"""Networks that do not spike, beside the best of those that do."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...lib import results
from ...lib.report import Claim, missing, percent
from ...lib.runs import finished, rows
from ...lib.study import rounded
from ..others import LOGISTIC, chosen_rate
from .outcomes import Outcomes

SETTINGS = {"speech": "Spoken digits", "vowels": "Japanese vowels"}


def load(folder: Path) -> dict[str, dict[str, tuple[np.ndarray, int]]]:
    """Read, for each finished setting and entrant, test accuracies in per cent by seed, and the number of weights.

    They are those at the rate that validation chose among the rates of the finished grid. An entrant that has not run
    over all of it is left out.
    """
    studied = {}
    for name in SETTINGS:
        path = folder / f"{name}.json"
        if path.exists() and (grid := finished(path, "compare")):
            table = {(row["entrant"], row["rate"], row["seed"]): row for row in rows(path)}
            entrants = dict.fromkeys(entrant for entrant, _, _ in table)
            chosen = {entrant: _chosen(entrant, table, grid) for entrant in entrants}
            studied[name] = {
                entrant: (np.array([100 * run["test"] for run in runs]), int(runs[0]["weights"]))
                for entrant, runs in chosen.items()
                if runs
            }
    return studied


def _chosen(entrant: str, table, grid) -> list[dict]:
    """Return the runs on test examples at the best rate, by seed; nothing if a run of the grid is not there."""
    rates = grid["strengths" if entrant == LOGISTIC else "rates"]
    tried = {rate: [table.get((entrant, rate, seed)) for seed in grid["choosing"]] for rate in rates}
    if not all(all(runs) for runs in tried.values()):
        return []
    best = chosen_rate({rate: [run["validation"] for run in runs] for rate, runs in tried.items()})
    runs = [table.get((entrant, best, seed)) for seed in grid["seeds"]]
    return runs if all(runs) else []


def parts(studied, outcomes: Outcomes) -> list[str]:
    """List what the page has: the tables, and the names of the settings that are not finished."""
    return [tables(studied, outcomes)] * bool(studied) + missing(studied, SETTINGS)


def tables(studied, outcomes: Outcomes) -> str:
    """Make a table a setting, with the best surrogate, tuned, among them."""
    parts = []
    for name, entrants in studied.items():
        cells = {entrant: (test, f"{weights:,}") for entrant, (test, weights) in entrants.items()}
        if name in outcomes:
            best = max(outcomes[name].tuned.values(), key=lambda entry: entry.mean)
            cells[f"LIF, `{best.call}`"] = (best.test, "")
        order = sorted(cells, key=lambda entrant: -cells[entrant][0].mean())
        table = [[e, cells[e][1], percent(cells[e][0])] for e in order]
        parts.append(results.table([SETTINGS[name], "weights", "test accuracy, %"], table))
    return "\n\n".join(parts)


def claims(studied, outcomes: Outcomes) -> Iterator[Claim]:
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
            within = "Spoken digits: it is within 1.5 points of a GRU"
            yield Claim(f"{text} within 1.5 points of a GRU", lif.mean >= tests["GRU"] - 1.5, numbers, before=within)
        else:
            yield Claim(f"{text} at least as good as a GRU", lif.mean >= tests["GRU"], numbers)
            text = f"{SETTINGS[name]}: logistic regression is at least as good as either"
            yield Claim(text, tests["logistic regression"] >= max(lif.mean, tests["GRU"]), numbers)
