"""The same network and train step in brainsurr and in its peers, each in its own environment and process.

Processes run in turns, a round after the other. They run on the CPU, where the peak memory of a process means
something, and take a peer's newest release. What data and training add to a process is its peak less the peak when its
imports are done: inputs, network, compilation, training. Libraries on jax get spikes as uint8 and as float32, those on
torch, whose products take no uint8, as float32.
"""

import statistics
import sys
from collections import defaultdict
from typing import NamedTuple

from tqdm import tqdm

from ...lib import timing
from ...lib.report import ratio_at_most, table
from ..libraries import FLOOR, OURS, PEERS, environment, run_peer
from ..peers.task import LONG, NETWORKS, STEPS, Job
from . import megabytes, seconds, spread


class Trial(NamedTuple):
    """A network of `task`, how it is run, and by whom.

    Attributes:
      network: of `NETWORKS`.
      batch: examples.
      steps: time steps.
      rounds: processes of each way to run a library.
      timed: train steps that each of them times, at most.
      of_jax: whether only libraries on jax take part: those on torch would take minutes or have nothing to compile.
    """

    network: str
    batch: int
    steps: int
    rounds: int = 1
    timed: int = 5
    of_jax: bool = False


BATCH_256, BATCH_32, T_10_000 = "batch 256", "batch 32", "T = 10,000"
T_100_000, DEEP = "T = 100,000", "20 layers"
TRIALS = {
    BATCH_256: Trial("usual", 256, STEPS, rounds=5),
    BATCH_32: Trial("usual", 32, STEPS, rounds=3),
    T_10_000: Trial("long", 16, 10_000),
    T_100_000: Trial("long", 16, 100_000, timed=3, of_jax=True),
    DEEP: Trial("deep", 32, STEPS, of_jax=True),
}
FIRST_STEPS = {BATCH_32: "2 LIF layers", DEEP: "20 LIF layers"}
QUICK = {BATCH_256: Trial("usual", 8, 20, timed=2)}


def measure(quick):
    trials, chosen = (QUICK, {name: PEERS[name] for name in (FLOOR, OURS)}) if quick else (TRIALS, PEERS)
    pythons, missing, answers, live = {}, {}, defaultdict(list), {}

    def tried(what, run, *args, **how):
        """Return what a run returns, None if it fails; what fails with inputs of one form isn't tried with others."""
        if what not in missing:
            try:
                return run(*args, **how)
            except RuntimeError as error:
                missing[what] = str(error)

    for name, peer in tqdm(chosen.items(), desc="peers, environments"):
        if python := sys.executable if quick else tried(name, environment, name, peer):
            pythons[name] = python
    of_jax = [name for name in pythons if PEERS[name].is_of_jax and name != FLOOR]
    turns = [
        (title, name, mode, inputs)
        for title, trial in trials.items()
        for _ in range(trial.rounds)
        for name in pythons
        if name in of_jax or not trial.of_jax
        for mode in PEERS[name].modes[: 2 if quick else None]
        for inputs in PEERS[name].inputs
    ]
    for title, name, mode, inputs in (bar := tqdm(turns, desc="peers")):
        bar.set_postfix_str(f"{name}, {mode}, {inputs}, {title}")
        job = trials[title]._asdict() | {"mode": mode, "inputs": inputs, "rounds": trials[title].timed}
        job = {key: job[key] for key in Job._fields}
        if answer := tried(f"{name}, {mode}, {title}", run_peer, pythons[name], name, **job):
            answers[title, name, mode, inputs].append(answer)
    runs = [
        {"trial": title, "batch": trials[title].batch, "name": name, "mode": mode, "inputs": inputs, **_merged(rounds)}
        for (title, name, mode, inputs), rounds in answers.items()
    ]
    for name in of_jax:
        if answer := tried(f"{name}, live", run_peer, pythons[name], name, mode="live", rounds=2 if quick else 5):
            live[name] = answer["live"]
    networks = {trial: "-".join(map(str, NETWORKS[trials[trial].network].sizes)) for trial in trials}
    return {"networks": networks, "missing": missing, "runs": runs, "live": live}


AS_FAST = """the products alone, the first row of the table *peers*, take much of both, and jaxpike, too, computes the
products of many time steps before it loops over the neurons"""
AS_SMALL = """beside inputs and temporaries, building and compiling a network takes memory in every library; and
jaxpike, too, can compute a stretch of time again in place of storing it"""


def _merged(rounds):
    """Merge rounds of one peer: all its times, the median of what each process has once."""
    first, *_ = rounds
    once = ("first_step", "peak_memory", "memory_after_import", "memory_before_training")
    return {
        "time": timing.summary([second for answer in rounds for second in answer["seconds"]]),
        "added": timing.summary([answer["peak_memory"] - answer["memory_after_import"] for answer in rounds]),
        **{key: statistics.median(answer[key] for answer in rounds) for key in once},
        **{key: first[key] for key in ("losses", "notes", "python", "versions")},
    }


def added(run):
    """Return what data and training add to a process, in bytes: the median."""
    return run["added"]["median"]


def duration(run):
    """Return the median time of a train step."""
    return run["time"]["median"]


def best(result, trial, key=duration, own_inputs=False):
    """Return the best mode of each library by name: the fastest, or the smallest in something else."""
    modes = {}
    for run in result["runs"]:
        own = not own_inputs or run["inputs"] == PEERS[run["name"]].inputs[0]
        if run["trial"] == trial and run["name"] != FLOOR and own:
            modes[run["name"]] = min(modes.get(run["name"], run), run, key=key)
    return modes


def claims(result):
    made = []
    for trial in (BATCH_256, BATCH_32, T_10_000):
        ours, peers = _apart(best(result, trial))
        peers = [run for run in peers if "jax" in run["versions"]]
        if ours and peers:
            fastest = min(peers, key=duration)
            what = f"train step, {_way(ours)} / fastest JAX peer ({fastest['name']}, {_way(fastest)}), {trial}"
            made.append(ratio_at_most(0.95, what, ours["time"], fastest["time"], AS_FAST))
    for own_inputs, form in ((True, "in each library's own form"), (False, "in the form that is best for each")):
        ours, peers = _apart(best(result, BATCH_256, added, own_inputs))
        if ours and peers:
            smallest = min(peers, key=added)
            what = (
                f"memory that data and training add, inputs {form}, {_way(ours)} / smallest peer "
                f"({smallest['name']}, {_way(smallest)}), {BATCH_256}"
            )
            made.append(ratio_at_most(2 / 3, what, ours["added"], smallest["added"], AS_SMALL))
    return made


def _apart(modes):
    """Return the mode of ours, None if there is none, and those of others."""
    return modes.pop(OURS, None), list(modes.values())


def _way(run):
    return f"`{run['mode']}`, {run['inputs']}"


def chooser(result):
    """Return the README's table, the best mode of each library a line, and what its columns are of."""
    rows = []
    for name, run in sorted(best(result, BATCH_256).items(), key=lambda item: duration(item[1])):
        row = [_shown(run)]
        for trial in (BATCH_256, T_10_000):
            fast, small = best(result, trial).get(name), best(result, trial, added).get(name)
            took = fast and (f"{duration(fast):.3g} s" if trial == T_10_000 else f"{1e3 * duration(fast):.0f} ms")
            row += [took, megabytes(added(small))] if fast else 2 * ["not measured"]
        rows.append(row)
    header = ("library", f"train step, T = {STEPS}", "memory it adds", f"train step, {T_10_000}", "memory it adds")
    about = (
        f"T = {STEPS}: {result['networks'][BATCH_256]}, batch {TRIALS[BATCH_256].batch}; {T_10_000}: "
        f"{'-'.join(map(str, LONG.sizes))}, batch {TRIALS[T_10_000].batch}, one process for each mode. Each number is "
        "that of a library's best mode for it, so time and memory in a row can be those of two modes. Libraries on jax "
        "got the input spikes as uint8 and as float32, whichever is better for the number. The memory is the peak of a "
        "process less what its imports take: inputs, network, compilation, training."
    )
    return table(header, rows), about


def _shown(run):
    package, version = next(iter(run["versions"].items()))
    return run["name"] if run["name"] in (OURS, FLOOR) else f"{package} {version}"


def _first_steps(result):
    """Return a table of what tracing, compiling and the first train step take, the fastest library first; or none."""
    taken = defaultdict(dict)
    for run in result["runs"]:
        if run["trial"] in FIRST_STEPS and run["name"] != FLOOR and run["inputs"] == PEERS[run["name"]].inputs[0]:
            taken[_shown(run), run["mode"]][run["trial"]] = run["first_step"]
    whole = {way: by_trial for way, by_trial in taken.items() if len(by_trial) == len(FIRST_STEPS)}
    rows = [
        (", ".join(way), *(f"{whole[way][trial]:.1f} s" for trial in FIRST_STEPS))
        for way in sorted(whole, key=lambda way: whole[way][DEEP])
    ]
    heads = (
        f"first step: trace, compile, train; T = {STEPS}, inputs in each library's own form",
        *FIRST_STEPS.values(),
    )
    return [table(heads, rows)] if rows else []


def report(result):
    parts = []
    for trial, network in result["networks"].items():
        rows = [
            (
                f"{_shown(run)}, {run['mode']}, {run['inputs']}",
                seconds(run["time"]),
                megabytes(run["peak_memory"]),
                spread(run["added"], megabytes),
                f"{run['first_step']:.1f} s",
                " ".join(f"{loss:.4f}" for loss in run["losses"][:3:2]),  # a slow one may take fewer steps
            )
            for run in result["runs"]
            if run["trial"] == trial
        ]
        header = ("train step", "peak memory", "data and training add", "first step", "loss of steps 1, 3")
        short = network if len(network) < 20 else f"{network.split('-')[0]}-...-{network.split('-')[-1]}"
        parts.append(table((f"{trial}: {short}", *header), rows))
    parts += _first_steps(result)
    if result["live"]:
        rows = [(name, seconds(time)) for name, time in sorted(result["live"].items(), key=lambda i: i[1]["median"])]
        network = "-".join(map(str, LONG.sizes))
        parts.append(table((f"one time step of {network}, called from Python, one example", "time"), rows))
    notes = {f"{run['name']}: {note}" for run in result["runs"] for note in run["notes"]}
    notes |= {f"{name}: not measured, {why}" for name, why in result["missing"].items()}
    return "\n\n".join([*parts, *(["\n".join(f"- {note}" for note in sorted(notes))] if notes else [])])
