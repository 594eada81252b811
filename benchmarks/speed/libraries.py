"""The libraries that speed is compared with: what pip installs for each, in an environment and processes of its own."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PATIENCE = 180  # seconds, after which a process is stopped


class Peer(NamedTuple):
    """What pip shall install, on which Python, the ways to run it, and the inputs it takes, its own first."""

    requirements: tuple[str, ...]
    pythons: tuple[str, ...]
    modes: tuple[str, ...]
    inputs: tuple[str, ...] = ("float32", "uint8")

    @property
    def is_of_jax(self):
        return "torch" not in self.requirements


# torch has CPU builds for every Python, but plain `pip install torch` may take gigabytes of CUDA with it: one Python.
JAX, TORCH, FLOATS = ("3.13", "3.12", "3.11"), ("3.11",), ("float32",)
PEERS = {
    "products": Peer(("jax",), JAX, ("all steps at once",), FLOATS),
    "brainsurr": Peer(("flax",), JAX, ("dots", "full", "none", "layer by layer"), ("uint8", "float32")),
    "spyx": Peer(("spyx",), JAX, ("scan",)),
    "jaxpike": Peer(
        ("jaxpike",),
        JAX,
        ("unroll", "unroll_checkpointed", "unroll, scan_unroll=1", "unroll_checkpointed, scan_unroll=1"),
    ),
    "sparx": Peer(("sparxml",), JAX[:2], ("unroll=1", "unroll=8")),
    "brainpy": Peer(("brainpy",), JAX, ("for_loop", "checkpointed_for_loop")),
    "snntorch": Peer(("snntorch", "torch", "numpy"), TORCH, ("loop",), FLOATS),
    "spikingjelly": Peer(("spikingjelly", "torch"), TORCH, ("multi-step", "checkpointed"), FLOATS),
    "norse": Peer(("norse", "torch"), TORCH, ("layer by layer",), FLOATS),
}
OURS, FLOOR = "brainsurr", "products"


def environment(name, peer):
    """Return the interpreter of the peer's own environment, made if it isn't there; a RuntimeError says why not."""
    folder = ROOT / f".venv/bench-{name}"
    python, done = folder / "bin/python", folder / " ".join(peer.requirements)
    if not done.exists():
        here = [f"python{version}" for version in peer.pythons]
        base = next((interpreter for interpreter in here if _runs(interpreter)), None)
        if base is None:
            raise RuntimeError(f"needs {' or '.join(here)}, which is not here")
        make = subprocess.run([base, "-m", "venv", "--clear", folder], capture_output=True, text=True)
        if make.returncode:
            raise RuntimeError(f"{base} -m venv: {_last_line(make.stderr or make.stdout)}")
        command = [python, "-m", "pip", "install", "--quiet", *peer.requirements]
        install = subprocess.run(command, capture_output=True, text=True)
        if install.returncode:
            raise RuntimeError(f"pip install {' '.join(peer.requirements)}: {_last_line(install.stderr)}")
        done.touch()
    return python


def _runs(python):
    path = shutil.which(python)
    return path and not subprocess.run([path, "-c", "import venv, ensurepip"], capture_output=True).returncode


def _last_line(text):
    return text.strip().splitlines()[-1] if text.strip() else "no message"


def run_peer(python, name, *options):
    """Run one peer in a process of its own; return what it printed, or raise a RuntimeError."""
    command = [python, "-m", f"benchmarks.speed.peers.{name}", *map(str, options)]
    environ = os.environ | {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""}
    environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"  # else a second run would time how it is read
    try:
        answer = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"it took more than {PATIENCE // 60} minutes") from error
    if answer.returncode:
        raise RuntimeError(_last_line(answer.stderr))
    try:
        return json.loads(answer.stdout.splitlines()[-1])  # a library may have printed something before
    except (IndexError, ValueError) as error:
        raise RuntimeError(f"expected a line of JSON, got {_last_line(answer.stdout)}") from error
