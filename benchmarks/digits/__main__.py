"""Train spiking networks and a ReLU network of the same size on handwritten digits, with the same loop.

``python -m benchmarks.digits`` trains on scikit-learn's 1,797 images of 8 x 8 pixels, and writes the result and a
picture to ``runs/digits``. Of the two spiking networks, the second also trains the alpha of its surrogate. All
networks get the same noisy, shifted images over 8 time steps in the same order, and start from the same weights in
every ``--framework``. Each epoch ends with a validation; the test runs once, at the end.

Checkpoints are kept in ``checkpoints`` next to the result until it is written. ``--resume`` continues a run that was
stopped at any time by any signal, and ends with the same bits as an uninterrupted run.
"""

import sys
import time

from brainsurr import cpu

from ..lib import FRAMEWORKS, results
from ..lib.study import arguments, positive
from . import report, task
from .job import SURROGATE, Folder, about
from .training import train_all


def main(argv=None):
    """Train every network from every seed, print the table, and write the result and the picture."""
    args = arguments("digits", __doc__, argv, extend=add_options)
    folder = Folder(args.out, about(args))
    try:
        result = folder.begin(args.resume)
    except ValueError as error:
        args.error(str(error))
    if result:
        print(f"{report.table(result)}\n\n{folder.result} is finished: nothing to resume")
        return
    try:
        train_and_write(args, folder)
    except KeyboardInterrupt:
        sys.exit(f"stopped; --resume goes on from the newest checkpoint in {args.out}, one every --save-every epochs")


def train_and_write(args, folder: Folder):
    """Train the networks, draw the picture, write the result and print the table."""
    data, start, resumed = task.load_validated(), time.perf_counter(), folder.checkpoints.exists()
    runs = train_all(args, data, folder.checkpoints)
    result = {
        "task": "scikit-learn digits, 60/15/25 stratified split, random_state 0",
        "surrogate": repr(SURROGATE),
        "framework": args.framework,
        "runs": runs,
        "seconds": time.perf_counter() - start,  # only of the last process, if the run was resumed
        "resumed": resumed,
        **results.environment(),
    }
    report.draw(folder.path, runs)
    folder.finish(result)
    print(report.table(result))
    print(f"\n{result['seconds']:.0f} s on {result['device']}; see {folder.path} for result.json and the picture")


def add_options(parser):
    """Add the options of training and of checkpoints."""
    add = parser.add_argument
    add("--seeds", type=positive, default=5, metavar="N", help="networks of each kind (default: 5)")
    add("--epochs", type=positive, default=40, metavar="N", help="passes over the data (default: 40)")
    add("--framework", choices=FRAMEWORKS, default="nnx", help="of layers and training (default: nnx)")
    add("--save-every", type=positive, default=10, metavar="EPOCHS", help="between checkpoints (default: 10)")
    add("--resume", action="store_true", help="resume from the checkpoints in DIR, if any")


if __name__ == "__main__":
    print(cpu.use_all_cores(batch=task.BATCH))
    main()
