"""The same network and train step in brainsurr and in its peers, each in its own environment and process.

Processes run in turns, a round after the other, as each library is documented and on every core: a device of jax for
each, the batch cut among them, and pages kept, as `brainsurr.cpu` does it. They run on the CPU, where the peak memory
of a process means something, and take a peer's newest release. What data and training add to a process is its peak less
the peak when its imports are done: inputs, network, compilation, training. Libraries on jax get spikes as uint8 and as
float32, those on torch, whose products take no uint8, as float32.
"""

import itertools
import statistics
import sys
from collections import defaultdict
from typing import NamedTuple

from tqdm import tqdm

from ...lib import timing
from ...lib.report import picture, ratio_at_most, table
from ..libraries import AS_DOCUMENTED, EVERY_CORE, FLOOR, OURS, PEERS, TERMS, environment, run_peer
from ..peers.task import LONG, NETWORKS, STEPS, Job
from . import megabytes, seconds, spread


class Trial(NamedTuple):
    """A network of `task`, how it is run, and by whom.

    Attributes:
      network: of `NETWORKS`.
      batch: examples.
      steps: time steps.
      rounds: processes of each way to run a library, all but the first for those near its fastest.
      timed: train steps that each of them times, at most.
      of_jax: whether only libraries on jax take part, with the inputs they take first: those on torch would take
        minutes or have nothing to compile.
      terms: how the processes are set up.
    """

    network: str
    batch: int
    steps: int
    rounds: int = 1
    timed: int = 5
    of_jax: bool = False
    terms: tuple[str, ...] = tuple(TERMS)


BATCH_256, BATCH_32, T_10_000 = "batch 256", "batch 32", "T = 10,000"
T_100_000, DEEP = "T = 100,000", "20 layers"
TRIALS = {
    BATCH_256: Trial("usual", 256, STEPS, rounds=5),
    BATCH_32: Trial("usual", 32, STEPS, rounds=3),
    T_10_000: Trial("long", 16, 10_000),
    T_100_000: Trial("long", 16, 100_000, timed=3, of_jax=True),
    DEEP: Trial("deep", 32, STEPS, of_jax=True, terms=(AS_DOCUMENTED,)),
}
# The trial, our terms, those of the peers, and what the quotient of times may be at most.
LIMITS = (
    *((trial, AS_DOCUMENTED, AS_DOCUMENTED, 0.95) for trial in (BATCH_256, BATCH_32, T_10_000)),
    (BATCH_256, EVERY_CORE, AS_DOCUMENTED, 0.7),
    (BATCH_256, EVERY_CORE, EVERY_CORE, 0.9),
    *((trial, EVERY_CORE, EVERY_CORE, 0.95) for trial in (BATCH_32, T_10_000)),
)
FIRST_STEPS = {BATCH_32: "2 LIF layers", DEEP: "20 LIF layers"}
QUICK = {BATCH_256: Trial("usual", 8, 20, timed=2)}
NEAR = 1.25  # a way that takes more than this times the library's fastest is not run again


def measure(quick):
    trials, chosen = (QUICK, {name: PEERS[name] for name in (FLOOR, OURS)}) if quick else (TRIALS, PEERS)
    pythons, missing, answers = {}, {}, defaultdict(list)
    pairs = zip if quick else itertools.product  # of a mode and a form of inputs

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
    for title, trial in trials.items():
        ways = [
            (title, terms, name, mode, inputs)
            for terms in trial.terms
            for name in (of_jax if trial.of_jax else pythons)
            for mode, inputs in pairs(PEERS[name].modes, PEERS[name].inputs[: 1 if trial.of_jax else None])
        ]
        for i in range(trial.rounds):
            for way in (bar := tqdm(ways, desc=f"peers, {title}, {i + 1} of {trial.rounds}")):
                _, terms, name, mode, inputs = way
                bar.set_postfix_str(f"{name}, {mode}, {inputs}, {terms}")
                job = trial._asdict() | {"mode": mode, "inputs": inputs, "rounds": trial.timed}
                job = {key: job[key] for key in Job._fields}
                what = f"{name}, {mode}, {title}" + (f", {terms}" if terms != AS_DOCUMENTED else "")
                if answer := tried(what, run_peer, pythons[name], name, terms, **job):
                    answers[way].append(answer)
            ways = _near_the_fastest({way: answers[way] for way in ways if answers[way]})
    keys = ("trial", "terms", "name", "mode", "inputs")
    runs = [
        dict(zip(keys, turn, strict=True)) | {"batch": trials[turn[0]].batch} | _merged(rounds)
        for turn, rounds in answers.items()
    ]
    medians = defaultdict(list)  # of several processes each: two of the same program differ more than two libraries
    for name in (1 if quick else 7) * of_jax:
        if answer := tried(f"{name}, live", run_peer, pythons[name], name, AS_DOCUMENTED, mode="live", rounds=5):
            medians[name].append(answer["live"]["median"])
    live = {name: timing.summary(of_processes) for name, of_processes in medians.items()}
    networks = {trial: "-".join(map(str, NETWORKS[trials[trial].network].sizes)) for trial in trials}
    return {"networks": networks, "missing": missing, "runs": runs, "live": live}


AS_FAST = """the products alone, the first row of the table *peers*, take much of both, and jaxpike, too, computes the
products of many time steps before it loops over the neurons"""
AS_LIVE = """the compiled program is that of six lines of jnp by hand; that of spyx has the same operations, but a spike
comes one step late there, so its three products do not wait for each other"""
OF_NEURONS = "what is left is the neurons between the products, each core's part in a loop of its own"
AS_SMALL = """beside inputs and temporaries, building and compiling a network takes memory in every library; and
jaxpike, too, can compute a stretch of time again in place of storing it"""


def _near_the_fastest(answers):
    """Return the ways that took at most `NEAR` times what the fastest of the same library took, on the same terms."""
    took = {way: min(second for answer in rounds for second in answer["seconds"]) for way, rounds in answers.items()}
    return [way for way, time in took.items() if time <= NEAR * min(took[w] for w in took if w[:3] == way[:3])]


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


def terms_of(run):
    """Return the terms of a run; before they were written down, there was one."""
    return run.get("terms", AS_DOCUMENTED)


def best(result, trial, key=duration, own_inputs=False, terms=AS_DOCUMENTED):
    """Return the best mode of each library by name: the fastest, or the smallest in something else."""
    modes = {}
    for run in result["runs"]:
        own = not own_inputs or run["inputs"] == PEERS[run["name"]].inputs[0]
        if (run["trial"], terms_of(run)) == (trial, terms) and run["name"] != FLOOR and own:
            modes[run["name"]] = min(modes.get(run["name"], run), run, key=key)
    return modes


def claims(result):
    made = _over_the_floor(result)
    for trial, terms, others, limit in LIMITS:
        ours, peers = best(result, trial, terms=terms).get(OURS), _apart(best(result, trial, terms=others))[1]
        peers = [run for run in peers if "jax" in run["versions"]]
        if ours and peers:
            fastest = min(peers, key=duration)
            on = "" if terms == AS_DOCUMENTED else f" {terms} /" if terms == others else f" {terms} / {others},"
            what = f"train step,{on} {_way(ours)} / fastest JAX peer ({fastest['name']}, {_way(fastest)}), {trial}"
            made.append(ratio_at_most(limit, what, ours["time"], fastest["time"], AS_FAST))
    if OURS in result["live"] and len(result["live"]) > 1:
        name, fastest = min(result["live"].items(), key=lambda item: (item[0] == OURS, item[1]["median"]))
        made.append(
            ratio_at_most(1.0, f"a live step / fastest JAX peer ({name})", result["live"][OURS], fastest, AS_LIVE)
        )
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


def _over_the_floor(result):
    """Compare `dots` on every core with the products alone, in a process as it is and on the same terms."""
    runs = [run for run in result["runs"] if run["trial"] == BATCH_256]
    ours = [run for run in runs if (run["name"], run["mode"], terms_of(run)) == (OURS, "dots", EVERY_CORE)]
    made = []
    for terms, limit in ((AS_DOCUMENTED, 1.0), (EVERY_CORE, 1.15)):
        floor = [run for run in runs if (run["name"], terms_of(run)) == (FLOOR, terms)]
        if ours and floor:
            what = f"train step, every core, `dots` / the flat products alone, {terms}, {BATCH_256}"
            made.append(ratio_at_most(limit, what, min(ours, key=duration)["time"], floor[0]["time"], OF_NEURONS))
    return made


def _apart(modes):
    """Return the mode of ours, None if there is none, and those of others."""
    return modes.pop(OURS, None), list(modes.values())


def _way(run):
    return f"`{run['mode']}`, {run['inputs']}"


def chooser(result):
    """Return the README's table, the best mode of each library a line, and what its columns are of."""
    rows, of_terms = [], [terms for terms in TERMS if best(result, BATCH_256, terms=terms)]
    for name, run in sorted(best(result, BATCH_256).items(), key=lambda item: duration(item[1])):
        for terms in of_terms:
            row = [_shown(run) if terms == AS_DOCUMENTED else f"- {terms}"]
            for trial in (BATCH_256, T_10_000):
                fast, small = (best(result, trial, key, terms=terms).get(name) for key in (duration, added))
                took = fast and (f"{duration(fast):.3g} s" if trial == T_10_000 else f"{1e3 * duration(fast):.0f} ms")
                row += [took, megabytes(added(small))] if fast else 2 * ["not measured"]
            rows.append(row)
    header = ("library", f"train step, T = {STEPS}", "memory it adds", f"train step, {T_10_000}", "memory it adds")
    about = (
        f"{result['networks'][BATCH_256]}, batch {TRIALS[BATCH_256].batch}; {T_10_000}: "
        f"{'-'.join(map(str, LONG.sizes))}, batch {TRIALS[T_10_000].batch}. The best mode and form of spikes for each "
        "number; memory: the peak beyond imports."
    )
    if EVERY_CORE in of_terms:
        about += f" *{EVERY_CORE}*: a jax device each, pages kept."
    return table(header, rows), about


def _said(run):
    """Return the terms of a run, if they are not the usual ones."""
    return [terms_of(run)] * (terms_of(run) != AS_DOCUMENTED)


def _shown(run):
    package, version = next(iter(run["versions"].items()))
    return run["name"] if run["name"] in (OURS, FLOOR) else f"{package} {version}"


def _first_steps(result):
    """Return a table of what tracing, compiling and the first train step take, the fastest library first; or none."""
    taken = defaultdict(dict)
    for run in result["runs"]:
        own = run["name"] != FLOOR and run["inputs"] == PEERS[run["name"]].inputs[0]
        if run["trial"] in FIRST_STEPS and own and terms_of(run) == AS_DOCUMENTED:
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
                ", ".join([_shown(run), run["mode"], run["inputs"], *_said(run)]),
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


def draw(result, path):
    """Draw time against memory, a point for every mode of every library, as documented and on every core."""
    trials = [trial for trial in (BATCH_256, BATCH_32, T_10_000) if best(result, trial)]
    markers = {AS_DOCUMENTED: "o", EVERY_CORE: "^"}
    with picture(path, columns=max(1, len(trials)), size=(4 * max(1, len(trials)), 3.8), dpi=150) as (axes,):
        for axis, trial in zip(axes, trials, strict=False):
            for i, name in enumerate(name for name in PEERS if name != FLOOR):
                for terms, marker in markers.items():
                    runs = [r for r in result["runs"] if (r["trial"], r["name"], terms_of(r)) == (trial, name, terms)]
                    points = [duration(r) for r in runs], [added(r) / 1e6 for r in runs]
                    label = name if terms == AS_DOCUMENTED else None
                    axis.scatter(*points, marker=marker, color=f"C{i}", label=label, alpha=0.8)
            axis.set(xlabel="seconds of a train step", xscale="log", yscale="log", title=trial)
        axes[0].set_ylabel("memory that data and training add (MB)")
        axes[-1].legend(frameon=False, fontsize=7)
