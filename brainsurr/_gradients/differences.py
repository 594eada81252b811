"""The slope of a function along a line, from its values at a few points."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

_WIDTHS = 10.0 ** -np.arange(2, 9)
STEPS = np.array([0.0, *(sign * n * width for width in _WIDTHS for n in (1, 2) for sign in (1, -1))])


class Slope(NamedTuple):
    """What finite differences say.

    Attributes:
      slope: of the step width at which two widths agree best.
      error: the difference of these two, and what rounding leaves undecided.
      knot: the largest difference of the slopes to the right and to the left that does not vanish with the width.
    """

    slope: float
    error: float
    knot: float


def directions(values: dict[str, Any]) -> dict[str, Any]:
    """Draw a direction for each parameter, of the size of its entries, or of size 1 where all are 0."""
    rng, by_name = np.random.default_rng(0), {}
    for name, value in values.items():
        size = float(jnp.sqrt(jnp.mean(jnp.square(value)))) if value.size else 1.0
        by_name[name] = jnp.asarray((size or 1.0) * rng.standard_normal(value.shape))
    return by_name


def along(losses: np.ndarray) -> Slope:
    """Return the slope at 0 from the values at STEPS.

    For each width, compute the central difference of five points, whose error falls with the fourth power of the width.
    Wide steps suffer from truncation, narrow ones from rounding: use the width where neighbours agree best. The
    narrowest serve to detect nearby knots of a network of many values.
    """
    here, points = losses[0], losses[1:].reshape(-1, 4)
    right, left, far_right, far_left = points.T
    slopes = (8 * (right - left) - (far_right - far_left)) / (12 * _WIDTHS)
    rounding = np.finfo(float).eps * np.max(np.abs(losses)) / _WIDTHS
    changes = np.abs(np.diff(slopes)) + rounding[1:]
    best = int(np.argmin(np.where(np.isfinite(changes), changes, np.inf)))
    jumps = np.abs((right - here) - (here - left)) / _WIDTHS
    stays = (jumps[1:] > jumps[:-1] / 2) & (jumps[1:] > 100 * rounding[1:])
    knot = float(np.max(jumps[-3:], initial=0.0, where=stays[-3:]))
    return Slope(float(slopes[best + 1]), float(changes[best]), knot)


def rounding(eps: float, size: float) -> float:
    """Return by how much a slope may be off, measured at the widest step, where numbers of a size are rounded to eps.

    Ten times what one rounding makes: there are four points, and several roundings on the way to each.
    """
    return 10 * eps * size / float(_WIDTHS[0])
