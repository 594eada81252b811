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

if TYPE_CHECKING:  # what `layer` and `cell` make, as an editor sees it

    class LIF(Layer, neurons.LIF): ...

    class ALIF(Layer, neurons.ALIF): ...

    class LI(Layer, neurons.LI): ...

    class Delay(Layer, neurons.Delay): ...

    class LIFCell(Cell, neurons.LIF): ...

    class ALIFCell(Cell, neurons.ALIF): ...

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
