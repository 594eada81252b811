"""Japanese vowels: nine speakers told apart by one vowel; recurrent LIF networks of the whole family beside others.

The series are aeon's (Kudo, Toyama and Shimbo 1999, "Multidimensional curve classification using passing-through
regions"), 12 cepstral coefficients over 7 to 29 steps, in the data set's own split of 270 and 370. There being few, a
grid point is chosen by cross-validation on the training series.
"""

import numpy as np
from sklearn.model_selection import StratifiedKFold

from ..lib.study import Study, arguments
from .comparison import Task, compare, grids, settings
from .sequences import Recipe, stretched

STEPS, FOLDS = 25, 3
RECIPE = Recipe(hidden=128, classes=9, epochs=30, batch=32, noise=0.3, shift=1)
SHORT = 15  # epochs to choose a grid point


def load():
    """Load series ``[640, STEPS, 12]``, speakers, the data set's split, and the version of aeon."""
    import aeon.datasets  # here: the page of evidence imports this file for its docstring alone

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


def main(argv=None):
    """Train every entrant on the data set's split."""
    args = arguments("studies.vowels", __doc__, 10, argv)
    series, labels, split, source = load()
    entrants, recipe, short = grids(args.quick), RECIPE, SHORT
    if args.quick:
        recipe, short = RECIPE._replace(hidden=32, batch=16, epochs=10), 5
    task = Task(series, labels, recipe, short)
    about = {
        "task": f"Japanese vowels: {len(labels)} series, {recipe.classes} speakers",
        **settings(task, split, args.seeds),
        "features": f"{series.shape[-1]} cepstral coefficients, {STEPS} steps; {source}",
        "choosing": f"{FOLDS}-fold cross-validation",
    }
    study = Study("vowels", about, args.out, total=entrants.size())
    compare(study, task, entrants, folds(labels, split), split, about["choosing_seeds"], about["seeds"])
    study.finish()


if __name__ == "__main__":
    main()
