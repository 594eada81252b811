"""Bad input: give every public call bad arguments; it must return a right answer or raise a clear error.

``python -m benchmarks.bad_input`` writes ``runs/bad_input/result.json`` and prints what failed.
"""

import argparse
import importlib.metadata
import sys
import time

import jax
from tqdm import tqdm

from ..lib import results
from ..lib.study import positive
from . import report
from .fuzzing import CALLS, fuzz, singles


def main(argv=None):
    """Feed every public call and write the tally."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bad_input", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--examples", type=positive, default=100, metavar="N", help="mixtures for each call (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="seed of hypothesis (default: %(default)s)")
    parser.add_argument("--only", default="", metavar="TEXT", help="only calls whose name contains TEXT")
    results.add_out(parser, "bad_input")
    args = parser.parse_args(argv)
    results.try_out(parser, args.out)
    jax.config.update("jax_numpy_dtype_promotion", "strict")
    jax.config.update("jax_numpy_rank_promotion", "raise")
    chosen = {name: call for name, call in CALLS.items() if args.only in name}
    calls, start = {}, time.perf_counter()
    bar = tqdm(chosen.items(), desc="bad_input", unit="call")
    for name, call in bar:
        bar.set_postfix_str(name)
        calls[name] = fuzz(call, singles(call), args.examples, args.seed)
    settings = {"examples": args.examples, "seed": args.seed, "hypothesis": importlib.metadata.version("hypothesis")}
    about = {"settings": settings, "seconds": time.perf_counter() - start, **results.environment()}
    results.write(args.out / "result.json", about | {"calls": calls})
    failures = [(name, failure) for name, tally in calls.items() for failure in tally["failures"]]
    for name, failure in failures:
        print(f"{name}: {failure['what']}\n    {failure['arguments']}")
    print(", ".join(f"{number} {what}" for what, number in report.total(calls).items()))
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
