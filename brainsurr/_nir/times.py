r"""Decays and time constants.

With a step of ``dt``, :math:`\tau \dot v = -v + r\,I` becomes

.. math:: v' = d\, v + (1 - d)\, r\, I, \qquad d = 1 - dt / \tau \ (\text{Euler}), \quad \exp(-dt / \tau) \ (\text{exp})

and a layer here :math:`v' = d\, v + g\, x`, with g = 1 or, with ``decay_input``, 1 - d. Their potentials differ by a
factor, by which the threshold is scaled. Compute in float64, so that a float32 decay is restored exactly.
"""

import numpy as np

METHODS = ("euler", "exp")
RESISTANCES = ("1", "tau/dt")


def tau_of(decay: np.ndarray, dt: float, method: str) -> np.ndarray:
    """Return the time constant of a decay below 1."""
    return dt / (1 - decay) if method == "euler" else -dt / np.log(decay)


def decay_of(tau: np.ndarray, dt: float, method: str) -> np.ndarray:
    """Return the decay of a time constant above 0."""
    return 1 - dt / tau if method == "euler" else np.exp(-dt / tau)


def gain_of(decay: np.ndarray, r: np.ndarray) -> np.ndarray:
    """Return (1 - decay) r, by which the input is multiplied in a step; exactly 1 if it equals 1 up to rounding.

    It does if r is tau / dt, rounded to float32.
    """
    gain = (1 - decay) * r
    return np.where(np.isclose(gain, 1, rtol=1e-6, atol=0), 1.0, gain)
