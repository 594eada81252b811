"""Measure what brainsurr claims about its speed: one claim for each name below, all of them if none is given.

``python -m benchmarks.speed long`` writes ``runs/speed/long.json`` and a picture, and prints the table with what the
numbers are held against. ``--show`` prints and draws again what is there already.
"""

import argparse
import json
import os

import jax

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # on a GPU: leave the peers' processes their share

from ..lib import results
from .report import CLAIMS, draw, show


def main(argv=None):
    """Measure each claim, write its JSON and its picture, print its table."""
    args = parse(argv)
    if not (args.quick or args.show):
        jax.config.update("jax_enable_compilation_cache", False)  # else a second run would time how it is read
    for name in args.claims or CLAIMS:
        path = args.out / f"{name}.json"
        if not args.show:
            measured = CLAIMS[name].measure(args.quick)
            results.write(path, {"claim": name, "quick": args.quick, **measured, **results.environment()})
        elif not path.exists():
            print(f"\n{name}: not measured, {path} is not there")
            continue
        result = json.loads(path.read_text())
        draw(name, result, args.out)
        where = f"{result['device']}; Python {result['python']}, jax {result['versions']['jax']}"
        print(f"\n{show(name, result)}\n\n{where}; {path}")


def parse(argv):
    """Parse the arguments, or stop with an error of one line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__.splitlines()[0])
    parser.add_argument("claims", nargs="*", metavar="CLAIM", help=", ".join(CLAIMS))
    parser.add_argument("--quick", action="store_true", help="small sizes, no other libraries, to see that it runs")
    parser.add_argument("--show", action="store_true", help="print and draw the last measurement")
    results.add_out(parser, "speed")
    args = parser.parse_args(argv)
    results.check_names(parser, args.claims, CLAIMS)
    if not args.show:
        if args.out.name.endswith("-gpu") and jax.default_backend() == "cpu":
            parser.error(f"{args.out} is for the results of a GPU, and jax sees none: install jax for it, jax[cuda13]")
        results.try_out(parser, args.out)
    return args


if __name__ == "__main__":
    main()
