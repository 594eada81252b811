"""Spikes whose backward pass you choose: surrogate gradients, trainable or not, for spiking networks in JAX."""

from importlib import import_module
from typing import TYPE_CHECKING

from ._diagnose import Diagnosis, LayerReport, diagnose
from ._equivalent import equivalent, equivalents
from ._kernel import spike
from ._surrogate import Surrogate
from ._unroll import unroll
from .surrogates.algebraic import (
    Arctan,
    Circ,
    InvSquareGrad,
    SoftSign,
    SparseFastSigmoid,
    arctan,
    circ,
    inv_square_grad,
    soft_sign,
    sparse_fast_sigmoid,
)
from .surrogates.exponential import (
    PiecewiseExp,
    Sigmoid,
    SlayerGrad,
    SpikeRateEscape,
    piecewise_exp,
    sigmoid,
    slayer_grad,
    spike_rate_escape,
)
from .surrogates.fourier import SquarewaveFourierSeries, squarewave_fourier_series
from .surrogates.gaussian import ERF, GaussianGrad, MultiGaussianGrad, erf, gaussian_grad, multi_gaussian_grad
from .surrogates.logarithm import (
    S2NN,
    FakeNumericalGradient,
    NonzeroSignLog,
    fake_numerical_gradient,
    nonzero_sign_log,
    s2nn,
)
from .surrogates.pseudo_spike import NormalizedQPseudoSpike, QPseudoSpike, normalized_q_pseudo_spike, q_pseudo_spike
from .surrogates.relu import LeakyRelu, LogTailedRelu, leaky_relu, log_tailed_relu
from .surrogates.scaled import Scaled
from .surrogates.triangle import (
    PiecewiseLeakyRelu,
    PiecewiseQuadratic,
    ReluGrad,
    piecewise_leaky_relu,
    piecewise_quadratic,
    relu_grad,
)

if TYPE_CHECKING:
    from . import brainstate as brainstate
    from . import interop as interop
    from . import linen as linen
    from . import nnx as nnx
    from . import optim as optim
    from . import plot as plot

__version__ = "0.1.0"

__all__ = [
    "ERF",
    "S2NN",
    "Arctan",
    "Circ",
    "Diagnosis",
    "FakeNumericalGradient",
    "GaussianGrad",
    "InvSquareGrad",
    "LayerReport",
    "LeakyRelu",
    "LogTailedRelu",
    "MultiGaussianGrad",
    "NonzeroSignLog",
    "NormalizedQPseudoSpike",
    "PiecewiseExp",
    "PiecewiseLeakyRelu",
    "PiecewiseQuadratic",
    "QPseudoSpike",
    "ReluGrad",
    "Scaled",
    "Sigmoid",
    "SlayerGrad",
    "SoftSign",
    "SparseFastSigmoid",
    "SpikeRateEscape",
    "SquarewaveFourierSeries",
    "Surrogate",
    "arctan",
    "circ",
    "diagnose",
    "equivalent",
    "equivalents",
    "erf",
    "fake_numerical_gradient",
    "gaussian_grad",
    "inv_square_grad",
    "leaky_relu",
    "log_tailed_relu",
    "multi_gaussian_grad",
    "nonzero_sign_log",
    "normalized_q_pseudo_spike",
    "piecewise_exp",
    "piecewise_leaky_relu",
    "piecewise_quadratic",
    "q_pseudo_spike",
    "relu_grad",
    "s2nn",
    "sigmoid",
    "slayer_grad",
    "soft_sign",
    "sparse_fast_sigmoid",
    "spike",
    "spike_rate_escape",
    "squarewave_fourier_series",
    "unroll",
]

_OPTIONAL = ("brainstate", "interop", "linen", "nnx", "optim", "plot")


def __dir__():
    return sorted({*globals(), *_OPTIONAL})


if not TYPE_CHECKING:  # to which every name would be there

    def __getattr__(name):
        """The modules that need more than jax, imported when they are first used."""
        if name not in _OPTIONAL:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        try:
            return import_module(f".{name}", __name__)
        except ModuleNotFoundError as error:  # as an AttributeError: hasattr, inspect and help go on
            raise AttributeError(f"{__name__}.{name} can't be loaded: {error}") from error
