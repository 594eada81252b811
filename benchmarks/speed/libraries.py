"""The other libraries: the packages that pip installs for each in its own environment, and their processes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from ..lib.timing import cores

ROOT = Path(__file__).parents[2]
TIMEOUT = 180  # seconds until a process is stopped
SLOW = "it took more than"


class Peer(NamedTuple):
    """The packages and Python version of a library, the ways to run it, and its input dtypes, the default first.

    Attributes:
      packages: the packages whose versions to report, the library's own first.
      notes: the differences from the task.
    """

    requirements: tuple[str, ...]
    pythons: tuple[str, ...]
    modes: tuple[str, ...]
    inputs: tuple[str, ...]
    packages: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def is_of_jax(self):
        return "torch" not in self.requirements


# torch has CPU builds for every Python, but plain `pip install torch` may add gigabytes of CUDA: use only one Python.
JAX, TORCH, FLOATS, BOTH = ("3.13", "3.12", "3.11"), ("3.11",), ("float32",), ("float32", "uint8")
UNROLLS = ("unroll", "unroll_checkpointed", "unroll, scan_unroll=1", "unroll_checkpointed, scan_unroll=1")
MODES = ("dots", "full", "none", "layer by layer")
EVENTS = tuple(f"{mode}, events" for mode in MODES)
# How some differ from the task.
SCALED = "multiplies its input by (1 - decay), so we scaled weights and learning rate"
LATE = "spikes one step after the potential crosses the threshold, and subtracts the threshold without decay"
AGAIN = "a potential above the threshold after a reset is reset again before the next spike, so losses differ"
READOUT = "its leaky integrator multiplies its input by (1 - decay), so we scaled its weights and learning rate"
SUPER = "has no arctan surrogate, so we used SuperSpike with alpha = 10, and losses differ after the first step"
SPIKINGJELLY = ("spikingjelly", "torch")
PEERS = {
    "products": Peer(("jax",), JAX, ("all steps at once",), FLOATS, ("jax",), ("a lower bound without neurons",)),
    "brainsurr": Peer(("flax", "numba"), JAX, MODES + EVENTS, BOTH[::-1], ("jax", "flax")),
    "spyx": Peer(("spyx",), JAX, ("scan",), BOTH, ("spyx", "jax", "flax"), (LATE,)),
    "jaxpike": Peer(("jaxpike",), JAX, UNROLLS, BOTH, ("jaxpike", "jax", "equinox"), (SCALED,)),
    "sparx": Peer(("sparxml",), JAX[:2], ("unroll=1", "unroll=8"), BOTH, ("sparxml", "jax", "flax")),
    "brainpy": Peer(("brainpy",), JAX, ("for_loop", "checkpointed_for_loop"), BOTH, ("brainpy", "brainstate", "jax")),
    "snntorch": Peer(("snntorch", "torch", "numpy"), TORCH, ("loop",), FLOATS, ("snntorch", "torch"), (AGAIN,)),
    "spikingjelly": Peer(SPIKINGJELLY, TORCH, ("multi-step", "checkpointed"), FLOATS, SPIKINGJELLY, (READOUT,)),
    "norse": Peer(("norse", "torch"), TORCH, ("layer by layer",), FLOATS, ("norse", "torch"), (SCALED, SUPER)),
}
OURS, FLOOR = "brainsurr", "products"
# The environment variables that `brainsurr.cpu.use_all_cores` would set, so that all libraries get the same: those
# without jax use all cores anyway. On jax, each batch is split among the devices.
AS_DOCUMENTED, DEVICES, EVERY_CORE = "as documented", "a device for each core", "every core"
SHOWN = {AS_DOCUMENTED: "one device", DEVICES: "one device per core", EVERY_CORE: "all cores"}  # in tables
_PAGES = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "8000000000", "MALLOC_ARENA_MAX": "1"}
_ON_DEVICES = {"JAX_NUM_CPU_DEVICES": str(cores())}
TERMS: dict[str, dict[str, str]] = {AS_DOCUMENTED: {}, DEVICES: _ON_DEVICES, EVERY_CORE: _ON_DEVICES | _PAGES}


def environment(name, peer):
    """Return the interpreter of the library's own environment, creating it if needed, or raise a RuntimeError."""
    folder = ROOT / f".venv/bench-{name}"
    python, done = folder / "bin/python", folder / " ".join(peer.requirements)
    if not done.exists():
        here = [f"python{version}" for version in peer.pythons]
        base = next(filter(_works, here), None)
        if base is None:
            raise RuntimeError(f"needs {' or '.join(here)}, which is not here")
        _run([base, "-m", "venv", "--clear", folder], f"{base} -m venv")
        install = [python, "-m", "pip", "install", "--quiet", *peer.requirements]
        _run(install, f"pip install {' '.join(peer.requirements)}")
        done.touch()
    return str(python)


def interpreters(names, quick, tried):
    """Return the interpreters of libraries by name, without those that can't be installed; ``tried`` is `Tries`."""
    made = {n: sys.executable if quick else tried(n, [n], environment, n, PEERS[n]) for n in names}
    return {name: python for name, python in made.items() if python}


def _works(python):
    probe = [python, "-c", "import ensurepip"]
    return shutil.which(python) and not subprocess.run(probe, capture_output=True).returncode


def run_peer(python, name, terms, timeout=TIMEOUT, **job):
    """Run one library in its own process on the given terms; return its output, or raise a RuntimeError."""
    return run_on(terms, python, name, "benchmarks.speed.peers", name, json.dumps(job), timeout=timeout)


def run_on(terms, python, what, module, *args, timeout=TIMEOUT, **variables):
    """Run a module on the given terms; return the JSON that it prints, or raise a RuntimeError that names it."""
    environ = os.environ | {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""} | TERMS[terms] | variables
    environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"  # otherwise a second run would time reading the cache
    printed = _run([python, "-m", module, *args], what, cwd=ROOT, env=environ, timeout=timeout)
    return json.loads(printed.splitlines()[-1])  # a library may have printed something before


def _run(command, what, **how):
    """Return the output of a process; a RuntimeError contains the last line of its error."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, **how)
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"{SLOW} {error.timeout:g} s") from None
    if done.returncode:
        *_, last = ["no message", *(done.stderr or done.stdout).strip().splitlines()]
        raise RuntimeError(f"{what}: {last}")
    return done.stdout
