"""Spiking layers for Flax NNX; needs the extra ``flax``."""

from typing import TYPE_CHECKING

from .. import neurons
from .._wrong_calls import needs

with needs("flax"):
    from ._activation import SpikingActivation, bounds
    from ._checks import check_gradients, diagnose
    from ._layer import Cell, Layer, cell, layer
    from ._network import SpikingSequential, unroll

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

    class LIFCell(Cell, Options, neurons.LIF, Features): ...

    class ALIFCell(Cell, Options, neurons.ALIF, Features): ...

else:
    LIF, ALIF, LI, Synaptic = map(layer, (neurons.LIF, neurons.ALIF, neurons.LI, neurons.Synaptic))
    RF, BRF, BHRF = map(layer, (neurons.RF, neurons.BRF, neurons.BHRF))
    Delay, Window = map(layer, (neurons.Delay, neurons.Window))
    LIFCell, ALIFCell = map(cell, (neurons.LIF, neurons.ALIF))

__all__ = ["ALIF", "BHRF", "BRF", "LI", "LIF", "RF", "ALIFCell", "Delay", "LIFCell"]
__all__ += ["SpikingActivation", "SpikingSequential", "Synaptic", "Window"]
__all__ += ["bounds", "cell", "check_gradients", "diagnose", "layer", "unroll"]
