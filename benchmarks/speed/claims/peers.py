"""The same network and train step in brainsurr and in its peers, each in its own environment and process.

Processes run in turns, a round after the other. They run on the CPU, where the peak memory of a process means
something, and take a peer's newest release. What data and training add to a process is its peak less what it holds when
its imports are done. Each library gets the spikes in the form that it reads: brainsurr uint8, the others float32.
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
from . import Mark, megabytes, ratio, seconds

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
LONG = 10_000  # time steps of a run with the network of `long`, once and not in each round


def environment(name, peer):
    """Return the interpreter of the peer's own environment, made if it isn't there; a RuntimeError says why not."""
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
    rounds, batches, options, long = (
        (1, (8,), ("--steps", 20, "--rounds", 2), 50) if quick else (3, (256, 32), (), LONG)
    )
    short = task.STEPS if not quick else 20
    pythons, missing, answers = {}, {}, defaultdict(list)
    chosen = {name: PEERS[name] for name in (FLOOR, OURS)} if quick else PEERS
    for name, peer in tqdm(chosen.items(), desc="peers, environments"):
        try:
            pythons[name] = sys.executable if quick else environment(name, peer)
        except RuntimeError as error:
            missing[name] = str(error)
    modes = {name: PEERS[name].modes[: 2 if quick else None] for name in pythons}
    ways = [(name, mode) for name in pythons for mode in modes[name]]
    turns = [(batch, short, *way) for batch in batches for way in ways]
    turns = rounds * turns + [(task.LONG_BATCH, long, *way) for way in ways]
    for batch, steps, name, mode in (bar := tqdm(turns, desc="peers")):
        bar.set_postfix_str(f"{name}, {mode}, batch {batch}, T = {steps}")
        if name not in missing:
            told = ("--batch", batch, *options, "--steps", steps, *(["--long"] if steps == long else []))
            try:
                answers[batch, steps, name, mode].append(train(pythons[name], name, mode, *told))
            except RuntimeError as error:
                missing[name] = str(error)
    runs = [
        {"batch": batch, "steps": steps, "name": name, "mode": mode, **_merged(several)}
        for (batch, steps, name, mode), several in answers.items()
        if name not in missing
    ]
    networks = ["-".join(map(str, sizes)) for sizes in (task.SIZES, task.LONG)]
    return {"network": networks[0], "long_network": networks[1], "long": long, "missing": missing, "runs": runs}


def _merged(several):
    """Merge rounds of one peer: all its times, the median of what each process has once."""
    first, *_ = several
    once = ("first_step", "peak_memory", "memory_after_import", "memory_before_training")
    return {
        "time": timing.summary([second for answer in several for second in answer["seconds"]]),
        **{key: statistics.median(answer[key] for answer in several) for key in once},
        **{key: first[key] for key in ("losses", "notes", "python", "versions")},
    }


def added(run):
    """Return what data and training add to a process, in bytes."""
    return run["peak_memory"] - run["memory_after_import"]


def _is_long(result, run):
    return "steps" in run and run["steps"] == result.get("long")


def best(result, batch, *, long=False, key=lambda run: run["time"]["median"]):
    """Return the best mode of each library by name: the fastest, or the smallest in something else."""
    found = {}
    for run in result["runs"]:
        if _is_long(result, run) == long and (long or run["batch"] == batch) and run["name"] != FLOOR:
            found[run["name"]] = min(found.get(run["name"], run), run, key=key)
    return found


def marks(result):
    batches = list(dict.fromkeys(run["batch"] for run in result["runs"] if not _is_long(result, run)))
    found = []
    for batch in batches:
        modes = best(result, batch)
        of_jax = {name: run for name, run in modes.items() if name != OURS and "jax" in run["versions"]}
        if of_jax:
            name, fastest = min(of_jax.items(), key=lambda item: item[1]["time"]["median"])
            what = f"train step, `{modes[OURS]['mode']}` / fastest JAX peer ({name}, {fastest['mode']}), batch {batch}"
            times = (run["time"]["median"] for run in (modes[OURS], fastest))
            found.append(
                Mark(
                    what,
                    0.95,
                    ratio(*times),
                    why="the products alone, the first row of the table *peers*, take most of both",
                )
            )
    modes = best(result, batches[0], key=added)
    peers = {name: run for name, run in modes.items() if name != OURS}
    if peers:
        name, smallest = min(peers.items(), key=lambda item: added(item[1]))
        what = (
            f"memory that data and training add, `{modes[OURS]['mode']}` / smallest peer ({name}, {smallest['mode']})"
        )
        why = "the rest, beside the inputs and the temporaries, is what it takes to compile, in every library"
        found.append(Mark(f"{what}, batch {batches[0]}", 2 / 3, ratio(added(modes[OURS]), added(smallest)), why=why))
    return found


def about_chooser(result):
    """Say what the columns of the README's table are of."""
    columns = [f"T = {task.STEPS}: {result['network']}, batch {result['runs'][0]['batch']}"]
    if batches := {run["batch"] for run in result["runs"] if _is_long(result, run)}:
        columns.append(f"T = {LONG:,}: {result['long_network']}, batch {batches.pop()}")
    return (
        f"{'; '.join(columns)}. Each number is that of a library's best mode for it, so time and memory in a row can "
        f"be those of two modes. Inputs are uint8 in {OURS} and float32 elsewhere."
    )


def chooser(result):
    """Return the README's table: the best mode of each library, a line each."""
    batch = result["runs"][0]["batch"]
    fast, small = best(result, batch), best(result, batch, key=added)
    long, rows = best(result, None, long=True), []
    for name in sorted(fast, key=lambda name: fast[name]["time"]["median"]):
        last = long.get(name)
        rows.append(
            (
                _shown(fast[name]),
                f"{1e3 * fast[name]['time']['median']:.0f} ms",
                megabytes(added(small[name])),
                f"{last['time']['median']:.3g} s" if last else "not measured",
                megabytes(min(added(run) for run in result["runs"] if _is_long(result, run) and run["name"] == name))
                if last
                else "not measured",
            )
        )
    header = (
        "library",
        f"train step, T = {task.STEPS}",
        "memory it adds",
        f"train step, T = {LONG:,}",
        "memory it adds",
    )
    return results.table(header, rows)


def _shown(run):
    package, version = next(iter(run["versions"].items()))
    return run["name"] if run["name"] in (OURS, FLOOR) else f"{package} {version}"


def report(result):
    rows = []
    for run in result["runs"]:
        steps = f", T = {run['steps']:,}" if _is_long(result, run) else ""
        rows.append(
            (
                f"{_shown(run)}, {run['mode']}, batch {run['batch']}{steps}",
                seconds(run["time"]),
                megabytes(run["peak_memory"]),
                megabytes(added(run)),
                f"{run['first_step']:.1f} s",
                " ".join(f"{loss:.4f}" for loss in run["losses"][:3:2]),  # a slow one may take fewer steps
            )
        )
    header = ("train step", "peak memory", "data and training add", "first step", "loss of steps 1, 3")
    networks = result["network"] + (f"; T = {result['long']:,}: {result['long_network']}" if "long" in result else "")
    text = results.table((networks, *header), rows)
    notes = {f"{run['name']}: {note}" for run in result["runs"] for note in run["notes"]}
    notes |= {f"{name}: not measured, {why}" for name, why in result["missing"].items()}
    return "\n".join([text, *([""] if notes else []), *(f"- {note}" for note in sorted(notes))])
