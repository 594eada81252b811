"""Neurons as values, which know no framework: parameters, a state, and one step in time.

``neuron(state, xs)`` runs one over time in plain jax, ``neuron.step(state, x)`` takes a step, and ``brainsurr.unroll``
goes in blocks of time. The layers of ``brainsurr.nnx``, ``brainsurr.linen`` and ``brainsurr.brainstate`` are made of
these.
"""

from ._neuron import Neuron
from .alif import ALIF
from .delay import Delay
from .ilif import ILIF
from .learnable_delay import LearnableDelay
from .li import LI
from .lif import LIF
from .psn import SlidingPSN
from .recurrent import Recurrent
from .resonate import BHRF, BRF, RF
from .synaptic import Synaptic
from .window import Window

__all__ = ["ALIF", "LI", "LIF", "Delay", "Neuron", "Recurrent"]
__all__ += ["BHRF", "BRF", "ILIF", "RF", "LearnableDelay", "SlidingPSN", "Synaptic", "Window"]
