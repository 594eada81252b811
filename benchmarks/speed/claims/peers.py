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

from ...lib import results, timing
from ..libraries import FLOOR, OURS, PEERS, environment, run_peer
from ..peers import task
from . import Mark, megabytes, seconds, spread


class Trial(NamedTuple):
    """A network of `task`, how it is run, and by whom.

    Attributes:
      network: of `task.NETWORKS`.
      batch: examples.
      steps: time steps.
      rounds: processes of each way to run a library.
      timed: train steps that each of them times, at most.
      both_inputs: whether a library gets spikes in each form that it takes, or in its own alone.
      of_jax: whether only libraries on jax take part: those on torch would take minutes or have nothing to compile.
    """

    network: str
    batch: int
    steps: int
    rounds: int = 1
    timed: int = 5
    both_inputs: bool = False
    of_jax: bool = False


USUAL, SMALL, LONG = "batch 256", "batch 32", "T = 10,000"
LONGEST, DEEP = "T = 100,000", "20 layers"
TRIALS = {
    USUAL: Trial("usual", 256, task.STEPS, rounds=5, both_inputs=True),
    SMALL: Trial("usual", 32, task.STEPS, rounds=3, both_inputs=True),
    LONG: Trial("long", 16, 10_000, both_inputs=True),
    LONGEST: Trial("long", 16, 100_000, timed=3, both_inputs=True, of_jax=True),
    DEEP: Trial("deep", 32, task.STEPS, both_inputs=True, of_jax=True),
}
FIRST_STEPS = {SMALL: "2 LIF layers", DEEP: "20 LIF layers"}
QUICK = {USUAL: Trial("usual", 8, 20, timed=2, both_inputs=True)}


def _train(python, trial, name, mode, inputs):
    options = {"mode": mode, "inputs": inputs, "rounds": trial.timed}
    options |= {field: getattr(trial, field) for field in ("network", "batch", "steps")}
    return run_peer(python, name, *(text for key, value in options.items() for text in (f"--{key}", value)))


def measure(quick):
    trials, chosen = (QUICK, {name: PEERS[name] for name in (FLOOR, OURS)}) if quick else (TRIALS, PEERS)
    pythons, missing, answers = {}, {}, defaultdict(list)
    for name, peer in tqdm(chosen.items(), desc="peers, environments"):
        try:
            pythons[name] = sys.executable if quick else environment(name, peer)
        except RuntimeError as error:
            missing[name] = str(error)
    of_jax = [name for name in pythons if PEERS[name].is_of_jax and name != FLOOR]
    turns = [
        (title, name, mode, inputs)
        for title, trial in trials.items()
        for _ in range(trial.rounds)
        for name in pythons
        if name in of_jax or not trial.of_jax
        for mode in PEERS[name].modes[: 2 if quick else None]
        for inputs in PEERS[name].inputs[: None if trial.both_inputs else 1]
    ]
    for title, *way in (bar := tqdm(turns, desc="peers")):
        bar.set_postfix_str(", ".join([*way, title]))
        what = ", ".join([*way[:2], title])  # what fails with inputs of one form isn't tried with others
        if what not in missing:
            try:
                answer = _train(pythons[way[0]], trials[title], *way)
            except RuntimeError as error:
                missing[what] = str(error)
            else:
                answers[title, *way].append(answer)
    runs = [
        {"trial": title, "batch": trials[title].batch, "name": name, "mode": mode, "inputs": inputs, **_merged(rounds)}
        for (title, name, mode, inputs), rounds in answers.items()
    ]
    networks = {trial: "-".join(map(str, task.NETWORKS[trials[trial].network].sizes)) for trial in trials}
    live = {}
    for name in of_jax:
        try:
            live[name] = run_peer(pythons[name], name, "--live", *(["--rounds", 2] if quick else []))["live"]
        except RuntimeError as error:
            missing[f"{name}, live"] = str(error)
    return {"networks": networks, "missing": missing, "runs": runs, "live": live}


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


def marks(result):
    all_marks = []
    for trial in (USUAL, SMALL, LONG):
        modes = best(result, trial)
        of_jax = [run for name, run in modes.items() if name != OURS and "jax" in run["versions"]]
        if of_jax and OURS in modes:
            fastest, ours = min(of_jax, key=duration), modes[OURS]
            what = f"train step, {_way(ours)} / fastest JAX peer ({fastest['name']}, {_way(fastest)}), {trial}"
            why = (
                "the products alone, the first row of the table *peers*, take much of both, and jaxpike, too, computes "
                "the products of many time steps before it loops over the neurons"
            )
            all_marks.append(Mark.of(what, 0.95, ours["time"], fastest["time"], why=why))
    for own_inputs, form in ((True, "in each library's own form"), (False, "in the form that is best for each")):
        modes = best(result, USUAL, added, own_inputs)
        peers = [run for name, run in modes.items() if name != OURS]
        if peers and OURS in modes:
            smallest, ours = min(peers, key=added), modes[OURS]
            what = (
                f"memory that data and training add, inputs {form}, {_way(ours)} / smallest peer "
                f"({smallest['name']}, {_way(smallest)}), {USUAL}"
            )
            why = (
                "beside inputs and temporaries, building and compiling a network takes memory in every library; and "
                "jaxpike, too, can compute a stretch of time again in place of storing it"
            )
            all_marks.append(Mark.of(what, 2 / 3, ours["added"], smallest["added"], why=why))
    return all_marks


def _way(run):
    return f"`{run['mode']}`, {run['inputs']}"


def about_chooser(result):
    """Say what the columns of the README's table are of."""
    columns = [f"T = {task.STEPS}: {result['networks'][USUAL]}, batch {TRIALS[USUAL].batch}"]
    if best(result, LONG):
        columns.append(f"{LONG}: {result['networks'][LONG]}, batch {TRIALS[LONG].batch}, one process for each mode")
    return (
        f"{'; '.join(columns)}. Each number is that of a library's best mode for it, so time and memory in a row can "
        "be those of two modes. Libraries on jax got the input spikes as uint8 and as float32, whichever is better for "
        "the number. The memory is the peak of a process less what its imports take: inputs, network, compilation, "
        "training."
    )


def chooser(result):
    """Return the README's table: the best mode of each library, a line each."""
    fast, small = best(result, USUAL), best(result, USUAL, added)
    fast_long, small_long = best(result, LONG), best(result, LONG, added)
    none, rows = "not measured", []
    for name in sorted(fast, key=lambda name: duration(fast[name])):
        row = [_shown(fast[name]), f"{1e3 * duration(fast[name]):.0f} ms", megabytes(added(small[name]))]
        row.append(f"{duration(fast_long[name]):.3g} s" if name in fast_long else none)
        rows.append([*row, megabytes(added(small_long[name])) if name in small_long else none])
    steps = f"train step, T = {task.STEPS}"
    return results.table(("library", steps, "memory it adds", f"train step, {LONG}", "memory it adds"), rows)


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
        f"first step: trace, compile, train; T = {task.STEPS}, inputs in each library's own form",
        *FIRST_STEPS.values(),
    )
    return [results.table(heads, rows)] if rows else []


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
        parts.append(results.table((f"{trial}: {short}", *header), rows))
    parts += _first_steps(result)
    if result["live"]:
        rows = [(name, seconds(time)) for name, time in sorted(result["live"].items(), key=lambda i: i[1]["median"])]
        network = "-".join(map(str, task.NETWORKS["long"].sizes))
        parts.append(results.table((f"one time step of {network}, called from Python, one example", "time"), rows))
    notes = {f"{run['name']}: {note}" for run in result["runs"] for note in run["notes"]}
    notes |= {f"{name}: not measured, {why}" for name, why in result["missing"].items()}
    return "\n\n".join([*parts, *(["\n".join(f"- {note}" for note in sorted(notes))] if notes else [])])
