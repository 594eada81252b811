"""How a time is taken: functions in turns, so that whatever else the machine does falls on all of them alike.

Needs the standard library alone: the peers' processes, in environments of their own, use it too.
"""

import gc
import re
import resource
import statistics
import sys
import time
from pathlib import Path


def interleaved(functions, rounds, calls=1, each=lambda: None):
    """Seconds of a call of each function, timed in turns; every one must wait for its own result.

    Args:
      functions: functions without arguments, by name; each is called once before, to warm up.
      rounds: how often each is timed.
      calls: how many calls are timed together, for functions that are shorter than the clock is good.
      each: called after each turn of a function, to show progress.

    Returns:
      ``summary`` of each, by name.
    """
    seconds = {name: [] for name in functions}
    for function in functions.values():
        function()
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            for name, function in functions.items():
                start = time.perf_counter()
                for _ in range(calls):
                    function()
                seconds[name].append((time.perf_counter() - start) / calls)
                each()
    finally:
        gc.enable()
    return {name: summary(several) for name, several in seconds.items()}


def summary(seconds):
    """The median and the quartiles, and from how many."""
    low, median, high = statistics.quantiles(seconds, method="inclusive") if len(seconds) > 1 else 3 * seconds
    return {"median": median, "quartiles": [low, high], "rounds": len(seconds)}


def peak_memory():
    """The most memory that this process has held so far, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # what getrusage says on Linux begins with the memory of the process that started this one
        return 1024 * int(re.search(r"VmHWM:\s*(\d+)", status.read_text())[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
