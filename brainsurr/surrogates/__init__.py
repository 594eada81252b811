"""The surrogate functions, grouped by the shape of their gradient: a class and a function for each."""

from typing import TYPE_CHECKING

from . import algebraic, exponential, fourier, gaussian, logarithm, pseudo_spike, relu, triangle
from .algebraic import *
from .exponential import *
from .fourier import *
from .gaussian import *
from .logarithm import *
from .pseudo_spike import *
from .relu import *
from .triangle import *

NAMES = [
    name
    for module in (algebraic, exponential, fourier, gaussian, logarithm, pseudo_spike, relu, triangle)
    for name, value in vars(module).items()
    if getattr(value, "__module__", "") == module.__name__ and not name.startswith("_")
]
NAMES.sort(key=lambda name: (not name.isupper(), name))  # as linters sort: ERF, Arctan, arctan
if not TYPE_CHECKING:  # which follows the star imports, and would take this for an empty list
    __all__ = NAMES
