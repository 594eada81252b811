"""Spiking Heidelberg Digits: recurrent LIF networks of the whole family beside a GRU and an MLP.

``python -m benchmarks.shd FOLDER`` with the data set as tonic lays it out, ``FOLDER/SHD/shd_train.h5`` and
``shd_test.h5``; with ``--download`` tonic fetches it (Cramer, Stradmann, Schemmel and Zenke 2020, "The Heidelberg
spiking data sets for the systematic evaluation of spiking neural networks"). 20 classes; 700 channels, five to a unit.
"""

from . import events, sequences
from .sequences import Recipe

GROUP = 5  # channels a unit
KIND = events.Kind(
    "SHD",
    files=("shd_train.h5", "shd_test.h5"),
    place=lambda events: events["x"] // GROUP,
    units=700 // GROUP,
    window=10_000,
    steps=120,
)
RECIPE = Recipe(hidden=256, classes=20, epochs=30, batch=128, shift=4)
SHORT = 6  # epochs to choose a grid point


def main(argv=None):
    """Train and test every entrant."""
    events.main("shd", __doc__, KIND, RECIPE, SHORT, sequences.lif, argv)


if __name__ == "__main__":
    main()
