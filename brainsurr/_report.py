"""Reports: a mapping from names to what was measured, that prints as a table with sentences below it."""

import textwrap
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, TypeVar

Measured = TypeVar("Measured")


class Report(Mapping[str, Measured]):
    """A mapping from names to what was measured, which a subclass holds in the attribute that ``_measured`` names."""

    _measured: ClassVar[str]

    def __getitem__(self, name: str) -> Measured:
        return getattr(self, self._measured)[name]

    def __iter__(self) -> Iterator[str]:
        return iter(getattr(self, self._measured))

    def __len__(self) -> int:
        return len(getattr(self, self._measured))


def user_line() -> str:
    """Return ``file:line`` of the code that is running, of a user: not of brainsurr, jax or a framework."""
    for frame, line in traceback.walk_stack(None):
        package = frame.f_globals.get("__name__", "").partition(".")[0]
        if package not in ("brainsurr", "jax", "flax", "brainstate", "equinox", "contextlib", "functools"):
            return f"{Path(frame.f_code.co_filename).name}:{line}"
    return "?"


def as_text(rows: Sequence[Sequence[str]], sentences: Sequence[str]) -> str:
    """Align rows of a name, numbers and words, numbers to the right, and put sentences below.

    Args:
      rows: of one length, the first of them the header.
      sentences: may be none.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for name, *numbers, words in rows:
        aligned = [number.rjust(width) for number, width in zip(numbers, widths[1:-1], strict=True)]
        lines.append("  ".join([name.ljust(widths[0]), *aligned, words]))
    below = [textwrap.fill(sentence, 88, subsequent_indent="  ") for sentence in sentences]
    return "\n".join([*lines, "", *below] if below else lines)
