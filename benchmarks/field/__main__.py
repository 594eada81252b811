"""Measure the networks of published benchmarks in each library, and write the result and its table.

``python -m benchmarks.field --out benchmarks/results/field`` takes an hour and a half on two cores. An interrupted run
resumes from its files in ``runs/field``.
"""

import itertools

from tqdm import tqdm

from ..lib import results, timing
from ..lib.study import arguments
from ..lib.tries import Tries, kept_in
from ..speed.libraries import OURS, interpreters, run_peer
from . import report
from .published import CANNOT, PUBLISHED, QUICK, WAYS

TIMED = {"rounds": 5, "budget": 15, "forward": True, "timeout": 120}


def measure(quick):
    """Time each library in its own process on each network: forward passes, then training steps."""
    networks, libraries = (QUICK, [OURS]) if quick else (PUBLISHED, list(WAYS))
    tried = Tries(None if quick else kept_in("field"))
    pythons, runs, missing = interpreters(libraries, quick, tried), [], []
    each = itertools.product(networks, report.TERMS, libraries)
    ways = [(trial, terms, name, mode) for trial, terms, name in each for mode in WAYS[name]]
    for way in (bar := tqdm(ways, desc="field")):
        trial, terms, name, mode = way
        bar.set_postfix_str(", ".join(way))
        of = dict(zip(("trial", "terms", "name", "mode"), way, strict=True))
        network, answer, why = networks[trial], None, CANNOT.get((name, trial))
        job = {"network": network.network, "batch": network.batch, "steps": network.steps, "mode": mode} | TIMED
        if not why:
            answer = name in pythons and tried(way, list(way), run_peer, pythons[name], name, terms, **job)
            why = tried.missing.get(way if name in pythons else name)
        if not answer:
            missing.append(of | {"why": why})
            continue
        times = {"train": timing.summary(answer["seconds"]), "forward": timing.summary(answer["forward"])}
        kept = {key: answer[key] for key in ("first_step", "losses", "python", "versions")}
        runs.append(of | times | kept)
    about = {trial: network._asdict() | {"about": network.about()} for trial, network in networks.items()}
    return {"networks": about, "limit": TIMED["timeout"], "runs": runs, "missing": missing}


def main(argv=None):
    """Measure, write the JSON file, and print the tables."""
    args = arguments("field", __doc__, argv, quick="brainsurr alone, small")
    results.write(args.out / "result.json", {"quick": args.quick, **measure(args.quick), **results.environment()})
    result = results.read(args.out / "result.json")
    print("\n\n".join(report.parts(result).values()))


if __name__ == "__main__":
    main()
