"""The surrogate functions, grouped by the shape of their gradient: a class and a function for each."""

from typing import TYPE_CHECKING

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
    for name, value in list(globals().items())
    if getattr(value, "__module__", "").startswith(__name__) and "._" not in value.__module__
]
if not TYPE_CHECKING:  # which follows the star imports, and would take this for an empty list
    __all__ = NAMES
