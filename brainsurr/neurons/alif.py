"""The adaptive leaky integrate-and-fire neuron (ALIF)."""

import dataclasses
from typing import Any, ClassVar

import jax.numpy as jnp

from .._checks import check_word
from .lif import LIF, LIFFields


@dataclasses.dataclass(eq=False, repr=False)
class ALIFFields(LIFFields):
    """The fields of :class:`ALIF` and of its layers."""

    adapts: str = "threshold"
    adaptation_decay: Any = 0.98
    spike_adaptation: Any = 1.8
    voltage_adaptation: Any = 0.0
    reset_adapted: bool = True


@dataclasses.dataclass(eq=False, repr=False)
class ALIF(LIF, ALIFFields):
    r"""An adaptive LIF neuron: recent spikes raise its threshold or reduce its input.

    With the adaptation :math:`a`, :math:`\rho` the ``adaptation_decay``, :math:`b` the ``spike_adaptation`` and
    :math:`c` the ``voltage_adaptation``,

    .. math::
       u &= \mathrm{decay} \cdot v + x - a\,[\text{input}], \qquad
       s = \mathrm{spike\_fn}(u - \mathrm{threshold} - a\,[\text{threshold}]) \\
       v' &= u - (\mathrm{threshold} + a\,[\text{threshold}])\, s, \qquad a' = \rho\, a + (1 - \rho)(b\, s + c\, v')

    The adaptation uses the new potential, which keeps the pair of equations stable. With ``reset_delay=True``, a spike
    also adapts the neuron one step later, so that the reset subtracts the threshold at which the neuron fired. With
    ``reset_adapted=False``, the reset subtracts the threshold without its adaptation.

    State: a pair of the state of :class:`LIF` and the adaptation ``a``, with the same shape.

    The other arguments are described in :class:`LIF`.

    Args:
      reset_delay: if True, a spike resets the potential and adapts the neuron one step later.
      refractory: the number of steps without spikes after a spike. The adaptation continues during these steps.
      adapts: ``"threshold"`` adds the adaptation to the threshold; ``"input"`` subtracts it from the input.
      adaptation_decay: the fraction of the adaptation kept per step, in [0, 1]. A number or ``[features]``.
      spike_adaptation: the increase of the adaptation per spike, before it is multiplied by 1 - adaptation_decay. A
        number or ``[features]``.
      voltage_adaptation: the increase of the adaptation per unit of potential, before the same multiplication. A number
        or ``[features]``. With ``adapts="input"``, the potential diverges for values below -1 if ``decay_input=True``,
        and below decay - 1 otherwise.
      reset_adapted: if True, ``reset="subtract"`` subtracts the threshold and its adaptation; if False, only the
        threshold.

    Raises:
      TypeError: as in :class:`LIF`.
      ValueError: as in :class:`LIF`; ``adaptation_decay`` is outside [0, 1], or ``adapts`` is unknown.
      ValueError: ``reset_adapted=False``, but the reset does not subtract an adaptation.

    References:
      Bellec, Salaj, Subramoney, Legenstein, Maass 2018, "Long short-term memory and learning-to-learn in networks of
      spiking neurons" (``decay_input=True, reset_delay=True``). Bellec, Scherr, Subramoney, Hajek, Salaj, Legenstein,
      Maass 2020, "A solution to the learning dilemma for recurrent networks of spiking neurons", eq. 6 to 8
      (``reset_delay=True, reset_adapted=False``). Bittar, Garner 2022, "A surrogate gradient spiking
      baseline for speech command recognition" (``adapts="input", decay_input=True``). Baronig, Ferrand, Sabathiel,
      Legenstein 2024, "Advancing spatio-temporal processing in spiking neural networks through adaptation" (and
      ``reset="zero"``).

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr.neurons import ALIF
      >>> alif = ALIF(decay=0.5, adaptation_decay=0.5, spike_adaptation=2.0)
      >>> xs = jnp.full((8, 1), 1.5)
      >>> state, spikes = alif(alif.initial_state(xs[0]), xs)
      >>> print(spikes.ravel())
      [1. 0. 1. 0. 1. 0. 1. 0.]
    """

    bounds: ClassVar = {
        "adaptation_decay": (0.0, 1.0),
        "spike_adaptation": (0.0, float("inf")),
        "voltage_adaptation": (0.0, float("inf")),
    }
    _decays: ClassVar[tuple[str, ...]] = ("adaptation_decay",)

    def _check(self, name, value):
        super()._check(name, value)
        if name == "adapts":
            check_word(f"{type(self).__name__}: adapts", value, ("threshold", "input"))
        now = vars(self) | {name: value}
        how = now.get("adapts"), now.get("reset")
        if not now.get("reset_adapted", True) and how != ("threshold", "subtract"):
            what = "expected adapts='threshold' and reset='subtract' with reset_adapted=False"
            raise ValueError(f"{type(self).__name__}: {what}, got {how}: omit reset_adapted")

    @property
    def states(self):  # type: ignore[override]
        return (*super().states, "a")

    def initial_state(self, x):
        return super().initial_state(x), jnp.zeros_like(x)

    def step(self, state, x):
        inner, before = state
        a = self._adapted(before, *inner[:2]) if self.reset_delay else before  # the adaptation of this step
        if self.adapts == "input":
            inner, s = self.fire(inner, x - a, self.threshold, self.threshold)
        else:
            fired_at = self.threshold + before if self.reset_adapted else self.threshold
            inner, s = self.fire(inner, x, fired_at, self.threshold + a)
        v = inner[0] if isinstance(inner, tuple) else inner
        return (inner, a if self.reset_delay else self._adapted(a, v, s)), s

    def _adapted(self, a, v, s):
        rho, c = self.adaptation_decay, self.voltage_adaptation
        # With voltage_adaptation=0, an infinite potential must not add 0 * inf = NaN.
        v = jnp.where((c == 0) & jnp.isinf(v), jnp.zeros_like(v), v)
        return rho * a + (1 - rho) * (self.spike_adaptation * s + c * v)
