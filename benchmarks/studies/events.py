"""Data sets of events, read by tonic from a folder that the user has: what `benchmarks.shd` and `.nmnist` share."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.model_selection import train_test_split
from tqdm import tqdm

from ..lib.study import Study, arguments
from .comparison import Task, contest, grids, settings
from .sequences import Recipe

HELD_OUT = 0.1  # of the training examples, for validation


class Kind(NamedTuple):
    """A data set: its class in tonic, its files, and how an event becomes a count.

    ``files`` has a pattern for the training and the test part, in a folder of the class's name. ``place`` is the number
    of each event's unit out of ``units``; ``window`` is in microseconds.
    """

    source: str
    files: tuple[str, str]
    place: Callable[[np.ndarray], np.ndarray]
    units: int
    window: int
    steps: int


def opened(kind: Kind, folder: Path, train: bool, download: bool):
    """The training or the test part; tonic fetches it only if asked to.

    Raises:
      ValueError: the folder does not hold it.
    """
    import tonic  # here, so that --help needs no more than the studies on other data

    source = getattr(tonic.datasets, kind.source)
    if download:
        return source(str(folder), train=train)
    where, pattern = folder / kind.source, kind.files[0 if train else 1]
    if next(where.glob(pattern), None) is None:
        raise ValueError(f"expected files like {pattern} in {where}; --download lets tonic fetch the data set")

    class Present(source):
        def _check_exists(self):
            return True  # else tonic fetches whatever lacks its archive

    Present.__name__ = kind.source  # by which tonic finds the folder
    return Present(str(folder), train=train)


def counts(events, kind: Kind) -> np.ndarray:
    """How many events each unit has in each window: ``[steps, units]``, 255 at most; later events are left out."""
    step = events["t"] // kind.window
    inside = step < kind.steps
    where = step[inside] * kind.units + kind.place(events)[inside]
    number = np.bincount(where, minlength=kind.steps * kind.units)
    return np.minimum(number, 255).astype(np.uint8).reshape(kind.steps, kind.units)


def load(kind: Kind, folder: Path, download: bool = False, examples: int | None = None):
    """Counts ``[examples, steps, units]`` and labels of both parts, and which examples are which.

    Args:
      kind: the data set.
      folder: the one above that of tonic's class.
      download: whether tonic may fetch what is not there.
      examples: of each part, drawn at random; all if None.
    """
    inputs, labels = [], []
    for train in (True, False):
        part = opened(kind, folder, train, download)
        chosen = np.random.default_rng(0).permutation(len(part))[:examples]
        read = (part[int(i)] for i in tqdm(np.sort(chosen), desc="reading", leave=False))
        frames, classes = zip(*((counts(events, kind), label) for events, label in read), strict=True)
        inputs.append(np.stack(frames))
        labels.append(np.array(classes, np.int32))
    held_in, held_out = train_test_split(
        np.arange(len(labels[0])), test_size=HELD_OUT, stratify=labels[0], random_state=0
    )
    test = len(labels[0]) + np.arange(len(labels[1]))
    split = {"train": held_in, "validation": held_out, "test": test}
    return np.concatenate(inputs), np.concatenate(labels), split


def main(name: str, doc: str, kind: Kind, recipe: Recipe, short: int, lif: Callable, argv=None):
    """The whole family, a GRU and an MLP on the data set's own split."""

    def extend(parser: argparse.ArgumentParser):
        parser.add_argument("data", type=Path, help=f"the folder that holds {kind.source}/")
        parser.add_argument("--download", action="store_true", help="let tonic fetch the data set into it")
        parser.add_argument("--examples", type=int, metavar="N", help="of each part at most (default: all)")

    args = arguments(name, doc, 5, argv, extend)
    try:
        inputs, labels, split = load(kind, args.data, args.download, args.examples)
    except ValueError as error:
        raise SystemExit(f"python -m benchmarks.{name}: error: {error}") from None
    entrants = grids(args.quick)._replace(strengths=())
    if args.quick:
        recipe, short = recipe._replace(hidden=32, batch=32, epochs=10), 5
    task = Task(inputs, labels, recipe, short, lif=lif, standardise=False)
    about = {
        "task": f"{kind.source}: {len(labels)} examples, {recipe.classes} classes",
        **settings(task, split, args.seeds),
        "features": f"events of {kind.units} units in {kind.steps} windows of {kind.window / 1000:g} ms",
    }
    study = Study(name, about, args.out, total=entrants.size())
    contest(study, task, entrants, [split], split, about["choosing_seeds"], about["seeds"])
    study.finish()
