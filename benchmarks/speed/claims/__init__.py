"""The speed targets of brainsurr, one per file.

Each file has ``measure(quick)``, which returns the content of the JSON file; ``claims(result)``, the numbers with a
limit; and ``report(result)``, its table. The last two read only the JSON file.
"""

import time

import jax

from ...lib import timing


def seconds(time):
    """Format a median with its quartiles in a readable unit, or a single number without quartiles."""
    units = ((unit, scale) for unit, scale in (("s", 1), ("ms", 1e3)) if time["median"] * scale >= 1)
    unit, scale = next(units, ("us", 1e6))
    return spread(time, lambda number: f"{number * scale:.3g} {unit}")


def spread(summary, show):
    """Format a median with its quartiles, which omit the unit that ``show`` writes, or a single number."""
    low, high = (show(quartile).partition(" ")[0] for quartile in summary["quartiles"])
    return show(summary["median"]) + (f" ({low}-{high})" if summary["rounds"] > 1 else "")


def megabytes(size):
    """Format a number of bytes."""
    return f"{size / 1e6:,.0f} MB" if size >= 1e7 else f"{size / 1e6:.1f} MB"


def compiled(function, *args):
    """Compile a function, separately from its timing.

    Returns:
      A function that calls the compiled program with these arguments and waits for its result; the compile time, and
      the memory that it needs in addition to its arguments.
    """
    lowered = jax.jit(function).lower(*args)
    start = time.perf_counter()
    program = lowered.compile()
    took = time.perf_counter() - start
    temporaries = program.memory_analysis().temp_size_in_bytes
    return lambda: jax.block_until_ready(program(*args)), {"temporaries": temporaries, "compile_seconds": took}


def timed(programs, rounds, key="name", calls=1, **about):
    """Time `compiled` programs in turns; return a row for each: ``about``, its name as ``key``, its time and costs."""
    times = timing.interleaved({name: call for name, (call, _) in programs.items()}, rounds, calls)
    return [about | {key: name, "time": times[name]} | costs for name, (_, costs) in programs.items()]
