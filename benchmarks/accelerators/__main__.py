"""Compile the train steps of the libraries on jax for accelerators that are not here, and count what they launch.

``python -m benchmarks.accelerators`` installs XLA's compilers (1 GB) beside the environments of the libraries, compiles
each program, and writes ``runs/accelerators/result.json`` and a picture. Nothing is run, so nothing is timed.
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
    "jaxpike": (UNROLLS[2], *UNROLLS[:2]),
    "sparx": PEERS["sparx"].modes,
    "brainpy": PEERS["brainpy"].modes,
    "products": PEERS["products"].modes,
}


def jobs():
    """List the programs of each library: the usual network of all, and other networks of this one."""
    usual = {
        name: [(mode, "usual", steps) for steps in (100, 1000) for mode in modes] for name, modes in OTHERS.items()
    }
    own = [(mode, "usual", steps) for steps in (100, 1000) for mode in MODES]
    own += [(mode, name, 100) for name in ("recurrent", "adaptive", "trained", "convolution") for mode in MODES[:2]]
    listed = {OURS: own, **usual}
    return {
        name: [dict(zip(("mode", "network", "steps"), job, strict=True)) for job in of] for name, of in listed.items()
    }


def compilers(python):
    """Install XLA's compilers for the jax of an interpreter, once, and return where they are."""
    ask = "from benchmarks.accelerators import targets; from pathlib import Path; import sys, json; "
    ask += "print(json.dumps([str(targets.folder(Path(sys.argv[1]))), targets.packages()]))"
    asked = subprocess.run([python, "-c", ask, ROOT], capture_output=True, text=True, check=True, cwd=ROOT)
    folder, packages = json.loads(asked.stdout)
    done = ROOT / folder / "done"
    if not done.exists():
        install = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder, *packages]
        subprocess.run(install, check=True)
        done.touch()
    return folder


def main(argv=None):
    """Compile all, draw the picture, and print the table."""
    args = arguments("accelerators", __doc__, argv, quick="the usual network of this library alone", settings=TARGETS)
    listed = {OURS: jobs()[OURS][:3]} if args.quick else jobs()
    rows = []
    with tqdm(total=len(args.settings) * sum(map(len, listed.values())), desc="accelerators") as bar:
        for name, of in listed.items():
            python = sys.executable if name == OURS else environment(name, PEERS[name])
            how = {"timeout": 1800, "PYTHONPATH": compilers(python), "TPU_SKIP_MDS_QUERY": "1"}
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
