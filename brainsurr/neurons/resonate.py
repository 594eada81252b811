"""Resonate-and-fire neurons: plain (RF), balanced (BRF), and balanced harmonic (BHRF)."""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from ..surrogates.algebraic import Arctan
from ._neuron import Neuron


@dataclasses.dataclass(eq=False, repr=False)
class RFFields:
    """The fields of :class:`RF` and of its layers."""

    frequency: Any = 0.1
    damping: Any = 0.01
    threshold: Any = 1.0
    spike_fn: Callable = Arctan(2.0)


@dataclasses.dataclass(eq=False, repr=False)
class RF(Neuron, RFFields):
    r"""A resonate-and-fire neuron, which responds most strongly to inputs at its own frequency.

    With :math:`\omega` the ``frequency`` and :math:`b` the ``damping``,

    .. math::
       u' = (1 - b)\, u - \omega\, v + x, \qquad v' = \omega\, u + (1 - b)\, v, \qquad
       s = \mathrm{spike\_fn}(u' - \mathrm{threshold})

    This is an Euler step of the complex equation :math:`\dot z = (-b + i \omega) z + x`, without a reset. The state
    diverges if :math:`(1 - b)^2 + \omega^2 > 1`; :class:`BRF` avoids this.

    State: a pair of ``u`` and ``v``, each with the shape of the input of one step, ``[..., features]``. All quantities
    are dimensionless.

    Args:
      frequency: the angle per step in radians, in [0, 0.99]. A number or ``[features]``. The paper draws values from
        0.05 to 0.1 (its omega times its step of 0.01).
      damping: the fraction lost per step, in [0, 1]. A number or ``[features]``. The paper draws values from 0 to 0.03.
      threshold: the value of ``u`` at which a neuron fires. A number or ``[features]``.
      spike_fn: a surrogate, or any other function of ``u' - threshold``.

    Raises:
      TypeError: ``spike_fn`` is not callable, or another argument is not a number.
      ValueError: ``frequency`` or ``damping`` is outside its interval, or ``threshold`` is not finite.
      ValueError: ``frequency`` or ``damping`` is too small for the dtype of the state, which rounds the change per step
        to 0 (below 0.02 in bfloat16).

    References:
      Izhikevich 2001, "Resonate-and-fire neurons", eq. 2. Higuchi, Kairat, Bohte, Otte 2024, "Balanced
      Resonate-and-Fire Neurons", ICML, section 2, and its code, where the input is multiplied by the step of 0.01.

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr.neurons import RF
      >>> neuron, rhythm = RF(frequency=0.5, damping=0.2), jnp.arange(40)
      >>> for period in 12, 6:
      ...     xs = jnp.float32(rhythm % period == 0)[:, None]
      ...     state, spikes = neuron(neuron.initial_state(xs[0]), xs)
      ...     print(spikes.sum())
      7.0
      1.0
    """

    _gives_spikes = True

    states: ClassVar[tuple[str, ...]] = ("u", "v")
    bounds: ClassVar = {"frequency": (0.0, 0.99), "damping": (0.0, 1.0), "threshold": (0.0, float("inf"))}
    _decays: ClassVar[tuple[str, ...]] = ("frequency", "damping")

    def initial_state(self, x):
        return tuple(jnp.zeros_like(x) for _ in self.states)

    def turn(self, u, v, x, kept):
        """Return ``u`` and ``v`` after one step of rotation that keeps the fraction ``kept`` of both."""
        return kept * u - self.frequency * v + x, self.frequency * u + kept * v

    def step(self, state, x):
        u, v = state
        u, v = self.turn(u, v, x, 1 - self.damping)
        return (u, v), self.spike_fn(u - self.threshold)


@dataclasses.dataclass(eq=False, repr=False)
class BRFFields(RFFields):
    """The fields of :class:`BRF` and of its layers."""

    refractory_decay: Any = 0.9
    spike_damping: Any = 0.01


@dataclasses.dataclass(eq=False, repr=False)
class BRF(RF, BRFFields):
    r"""A balanced resonate-and-fire neuron: its oscillation does not diverge, and spikes make it refractory.

    With :math:`\omega` the ``frequency``, :math:`b` the ``damping`` and :math:`c` the ``spike_damping``,

    .. math::
       k &= \sqrt{1 - \omega^2} - b - c\, q, \qquad u' = k\, u - \omega\, v + x, \qquad v' = \omega\, u + k\, v \\
       s &= \mathrm{spike\_fn}(u' - \mathrm{threshold} - q), \qquad q' = \mathrm{refractory\_decay} \cdot q + s

    Without damping, it oscillates with a constant amplitude. The amplitude grows only if :math:`b + c\, q` is above
    :math:`2 \sqrt{1 - \omega^2}`, so keep both small. Instead of a reset, each spike increases :math:`q`, which raises
    the threshold and the damping.

    State: ``u``, ``v`` and ``q``, each with the shape of the input of one step, ``[..., features]``. All quantities are
    dimensionless.

    The other arguments are described in :class:`RF`.

    Args:
      damping: the fraction lost per step in addition to the balancing term, in [0, 1]. A number or ``[features]``.
      refractory_decay: the fraction of ``q`` kept per step, in [0, 1]. A number or ``[features]``.
      spike_damping: the damping per unit of ``q``. The default is the step of the paper, 0.01. A number or
        ``[features]``.

    Raises:
      TypeError: as in :class:`RF`.
      ValueError: as in :class:`RF`; ``refractory_decay`` is outside [0, 1], or ``damping`` is 0 and the state has 16
        bits.

    References:
      Higuchi, Kairat, Bohte, Otte 2024, "Balanced Resonate-and-Fire Neurons", ICML, section 3, and its code, where the
      input is multiplied by the step of 0.01, and ``frequency``, ``damping`` and ``spike_damping`` are its omega, b_c
      and 1 times that step. It draws frequencies of 0.05 to 0.1 and dampings of 0.02 to 0.03 for spoken digits.

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr.neurons import BRF
      >>> neuron, xs = BRF(frequency=0.5), jnp.zeros((30, 1)).at[0].set(1.5)
      >>> state, spikes = neuron(neuron.initial_state(xs[0]), xs)
      >>> print(jnp.flatnonzero(spikes))
      [ 0 24]
    """

    states: ClassVar[tuple[str, ...]] = ("u", "v", "q")
    bounds: ClassVar = {"refractory_decay": (0.0, 1.0), "spike_damping": (0.0, float("inf"))}
    _decays: ClassVar[tuple[str, ...]] = ("refractory_decay",)

    def _check_dtype(self, owner, dtype, exempt=jax.Array):
        super()._check_dtype(owner, dtype, exempt)
        undamped = not isinstance(self.damping, exempt) and not np.all(self.damping)
        if undamped and jnp.finfo(dtype).bits < 32:
            raise ValueError(f"{owner}: damping={self.damping} is unstable in {jnp.dtype(dtype)}: use float32")

    def balanced(self, u, v, x, damping):
        """Return ``u`` and ``v`` after one step."""
        return self.turn(u, v, x, jnp.sqrt(1 - self.frequency**2) - damping)

    def step(self, state, x):
        u, v, q = state
        u, v = self.balanced(u, v, x, self.damping + self.spike_damping * q)
        s = self.spike_fn(u - self.threshold - q)
        return (u, v, self.refractory_decay * q + s), s


@dataclasses.dataclass(eq=False, repr=False)
class BHRF(BRF):
    r"""A balanced harmonic resonate-and-fire neuron: a damped harmonic oscillator that spikes at high velocity.

    With :math:`\omega` the ``frequency``, :math:`b` the ``damping`` and :math:`c` the ``spike_damping``,

    .. math::
       d &= \tfrac12 \omega^2 + b + c\, q, \qquad v' = v + \omega\, u, \qquad u' = (1 - 2 d)\, u - \omega\, v' + x \\
       s &= \mathrm{spike\_fn}(u' - \mathrm{threshold} - q), \qquad q' = \mathrm{refractory\_decay} \cdot q + s

    The oscillation diverges if :math:`d` is above :math:`1 - \tfrac14 \omega^2`, so keep the damping small.

    :math:`v` is the paper's position multiplied by omega, so that its amplitude equals the amplitude of the velocity
    :math:`u`.

    State: ``u``, ``v`` and ``q``, each with the shape of the input of one step, ``[..., features]``. All quantities are
    dimensionless.

    The other arguments are described in :class:`BRF`.

    Args:
      damping: the fraction lost per step in addition to the balancing term, in [0, 1]. A number or ``[features]``.

    Raises:
      TypeError: as in :class:`BRF`.
      ValueError: as in :class:`BRF`.

    References:
      Higuchi, Kairat, Bohte, Otte 2024, "Balanced Resonate-and-Fire Neurons", ICML, appendix, and its code, in the
      units of :class:`BRF`.

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr.neurons import BHRF
      >>> neuron, xs = BHRF(frequency=0.5), jnp.zeros((30, 1)).at[0].set(1.5)
      >>> state, spikes = neuron(neuron.initial_state(xs[0]), xs)
      >>> print(jnp.flatnonzero(spikes))
      [0]
    """

    def balanced(self, u, v, x, damping):
        v = v + self.frequency * u
        return u - (self.frequency**2 + 2 * damping) * u - self.frequency * v + x, v
