"""What brainsurr claims of its speed, measured: a claim each for the names below, all of them if none is given.

``python -m benchmarks.speed long`` writes ``runs/speed/long.json`` and a picture, and prints the table with what the
numbers are held against. ``--show`` prints and draws again what is there already.
"""

import argparse
import json
import os
from pathlib import Path

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # on a GPU: leave the peers' processes their share

import matplotlib

from . import results
from .claims import activation, imports, long, peers, train_step

CLAIMS = {"train-step": train_step, "long": long, "activation": activation, "import": imports, "peers": peers}


def show(name, result):
    """A claim's table, and each mark below it."""
    claim = CLAIMS[name]
    return "\n".join([f"{claim.__doc__.splitlines()[0]}\n", claim.report(result), "", *map(str, claim.marks(result))])


def draw(name, result, out):
    """A claim's picture, if it has one."""
    if hasattr(CLAIMS[name], "draw"):
        matplotlib.use("Agg")
        figure = CLAIMS[name].draw(result, matplotlib.pyplot)
        figure.savefig(out / f"{name}.png", dpi=150)
        matplotlib.pyplot.close(figure)


def main(argv=None):
    """Measure each claim, write its JSON and its picture, print its table."""
    args = parse(argv)
    for name in args.claims or CLAIMS:
        path = args.out / f"{name}.json"
        if not args.show:
            measured = CLAIMS[name].run(args.quick)
            results.write(path, {"claim": name, "quick": args.quick, **measured, **results.environment()})
        result = json.loads(path.read_text())
        draw(name, result, args.out)
        where = f"{result['device']}; Python {result['python']}, jax {result['versions']['jax']}"
        print(f"\n{show(name, result)}\n\n{where}; {path}")


def part(folder):
    """The README's part: every mark, then the tables at the first batch and the picture; from the JSON alone."""
    found = {name: json.loads((folder / f"{name}.json").read_text()) for name in CLAIMS}
    marks = [mark for name, result in found.items() for mark in CLAIMS[name].marks(result)]
    rows = [(m.what, f"{m.limit:.3g}{m.unit}", f"{m.value:.3g}{m.unit}", "yes" if m.met else "**no**") for m in marks]
    texts = [results.table(("what", "at most", "measured", "met"), rows)]
    for name in ("train-step", "peers", "long"):
        result = found[name]
        runs = [run for run in result["runs"] if run.get("batch") == result["runs"][0].get("batch")]
        texts.append(f"{CLAIMS[name].__doc__.splitlines()[0]}\n\n{CLAIMS[name].report({**result, 'runs': runs})}")
    versions = found["train-step"]["versions"]
    where = f"{found['train-step']['device']}; Python {found['train-step']['python']}, jax {versions['jax']}"
    texts.append(f"Medians, with quartiles in brackets, on {where}, flax {versions['flax']}.")
    texts.append("![memory and time over T](benchmarks/results/speed/long.png)")
    return "\n\n".join(texts)


def parse(argv):
    """The arguments, or an error of one line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__.splitlines()[0])
    parser.add_argument("claims", nargs="*", metavar="CLAIM", help=", ".join(CLAIMS))
    parser.add_argument("--quick", action="store_true", help="small sizes, no peers: does it run at all?")
    parser.add_argument("--show", action="store_true", help="print and draw what was measured before")
    parser.add_argument("--out", type=Path, default=Path("runs/speed"), metavar="DIR", help="(default: runs/speed)")
    args = parser.parse_args(argv)
    for name in args.claims:
        if name not in CLAIMS:
            parser.error(f"{name!r} is not one of {', '.join(CLAIMS)}")
    return args


if __name__ == "__main__":
    main()
