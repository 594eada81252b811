"""Claims about the speed of brainsurr, one per file.

Each has ``measure(quick)``, which returns the content of the JSON; ``claims(result)``, the numbers that have a limit;
and ``report(result)``, its table. The last two read the JSON alone.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

import jax

from ...lib import timing


def seconds(time):
    """Format a median with its quartiles, in a unit in which it can be read; a single number without."""
    units = ((unit, scale) for unit, scale in (("s", 1), ("ms", 1e3)) if time["median"] * scale >= 1)
    unit, scale = next(units, ("us", 1e6))
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


def timed(programs, rounds, key="name", calls=1, each=lambda: None, **about):
    """Time programs in turns, and return a row of each: ``about``, its name by ``key``, its time and what it costs."""
    times = timing.interleaved({name: program.call for name, program in programs.items()}, rounds, calls, each)
    return [about | {key: name, "time": times[name]} | program.costs for name, program in programs.items()]
