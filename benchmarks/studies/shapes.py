"""The entrants of the comparison: the shapes of the family's gradients, each once, at the same height and width.

Two surrogates have one shape if one's gradient is the other's, scaled in height and width. Every shape is scaled to a
peak of 1, and its width is half of the distance between the two places where the gradient has fallen to half of its
peak. For ``LogTailedRelu`` with an alpha below 1/2 these are 0 and twice its knee, so that its width is its knee.
"""

from functools import cache
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

import brainsurr as bs

# One surrogate for each shape.
SHAPES: dict[str, bs.Surrogate] = {
    "Arctan": bs.Arctan(),
    "Circ": bs.Circ(),
    "FakeNumericalGradient": bs.FakeNumericalGradient(),
    "GaussianGrad": bs.GaussianGrad(),
    "LeakyRelu": bs.LeakyRelu(),
    "LogTailedRelu": bs.LogTailedRelu(continuous=True),  # else a trained width would not see the jump of its primitive
    "MultiGaussianGrad": bs.MultiGaussianGrad(),
    "NonzeroSignLog": bs.NonzeroSignLog(),
    "PiecewiseExp": bs.PiecewiseExp(),
    "PiecewiseLeakyRelu": bs.PiecewiseLeakyRelu(),
    "PiecewiseQuadratic": bs.PiecewiseQuadratic(),
    "S2NN": bs.S2NN(),
    "Sigmoid": bs.Sigmoid(),
    "SoftSign": bs.SoftSign(),
    "SparseFastSigmoid": bs.SparseFastSigmoid(alpha=1.0),  # cut off at 2.4 half-widths
    "SquarewaveFourierSeries": bs.SquarewaveFourierSeries(),
}
WITH_ALPHA = ("LeakyRelu", "LogTailedRelu")  # they enter with each alpha of the grid

# The same shapes under other names, all at their defaults.
SAME_AS = {
    "ERF": "GaussianGrad",
    "InvSquareGrad": "SoftSign",
    "NormalizedQPseudoSpike": "SoftSign",
    "QPseudoSpike": "SoftSign",
    "ReluGrad": "PiecewiseQuadratic",
    "SlayerGrad": "PiecewiseExp",
    "SpikeRateEscape": "PiecewiseExp",
}

_FINEST, _LARGEST = 1e-5, 1e5


class Call(NamedTuple):
    """A surrogate that can be written as one call: a shape, its alpha if it has one, and its width if it has one."""

    shape: str
    alpha: float | None
    width: float | None

    @property
    def surrogate(self) -> bs.Surrogate:
        """The surrogate with a peak of 1 and this width."""
        shape = SHAPES[self.shape]
        if self.alpha is not None:
            shape = shape.replace(alpha=self.alpha)
        return normalised(shape, 1.0 if self.width is None else self.width)

    @classmethod
    def parse(cls, text: str) -> "Call":
        """Read a call as it is printed."""
        shape, *parts = text.split()
        numbers = {name: float(value) for name, value in (part.split("=") for part in parts)}
        return cls(shape, numbers.get("alpha"), numbers.get("width"))

    def __str__(self):
        numbers = {"alpha": self.alpha, "width": self.width}
        return " ".join([self.shape, *(f"{name}={value:g}" for name, value in numbers.items() if value is not None)])


def normalised(surrogate: bs.Surrogate, width: float = 1.0) -> bs.Surrogate:
    """Scale a surrogate to a gradient with a peak of 1 and a width; one that never falls keeps its own width."""
    half = half_width(surrogate)
    return surrogate.scaled(height=1 / peak(surrogate), width=1.0 if np.isinf(half) else width / half)


def peak(surrogate: bs.Surrogate) -> float:
    """Return the largest value of the gradient, which all of the family have beside 0."""
    return float(jnp.max(surrogate.surrogate_grad(jnp.array([-_FINEST, 0.0, _FINEST]))))


@cache
def half_width(surrogate: bs.Surrogate) -> float:
    """Return half of the distance between the two places beside 0 where the gradient falls below half of its peak."""
    half, sides = peak(surrogate) / 2, []
    for side in (-1.0, 1.0):
        x = side * np.geomspace(_FINEST, _LARGEST, 400_001)
        below = np.flatnonzero(np.asarray(surrogate.surrogate_grad(jnp.asarray(x, jnp.float32))) < half)
        sides.append(np.inf if not len(below) else 0.0 if below[0] == 0 else abs(x[below[0]]))
    return sum(sides) / 2
