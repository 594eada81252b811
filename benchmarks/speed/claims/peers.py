"""The same network and train step in brainsurr and in its peers, each in an environment and a process of its own.

Processes run in turns, a round after the other. They run on the CPU, where the peak memory of a process means
something, and take a peer's newest release.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from ...lib import results, timing
from ..peers import task
from . import Mark, megabytes, seconds

ROOT = Path(__file__).parents[3]


class Peer(NamedTuple):
    """What pip shall install, on which Python, and the ways to run it."""

    requirements: tuple[str, ...]
    pythons: tuple[str, ...]
    modes: tuple[str, ...]


# torch has CPU builds for every Python, but plain `pip install torch` may take gigabytes of CUDA with it: one Python.
JAX, TORCH = ("3.13", "3.12", "3.11"), ("3.11",)
PEERS = {
    "products": Peer(("jax",), JAX, ("all steps at once",)),
    "brainsurr": Peer(("flax",), JAX, ("dots", "full", "none", "layer by layer")),
    "spyx": Peer(("spyx",), JAX, ("scan",)),
    "jaxpike": Peer(("jaxpike",), JAX, ("unroll", "unroll_checkpointed")),
    "sparx": Peer(("sparxml",), JAX[:2], ("unroll=1", "unroll=8")),
    "brainpy": Peer(("brainpy",), JAX, ("for_loop", "checkpointed_for_loop")),
    "snntorch": Peer(("snntorch", "torch", "numpy"), TORCH, ("loop",)),
    "spikingjelly": Peer(("spikingjelly", "torch"), TORCH, ("multi-step", "checkpointed")),
    "norse": Peer(("norse", "torch"), TORCH, ("layer by layer",)),
}
OURS, FLOOR = "brainsurr", "products"


def environment(name, peer):
    """The interpreter of the peer's own environment, made if it isn't there; a RuntimeError says why not."""
    folder = ROOT / f".venv/bench-{name}"
    python, done = folder / "bin/python", folder / " ".join(peer.requirements)
    if not done.exists():
        here = [f"python{version}" for version in peer.pythons]
        base = next((found for found in here if _runs(found)), None)
        if base is None:
            raise RuntimeError(f"needs {' or '.join(here)}, which is not here")
        subprocess.run([base, "-m", "venv", "--clear", folder], check=True)
        command = [python, "-m", "pip", "install", "--quiet", *peer.requirements]
        install = subprocess.run(command, capture_output=True, text=True)
        if install.returncode:
            raise RuntimeError(f"pip install {' '.join(peer.requirements)}: {_last_line(install.stderr)}")
        done.touch()
    return python


def _runs(python):
    found = shutil.which(python)
    return found and not subprocess.run([found, "-c", "import venv, ensurepip"], capture_output=True).returncode


def _last_line(text):
    return text.strip().splitlines()[-1] if text.strip() else "no message"


def train(python, name, mode, *options):
    """Run one peer in a process of its own; what it printed, or a RuntimeError."""
    command = [python, "-m", f"benchmarks.speed.peers.{name}", "--mode", mode, *map(str, options)]
    environ = os.environ | {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""}
    answer = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True)
    if answer.returncode:
        raise RuntimeError(_last_line(answer.stderr))
    return json.loads(answer.stdout)


def measure(quick):
    rounds, batches, options = (1, (8,), ("--steps", 20, "--rounds", 2)) if quick else (3, (256, 32), ())
    pythons, missing, answers = {}, {}, defaultdict(list)
    chosen = {name: PEERS[name] for name in (FLOOR, OURS)} if quick else PEERS
    for name, peer in tqdm(chosen.items(), desc="peers, environments"):
        try:
            pythons[name] = sys.executable if quick else environment(name, peer)
        except RuntimeError as error:
            missing[name] = str(error)
    modes = {name: PEERS[name].modes[: 2 if quick else None] for name in pythons}
    turns = [(batch, name, mode) for batch in batches for name in pythons for mode in modes[name]]
    with tqdm(total=rounds * len(turns), desc="peers") as bar:
        for _ in range(rounds):
            for batch, name, mode in turns:
                bar.set_postfix_str(f"{name}, {mode}, batch {batch}")
                if name not in missing:
                    try:
                        answers[batch, name, mode].append(train(pythons[name], name, mode, "--batch", batch, *options))
                    except RuntimeError as error:
                        missing[name] = str(error)
                bar.update()
    runs = [
        {"batch": batch, "name": name, "mode": mode, **_merged(several)}
        for (batch, name, mode), several in answers.items()
        if name not in missing
    ]
    return {"network": "-".join(map(str, task.SIZES)), "missing": missing, "runs": runs}


def _merged(several):
    """Rounds of one peer as one: all its times, the median of what each process has once."""
    first, *_ = several
    once = ("first_step", "peak_memory", "memory_after_import", "memory_before_training")
    return {
        "time": timing.summary([second for answer in several for second in answer["seconds"]]),
        **{key: statistics.median(answer[key] for answer in several) for key in once},
        **{key: first[key] for key in ("losses", "notes", "python", "versions")},
    }


def _peers(result, batch, package):
    runs = [run for run in result["runs"] if run["batch"] == batch and package in run["versions"]]
    return [run for run in runs if run["name"] not in (OURS, FLOOR)]


def marks(result):
    batch = result["runs"][0]["batch"]
    ours = [run for run in result["runs"] if run["batch"] == batch and run["name"] == OURS]
    found = []
    if peers := _peers(result, batch, "jax"):
        fastest, mine = (min(runs, key=lambda run: run["time"]["median"]) for runs in (peers, ours))
        what = f"train step, `{mine['mode']}` / fastest JAX peer ({fastest['name']}, {fastest['mode']}), batch {batch}"
        found.append(Mark(what, 1.0, mine["time"]["median"] / fastest["time"]["median"]))
    if peers := peers + _peers(result, batch, "torch"):
        smallest, mine = (min(runs, key=lambda run: run["peak_memory"]) for runs in (peers, ours))
        what = f"peak memory of the process, `{mine['mode']}` / smallest peer ({smallest['name']}, {smallest['mode']})"
        found.append(Mark(f"{what}, batch {batch}", 2 / 3, mine["peak_memory"] / smallest["peak_memory"]))
    return found


def report(result):
    rows = []
    for run in result["runs"]:
        package, version = next(iter(run["versions"].items()))
        name = run["name"] if run["name"] in (OURS, FLOOR) else f"{package} {version}"
        rows.append(
            (
                f"{name}, {run['mode']}, batch {run['batch']}",
                seconds(run["time"]),
                megabytes(run["peak_memory"]),
                megabytes(run["memory_before_training"]),
                f"{run['first_step']:.1f} s",
                " ".join(f"{run['losses'][i]:.4f}" for i in (0, 2)),
            )
        )
    header = ("train step", "peak memory", "before training", "first step", "loss of steps 1, 3")
    text = results.table((result["network"], *header), rows)
    notes = {f"{run['name']}: {note}" for run in result["runs"] for note in run["notes"]}
    notes |= {f"{name}: not measured, {why}" for name, why in result["missing"].items()}
    return "\n".join([text, *([""] if notes else []), *(f"- {note}" for note in sorted(notes))])
