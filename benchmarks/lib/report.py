"""The parts of reports and pages: tables, claims, formatted numbers and pictures."""

import contextlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Make an aligned Markdown table, with the first column left-aligned and the others right-aligned."""
    rows = [list(map(str, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]

    def line(cells):
        first, *rest = cells
        padded = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))]
        return f"| {' | '.join(padded)} |"

    rule = [":" + "-" * (widths[0] + 1), *("-" * (width + 1) + ":" for width in widths[1:])]
    return "\n".join([line(header), f"|{'|'.join(rule)}|", *map(line, rows)])


class Claim(NamedTuple):
    """A sentence, whether the result confirms it, and the numbers that show it.

    Attributes:
      text: the sentence.
      holds: whether it is true.
      numbers: the measured numbers.
      limit: the upper limit of the number, if the claim is about one number.
      clear: whether the spread of the number is on one side of the limit.
    """

    text: str
    holds: bool
    numbers: str
    limit: str = ""
    clear: bool = True


def at_most(limit: float, text: str, value: float, *, unit="", spread=None) -> Claim:
    """Claim that a number does not exceed a limit; ``spread`` is the smallest and the largest plausible number."""
    numbers = f"{value:.3g}{unit}" + (f" ({spread[0]:.3g}-{spread[1]:.3g})" if spread else "")
    clear = spread is None or not spread[0] <= limit < spread[1]
    return Claim(text, value <= limit, numbers, f"{limit:.3g}{unit}", clear)


def ratio_at_most(limit: float, text: str, one, other) -> Claim:
    """Claim the same of the ratio of two medians, each a `timing.summary`; the spread is that of their quartiles."""
    (low, high), (least, most) = one["quartiles"], other["quartiles"]
    return at_most(limit, text, one["median"] / other["median"], spread=(low / most, high / least))


def claim_table(claims: Sequence[Claim]) -> str:
    """Make a table of claims about one number each."""
    verdicts = [("yes" if claim.holds else "**no**") if claim.clear else "undecided" for claim in claims]
    rows = [(claim.text, claim.limit, claim.numbers, verdict) for claim, verdict in zip(claims, verdicts, strict=True)]
    return table(("quantity", "limit", "measured", "limit met"), rows)


def yes(held: bool) -> str:
    """Return a table cell for a claim: yes, or no in bold."""
    return "yes" if held else "**no**"


def spread(values, digits: int = 3) -> str:
    """Format the mean ± standard deviation over seeds; a single seed has no deviation."""
    values = np.asarray(values, float).ravel()
    return f"{values.mean():.{digits}f}" + (f" ± {values.std(ddof=1):.{digits}f}" if len(values) > 1 else "")


@contextlib.contextmanager
def picture(path: Path, rows: int = 1, columns: int = 1, *, size: tuple[float, float], dpi: int = 110, **how):
    """Yield the axes ``[rows, columns]`` of a figure, then save the figure."""
    figure, axes = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False, **how)
    yield axes
    figure.savefig(path, dpi=dpi)
    plt.close(figure)


def plot_seeds(axis, curves, label, alpha):
    """Plot the mean of curves ``[seeds, epochs]``, and shade their range with opacity ``alpha``."""
    values = np.array(curves)
    epochs = np.arange(1, values.shape[1] + 1)
    axis.plot(epochs, values.mean(0), label=label)
    axis.fill_between(epochs, values.min(0), values.max(0), alpha=alpha)
