"""The networks of published benchmarks, who takes part, and who can't."""

from typing import NamedTuple

from ..speed.libraries import FLOOR, OURS, PEERS


class Published(NamedTuple):
    """A published network, in the size in which it runs here.

    Attributes:
      network: of `benchmarks.speed.peers.task.NETWORKS`.
      batch: examples.
      steps: time steps.
      about: what it consists of.
    """

    network: str
    batch: int
    steps: int
    about: str


NORMAL = "inputs of a normal distribution, as published"
LINEAR = f"one linear layer and LIF neurons, T = 500, batch 16; {NORMAL}"
SPEECH = "two layers of LIF neurons and a leaky integrator, T = 256, batch 256; 22% of the inputs are spikes"
IMAGES = "SpikingJelly"
PUBLISHED = {
    "Open Neuromorphic, 512": Published("linear 512", 16, 500, f"512-512: {LINEAR}"),
    "Open Neuromorphic, 4096": Published("linear 4096", 16, 500, f"4096-4096: {LINEAR}"),
    "Slax, 1028": Published(
        "dense 1028", 16, 500, f"1028-1028-1028-1028: three of the same layers, T = 500, batch 16; {NORMAL}"
    ),
    "Spyx, 128": Published("speech 128", 256, 256, f"128-128-128-20: {SPEECH}"),
    "Spyx, 512": Published("speech 512", 256, 256, f"128-512-512-20: {SPEECH}"),
    IMAGES: Published(
        "images",
        16,
        16,
        "convolutions of 64 and 128 channels, each with batch normalisation, LIF neurons and pooling, then 1024 LIF "
        f"neurons and 10 classes; 64 x 64 pixels, T = 16, batch 16 where 64 was published; {NORMAL}",
    ),
}
QUICK = {
    "Spyx, 128": Published("speech 128", 4, 8, "small"),
    IMAGES: Published("quick images", 4, 4, "small"),
}
# The way that the documentation of a library shows first; ours is the plain call of a network.
WAYS = {OURS: ("layer by layer", "layer by layer, events")}
WAYS |= {name: peer.modes[:1] for name, peer in PEERS.items() if name not in (OURS, FLOOR)}
CANNOT = {
    ("spyx", IMAGES): "its `run` is a scan over time steps, in which flax's `BatchNorm` can't update its statistics",
    ("jaxpike", IMAGES): "it has no batch normalisation",
}
EACH_STEP = ("brainpy", "snntorch")  # which loop over time steps, and normalise each by itself
