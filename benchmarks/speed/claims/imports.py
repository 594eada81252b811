"""Imports: the time that `import brainsurr` adds to `import jax`, in a new process.

Lower is better.
"""

import json
import os
import subprocess
import sys

from tqdm import tqdm

from ...lib import timing
from ...lib.report import at_most, table
from ...lib.results import ROOT
from . import seconds

CODE = """
import json, time
start = time.perf_counter()
import jax
between = time.perf_counter()
import brainsurr
print(json.dumps({"import jax": between - start, "import brainsurr after it": time.perf_counter() - between}))
"""


def measure(quick):
    rounds, times = 2 if quick else 15, {}
    with_bytecode = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}  # like pip
    for i in tqdm(range(quick, 1 + rounds), desc="import"):
        answer = subprocess.check_output([sys.executable, "-c", CODE], cwd=ROOT, env=with_bytecode)
        if i:  # the first run reads the files into memory and writes their bytecode
            for name, second in json.loads(answer).items():
                times.setdefault(name, []).append(second)
    return {"times": {name: timing.summary(samples) for name, samples in times.items()}}


def claims(result):
    ours = result["times"]["import brainsurr after it"]["median"]
    return [at_most(60, "`import brainsurr` after `import jax`", 1e3 * ours, unit=" ms")]


def report(result):
    return table(("statement", "time"), [(name, seconds(time)) for name, time in result["times"].items()])
