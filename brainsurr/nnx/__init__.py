"""Spiking layers for Flax NNX; needs the extra ``flax``."""

from typing import TYPE_CHECKING

from .. import neurons
from .._wrong_calls import needs

with needs("flax"):
    from ._activation import SpikingActivation, bounds
    from ._layer import Cell, Layer, cell, layer
    from ._network import SpikingSequential, unroll
    from ._reports import check_gradients, diagnose

if TYPE_CHECKING:  # what `layer` and `cell` make: the arguments are fields, of the neuron and of the other bases
    from .._layer import Features, Size, Trained
    from ._layer import Options

    class LIF(Layer, Options, neurons.LIF, Features): ...

    class ALIF(Layer, Options, neurons.ALIF, Features): ...

    class LI(Layer, Trained, neurons.LI, Features): ...

    class Delay(Layer, neurons.Delay, Size): ...

    class Synaptic(Layer, Options, neurons.Synaptic, Features): ...

    class RF(Layer, Options, neurons.RF, Features): ...

    class BRF(Layer, Options, neurons.BRF, Features): ...

    class BHRF(Layer, Options, neurons.BHRF, Features): ...

    class Window(Layer, neurons.Window, Size): ...

    class SlidingPSN(Layer, Options, neurons.SlidingPSN, Features): ...

    class ILIF(Layer, Options, neurons.ILIF, Features): ...

    class LearnableDelay(Layer, Trained, neurons.LearnableDelay, Features): ...

    class LIFCell(Cell, Options, neurons.LIF, Features): ...

    class ALIFCell(Cell, Options, neurons.ALIF, Features): ...

else:
    LIF, ALIF, LI, Delay = map(layer, (neurons.LIF, neurons.ALIF, neurons.LI, neurons.Delay))
    RF, BRF, BHRF = map(layer, (neurons.RF, neurons.BRF, neurons.BHRF))
    Synaptic, ILIF, SlidingPSN = map(layer, (neurons.Synaptic, neurons.ILIF, neurons.SlidingPSN))
    LearnableDelay, Window = map(layer, (neurons.LearnableDelay, neurons.Window))
    LIFCell, ALIFCell = map(cell, (neurons.LIF, neurons.ALIF))

__all__ = ["ALIF", "LI", "LIF", "ALIFCell", "Delay", "LIFCell", "SpikingActivation", "SpikingSequential"]
__all__ += ["BHRF", "BRF", "ILIF", "RF", "LearnableDelay", "SlidingPSN", "Synaptic", "Window"]
__all__ += ["bounds", "cell", "check_gradients", "diagnose", "layer", "unroll"]
