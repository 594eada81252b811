"""Time functions in turns, so that other load on the machine affects all of them equally.

This needs only the standard library, because the processes of other libraries use it in their own environments.
"""

import gc
import os
import re
import statistics
import sys
import time
from pathlib import Path


def interleaved(functions, rounds, calls=1):
    """Measure the seconds per call of each function, in turns; each function must wait for its own result.

    Args:
      functions: functions without arguments, by name; each is first called once to warm up.
      rounds: how often each function is timed.
      calls: how many calls are timed together, for functions that are too short for the clock.

    Returns:
      ``summary`` of each, by name.
    The ``summary`` of each function, by name.
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
    finally:
        gc.enable()
    return {name: summary(of_rounds) for name, of_rounds in seconds.items()}


def summary(seconds):
    """Return the median, the quartiles and the number of rounds."""
    low, median, high = statistics.quantiles(seconds, method="inclusive") if len(seconds) > 1 else 3 * seconds
    return {"median": median, "quartiles": [low, high], "rounds": len(seconds)}


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def peak_memory():
    """Return the peak memory of this process so far, in bytes; not on Windows."""
    status = Path("/proc/self/status")
    if status.exists():  # on Linux, getrusage starts from the peak of the parent process
        return 1024 * int(re.search(r"VmHWM:\s*(\d+)", status.read_text())[1])
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
