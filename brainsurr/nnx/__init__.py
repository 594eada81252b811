"""Spiking layers for Flax NNX; needs the extra ``flax``."""

from .. import neurons
from .._extras import needs
from .._layer import Features, Size, Trained

with needs("flax"):
    from ._activation import SpikingActivation, bounds
    from ._layer import Cell, Layer, Options, cell, layer
    from ._network import SpikingSequential, unroll
    from ._reports import check_gradients, diagnose


class LIF(Layer, Options, neurons.LIFFields, Features, kind=neurons.LIF): ...


class ALIF(LIF, neurons.ALIFFields, kind=neurons.ALIF): ...


class LI(Layer, Trained, neurons.LIFields, Features, kind=neurons.LI): ...


class Delay(Layer, neurons.DelayFields, Size, kind=neurons.Delay): ...


class Synaptic(LIF, neurons.SynapticFields, kind=neurons.Synaptic): ...


class RF(Layer, Options, neurons.RFFields, Features, kind=neurons.RF): ...


class BRF(RF, neurons.BRFFields, kind=neurons.BRF): ...


class BHRF(BRF, kind=neurons.BHRF): ...


class Window(Layer, neurons.WindowFields, Size, kind=neurons.Window): ...


class SlidingPSN(Layer, Options, neurons.SlidingPSNFields, Features, kind=neurons.SlidingPSN): ...


class ILIF(Layer, Options, neurons.ILIFFields, Features, kind=neurons.ILIF): ...


class LearnableDelay(Layer, Trained, neurons.LearnableDelayFields, Features, kind=neurons.LearnableDelay): ...


class SynapticDelays(Layer, Trained, neurons.SynapticDelaysFields, Features, kind=neurons.SynapticDelays): ...


class AdEx(Layer, Options, neurons.AdExFields, Features, kind=neurons.AdEx): ...


class Izhikevich(Layer, Options, neurons.IzhikevichFields, Features, kind=neurons.Izhikevich): ...


class LIFCell(Cell, Options, neurons.LIFFields, Features, kind=neurons.LIF): ...


class ALIFCell(LIFCell, neurons.ALIFFields, kind=neurons.ALIF): ...


__all__ = ["ALIFCell", "LIFCell", "SpikingActivation", "SpikingSequential"]
__all__ += ["bounds", "cell", "check_gradients", "diagnose", "layer", "unroll"]
__all__ += [name for name in neurons.__all__ if name in globals()]
