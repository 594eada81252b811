"""Spiking layers for brainstate; needs ``pip install "brainsurr[brainstate]"``."""

from .._optional import needs

with needs("brainstate"):
    from ._activation import SpikingActivation
    from ._diagnose import diagnose
    from ._network import SpikingSequential, unroll
    from ._neurons import LI, LIF, LIFCell
    from ._parameters import bounds

__all__ = ["LI", "LIF", "LIFCell", "SpikingActivation", "SpikingSequential", "bounds", "diagnose", "unroll"]
