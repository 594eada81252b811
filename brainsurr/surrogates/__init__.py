"""The surrogate functions, grouped by the shape of their gradient: a class and a function for each."""

from .algebraic import (
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
from .exponential import (
    PiecewiseExp,
    Sigmoid,
    SlayerGrad,
    SpikeRateEscape,
    piecewise_exp,
    sigmoid,
    slayer_grad,
    spike_rate_escape,
)
from .fourier import SquarewaveFourierSeries, squarewave_fourier_series
from .gaussian import ERF, GaussianGrad, MultiGaussianGrad, erf, gaussian_grad, multi_gaussian_grad
from .logarithm import S2NN, FakeNumericalGradient, NonzeroSignLog, fake_numerical_gradient, nonzero_sign_log, s2nn
from .pseudo_spike import NormalizedQPseudoSpike, QPseudoSpike, normalized_q_pseudo_spike, q_pseudo_spike
from .relu import LeakyRelu, LogTailedRelu, leaky_relu, log_tailed_relu
from .scaled import Scaled
from .triangle import (
    PiecewiseLeakyRelu,
    PiecewiseQuadratic,
    ReluGrad,
    piecewise_leaky_relu,
    piecewise_quadratic,
    relu_grad,
)

__all__ = [
    "ERF",
    "S2NN",
    "Arctan",
    "Circ",
    "FakeNumericalGradient",
    "GaussianGrad",
    "InvSquareGrad",
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
    "arctan",
    "circ",
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
    "spike_rate_escape",
    "squarewave_fourier_series",
]
