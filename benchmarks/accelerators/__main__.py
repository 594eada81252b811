"""Compile the training steps of the jax libraries for accelerators, and count their kernel launches.

``python -m benchmarks.accelerators`` installs XLA's compilers (1 GB) next to the environments of the libraries,
compiles each program, and writes ``runs/accelerators/result.json`` and a picture. It runs nothing, so it measures no
times.
"""

import json
import subprocess
import sys

from tqdm import tqdm

from ..lib import results
from ..lib.study import arguments
from ..speed.libraries import AS_DOCUMENTED, OURS, PEERS, ROOT, UNROLLS, environment, run_on
from . import report
from .targets import TARGETS

MODES = ("layer by layer", "dots", "full")
OTHERS = {
    "spyx": ("scan",),
    "jaxpike": (UNROLLS[2], *UNROLLS[:2], "unroll, scan_unroll=10"),
    "sparx": (*PEERS["sparx"].modes, "unroll=10"),
    "brainpy": PEERS["brainpy"].modes,
    "products": PEERS["products"].modes,
}


def jobs():
    """List the programs of each library: the reference network for all, and other networks for brainsurr."""

    def of(modes, network="usual", lengths=(100, 1000)):
        return [{"mode": mode, "network": network, "steps": steps} for steps in lengths for mode in modes]

    own = [*of(MODES), *(job for name in report.NETWORKS for job in of(MODES[:2], name, (100,)))]
    return {OURS: own, **{name: of(modes) for name, modes in OTHERS.items()}}


def compilers(python, name):
    """Install XLA's compilers for the jax version of a library's interpreter, once, and return their folder."""
    version, packages = run_on(AS_DOCUMENTED, python, name, "benchmarks.accelerators.targets")
    folder = ROOT / f".venv/accelerators-{version}"  # libraries with the same jax version share it
    done = folder / "done"
    if not done.exists():
        install = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder, *packages]
        subprocess.run(install, check=True)
        done.touch()
    return str(folder)


def main(argv=None):
    """Compile all programs, draw the picture, and print the table."""
    args = arguments("accelerators", __doc__, argv, quick="the usual network of this library alone", settings=TARGETS)
    listed = {OURS: jobs()[OURS][:3]} if args.quick else jobs()
    rows = []
    with tqdm(total=len(args.settings) * sum(map(len, listed.values())), desc="accelerators") as bar:
        for name, of in listed.items():
            python = sys.executable if name == OURS else environment(name, PEERS[name])
            how = {"timeout": 1800, "PYTHONPATH": compilers(python, name), "TPU_SKIP_MDS_QUERY": "1"}
            for target in args.settings:
                bar.set_postfix_str(f"{name}, {target}")
                try:
                    given = target, name, json.dumps(of)
                    rows += run_on(AS_DOCUMENTED, python, name, "benchmarks.accelerators.compile", *given, **how)
                except RuntimeError as error:
                    rows += [{"target": target, "name": name, "versions": {}, "why": str(error), **job} for job in of]
                bar.update(len(of))
    results.write(args.out / "result.json", {"rows": rows, **results.environment()})
    report.draw(args.out)
    print(f"\n{report.table_of(args.out)}\n\nsee {args.out} for result.json and the picture")


if __name__ == "__main__":
    main()
