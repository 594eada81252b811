"""The task that every library trains: inputs, labels and initial weights.

Matrix products without biases, with layers of LIF neurons in between and a leaky integrator at the end; decay 0.9,
threshold 1, reset by subtraction in the step of the spike, the arctan surrogate with alpha = 2; cross-entropy of the
output's mean over time; plain gradient descent. All libraries start from the same weights, so equal losses show that
they train the same network. A network can begin with convolutions, each with batch normalisation, neurons and pooling.
It can end in neurons, with the mean of their spikes as the loss, or in its last product.
"""

import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

STEPS, DECAY, THRESHOLD, ALPHA = 100, 0.9, 1.0, 2.0


class Network(NamedTuple):
    """A network and its training settings.

    Attributes:
      sizes: the layer sizes, inputs first; if there are convolutions, the sizes of the products.
      scale: the standard deviation of a layer's weights, times the square root of its number of inputs.
      readout: the same for the last layer.
      rate: the learning rate.
      ends: what follows the last product: a leaky integrator, ``"LI"``, neurons, ``"LIF"``, or nothing, ``""``.
      spikes: the fraction of inputs that are 1, while the others are 0; None for normally distributed inputs.
      channels: the channels of the 3 x 3 convolutions, inputs first.
      side: the width and height of an image in pixels; pooling halves it.
    """

    sizes: tuple[int, ...]
    scale: float = 1.5
    readout: float = 1.5
    rate: float = 0.02
    ends: str = "LI"
    spikes: float | None = 0.05
    channels: tuple[int, ...] = ()
    side: int = 0

    @property
    def features(self):
        """The shape of the input of one example and step, channels last."""
        return (self.side, self.side, self.channels[0]) if self.channels else self.sizes[:1]

    def weights(self, channels_first=False):
        """Draw the matrices ``[inputs, outputs]``, scaled so that neurons fire; the first has the given layout."""
        rng, scales = np.random.default_rng(0), [*[self.scale] * (len(self.sizes) - 2), self.readout]
        shapes = zip(scales, itertools.pairwise(self.sizes), strict=True)
        first, *others = [rng.normal(0, scale / i**0.5, (i, o)).astype(np.float32) for scale, (i, o) in shapes]
        if self.channels and channels_first:
            side = self.side >> len(self.channels) - 1
            first = first.reshape(side, side, -1, first.shape[1]).transpose(2, 0, 1, 3).reshape(first.shape)
        return [first, *others]

    def kernels(self):
        """Draw the kernels ``[height, width, inputs, outputs]`` of the convolutions."""
        rng, pairs = np.random.default_rng(3), itertools.pairwise(self.channels)
        return [rng.normal(0, 1 / (9 * i) ** 0.5, (3, 3, i, o)).astype(np.float32) for i, o in pairs]

    def inputs(self, batch, steps, dtype="float32"):
        """Draw inputs ``[time, batch, *features]``.

        The array is aligned for XLA, so that ``jax.device_put``, like ``torch.from_numpy``, makes no copy. It is
        created one step at a time. Neither may determine the peak memory of a process.
        """
        shape = (steps, batch, *self.features)
        size = np.dtype(dtype).itemsize * np.prod(shape)
        memory = np.empty(size + 64, np.uint8)
        start = -memory.ctypes.data % 64
        xs = memory[start : start + size].view(dtype).reshape(shape)
        rng = np.random.default_rng(1)
        for x in xs:
            normal = self.spikes is None
            x[:] = rng.standard_normal(x.shape, np.float32) if normal else rng.random(x.shape, np.float32) < self.spikes
        return xs

    def labels(self, batch):
        """Draw a class for each example."""
        return np.random.default_rng(2).integers(0, self.sizes[-1], batch, np.int32)


NETWORKS = {
    "usual": Network((700, 256, 256, 20)),
    "long": Network((64, 128, 128, 10)),
    "deep": Network((*[128] * 21, 10), 1.8, 0.1, 0.002),  # chosen so that all layers fire, and the loss falls
    # The networks of `benchmarks.field`, which gives their sources.
    "linear 512": Network((512, 512), 1.0, 1.0, 500.0, "LIF", None),
    "linear 4096": Network((4096, 4096), 1.0, 1.0, 400.0, "LIF", None),
    "dense 1028": Network((1028, 1028, 1028, 1028), 1.5, 1.5, 5.0, "LIF", None),
    "speech 128": Network((128, 128, 128, 20), spikes=0.22),
    "speech 512": Network((128, 512, 512, 20), spikes=0.22),
    "images": Network((128 * 16 * 16, 1024, 10), ends="", spikes=None, channels=(3, 64, 128), side=64),
    "quick images": Network((8 * 2 * 2, 16, 10), ends="", spikes=None, channels=(3, 4, 8), side=8),
}
USUAL, LONG = NETWORKS["usual"], NETWORKS["long"]


class Steps(NamedTuple):
    """Two functions that wait for the loss and return it: ``train()`` trains one step, ``forward()`` does not train."""

    train: Callable[[], float]
    forward: Callable[[], float]


class Job(NamedTuple):
    """The job of one process: the way to run its library, or ``live``; a network of `NETWORKS`, and its sizes.

    Attributes:
      budget: seconds after which no further step is timed.
      forward: whether to time forward passes before the training steps.
    """

    mode: str
    network: str = "usual"
    batch: int = 256
    steps: int = STEPS
    inputs: str = "float32"
    rounds: int = 5
    budget: float = 15
    forward: bool = False

    @property
    def net(self):
        """The network."""
        return NETWORKS[self.network]

    def xs(self):
        """Return the inputs."""
        return self.net.inputs(self.batch, self.steps, self.inputs)
