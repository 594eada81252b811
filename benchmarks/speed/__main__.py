"""What brainsurr claims of its speed, measured: a claim each for the names below, all of them if none is given.

``python -m benchmarks.speed long`` writes ``runs/speed/long.json`` and a picture, and prints the table with what the
numbers are held against. ``--show`` prints and draws again what is there already.
"""

import argparse
import json
import os

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # on a GPU: leave the peers' processes their share

import matplotlib

from ..lib import results
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


def load(folder):
    """What was measured, by claim."""
    return {name: json.loads((folder / f"{name}.json").read_text()) for name in CLAIMS}


def part(folder):
    """The README's part: every mark, and where it was measured; from the JSON alone."""
    found = load(folder)
    marks = [mark for name, result in found.items() for mark in CLAIMS[name].marks(result)]
    rows = [(m.what, f"{m.limit:.3g}{m.unit}", f"{m.value:.3g}{m.unit}", results.yes(m.met)) for m in marks]
    run = found["train-step"]
    where = f"{run['device']}; Python {run['python']}, jax {run['versions']['jax']}, flax {run['versions']['flax']}"
    return f"{results.table(('what', 'at most', 'measured', 'met'), rows)}\n\nOn {where}."


WHY_NOT = """Where a mark is not met: `full` repeats the forward products, which the products alone do once. `dots`
repeats none, but the neurons between the products take their time, and on a CPU XLA copies each `[time, batch]`
gradient before the product of a weight; the same products on flat inputs are the second row of the table *train-step*.
A process that has imported jax and flax, before it trains, already holds what the column *before training* says, which
leaves little of two thirds of the smallest peak. In bfloat16 a CPU widens and rounds each number, and 1 / x costs more
of that than a maximum; small arrays of bfloat16 fare worse than those of the mark, the forward pass included: see the
table *activation*. At batch 32 another library is the fastest: see the table *peers*."""


def page(folder):
    """docs/performance.md: every mark and every table; from the JSON alone."""
    texts = [
        "# Performance",
        "Written by `make bench`. Times are medians, with quartiles in brackets.",
        part(folder),
        WHY_NOT,
    ]
    for name, result in load(folder).items():
        heading = CLAIMS[name].__doc__.splitlines()[0]
        texts.append(f"## {name}\n\n{heading}\n\n{CLAIMS[name].report(result)}")
    texts += [f"![{name}](../benchmarks/results/speed/{name}.png)" for name in ("long", "activation")]
    return "\n\n".join(texts) + "\n"


def parse(argv):
    """The arguments, or an error of one line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__.splitlines()[0])
    parser.add_argument("claims", nargs="*", metavar="CLAIM", help=", ".join(CLAIMS))
    parser.add_argument("--quick", action="store_true", help="small sizes, no peers: does it run at all?")
    parser.add_argument("--show", action="store_true", help="print and draw what was measured before")
    results.add_out(parser, "speed")
    args = parser.parse_args(argv)
    for name in args.claims:
        if name not in CLAIMS:
            parser.error(f"{name!r} is not one of {', '.join(CLAIMS)}")
    if not args.show:
        results.try_out(parser, args.out)
    return args


if __name__ == "__main__":
    main()
