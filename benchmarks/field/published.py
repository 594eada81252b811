"""The networks of published benchmarks, and which libraries can run them."""

from typing import NamedTuple

from ..speed.libraries import FLOOR, OURS, PEERS
from ..speed.peers.task import NETWORKS


class Published(NamedTuple):
    """A published network, in the size in which it runs here.

    Attributes:
      network: its name in `benchmarks.speed.peers.task.NETWORKS`.
      batch: examples.
      steps: time steps.
      layers: a description of its layers.
    """

    network: str
    batch: int
    steps: int
    layers: str

    def about(self):
        """Return a description of the network."""
        network = NETWORKS[self.network]
        inputs = f"{network.spikes:.0%} of the inputs are spikes" if network.spikes else NORMAL
        sizes = "" if network.channels else f"{'-'.join(map(str, network.sizes))}: "
        return f"{sizes}{self.layers}, T = {self.steps}, batch {self.batch}; {inputs}"


NORMAL = "inputs of a normal distribution, as published"
LINEAR, SPEECH = "one linear layer and LIF neurons", "two layers of LIF neurons and a leaky integrator"
CONVOLUTIONS = """convolutions of 64 and 128 channels, each with batch normalisation, LIF neurons and pooling, then 1024
LIF neurons and 10 classes; 64 x 64 pixels, where a batch of 64 was published"""
IMAGES = "SpikingJelly"
PUBLISHED = {
    "Open Neuromorphic, 512": Published("linear 512", 16, 500, LINEAR),
    "Open Neuromorphic, 4096": Published("linear 4096", 16, 500, LINEAR),
    "Slax, 1028": Published("dense 1028", 16, 500, "three of the same layers"),
    "Spyx, 128": Published("speech 128", 256, 256, SPEECH),
    "Spyx, 512": Published("speech 512", 256, 256, SPEECH),
    IMAGES: Published("images", 16, 16, CONVOLUTIONS),
}
QUICK = {
    "Spyx, 128": Published("speech 128", 4, 8, "small"),
    IMAGES: Published("quick images", 4, 4, "small"),
}
# The call that each library's documentation shows first; for brainsurr, the plain call of a network.
WAYS = {OURS: ("layer by layer", "layer by layer, events")}
WAYS |= {name: peer.modes[:1] for name, peer in PEERS.items() if name not in (OURS, FLOOR)}
CANNOT = {
    ("spyx", IMAGES): "its `run` is a scan over time steps, in which flax's `BatchNorm` can't update its statistics",
    ("jaxpike", IMAGES): "it has no batch normalisation",
}
EACH_STEP = ("brainpy", "snntorch")  # they loop over time steps, and normalise each step separately
