"""Spikes whose backward pass you choose: surrogate gradients, trainable or not, for spiking networks in JAX."""

from ._kernel import spike
from ._surrogate import Surrogate
from .surrogates import LeakyRelu, LogTailedRelu, ReluGrad, leaky_relu, log_tailed_relu, relu_grad

__version__ = "0.1.0"

__all__ = [
    "LeakyRelu",
    "LogTailedRelu",
    "ReluGrad",
    "Surrogate",
    "leaky_relu",
    "log_tailed_relu",
    "relu_grad",
    "spike",
]
