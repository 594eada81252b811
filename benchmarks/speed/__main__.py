"""Measure the speed targets of brainsurr: all of them, or those that are named.

``python -m benchmarks.speed long`` writes ``runs/speed/long.json`` and a picture, and prints the table with the limits
of the numbers.
"""

import os

import jax

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # on a GPU: leave memory for the others

from ..lib import results
from ..lib.study import arguments
from .report import CLAIMS, draw, show


def main(argv=None):
    """Measure each target, write its JSON file and picture, and print its table."""
    args = arguments("speed", __doc__, argv, quick="small sizes, no other libraries", settings=list(CLAIMS))
    if not args.quick:
        jax.config.update("jax_enable_compilation_cache", False)  # otherwise a second run would time reading the cache
    for name in args.settings:
        path = args.out / f"{name}.json"
        measured = CLAIMS[name].measure(args.quick)
        results.write(path, {"claim": name, "quick": args.quick, **measured, **results.environment()})
        result = results.read(path)
        draw(name, result, args.out)
        print(f"\n{show(name, result)}\n\n{results.where(result, 'jax')}; {path}")


if __name__ == "__main__":
    main()
