"""Neurons as values, which know no framework: parameters, a state, and one step in time.

``neuron(state, xs)`` runs one over time in plain jax, ``neuron.step(state, x)`` takes a step, and ``brainsurr.unroll``
goes in blocks of time. The layers of ``brainsurr.nnx``, ``brainsurr.linen``, ``brainsurr.brainstate`` and
``brainsurr.equinox`` are made of these.
"""

from ._neuron import Neuron
from .alif import *
from .delay import *
from .ilif import *
from .learnable_delay import *
from .lif import *
from .psn import *
from .recurrent import *
from .resonate import *
from .synaptic import *
from .window import *

__all__ = ["Neuron"]
__all__ += [  # a file without an underscore has neurons, and their fields
    name
    for name, kind in list(globals().items())
    if isinstance(kind, type) and issubclass(kind, Neuron) and "._" not in kind.__module__
]
