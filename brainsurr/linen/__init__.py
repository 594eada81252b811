"""Spiking layers for Flax Linen; needs the extra ``flax``."""

from typing import TYPE_CHECKING

from .. import neurons
from .._optional import needs

with needs("flax"):
    from ._activation import SpikingActivation
    from ._diagnose import diagnose
    from ._gradients import check_gradients
    from ._layer import Cell, Layer, cell, layer
    from ._network import SpikingSequential, unroll
    from ._parameters import bounds

if TYPE_CHECKING:  # what `layer` and `cell` make: the arguments are fields, of the neuron and of the other bases
    from .._layer import Features, Size, Spiking, Trained

    class _Layer(Layer, neurons.Neuron):  # what both bases have, as the layer has it
        __call__ = Layer.__call__  # type: ignore[assignment]

    class _Cell(Cell, neurons.Neuron):
        __call__ = Cell.__call__  # type: ignore[assignment]

    class LIF(_Layer, Spiking, neurons.LIF, Features): ...

    class ALIF(_Layer, Spiking, neurons.ALIF, Features): ...

    class LI(_Layer, Trained, neurons.LI, Features): ...

    class Delay(_Layer, neurons.Delay, Size): ...

    class LIFCell(_Cell, Spiking, neurons.LIF, Features): ...

    class ALIFCell(_Cell, Spiking, neurons.ALIF, Features): ...

else:
    LIF, ALIF, LI, Delay = map(layer, (neurons.LIF, neurons.ALIF, neurons.LI, neurons.Delay))
    LIFCell, ALIFCell = map(cell, (neurons.LIF, neurons.ALIF))

__all__ = [
    "ALIF",
    "LI",
    "LIF",
    "ALIFCell",
    "Delay",
    "LIFCell",
    "SpikingActivation",
    "SpikingSequential",
    "bounds",
    "cell",
    "check_gradients",
    "diagnose",
    "layer",
    "unroll",
]
