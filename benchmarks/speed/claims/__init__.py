"""Claims about the speed of brainsurr, one per file.

Each has ``measure(quick)``, which returns the content of the JSON; ``claims(result)``, the numbers that have a limit;
and ``report(result)``, its table. The last two read the JSON alone.
"""

import time

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


def compiled(function, *args):
    """Compile it, apart from its time.

    Returns:
      A function that calls it with these arguments and waits for its result; what compiling took, and what memory it
      needs beside its arguments.
    """
    lowered = jax.jit(function).lower(*args)
    start = time.perf_counter()
    program = lowered.compile()
    took = time.perf_counter() - start
    temporaries = program.memory_analysis().temp_size_in_bytes
    return lambda: jax.block_until_ready(program(*args)), {"temporaries": temporaries, "compile_seconds": took}


def timed(programs, rounds, key="name", calls=1, **about):
    """Time `compiled` programs in turns; return a row of each: ``about``, its name by ``key``, its time and costs."""
    times = timing.interleaved({name: call for name, (call, _) in programs.items()}, rounds, calls)
    return [about | {key: name, "time": times[name]} | costs for name, (_, costs) in programs.items()]
