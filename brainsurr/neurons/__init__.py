"""Neurons as plain values, independent of any framework: parameters, a state, and one step in time.

``neuron(state, xs)`` runs a neuron over time in plain jax, ``neuron.step(state, x)`` runs one step, and
``brainsurr.unroll`` runs it in blocks of time. The layers of ``brainsurr.nnx``, ``brainsurr.linen``,
``brainsurr.brainstate`` and ``brainsurr.equinox`` are built from these neurons.
"""

from ._neuron import Neuron
from .adex import *
from .alif import *
from .delay import *
from .ilif import *
from .izhikevich import *
from .learnable_delay import *
from .lif import *
from .psn import *
from .recurrent import *
from .resonate import *
from .synaptic import *
from .synaptic_delays import *
from .window import *

__all__ = ["Neuron"]
__all__ += [  # files without an underscore define neurons and their fields
    name
    for name, kind in list(globals().items())
    if isinstance(kind, type) and issubclass(kind, Neuron) and "._" not in kind.__module__
]
