"""Sparse: accuracy against firing rate, with a penalty on how much the hidden layers fire.

Zenke & Vogels 2021 find that spiking networks keep their accuracy down to low rates; Aliyev & Adegbija 2024
("Fine-tuning surrogate gradient learning for optimal hardware performance in spiking neural networks") that with the
fast sigmoid, here SoftSign, networks fire less than with the arctangent at equal accuracy. Each call has a peak of 1
and the same half-width; the penalty is its strength times the mean rate of the hidden layers. Settings are those of
`family`.
"""

import argparse
import itertools
from functools import partial
from pathlib import Path

from tqdm import tqdm

from ..lib import results
from ..lib.runs import Runs
from .choice import GRID
from .family import train
from .settings import setting
from .shapes import Call

SETTINGS = {"depth-2": 1.4, "randman-0.5": 1.0}  # and the gain of the weights
CALLS = [Call(shape, None, 0.5) for shape in ("Arctan", "SoftSign", "GaussianGrad", "S2NN")]
CALLS += [Call("LogTailedRelu", alpha, 0.5) for alpha in (0.01, 0.1)]
STRENGTHS = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0)
KEY, MEASURED = ("call", "strength", "seed"), ("validation", "test", "loss", "firing")


def main(argv=None):
    """Train every call with every strength in every setting."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studies.sparse", description=__doc__.splitlines()[0])
    parser.add_argument("settings", nargs="*", metavar="SETTING", help=f"{', '.join(SETTINGS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="two epochs, two calls, two strengths, two seeds")
    results.add_out(parser, "sparse")
    args = parser.parse_args(argv)
    results.check_names(parser, args.settings, SETTINGS)
    results.try_out(parser, args.out)
    few = 2 if args.quick else None
    for name in args.settings or SETTINGS:
        run_setting(name, args.out, CALLS[:few], STRENGTHS[:: 5 if args.quick else 1], GRID.seeds[: few or 5], few)


def run_setting(name: str, out: Path, calls, strengths, seeds, epochs=None):
    """Add what its file does not have."""
    here, gain = setting(name), SETTINGS[name]
    here = here._replace(epochs=epochs or here.epochs)
    about = {field: getattr(here, field) for field in ("about", "rate", "epochs", "batch")} | {"gain": gain}
    runs, parts = Runs(out / f"{name}.json", about, KEY, MEASURED), {seed: here.parts(seed) for seed in seeds}
    with tqdm(total=len(calls) * len(strengths) * len(seeds), desc=name, unit="run") as bar:
        for call, strength, seed in itertools.product(calls, strengths, seeds):
            bar.set_postfix_str(f"{call}, strength {strength:g}")
            how = here, None, [call.surrogate] * here.layers, here.rate, gain, seed, parts[seed], strength
            runs.run(partial(train, *how), str(call), strength, seed)
            bar.update()
    runs.finish("sparse", calls=list(map(str, calls)), strengths=strengths, seeds=seeds)


if __name__ == "__main__":
    main()
