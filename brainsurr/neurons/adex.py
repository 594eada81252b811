"""The adaptive exponential integrate-and-fire neuron (AdEx)."""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import jax.numpy as jnp

from .._kernel import detached
from ..surrogates.exponential import Sigmoid
from ._neuron import Neuron


@dataclasses.dataclass(eq=False, repr=False)
class AdExFields:
    """The fields of :class:`AdEx`, which its layers have too."""

    rate: Any = 0.1
    sharpness: Any = 0.1
    adaptation_rate: Any = 0.01
    adaptation_coupling: Any = 0.0
    adaptation_jump: Any = 0.1
    reset_to: Any = 0.0
    peak: Any = 2.0
    spike_fn: Callable = Sigmoid(alpha=4.0)


@dataclasses.dataclass(eq=False, repr=False)
class AdEx(Neuron, AdExFields):
    r"""An adaptive exponential integrate-and-fire neuron: an exponential upstroke, and an adaptation current.

    .. math::
       u &= v + \mathrm{rate} \left(-v + \Delta\, e^{(v - 1) / \Delta} - w + x\right), \qquad
       s = \mathrm{spike\_fn}(u - \mathrm{peak}) \\
       v' &= (1 - s)\, u + s\, \mathrm{reset\_to} \\
       w' &= w + \mathrm{adaptation\_rate}\, (\mathrm{adaptation\_coupling} \cdot v - w) + s\, \mathrm{adaptation\_jump}

    These are Euler steps of the published equations in dimensionless form: potentials are measured from the resting
    potential :math:`E_L` in units of :math:`V_T - E_L`, and currents in units of :math:`g_L (V_T - E_L)`. The published
    parameters translate to ``rate`` :math:`= \mathrm{dt}\, g_L / C`, ``sharpness`` :math:`= \Delta_T / (V_T - E_L)`,
    ``adaptation_rate`` :math:`= \mathrm{dt} / \tau_w`, ``adaptation_coupling`` :math:`= a / g_L`, ``adaptation_jump``
    :math:`= b / (g_L (V_T - E_L))` and ``reset_to`` :math:`= (V_r - E_L) / (V_T - E_L)`. No gradient flows through the
    reset of the potential. The exponent is limited to 20, so that a small :math:`\Delta` does not overflow; such a
    potential fires in the same step.

    State: the membrane potential ``v`` and the adaptation current ``w``, each with the shape of the input of one step,
    ``[..., features]``.

    Args:
      rate: the step size relative to the membrane time constant, in [0, 1]. A number or ``[features]``.
      sharpness: :math:`\Delta`, the width of the exponential upstroke, at least 0.01. A number or ``[features]``.
      adaptation_rate: the step size relative to the time constant of the adaptation, in [0, 1]. A number or
        ``[features]``.
      adaptation_coupling: the coupling of the adaptation to the potential. A number or ``[features]``.
      adaptation_jump: the increase of the adaptation at each spike. A number or ``[features]``.
      reset_to: the potential after a spike. A number or ``[features]``.
      peak: the potential at which the neuron fires, at least 1. A number or ``[features]``.
      spike_fn: a surrogate, or any other function of ``u - peak``.

    References:
      Brette, Gerstner 2005, "Adaptive Exponential Integrate-and-Fire Model as an Effective Description of Neuronal
      Activity", eq. 1 to 3.
      Naud, Marcille, Clopath, Gerstner 2008, "Firing patterns in the adaptive exponential integrate-and-fire model",
      table 1 (parameters of each firing pattern).

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr.neurons import AdEx
      >>> neuron, xs = AdEx(rate=0.5, adaptation_jump=1.0), jnp.full((12, 1), 2.0)
      >>> state, spikes = neuron(neuron.initial_state(xs[0]), xs)
      >>> print(spikes.ravel())
      [0. 0. 1. 0. 0. 0. 0. 0. 0. 0. 0. 1.]
    """

    states: ClassVar[tuple[str, ...]] = ("v", "w")
    _gives_spikes = True
    bounds: ClassVar = {"rate": (0.0, 1.0), "adaptation_rate": (0.0, 1.0)}
    bounds |= {"sharpness": (0.01, float("inf")), "peak": (1.0, float("inf"))}
    _decays: ClassVar[tuple[str, ...]] = ("rate", "sharpness", "adaptation_rate", "peak")

    def initial_state(self, x):
        return jnp.zeros_like(x), jnp.zeros_like(x)

    def step(self, state, x):
        v, w = state
        upstroke = self.sharpness * jnp.exp(jnp.minimum((jnp.minimum(v, self.peak) - 1) / self.sharpness, 20))
        u = v + self.rate * (upstroke - v - w + x)
        s = self.spike_fn(u - self.peak)
        fired = detached(s)
        w = w + self.adaptation_rate * (self.adaptation_coupling * v - w) + s * self.adaptation_jump
        return ((1 - fired) * u + fired * self.reset_to, w), s
