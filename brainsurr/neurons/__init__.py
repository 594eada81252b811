"""Neurons as values, which know no framework: parameters, a state, and one step in time.

``neuron(state, xs)`` runs one over time in plain jax, ``neuron.step(state, x)`` takes a step, and ``brainsurr.unroll``
goes in blocks of time. The layers of ``brainsurr.nnx``, ``brainsurr.linen`` and ``brainsurr.brainstate`` are made of
these.
"""

from ._neuron import Neuron
from .alif import ALIF, ALIFFields
from .delay import Delay, DelayFields
from .ilif import ILIF, ILIFFields
from .learnable_delay import LearnableDelay, LearnableDelayFields
from .li import LI, LIFields
from .lif import LIF, LIFFields
from .psn import SlidingPSN, SlidingPSNFields
from .recurrent import Recurrent
from .resonate import BHRF, BRF, RF, BRFFields, RFFields
from .synaptic import Synaptic, SynapticFields
from .window import Window, WindowFields

__all__ = ["ALIF", "LI", "LIF", "Delay", "Neuron", "Recurrent"]
__all__ += ["BHRF", "BRF", "ILIF", "RF", "LearnableDelay", "SlidingPSN", "Synaptic", "Window"]
