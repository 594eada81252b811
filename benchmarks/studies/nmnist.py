"""N-MNIST: LIF networks of the whole family beside a GRU and an MLP, on digits that a moving event camera saw.

``python -m benchmarks.nmnist FOLDER`` with the data set as tonic lays it out, ``FOLDER/NMNIST/Train/0/00002.bin`` and
so on; with ``--download`` tonic fetches it (Orchard, Jayawant, Cohen and Thakor 2015, "Converting static image datasets
to spiking neuromorphic datasets using saccades"). 34 x 34 pixels of two polarities, four pixels to a unit.
"""

from functools import partial

from . import events, sequences
from .sequences import Recipe

SIDE = 17  # units a row: 2 x 2 pixels each
KIND = events.Kind(
    "NMNIST",
    files=("Train/*/*.bin", "Test/*/*.bin"),
    place=lambda events: (events["p"] * SIDE + events["y"] // 2) * SIDE + events["x"] // 2,
    units=2 * SIDE * SIDE,
    window=16_000,
    steps=20,
)
RECIPE = Recipe(hidden=256, classes=10, epochs=10, batch=128)
SHORT = 2  # epochs to choose a grid point


def main(argv=None):
    """Train and test every entrant."""
    events.main("nmnist", __doc__, KIND, RECIPE, SHORT, partial(sequences.lif, recurrent=False), argv)


if __name__ == "__main__":
    main()
