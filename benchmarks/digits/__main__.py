"""Handwritten digits: a spiking network beside a ReLU network of the same widths, trained by the same loop.

``python -m benchmarks.digits`` trains on scikit-learn's 1,797 images of 8 x 8 pixels and writes the result and
three pictures to ``runs/digits``. Of its two spiking networks the second trains ``--learnable`` parameters of the
surrogate with the weights. All see the same noisy, shifted images over 8 time steps, in the same order, and every
``--framework`` starts from the same weights. Each framework has its network and its step in a file of its name.

Checkpoints are kept in ``checkpoints`` beside the result until it is written. A run that was stopped, by whatever,
goes on with ``--resume`` to the bits it would have come to; SIGTERM and Ctrl-C save before they stop it.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import brainsurr as bs
from brainsurr.nnx import SpikingActivation

from ..lib import FRAMEWORKS, results
from ..lib.checkpoints import CheckpointError, differences, exclusive_folder
from ..lib.study import positive
from . import report, task
from .training import about, has_checkpoints, settings, train_all


def main(argv=None):
    """Train every network from every seed, print the table, write the result and the pictures."""
    args = parse(argv)
    try:
        with exclusive_folder(args.out):
            if not is_finished(args):
                train_and_write(args)
    except CheckpointError as error:
        sys.exit(f"python -m benchmarks.digits: error: {error}")


def is_finished(args) -> bool:
    """Whether ``--resume`` finds a result in the place of checkpoints; then there is nothing to go on with."""
    path = args.out / "result.json"
    if not args.resume or (args.out / "checkpoints").exists() or not path.exists():
        return False
    try:
        result = json.loads(path.read_text())
        theirs = result["about"] | {"seeds": len(result["runs"]["LIF"])}
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is no result of this program: --out takes another folder") from error
    mine = about(args) | {"seeds": args.seeds}
    if theirs != mine:
        raise CheckpointError(
            f"{path} is the result of another run: {differences(theirs, mine)}. --out takes another folder"
        )
    print(f"{report.table(result)}\n\n{path} is finished: nothing to resume")
    return True


def train_and_write(args):
    """Train, and write what came of it."""
    data, start, folder = task.load(), time.perf_counter(), args.out / "checkpoints"
    resumed = has_checkpoints(folder)
    runs, spikes = train_all(args, data, folder)
    result = {
        "task": "scikit-learn digits, 75/25 stratified split, random_state 0",
        **settings(args),
        "test_accuracy": {name: summary([run["test_accuracy"] for run in several]) for name, several in runs.items()},
        "runs": runs,
        "seconds": time.perf_counter() - start,
        "resumed": resumed,  # then the seconds are those of the last process
        "about": about(args),
        **results.environment(),
    }
    results.write(args.out / "result.json", result)
    report.draw(args.out, args.surrogate, runs, spikes["LIF"], int(data.test_labels[0]))
    with tempfile.TemporaryDirectory(dir=args.out) as done:  # at once: what is half removed would look damaged
        folder.rename(Path(done) / folder.name)
    print(report.table(result))
    print(f"\n{result['seconds']:.0f} s on {result['device']}; see {args.out} for result.json and the pictures")


def summary(values):
    """Each seed's value, their mean and their standard deviation."""
    return {"mean": float(np.mean(values)), "sd": float(np.std(values, ddof=min(1, len(values) - 1))), "seeds": values}


def parse(argv):
    """The arguments, or an error of one line."""
    exported = {name: getattr(bs, name) for name in bs.__all__ if name not in ("Surrogate", "Scaled")}
    classes = {name: c for name, c in exported.items() if isinstance(c, type) and issubclass(c, bs.Surrogate)}
    parser = argparse.ArgumentParser(prog="python -m benchmarks.digits", description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=positive, default=5, metavar="N", help="networks of each kind (default: 5)")
    parser.add_argument("--epochs", type=positive, default=40, metavar="N", help="passes over the data (default: 40)")
    parser.add_argument("--surrogate", default="LogTailedRelu", metavar="NAME", help=", ".join(sorted(classes)))
    parser.add_argument("--alpha", type=float, metavar="A", help="its alpha (default: 0.1 for LogTailedRelu)")
    parser.add_argument(
        "--learnable", nargs="*", default=["alpha"], metavar="NAME", help="parameters trained in a second network"
    )
    parser.add_argument("--framework", choices=FRAMEWORKS, default="nnx", help="of layers and loop (default: nnx)")
    parser.add_argument(
        "--dtype", choices=("float32", "bfloat16"), default="float32", help="of activations (default: float32)"
    )
    results.add_out(parser, "digits")
    parser.add_argument(
        "--save-every", type=positive, default=10, metavar="EPOCHS", help="between checkpoints (default: 10)"
    )
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoints in DIR, where there are any")
    args = parser.parse_args(argv)
    if args.surrogate not in classes:
        parser.error(f"--surrogate: {args.surrogate!r} is not one of {', '.join(sorted(classes))}")
    surrogate = classes[args.surrogate]()
    if args.alpha is None and args.surrogate == "LogTailedRelu":
        args.alpha = 0.1
    try:
        args.surrogate = surrogate if args.alpha is None else surrogate.replace(alpha=args.alpha)
        SpikingActivation(args.surrogate, learnable=args.learnable)
    except (TypeError, ValueError) as error:
        parser.error(str(error))
    results.try_out(parser, args.out)
    return args


if __name__ == "__main__":
    main()
