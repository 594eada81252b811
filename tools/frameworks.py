"""The adapters of all frameworks."""

from .adapters import Host, Pure, by_name, carry_and_outputs, leaf_name
from .adapters.brainstate import Brainstate
from .adapters.equinox import Equinox
from .adapters.linen import Linen
from .adapters.nnx import Nnx

__all__ = ["HOSTS", "OF_VARIABLES", "Brainstate", "Equinox", "Host", "Linen", "Nnx", "Pure"]
__all__ += ["by_name", "carry_and_outputs", "leaf_name"]

HOSTS = [Nnx, Linen, Brainstate, Equinox]
# Modules of variables, which have `SpikingActivation`. Those of Equinox are trees, and a surrogate is one by itself.
OF_VARIABLES = HOSTS[:3]
