"""Japanese vowels: nine speakers told apart by one vowel.

The series are aeon's (Kudo, Toyama and Shimbo 1999, "Multidimensional curve classification using passing-through
regions"), 12 cepstral coefficients over 7 to 29 steps, in the data set's own split of 270 and 370. Since there
are few, a third of the training series at a time is held out for validation.
"""

import numpy as np
from sklearn.model_selection import StratifiedKFold

from .sequences import Recipe, stretched

STEPS, FOLDS = 25, 3
RECIPE = Recipe(hidden=128, classes=9, epochs=30, batch=32, noise=0.3, shift=1)


def load():
    """Load series ``[640, STEPS, 12]``, speakers, the data set's split, and the version of aeon."""
    import aeon.datasets  # here: other settings do without it

    (xs, ys), (test_xs, test_ys) = (aeon.datasets.load_japanese_vowels(split=part) for part in ("train", "test"))
    series = np.stack([stretched(x.T, STEPS) for x in (*xs, *test_xs)])
    labels = np.concatenate([ys, test_ys]).astype(np.int32) - 1
    split = {"train": np.arange(len(ys)), "test": np.arange(len(ys), len(labels))}
    return series, labels, split, f"aeon {aeon.__version__}"


def folds(labels, split):
    """Split the training series into three parts, each once for validation."""
    train = split["train"]
    parts = StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(train, labels[train])
    return [{"train": train[rest], "validation": train[chosen], "test": split["test"]} for rest, chosen in parts]
