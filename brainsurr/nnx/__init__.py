"""Spiking layers for Flax NNX; needs the extra ``flax``."""

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
    from typing import Any, ClassVar

    from flax import nnx

    from .._layer import Features, Size, Spiking, Trained

    class _Spiking(Spiking):
        rngs: nnx.Rngs | None = None

    class _Layer(Layer, neurons.Neuron):  # what both bases have, as the layer has it
        bounds: ClassVar[Any]
        __call__ = Layer.__call__  # type: ignore[assignment]

    class _Cell(Cell, neurons.Neuron):
        bounds: ClassVar[Any]
        __call__ = Cell.__call__  # type: ignore[assignment]

    class LIF(_Layer, _Spiking, neurons.LIF, Features): ...

    class ALIF(_Layer, _Spiking, neurons.ALIF, Features): ...

    class LI(_Layer, Trained, neurons.LI, Features): ...

    class Delay(_Layer, neurons.Delay, Size): ...

    class LIFCell(_Cell, _Spiking, neurons.LIF, Features): ...

    class ALIFCell(_Cell, _Spiking, neurons.ALIF, Features): ...

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
