"""The configurations that are compared: surrogates as people type them, and whose default each of them is."""

from typing import NamedTuple

import brainsurr as bs
from brainsurr.nnx import LIF

DEFAULT, ARCTAN, FAST_SIGMOID, FOCUS = "default", "Arctan(2)", "fast sigmoid 25", "LogTailedRelu(0.1), width .25"


class Entrant(NamedTuple):
    """A configuration.

    Attributes:
      surrogate: what trains.
      typed: what one types for it here.
      whose: the libraries, and their names for it, whose default it is.
    """

    surrogate: bs.Surrogate
    typed: str
    whose: str = ""


def _typed(text: str, whose: str = "") -> Entrant:
    return Entrant(eval(text, {"bs": bs}), text, whose)


ENTRANTS: dict[str, Entrant] = {
    DEFAULT: Entrant(LIF(1).spike_fn.surrogate, "LIF(n)", "brainsurr"),
    ARCTAN: _typed("bs.Arctan(alpha=2)", "snnTorch `atan`, sparx `ATan`"),
    FAST_SIGMOID: _typed("bs.InvSquareGrad(alpha=25)", "spyx `superspike`, jaxpike `FastSigmoid`"),
    "Sigmoid(4)": _typed("bs.Sigmoid(alpha=4)", "SpikingJelly `Sigmoid`"),
    "SuperSpike of norse": _typed('bs.equivalent("norse", "super")', "norse `super`"),
    "ReluGrad": _typed("bs.ReluGrad()", "brainpy.state `ReluGrad`"),
    "Gaussian(.5)": _typed("bs.GaussianGrad(sigma=0.5, alpha=1)"),
    "multi-Gaussian": _typed("bs.MultiGaussianGrad()"),
    "rectangle": _typed("bs.PiecewiseLeakyRelu(c=0, w=0.5)"),
    "S2NN, width .69": _typed("bs.S2NN().scaled(width=0.694)"),
    "NonzeroSignLog, width .25": _typed("bs.NonzeroSignLog().scaled(width=0.25)"),
    "LogTailedRelu": _typed("bs.LogTailedRelu()"),
    "LogTailedRelu(.01)": _typed("bs.LogTailedRelu(0.01)"),
    FOCUS: _typed("bs.LogTailedRelu(0.1).scaled(width=0.25)"),
}
