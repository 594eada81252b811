"""The leaky integrate-and-fire neuron with integer spikes (ILIF)."""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

from ..surrogates.triangle import PiecewiseLeakyRelu
from .lif import LI, LIFields


@dataclasses.dataclass(eq=False, repr=False)
class ILIFFields(LIFields):
    """The fields of :class:`ILIF` and of its layers."""

    threshold: Any = 1.0
    levels: int = 4
    spike_fn: Callable = PiecewiseLeakyRelu(c=0.0, w=0.5)


@dataclasses.dataclass(eq=False, repr=False)
class ILIF(LI, ILIFFields):
    r"""A leaky integrate-and-fire neuron that fires up to ``levels`` spikes per step: its output is an integer.

    .. math::
       u = \mathrm{decay} \cdot v + x, \qquad
       s = \sum_{k=0}^{\mathrm{levels} - 1} \mathrm{spike\_fn}\left(\frac{u}{\mathrm{threshold}} - k - \tfrac12\right),
       \qquad v' = u - \mathrm{threshold}\, s

    So :math:`s` is the potential in units of the threshold, rounded and clipped to [0, ``levels``]. The default
    ``spike_fn`` has a gradient of 1 up to a distance of 1/2. The gradient of :math:`s` with respect to
    :math:`u / \mathrm{threshold}` is then 1 if 0 < u < levels * threshold, and 0 otherwise: the gradient of the clipped
    value without rounding. Neuromorphic hardware sends the s spikes one after another.

    State: the membrane potential ``v``, with the shape of the input of one step, ``[..., features]``. All quantities
    are dimensionless.

    The other arguments are described in :class:`LI`.

    Args:
      threshold: the potential that one spike represents, above 0. A number or ``[features]``.
      levels: the maximum number of spikes per step, a positive integer.
      spike_fn: a surrogate, or any other function of the distance from a level, in units of the threshold. Random
        spikes use one random number for all levels, which rounds the potential stochastically. They need a surrogate
        that is a cumulative distribution, such as ``Sigmoid(4.0)``; the default is not.

    Raises:
      TypeError: ``spike_fn`` is not callable, ``levels`` is not an integer, or another argument is not a number.
      ValueError: ``decay`` is outside [0, 1], or ``threshold`` is not finite and above 0.
      ValueError: ``levels`` is below 1, or too large for the dtype of the state (256 in bfloat16).

    References:
      Luo, Yao, Chou, Xu, Li 2024, "Integer-Valued Training and Spike-Driven Inference Spiking Neural Network for
      High-performance and Energy-efficient Object Detection", ECCV, eq. 5 to 8 (``levels`` is its D).

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr.neurons import ILIF
      >>> neuron, xs = ILIF(decay=0.5, levels=2), jnp.array([[0.25], [1.5], [7.0], [0.0]])
      >>> state, spikes = neuron(neuron.initial_state(xs[0]), xs)
      >>> print(spikes.ravel(), state)
      [0. 2. 2. 2.] [0.40625]
    """

    bounds: ClassVar = {"threshold": (0.01, float("inf"))}
    _lower_limits: ClassVar[dict[str, float]] = {"threshold": 0.0, "levels": 0}
    _counts: ClassVar[tuple[str, ...]] = ("levels",)

    def step(self, state, x):
        u = self.integrate(state, x)
        above = u / self.threshold - 0.5
        s = self.spike_fn(above)
        for k in range(1, self.levels):
            s += self.spike_fn(above - k)
        return u - self.threshold * s, s
