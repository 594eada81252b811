"""What reports and pages are built of: a table, a claim, numbers and paragraphs as text, a picture."""

import contextlib
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Make an aligned Markdown table, the first column to the left and the others to the right."""
    rows = [list(map(str, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]

    def line(cells):
        first, *rest = cells
        padded = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))]
        return f"| {' | '.join(padded)} |"

    rule = [":" + "-" * (widths[0] + 1), *("-" * (width + 1) + ":" for width in widths[1:])]
    return "\n".join([line(header), f"|{'|'.join(rule)}|", *map(line, rows)])


class Claim(NamedTuple):
    """A sentence, whether it holds by the result, and the numbers that show it.

    Attributes:
      text: the sentence.
      holds: whether it does.
      numbers: what was measured.
      limit: what the number may be at most, if the claim is of one number.
      clear: whether the spread of the number lies on one side of the limit.
      why: the reason if it does not hold.
    """

    text: str
    holds: bool
    numbers: str
    limit: str = ""
    clear: bool = True
    why: str = ""


def at_most(limit: float, text: str, value: float, *, unit="", spread=None, why="") -> Claim:
    """Claim that a number does not exceed a limit; ``spread`` has the smallest and the largest that it may be."""
    numbers = f"{value:.3g}{unit}" + (f" ({spread[0]:.3g}-{spread[1]:.3g})" if spread else "")
    clear = spread is None or not spread[0] <= limit < spread[1]
    return Claim(text, value <= limit, numbers, f"{limit:.3g}{unit}", clear, why)


def ratio_at_most(limit: float, text: str, one, other, why="") -> Claim:
    """Claim it of the ratio of two medians, each a `timing.summary`; its spread is that of their quartiles."""
    (low, high), (least, most) = one["quartiles"], other["quartiles"]
    return at_most(limit, text, one["median"] / other["median"], spread=(low / most, high / least), why=why)


def claim_table(claims: Sequence[Claim]) -> str:
    """Make a table of claims about one number each, and list below it why some do not hold."""
    verdicts = [("yes" if claim.holds else "**no**") if claim.clear else "undecided" for claim in claims]
    rows = [(claim.text, claim.limit, claim.numbers, verdict) for claim, verdict in zip(claims, verdicts, strict=True)]
    by_reason: dict[str, list[str]] = {}
    for claim in claims:
        if not claim.holds and claim.why:
            by_reason.setdefault(" ".join(claim.why.split()), []).append(claim.text)
    unmet = "\n".join(f"- {'; '.join(texts)}: {why}." for why, texts in by_reason.items())
    reasons = ["Why some targets are not met, or undecided:", unmet] if unmet else []
    return "\n\n".join([table(("what", "at most", "measured", "met"), rows), *reasons])


def yes(held: bool) -> str:
    """Return a cell of a table that says whether something held, in bold if not."""
    return "yes" if held else "**no**"


def spread(values, digits: int = 3) -> str:
    """Format the mean ± standard deviation of the seeds; one seed has none."""
    values = np.asarray(values, float).ravel()
    return f"{values.mean():.{digits}f}" + (f" ± {values.std(ddof=1):.{digits}f}" if len(values) > 1 else "")


def wrapped(text: str, indent: str = "") -> str:
    """Wrap a paragraph to the width of a page, all lines but the first indented."""
    how = {"break_long_words": False, "break_on_hyphens": False}
    return textwrap.fill(text, 120, subsequent_indent=indent, **how)


@contextlib.contextmanager
def picture(path: Path, rows: int = 1, columns: int = 1, *, size: tuple[float, float], dpi: int = 110, **how):
    """Give the axes ``[rows, columns]`` of a figure, then save it."""
    figure, axes = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False, **how)
    yield axes
    figure.savefig(path, dpi=dpi)
    plt.close(figure)


def plot_seeds(axis, curves, label, alpha):
    """Plot the mean of curves ``[seeds, epochs]``, with their range shaded by ``alpha``."""
    values = np.array(curves)
    epochs = np.arange(1, values.shape[1] + 1)
    axis.plot(epochs, values.mean(0), label=label)
    axis.fill_between(epochs, values.min(0), values.max(0), alpha=alpha)
