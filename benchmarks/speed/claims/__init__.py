"""Claims about the speed of brainsurr, one per file.

Each has ``measure(quick)``, which returns the content of the JSON; ``marks(result)``, the numbers that have a limit;
and ``report(result)``, its table. The last two read the JSON alone.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

import jax


class Mark(NamedTuple):
    """A number that must not exceed a limit; None if the result has no such number.

    Attributes:
      why: the reason if it is larger.
      spread: the number from the quartiles of what was measured, the smallest and the largest; None: it has none.
    """

    what: str
    limit: float
    value: float | None
    unit: str = ""
    why: str = ""
    spread: tuple[float, float] | None = None

    @classmethod
    def of(cls, what, limit, one, other, why=""):
        """Make the mark of a ratio of two summaries; None is one that was not measured."""
        if one is None or other is None:
            return cls(what, limit, None, why=why)
        (low, high), (least, most) = one["quartiles"], other["quartiles"]
        return cls(what, limit, one["median"] / other["median"], why=why, spread=(low / most, high / least))

    @property
    def met(self):
        return None if self.value is None else self.value <= self.limit

    @property
    def clear(self):
        """Whether the whole spread is on one side of the limit."""
        return self.spread is None or not self.spread[0] <= self.limit < self.spread[1]

    def shown(self, number):
        return "not measured" if number is None else f"{number:.3g}{self.unit}"

    def measured(self):
        """Return the number with its spread."""
        return self.shown(self.value) + (f" ({self.spread[0]:.3g}-{self.spread[1]:.3g})" if self.spread else "")

    def __str__(self):
        verdict = "" if self.met is None else ", met" if self.met else ", NOT met"
        verdict += "" if self.clear else ", within the spread"
        return f"{self.what}: mark <= {self.shown(self.limit)}: {self.measured()}{verdict}"


def ratio(one, other):
    """Divide one number by another, None where one of them is missing."""
    return None if one is None or other is None else one / other


def seconds(time):
    """Format a median with its quartiles, in a unit in which it can be read; a single number without."""
    unit, scale = next(
        ((unit, scale) for unit, scale in (("s", 1), ("ms", 1e3)) if time["median"] * scale >= 1), ("us", 1e6)
    )
    return spread(time, lambda number: f"{number * scale:.3g} {unit}")


def spread(summary, show):
    """Format a median with its quartiles, these without the unit that ``show`` writes; a single number without."""
    low, high = (show(quartile).partition(" ")[0] for quartile in summary["quartiles"])
    return show(summary["median"]) + (f" ({low}-{high})" if summary["rounds"] > 1 else "")


def megabytes(size):
    """Format bytes, to be read."""
    return f"{size / 1e6:,.0f} MB" if size >= 1e7 else f"{size / 1e6:.1f} MB"


class Program(NamedTuple):
    """A compiled function with its arguments: ``call()`` waits for its result."""

    call: Callable
    costs: dict


def compiled(function, *args):
    """Compile it, apart from its time, and say what that took and what memory it needs beside its arguments."""
    lowered = jax.jit(function).lower(*args)
    start = time.perf_counter()
    program = lowered.compile()
    took = time.perf_counter() - start
    temporaries = program.memory_analysis().temp_size_in_bytes
    return Program(lambda: jax.block_until_ready(program(*args)), {"temporaries": temporaries, "compile_seconds": took})
