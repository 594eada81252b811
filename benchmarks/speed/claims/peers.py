"""Comparison with other libraries: the same network and training step in each, in separate processes on a CPU.

The first table shows the fastest mode of each library, and the leanest for memory; the next four show every mode.
Libraries run as their documentation describes, and on *all cores*: with one jax device per core, which share the batch,
and an allocator that retains freed memory, as `brainsurr.cpu` sets it up. brainsurr also runs with the devices alone.

*Added memory* is the peak memory of the process minus its peak after the imports, so it includes inputs, network,
compilation and training. *uint8* and *float32* are dtypes of the input spikes; torch cannot multiply uint8. Of
brainsurr, *dots*, *full* and *none* are values of `remat=` in `unroll`. The *first step* includes compilation.
Libraries with equal losses train alike. Lower is better for time and memory. The last table shows the time of one call
for one time step.
"""

import itertools
import statistics
from collections import defaultdict
from typing import NamedTuple

from tqdm import tqdm

from ...lib import timing
from ...lib.report import picture, ratio_at_most, table
from ...lib.tries import Tries, kept_in
from ..libraries import AS_DOCUMENTED, DEVICES, EVERY_CORE, FLOOR, OURS, PEERS, SHOWN, TERMS, interpreters, run_peer
from ..peers.task import LONG, NETWORKS, STEPS
from . import megabytes, seconds, spread


class Trial(NamedTuple):
    """A network of `task`, how it runs, and in which libraries.

    Attributes:
      network: its name in `NETWORKS`.
      batch: examples.
      steps: time steps.
      rounds: processes for each way to run a library; after the first round, only for jax libraries and their fastest
        ways.
      timed: the maximum number of training steps that each process times.
      of_jax: whether only jax libraries run, with the first of their inputs; torch would take minutes, or has nothing
        to compile.
      terms: how the processes are set up; devices alone apply only to brainsurr.
    """

    network: str
    batch: int
    steps: int
    rounds: int = 1
    timed: int = 5
    of_jax: bool = False
    terms: tuple[str, ...] = tuple(TERMS)


BATCH_256, BATCH_32, T_10_000 = "batch 256", "batch 32", "T = 10,000"
DEEP = "20 layers"
TRIALS = {
    BATCH_256: Trial("usual", 256, STEPS, rounds=2),
    BATCH_32: Trial("usual", 32, STEPS, rounds=2),
    T_10_000: Trial("long", 16, 10_000, rounds=2, timed=3),
    DEEP: Trial("deep", 32, STEPS, of_jax=True, terms=(AS_DOCUMENTED,)),
}
# The maximum of our time relative to the fastest other library, by terms and trial.
LIMITS = {
    (AS_DOCUMENTED, BATCH_256): 0.35,
    (AS_DOCUMENTED, BATCH_32): 0.35,
    (AS_DOCUMENTED, T_10_000): 0.45,
    (EVERY_CORE, BATCH_256): 0.30,
    (EVERY_CORE, BATCH_32): 0.35,
    (EVERY_CORE, T_10_000): 0.45,
}
QUICK = {BATCH_256: Trial("usual", 8, 20, timed=2, terms=(AS_DOCUMENTED, EVERY_CORE))}
NEAR = 1.25  # a way that needs more than this times the least time and the least memory of its library is not run again


def measure(quick):
    trials, chosen = (QUICK, (FLOOR, OURS)) if quick else (TRIALS, PEERS)
    tried, answers, medians = Tries(None if quick else kept_in("peers")), defaultdict(list), defaultdict(list)
    pythons = interpreters(chosen, quick, tried)
    of_jax = [name for name in pythons if PEERS[name].is_of_jax and name != FLOOR]
    for title, trial in trials.items():
        ways = _ways(title, trial, of_jax if trial.of_jax else list(pythons), quick)
        for i in range(trial.rounds):
            for way in (bar := tqdm(ways, desc=f"peers, {title}, {i + 1} of {trial.rounds}")):
                _, terms, name, mode, inputs = way
                bar.set_postfix_str(f"{name}, {mode}, {inputs}, {terms}")
                job = {"network": trial.network, "batch": trial.batch, "steps": trial.steps, "rounds": trial.timed}
                job |= {"mode": mode, "inputs": inputs}
                what = f"{name}, {mode}, {title}" + (f", {terms}" if terms != AS_DOCUMENTED else "")
                if answer := tried(what, [*way, i], run_peer, pythons[name], name, terms, **job):
                    answers[way].append(answer)
            ways = _worth_it({way: answers[way] for way in ways if way in answers and way[2] in (FLOOR, *of_jax)})
    keys = ("trial", "terms", "name", "mode", "inputs")
    runs = [
        dict(zip(keys, turn, strict=True)) | {"batch": trials[turn[0]].batch} | _merged(rounds)
        for turn, rounds in answers.items()
    ]
    # Several processes each, because two runs of one program differ more than two libraries.
    for i, name in itertools.product(range(1 if quick else 7), of_jax):
        how = {"mode": "live", "rounds": 5}
        if answer := tried(f"{name}, live", [name, i], run_peer, pythons[name], name, AS_DOCUMENTED, **how):
            medians[name].append(answer["live"]["median"])
    live = {name: timing.summary(of_processes) for name, of_processes in medians.items()}
    networks = {trial: "-".join(map(str, NETWORKS[trials[trial].network].sizes)) for trial in trials}
    return {"networks": networks, "missing": tried.missing, "runs": runs, "live": live}


def _ways(title, trial, names, quick):
    """List the ways to run a trial: title, terms, library, mode and inputs; ``quick`` keeps only each first mode."""
    return [
        (title, terms, name, mode, inputs)
        for terms in trial.terms
        for name in names
        for mode in PEERS[name].modes[: 1 if quick else None]
        for inputs in PEERS[name].inputs[: 1 if trial.of_jax else None]
        if terms != DEVICES or entry(name, mode) == OURS
    ]


def _worth_it(answers):
    """Return the ways that need at most `NEAR` times the least time, or memory, of a library on the same terms."""
    took = {way: min(second for answer in rounds for second in answer["seconds"]) for way, rounds in answers.items()}
    held = {way: min(map(_added, rounds)) for way, rounds in answers.items()}

    def is_near(way, needed):
        alike = [n for other, n in needed.items() if other[:2] == way[:2] and entry(*other[2:4]) == entry(*way[2:4])]
        return needed[way] <= NEAR * min(alike)

    return [way for way in answers if is_near(way, took) or is_near(way, held)]


def _added(answer):
    return answer["peak_memory"] - answer["memory_after_import"]


def _merged(rounds):
    """Merge the rounds of one library: all times, and the median of the values that each process has once."""
    first, *_ = rounds
    return {
        "time": timing.summary([second for answer in rounds for second in answer["seconds"]]),
        "added": timing.summary(list(map(_added, rounds))),
        **{key: statistics.median(answer[key] for answer in rounds) for key in ("first_step", "peak_memory")},
        **{key: first[key] for key in ("losses", "python", "versions")},
    }


def added(run):
    """Return the median of the bytes that data and training add to a process."""
    return run["added"]["median"]


def duration(run):
    """Return the median time of a training step."""
    return run["time"]["median"]


def entry(name, mode):
    """Return the name of a library; brainsurr with sparse products has its own name."""
    return f"{OURS}, events" if mode.endswith(", events") else name


def best(result, trial, key=duration, own_inputs=False, terms=AS_DOCUMENTED):
    """Return the best mode of each entry by name: the fastest, or the one with the smallest ``key``."""
    modes = {}
    for run in result["runs"]:
        own = not own_inputs or run["inputs"] == PEERS[run["name"]].inputs[0]
        if (run["trial"], run["terms"]) == (trial, terms) and run["name"] != FLOOR and own:
            of = entry(run["name"], run["mode"])
            modes[of] = min(modes.get(of, run), run, key=key)
    return modes


def on_jax(result, trial):
    """Return the time in ms of a training step in the fastest mode of each jax library, on all cores."""
    runs = best(result, trial, terms=EVERY_CORE).items()
    return {name: 1e3 * duration(run) for name, run in runs if "jax" in run["versions"]}


def claims(result):
    made = _over_the_floor(result)
    for (terms, trial), limit in LIMITS.items():
        ours, peers = _apart(best(result, trial, terms=terms))
        on = "" if terms == AS_DOCUMENTED else f" {SHOWN[terms]},"
        what = f"training step,{on} {{ours}} / fastest other library ({{name}}, {{other}}), {trial}"
        made += _held(limit, what, ours, peers)
    if OURS in result["live"] and len(result["live"]) > 1:
        name, fastest = min(result["live"].items(), key=lambda item: (item[0] == OURS, item[1]["median"]))
        what = f"streaming, one time step / fastest other library ({name})"
        made.append(ratio_at_most(1.0, what, result["live"][OURS], fastest))
    for own_inputs, form in ((True, "in each library's own dtype"), (False, "in the best dtype for each")):
        what = f"added memory, inputs {form}, {{ours}} / smallest other library ({{name}}, {{other}})"
        sides = _apart(best(result, BATCH_256, added, own_inputs))
        made += _held(1.0, f"{what}, {BATCH_256}", *sides, "added")
    return made


def _over_the_floor(result):
    """Compare `dots`, and the best mode with sparse products, with dense float32 products alone, all on all cores."""
    these = (BATCH_256, "float32", EVERY_CORE)
    runs = [run for run in result["runs"] if (run["trial"], run["inputs"], run["terms"]) == these]
    floor, made = [run for run in runs if run["name"] == FLOOR], []
    for ending, limit in (("dots", 1.15), (", events", 0.65)):
        ours = [run for run in runs if run["name"] == OURS and run["mode"].endswith(ending)]
        what = f"training step, all cores, `{{mode}}` / matrix products alone, {BATCH_256}"
        made += _held(limit, what, ours, floor)
    return made


def _held(limit, what, ours, others, of="time"):
    """Compare our best run with the best of the others by their medians; claim nothing if one is missing."""
    if not ours or not others:
        return []
    one, other = (min(runs, key=lambda run: run[of]["median"]) for runs in (ours, others))
    text = what.format(ours=_way(one), mode=one["mode"], name=other["name"], other=_way(other))
    return [ratio_at_most(limit, text, one[of], other[of])]


def _apart(modes):
    """Return our best modes, and those of the others."""
    return [[run for run in modes.values() if (run["name"] == OURS) == is_ours] for is_ours in (True, False)]


def _way(run):
    return f"`{run['mode']}`, {run['inputs']}"


def chooser(result, of_jax=False):
    """Return the table of libraries, or of those on jax, each in its best mode."""
    rows, terms_of_times = [], [terms for terms in (AS_DOCUMENTED, EVERY_CORE) if best(result, BATCH_256, terms=terms)]
    for name, run in sorted(best(result, BATCH_256).items(), key=lambda item: duration(item[1])):
        if of_jax and "jax" not in run["versions"]:
            continue
        row = [name if run["name"] == OURS else _shown(run)]
        for trial in (BATCH_256, T_10_000):
            fast = [best(result, trial, terms=terms).get(name) for terms in terms_of_times]
            row += [_ms(duration(run)) if run else "not measured" for run in fast]
            small = best(result, trial, added).get(name)
            row.append(megabytes(added(small)) if small else "not measured")
        rows.append(row)
    header = ["library"]
    for trial in (f"T = {STEPS}", T_10_000):
        header += [trial, *(f"{trial}, {SHOWN[terms]}" for terms in terms_of_times[1:]), f"{trial}, added memory"]
    return table(header, rows)


def gains(result):
    """Return a table of the gain from devices and from retained memory with float32, a row for each of our modes."""
    took = {
        (run["trial"], run["mode"], run["terms"]): run["time"]["median"]
        for run in result["runs"]
        if run["name"] == OURS and run["inputs"] == "float32"
    }
    rows = []
    for trial, mode in dict.fromkeys(key[:2] for key in took):
        times = [took.get((trial, mode, terms)) for terms in TERMS]
        if None not in times:
            rows.append((f"{trial}, `{mode}`", *map(_ms, times), f"{times[-1] / times[0]:.2f}"))
    return table(("training step", *SHOWN.values(), "all cores / one device"), rows)


def _ms(seconds):
    return f"{1e3 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def _shown(run):
    version = next(iter(run["versions"].values()))  # of the library itself, whose package can have another name
    return run["name"] if run["name"] in (OURS, FLOOR) else f"{run['name']} {version}"


def report(result):
    parts = [chooser(result)] if best(result, BATCH_256) else []
    for trial, network in result["networks"].items():
        rows = []
        for run in (run for run in result["runs"] if run["trial"] == trial):
            way = _shown(run), run["mode"], run["inputs"], SHOWN[run["terms"]]
            name = ", ".join(part for part in way if part != SHOWN[AS_DOCUMENTED])
            memory = megabytes(run["peak_memory"]), spread(run["added"], megabytes)
            losses = " ".join(f"{loss:.4f}" for loss in run["losses"][:3:2])  # a slow process may time fewer steps
            rows.append((name, seconds(run["time"]), *memory, f"{run['first_step']:.1f} s", losses))
        header = ("training step", "peak memory", "added memory", "first step", "loss at steps 1 and 3")
        short = network if len(network) < 20 else f"{network.split('-')[0]}-...-{network.split('-')[-1]}"
        parts.append(table((f"{trial}: {short}", *header), rows))
    if result["live"]:
        rows = [(name, seconds(time)) for name, time in sorted(result["live"].items(), key=lambda i: i[1]["median"])]
        network = "-".join(map(str, LONG.sizes))
        parts.append(table((f"one time step of {network}, one example", "time per call"), rows))
    notes = {f"{run['name']}: {note}" for run in result["runs"] for note in PEERS[run["name"]].notes}
    notes |= {f"{name}: not measured, {why}" for name, why in result["missing"].items()}
    return "\n\n".join([*parts, *(["\n".join(f"- {note}" for note in sorted(notes))] if notes else [])])


def draw(result, path):
    """Draw the time of a training step in the fastest mode of each jax library, on all cores."""
    trials = {trial: took for trial in (BATCH_256, T_10_000) if (took := on_jax(result, trial))}
    with picture(path, columns=len(trials), size=(4.2 * len(trials), 2.4), dpi=150) as (axes,):
        for axis, (trial, took) in zip(axes, trials.items(), strict=True):
            order = sorted(took, key=took.get, reverse=True)
            colors = ["C0" if name.startswith(OURS) else "0.7" for name in order]
            axis.bar_label(axis.barh(order, [took[name] for name in order], color=colors), fmt="%.0f", padding=3)
            axis.set(xlabel="time of a training step (ms)", title=f"T = {STEPS}" if trial == BATCH_256 else trial)
            axis.margins(x=0.2)
