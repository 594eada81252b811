"""List the adapters of all frameworks, which give them one interface for tests and benchmarks."""

from .adapters import Host, Pure, by_name, carry_and_outputs, leaf_name
from .adapters.brainstate import Brainstate
from .adapters.equinox import Equinox
from .adapters.linen import Linen
from .adapters.nnx import Nnx

__all__ = ["HOSTS", "OF_VARIABLES", "Brainstate", "Equinox", "Host", "Linen", "Nnx", "Pure"]
__all__ += ["by_name", "carry_and_outputs", "leaf_name"]

HOSTS = [Nnx, Linen, Brainstate, Equinox]
# Frameworks with variables have `SpikingActivation`. In Equinox a surrogate is a module by itself.
OF_VARIABLES = HOSTS[:3]
