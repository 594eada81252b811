"""What every peer trains: inputs, labels and starting weights.

Matrix products without biases, layers of LIF neurons between them and a leaky integrator behind; decay 0.9, threshold
1, reset by subtraction in the step of the spike, the arctan surrogate with alpha = 2; cross-entropy of the output's
mean over time; plain gradient descent. All start from the same weights, so that the losses tell whether they train the
same thing.
"""

import itertools
from typing import NamedTuple

import numpy as np

STEPS, DECAY, THRESHOLD, ALPHA = 100, 0.9, 1.0, 2.0


class Network(NamedTuple):
    """A network and how it is trained.

    Attributes:
      sizes: of the layers, the inputs first.
      scale: the standard deviation of the weights of a layer, times the square root of its inputs.
      readout: the same, of the last layer.
      rate: the learning rate.
    """

    sizes: tuple[int, ...]
    scale: float = 1.5
    readout: float = 1.5
    rate: float = 0.02

    def weights(self):
        """Draw the matrices ``[inputs, outputs]``, scaled so that neurons fire."""
        rng, scales = np.random.default_rng(0), [*[self.scale] * (len(self.sizes) - 2), self.readout]
        shapes = zip(scales, itertools.pairwise(self.sizes), strict=True)
        return [rng.normal(0, scale / i**0.5, (i, o)).astype(np.float32) for scale, (i, o) in shapes]

    def inputs(self, batch, steps, dtype="float32"):
        """Draw spikes ``[time, batch, features]`` of which 5 % are 1.

        Aligned as XLA wants its arrays, so that ``jax.device_put``, like ``torch.from_numpy``, makes no copy, and made
        a step at a time: neither may be what a process needs most memory for.
        """
        size = np.dtype(dtype).itemsize * steps * batch * self.sizes[0]
        memory = np.empty(size + 64, np.uint8)
        start = -memory.ctypes.data % 64
        xs = memory[start : start + size].view(dtype).reshape(steps, batch, self.sizes[0])
        rng = np.random.default_rng(1)
        for x in xs:
            x[:] = rng.random(x.shape, np.float32) < 0.05
        return xs

    def labels(self, batch):
        """Draw a class for each example."""
        return np.random.default_rng(2).integers(0, self.sizes[-1], batch, np.int32)


NETWORKS = {
    "usual": Network((700, 256, 256, 20)),
    "long": Network((64, 128, 128, 10)),
    "deep": Network((*[128] * 21, 10), 1.8, 0.1, 0.002),  # so that all layers fire, and the loss falls
}
USUAL, LONG = NETWORKS["usual"], NETWORKS["long"]


class Job(NamedTuple):
    """What one process does: the way to run its library, or ``live``, a network of `NETWORKS`, sizes, train steps."""

    mode: str
    network: str = "usual"
    batch: int = 256
    steps: int = STEPS
    inputs: str = "float32"
    rounds: int = 5

    @property
    def net(self):
        """The network."""
        return NETWORKS[self.network]

    def xs(self):
        """Return the inputs."""
        return self.net.inputs(self.batch, self.steps, self.inputs)
