"""The Izhikevich neuron."""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import jax.numpy as jnp

from .._kernel import detached
from ..surrogates.exponential import Sigmoid
from ._neuron import Neuron


@dataclasses.dataclass(eq=False, repr=False)
class IzhikevichFields:
    """The fields of :class:`Izhikevich`, which its layers have too."""

    a: Any = 0.02
    b: Any = 0.2
    c: Any = -65.0
    d: Any = 8.0
    dt: Any = 0.5
    spike_fn: Callable = Sigmoid(alpha=4.0)


@dataclasses.dataclass(eq=False, repr=False)
class Izhikevich(Neuron, IzhikevichFields):
    r"""An Izhikevich neuron: a quadratic upstroke and a recovery variable, with many firing patterns.

    .. math::
       p &= v + \mathrm{dt}\, (0.04 v^2 + 5 v + 140 - u + x), \qquad q = u + \mathrm{dt}\, a\, (b v - u) \\
       s &= \mathrm{spike\_fn}((p - 30) / 100), \qquad v' = (1 - s)\, p + s\, c, \qquad u' = q + s\, d

    These are Euler steps of the published equations, with the published numbers: ``v`` corresponds to a potential in
    mV and ``dt`` to a time step in ms. A typical input is 10. The surrogate receives the distance to the peak of 30 in
    units of 100, so that surrogates for other neurons fit. No gradient flows through the reset of the potential.

    State: the membrane potential ``v``, at first -65, and the recovery variable ``u``, at first ``b * v``, each with
    the shape of the input of one step, ``[..., features]``.

    Args:
      a: the rate of the recovery variable, per ms, in [0, 1]. A number or ``[features]``.
      b: the coupling of the recovery variable to the potential. A number or ``[features]``.
      c: the potential after a spike. A number or ``[features]``.
      d: the increase of the recovery variable at each spike. A number or ``[features]``.
      dt: the time step in ms, in [0, 1]. A number or ``[features]``.
      spike_fn: a surrogate, or any other function of ``(p - 30) / 100``.

    References:
      Izhikevich 2003, "Simple Model of Spiking Neurons", eq. 1 to 3 and figure 2 (parameters of each firing pattern).

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr.neurons import Izhikevich
      >>> neuron, xs = Izhikevich(), jnp.full((200, 1), 10.0)
      >>> state, spikes = neuron(neuron.initial_state(xs[0]), xs)
      >>> print(int(spikes.sum()), "spikes in 100 ms")
      3 spikes in 100 ms
    """

    states: ClassVar[tuple[str, ...]] = ("v", "u")
    _gives_spikes = True
    bounds: ClassVar = {"a": (0.0, 1.0), "dt": (0.0, 1.0)}
    _decays: ClassVar[tuple[str, ...]] = ("a", "dt")

    def initial_state(self, x):
        return jnp.full_like(x, -65.0), jnp.full_like(x, self.b * -65.0)

    def step(self, state, x):
        v, u = state
        p = v + self.dt * ((0.04 * v + 5) * v + 140 - u + x)
        q = u + self.dt * self.a * (self.b * v - u)
        s = self.spike_fn((p - 30) / 100)
        fired = detached(s)
        return ((1 - fired) * p + fired * self.c, q + s * self.d), s
