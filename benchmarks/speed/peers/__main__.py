"""Measure one library: its first step, one more, and then the timed ones; or single time steps."""

import importlib
import importlib.metadata
import itertools
import json
import platform
import sys
import time

from ...lib import timing
from ..libraries import PEERS
from . import task


def timed(step, job):
    """Return the seconds of the first call, a second call and the timed calls, and the result of each."""
    seconds, values = [], []
    while len(seconds) < 2 or (len(seconds) < 2 + job.rounds and sum(seconds[1:]) < job.budget):
        start = time.perf_counter()
        values.append(step())
        seconds.append(time.perf_counter() - start)
    return seconds, values


def main():
    """Print the measurements of the library in the first argument, for the `task.Job` in the second."""
    name, job = sys.argv[1], task.Job(**json.loads(sys.argv[2]))
    module = importlib.import_module(f".on_{'jax' if PEERS[name].is_of_jax else 'torch'}", __package__)
    build, live = getattr(module, name)()
    imported = timing.peak_memory()
    if job.mode == "live":
        step, xs = live(), itertools.cycle(task.LONG.inputs(batch=1, steps=16))
        print(json.dumps({"live": timing.interleaved({"": lambda: step(next(xs))}, job.rounds, calls=1000)[""]}))
        return
    steps = build(job)
    forward = timed(steps.forward, job)[0] if job.forward else []
    seconds, losses = timed(steps.train, job)
    result = {
        "first_step": seconds[0],
        "seconds": seconds[2:] or seconds[1:],
        "forward": forward[2:] or forward[1:],
        "peak_memory": timing.peak_memory(),
        "memory_after_import": imported,
        "losses": losses,
        "python": platform.python_version(),
        "versions": {package: importlib.metadata.version(package) for package in PEERS[name].packages},
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
