"""Spikes whose backward pass you choose: surrogate gradients, trainable or not, for spiking networks in JAX."""

from importlib import import_module
from typing import TYPE_CHECKING

from . import neurons, surrogates
from ._diagnosis import Diagnosis, LayerReport, diagnose
from ._gradients import check_gradients
from ._gradients.report import GradientReport, ParameterGradient
from ._kernel import detached, spike
from ._operations import OperationReport, ProductOperations, operations
from ._pooling import max_pool
from ._scan import target_platform
from ._surrogate import Scaled, Surrogate
from ._time.unroll import unroll
from .surrogates import *  # noqa: F403

if TYPE_CHECKING:
    from . import brainstate, cpu, encoders, equinox, events, initializers, interop, linen  # noqa: F401

    # isort: split
    from . import losses, nir, nnx, optim, plot  # noqa: F401


__version__ = "0.3.0"

__all__ = ["Diagnosis", "GradientReport", "LayerReport", "OperationReport", "ParameterGradient"]
__all__ += ["ProductOperations", "Scaled", "Surrogate"]
__all__ += ["check_gradients", "detached", "diagnose", "max_pool", "operations", "spike", "target_platform", "unroll"]
__all__ += surrogates.NAMES

_OPTIONAL = ["brainstate", "cpu", "encoders", "equinox", "events", "initializers", "interop", "linen", "losses", "nir"]
_OPTIONAL += ["nnx", "optim", "plot"]


def __dir__():
    return sorted([*__all__, *_OPTIONAL, "__version__", "neurons", "surrogates"])


if not TYPE_CHECKING:  # with `__getattr__`, type checkers would accept any attribute

    def __getattr__(name):
        """Import a module that needs more than jax, or that few users need, when it is first used."""
        if name not in _OPTIONAL:
            layers = (*neurons.__all__, "SpikingActivation", "SpikingSequential", "bounds")
            hint = ": import it from brainsurr.nnx or another framework" if name.removesuffix("Cell") in layers else ""
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}")
        try:
            return import_module(f".{name}", __name__)
        except ImportError as error:  # an AttributeError, so that hasattr, inspect and help still work
            raise AttributeError(f"{__name__}.{name} can't be loaded: {error}") from error
