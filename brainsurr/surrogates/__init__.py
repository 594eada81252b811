"""The surrogate functions, grouped by the shape of their gradient: a class and a function for each."""

from .relu import LeakyRelu, LogTailedRelu, leaky_relu, log_tailed_relu
from .triangle import ReluGrad, relu_grad

__all__ = ["LeakyRelu", "LogTailedRelu", "ReluGrad", "leaky_relu", "log_tailed_relu", "relu_grad"]
