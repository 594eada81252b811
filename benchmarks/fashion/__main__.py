"""Train spiking networks on Fashion-MNIST, each alongside a non-spiking baseline of equal size, with the same loop.

``python -m benchmarks.fashion --data FOLDER`` trains a dense network, a recurrent one that reads an image row by row, a
convolutional one, one with residual blocks and one with attention, and writes result.json and pictures to
``runs/fashion``. 5,000 of the 60,000 training images are for validation. The test uses the weights of the epoch with
the best validation accuracy, so test images decide nothing. Each finished network adds a row, so the same command
resumes an interrupted run.
"""

import itertools
from functools import partial
from pathlib import Path

from brainsurr import cpu

from ..lib.study import TIMES, Runs, arguments
from . import report
from .data import load
from .networks import NETWORKS, SEEDS
from .training import BATCH, MEASURED, SETTINGS, temporaries, train


def main(argv=None):
    """Train every network that the result lacks, draw the pictures, and print the table."""
    quick, networks, seeds = "one epoch of 512 images, small networks, one seed", NETWORKS, SEEDS

    def extend(parser):
        parser.add_argument("--data", type=Path, metavar="FOLDER", help="of the four IDX files of Fashion-MNIST")

    args = arguments("fashion", __doc__, argv, quick=quick, settings=list(NETWORKS), extend=extend)
    data = load(args.data)
    if args.quick:
        data, seeds = [[array[:512] for array in part] for part in data], dict.fromkeys(NETWORKS, 1)
        networks = {k: n._replace(sizes=tuple(max(4, s // 16) for s in n.sizes), epochs=1) for k, n in NETWORKS.items()}
    settings = SETTINGS | {"images": [len(labels) for _, labels in data]}
    settings |= {"networks": {name: network._asdict() for name, network in networks.items()}}
    every = itertools.product(range(max(seeds.values())), args.settings, (True, False))
    every = [(seed, name, spiking) for seed, name, spiking in every if seed < seeds[name]]
    columns = ("network", "kind", "seed"), (*MEASURED, *TIMES)
    runs = Runs(args.out / "result.json", settings, *columns, len(every))
    held = dict(runs.result["finished"].get("temporaries", {}))
    for seed, name, spiking in every:
        network, draw = networks[name], spiking and seed == 0
        on_test = partial(report.draw_raster, args.out, name) if draw else None
        kind = "LIF" if spiking else network.twin
        runs.run(partial(train, name, network, spiking, seed, data, on_test), name, kind, seed)
        of = f"{name}, {kind}"
        held[of] = held.get(of) or temporaries(name, network, spiking)
    runs.finish("temporaries", **held)
    report.draw(args.out)
    print(f"\n{report.summary(args.out)}\n\nsee {args.out} for result.json and the pictures")


if __name__ == "__main__":
    print(cpu.use_all_cores(batch=BATCH))
    main()
