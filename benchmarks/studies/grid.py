"""The grid of every study: each surrogate of the family at a few values of the parameter that sets its width."""

from collections.abc import Callable
from typing import Any

import brainsurr as bs

from ..lib.study import Study

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


def members(quick: bool = False) -> dict[str, list[bs.Surrogate]]:
    """Make the surrogates of each class over its grid; for ``quick`` the first and the last of three classes."""
    names = ("InvSquareGrad", "LeakyRelu", "LogTailedRelu") if quick else GRID
    return {name: list(_over(name))[:: len(GRID[name][1]) - 1 if quick else 1] for name in names}


def _over(name):
    parameter, values = GRID[name]
    return (getattr(bs, name)(**{parameter: value}) for value in values)


def record(study: Study, key: str, train: Callable, surrogates: list[bs.Surrogate], *setting) -> dict[str, Any]:
    """Record ``train(surrogates, *setting)`` under a key of the study's file, together with the surrogates."""
    names = list(map(repr, surrogates))
    return study.record(key, lambda: {"surrogates": names, **train(surrogates, *setting)}, surrogates=names)
