"""Spiking layers for Flax Linen; needs the extra ``flax``."""

from .._optional import needs

with needs("flax"):
    from ._activation import SpikingActivation
    from ._delay import Delay
    from ._diagnose import diagnose
    from ._gradients import check_gradients
    from ._network import SpikingSequential, unroll
    from ._neurons import ALIF, LI, LIF, ALIFCell, LIFCell
    from ._parameters import bounds

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
    "check_gradients",
    "diagnose",
    "unroll",
]
