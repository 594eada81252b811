"""Data sets of events, on their own splits, as settings of the comparison.

``python -m benchmarks.studies.family shd --shd FOLDER``, or ``nmnist``, with the data set in FOLDER as tonic lays it
out; ``python -m benchmarks.studies.events shd FOLDER`` lets tonic fetch it.

shd: Spiking Heidelberg Digits, ``FOLDER/SHD/shd_train.h5`` and ``shd_test.h5`` (Cramer, Stradmann, Schemmel and Zenke
2020, "The Heidelberg spiking data sets for the systematic evaluation of spiking neural networks"). 20 classes; 700
channels, five to a unit; recurrent networks.

nmnist: N-MNIST, digits seen by a moving event camera, ``FOLDER/NMNIST/Train/0/00002.bin`` and so on (Orchard, Jayawant,
Cohen and Thakor 2015, "Converting static image datasets to spiking neuromorphic datasets using saccades"). 34 x 34
pixels of two polarities, four pixels to a unit.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.model_selection import train_test_split
from tqdm import tqdm

from . import sequences
from .sequences import Recipe

HELD_OUT = 0.1  # of the training examples, for validation
GROUP = 5  # of SHD, channels a unit
SIDE = 17  # of N-MNIST, units a row: 2 x 2 pixels each


class DataSet(NamedTuple):
    """A data set, and how networks are trained on it.

    Attributes:
      about: one line for a table.
      source: its class in tonic, and the name of its folder.
      files: patterns for the files of the training and of the test part.
      place: ``place(events)`` is the index of each event's unit.
      units: how many there are.
      window: in which events are counted, in microseconds.
      steps: how many windows there are.
      recipe: of the training.
      lif: makes the spiking network.
    """

    about: str
    source: str
    files: tuple[str, str]
    place: Callable[[np.ndarray], np.ndarray]
    units: int
    window: int
    steps: int
    recipe: Recipe
    lif: Callable


DATA_SETS = {
    "shd": DataSet(
        "spoken Heidelberg digits, recurrent",
        "SHD",
        files=("shd_train.h5", "shd_test.h5"),
        place=lambda events: events["x"] // GROUP,
        units=700 // GROUP,
        window=10_000,
        steps=120,
        recipe=Recipe(hidden=256, classes=20, epochs=30, batch=128, shift=4),
        lif=sequences.lif,
    ),
    "nmnist": DataSet(
        "N-MNIST",
        "NMNIST",
        files=("Train/*/*.bin", "Test/*/*.bin"),
        place=lambda events: (events["p"] * SIDE + events["y"] // 2) * SIDE + events["x"] // 2,
        units=2 * SIDE * SIDE,
        window=16_000,
        steps=20,
        recipe=Recipe(hidden=256, classes=10, epochs=10, batch=128),
        lif=partial(sequences.lif, recurrent=False),
    ),
}


def opened(kind: DataSet, folder: Path, train: bool, download: bool):
    """Open the training or the test part; tonic downloads it only with ``download``.

    Raises:
      ValueError: the folder does not hold it.
    """
    import tonic  # here, so that --help works without it

    source = getattr(tonic.datasets, kind.source)
    if download:
        return source(str(folder), train=train)
    where, pattern = folder / kind.source, kind.files[0 if train else 1]
    if next(where.glob(pattern), None) is None:
        fetching = f"python -m benchmarks.studies.events {kind.source.lower()} {folder} lets tonic fetch the data set"
        raise ValueError(f"expected files like {pattern} in {where}; {fetching}")

    class Present(source):
        def _check_exists(self):
            return True  # or tonic downloads every data set whose archive is missing

    Present.__name__ = kind.source  # tonic's name of the folder
    return Present(str(folder), train=train)


def counts(events, kind: DataSet) -> np.ndarray:
    """Count the events ``[steps, units]`` of each unit in each window, up to 255; drop events after the last."""
    step = events["t"] // kind.window
    inside = step < kind.steps
    where = step[inside] * kind.units + kind.place(events)[inside]
    number = np.bincount(where, minlength=kind.steps * kind.units)
    return np.minimum(number, 255).astype(np.uint8).reshape(kind.steps, kind.units)


def load(kind: DataSet, folder: Path, download: bool = False, examples: int | None = None):
    """Load counts ``[examples, steps, units]`` and labels of both parts, and the split into parts.

    Args:
      kind: the data set.
      folder: which contains the folder of tonic's class.
      download: whether tonic may download a missing data set.
      examples: of each part, drawn at random; all if None.
    """
    inputs, labels = [], []
    for train in (True, False):
        part = opened(kind, folder, train, download)
        chosen = np.random.default_rng(0).permutation(len(part))[:examples]
        pairs = (part[int(i)] for i in tqdm(np.sort(chosen), desc="reading", leave=False))
        frames, classes = zip(*((counts(events, kind), label) for events, label in pairs), strict=True)
        inputs.append(np.stack(frames))
        labels.append(np.array(classes, np.int32))
    held_in, held_out = train_test_split(
        np.arange(len(labels[0])), test_size=HELD_OUT, stratify=labels[0], random_state=0
    )
    test = len(labels[0]) + np.arange(len(labels[1]))
    split = {"train": held_in, "validation": held_out, "test": test}
    return np.concatenate(inputs), np.concatenate(labels), split


def main(argv=None):
    """Let tonic fetch a data set."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studies.events", description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=DATA_SETS, help="the data set")
    parser.add_argument("folder", type=Path, help="the folder that will hold SHD/ or NMNIST/")
    args = parser.parse_args(argv)
    inputs, _, split = load(DATA_SETS[args.name], args.folder, download=True)
    print(f"{len(inputs)} examples in {args.folder}, {len(split['test'])} of them for the test")


if __name__ == "__main__":
    main()
