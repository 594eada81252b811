"""The family, each surrogate at a few values of the parameter that sets its width: the grid of every study."""

from collections.abc import Iterable

import brainsurr as bs

STEEPNESS = (0.5, 2.0, 8.0, 32.0)
LEAK = (0.0, 0.01, 0.03, 0.1, 0.3)

GRID = {
    "Arctan": ("alpha", STEEPNESS),
    "Circ": ("alpha", STEEPNESS),
    "ERF": ("alpha", STEEPNESS),
    "FakeNumericalGradient": ("alpha", (0.03, 0.1, 0.3, 1.0)),
    "GaussianGrad": ("sigma", (0.1, 0.25, 0.5, 1.0)),
    "InvSquareGrad": ("alpha", (1.0, 5.0, 25.0, 100.0)),
    "LeakyRelu": ("alpha", LEAK),
    "LogTailedRelu": ("alpha", LEAK),
    "MultiGaussianGrad": ("sigma", (0.1, 0.25, 0.5, 1.0)),
    "NonzeroSignLog": ("alpha", STEEPNESS),
    "NormalizedQPseudoSpike": ("alpha", (1.5, 2.0, 3.0, 6.0)),
    "PiecewiseExp": ("alpha", STEEPNESS),
    "PiecewiseLeakyRelu": ("w", (0.25, 0.5, 1.0, 2.0)),
    "PiecewiseQuadratic": ("alpha", (0.25, 0.5, 1.0, 2.0)),
    "QPseudoSpike": ("alpha", (1.5, 2.0, 3.0, 6.0)),
    "ReluGrad": ("width", (0.25, 0.5, 1.0, 2.0)),
    "S2NN": ("alpha", (1.0, 2.0, 4.0, 8.0)),
    "Sigmoid": ("alpha", (1.0, 4.0, 16.0, 64.0)),
    "SlayerGrad": ("alpha", STEEPNESS),
    "SoftSign": ("alpha", STEEPNESS),
    "SparseFastSigmoid": ("alpha", (1.0, 5.0, 25.0, 100.0)),
    "SpikeRateEscape": ("beta", STEEPNESS),
    "SquarewaveFourierSeries": ("t_period", (2.0, 4.0, 8.0, 16.0)),
}


def described(surrogates: Iterable[bs.Surrogate]) -> list[str]:
    """What a result file calls them."""
    return list(map(repr, surrogates))


def members(quick: bool = False) -> dict[str, list[bs.Surrogate]]:
    """The surrogates of each class over its grid; the first and the last of three classes for ``quick``."""
    names = ("InvSquareGrad", "LeakyRelu", "LogTailedRelu") if quick else GRID
    return {name: list(_over(name))[:: len(GRID[name][1]) - 1 if quick else 1] for name in names}


def _over(name):
    parameter, values = GRID[name]
    return (getattr(bs, name)(**{parameter: value}) for value in values)
