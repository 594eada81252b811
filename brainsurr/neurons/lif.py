"""The leaky integrator (LI), the usual readout, and the leaky integrate-and-fire neuron (LIF)."""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import jax.numpy as jnp

from .._checks import check_flag, check_word
from .._kernel import detached
from ..surrogates.exponential import Sigmoid
from ._neuron import Neuron

RESETS = ("subtract", "zero", "none")


@dataclasses.dataclass(eq=False, repr=False)
class LIFields:
    """The fields of :class:`LI` and of its layers."""

    decay: Any = 0.9
    decay_input: bool = False


@dataclasses.dataclass(eq=False, repr=False)
class LI(Neuron, LIFields):
    r"""A leaky integrator, the usual readout: its output is its membrane potential.

    .. math:: v' = \mathrm{decay} \cdot v + x

    State: the membrane potential ``v``, with the shape of the input of one step, ``[..., features]``. All quantities
    are dimensionless.

    Args:
      decay: the fraction of the potential kept per step, exp(-dt / tau), in [0, 1]. A number or ``[features]``.
      decay_input: if True, the input is multiplied by 1 - decay, so that the potential converges to a constant input.

    Raises:
      TypeError: ``decay`` is not a real number or array, or ``decay_input`` is not a boolean.
      ValueError: ``decay`` is outside [0, 1].

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr.neurons import LI
      >>> li, xs = LI(decay=0.5), jnp.ones((3, 1))
      >>> state, v = li(li.initial_state(xs[0]), xs)
      >>> print(v.ravel())
      [1.   1.5  1.75]
    """

    bounds: ClassVar = {"decay": (0.0, 1.0)}
    _decays: ClassVar[tuple[str, ...]] = ("decay",)

    def initial_state(self, x):
        return jnp.zeros_like(x)

    def integrate(self, v, x):
        """Return the potential after a step without a spike."""
        return self.decay * v + ((1 - self.decay) * x if self.decay_input else x)

    def step(self, state, x):
        v = self.integrate(state, x)
        return v, v


@dataclasses.dataclass(eq=False, repr=False)
class LIFFields(LIFields):
    """The fields of :class:`LIF` and of its layers."""

    threshold: Any = 1.0
    spike_fn: Callable = Sigmoid(alpha=4.0)
    reset: str = "subtract"
    reset_delay: bool = False
    reset_grad: bool | None = None
    refractory: int = 0


@dataclasses.dataclass(eq=False, repr=False)
class LIF(LI, LIFFields):
    r"""A leaky integrate-and-fire neuron.

    .. math::
       u &= \mathrm{decay} \cdot v + x \\
       s &= \mathrm{spike\_fn}(u - \mathrm{threshold}) \\
       v' &= u - \mathrm{threshold}\, s \ (\text{subtract}), \quad u\,(1 - s)\ (\text{zero}), \quad u\ (\text{none})

    With ``reset_delay=True``, the spikes of the last step, :math:`s_0`, reset the potential instead of :math:`s`:

    .. math::
       v' = u - \mathrm{threshold}\, s_0 \ (\text{subtract}), \quad u\,(1 - s_0)\ (\text{zero}), \qquad
       s = \mathrm{spike\_fn}(v' - \mathrm{threshold})

    For ``refractory`` steps after a spike, a neuron keeps :math:`v'`. Its potential does not decay, its input is
    ignored, and it does not fire.

    State: the membrane potential ``v``, with the shape of the input of one step, ``[..., features]``. With a delayed
    reset, the state is a pair of ``v`` and the last spikes ``s``. With a refractory period, the last array is ``left``,
    the number of refractory steps that remain. All quantities are dimensionless.

    Args:
      decay: the fraction of the potential kept per step, exp(-dt / tau), in [0, 1]. A number or ``[features]``.
      decay_input: if True, the input is multiplied by 1 - decay, so that the potential converges to a constant input.
      threshold: the potential at which a neuron fires. A number or ``[features]``. With a fixed threshold of 0 or
        below, as in some NIR files, a neuron at rest fires at every step.
      spike_fn: a surrogate, or any other function of ``u - threshold``. The default has a gradient of 1 at the
        threshold and 0.07 at a distance of 1.
      reset: the effect of a spike on the potential: ``"subtract"`` subtracts the threshold, ``"zero"`` sets the
        potential to 0, and ``"none"`` leaves it unchanged. With ``"zero"``, an infinite potential becomes NaN.
      reset_delay: if True, a spike resets the potential one step later, and the state is the potential before the
        reset. The subtracted threshold does not decay, and ``"zero"`` discards the input of that step.
      reset_grad: if True, the gradient flows through the reset; if False, the reset is detached. If None, the reset is
        detached only with ``reset="zero"``: there, each step would multiply the gradient by :math:`1 - s - u\,g'`,
        which explodes if g' is large far from the threshold.
      refractory: the number of steps without spikes after a spike, a non-negative integer. No gradient flows through
        these suppressed spikes.

    Raises:
      TypeError: ``spike_fn`` is not callable, or an argument is not a number or a boolean as expected.
      ValueError: ``decay`` is outside [0, 1], ``threshold`` is not finite, or ``refractory`` is below 0.
      ValueError: ``reset`` is unknown, or it is ``"none"`` and ``reset_delay`` or ``reset_grad`` is set.

    References:
      Neftci, Mostafa, Zenke 2019, "Surrogate Gradient Learning in Spiking Neural Networks", eq. 5, with the
      reset by subtraction applied in the step of the spike.

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr.neurons import LIF
      >>> lif, xs = LIF(decay=0.5), jnp.full((4, 1), 0.75)
      >>> state, spikes = lif(lif.initial_state(xs[0]), xs)
      >>> print(spikes.ravel(), state)
      [0. 1. 0. 1.] [0.15625]
      >>> state, s = lif.step(state, xs[0])
      >>> print(s, state)
      [0.] [0.828125]
    """

    _gives_spikes = True

    bounds: ClassVar = {"threshold": (0.0, float("inf"))}
    _counts: ClassVar[tuple[str, ...]] = ("refractory",)
    _lower_limits: ClassVar[dict[str, float]] = {"refractory": -1}

    keeps_spikes: bool = dataclasses.field(default=False, init=False)  # set by `Recurrent`: the state contains s

    def _check(self, name, value):
        super()._check(name, value)
        if name == "reset":
            check_word(f"{type(self).__name__}: reset", value, RESETS)
        elif name == "reset_grad":
            check_flag(f"{type(self).__name__}: reset_grad", value, optional=True)
        now = vars(self) | {name: value}
        if now.get("reset") == "none" and (now.get("reset_delay") or now.get("reset_grad") is not None):
            raise ValueError(f"{type(self).__name__}: omit reset_delay and reset_grad, since reset='none'")

    @property
    def states(self):  # type: ignore[override]
        """The names of the arrays of the state."""
        return ("v", *["s"] * self._has_spikes, *["left"] * bool(self.refractory))

    @property
    def _has_spikes(self):
        return self.reset_delay or self.keeps_spikes

    def initial_state(self, x):
        v, *others = (jnp.zeros_like(x) for _ in range(1 + self._has_spikes + bool(self.refractory)))
        return (v, *others) if others else v

    def step(self, state, x):
        return self.fire(state, x, self.threshold, self.threshold)

    def fire(self, state, x, fired_at, threshold):
        """Integrate, fire and reset; return the new state and the spikes.

        Args:
          state: the state of a LIF neuron.
          x: the input.
          fired_at: the threshold at which the spikes that reset the potential were fired.
          threshold: the threshold of the new spikes.
        """
        v, *others = state if isinstance(state, tuple) else (state,)
        u = self.integrate(v, x)
        if self.refractory:
            left = others.pop()
            u = jnp.where(left > 0, v, u)
        v = self._after(u, others[0], fired_at) if self.reset_delay else u
        h = v - threshold
        if self.refractory:  # -inf tells `diagnose` that these neurons can't fire
            h = jnp.where(left > 0, -jnp.inf, h)
        s = self.spike_fn(h)
        if self.refractory:
            s = jnp.where(left > 0, jnp.zeros_like(s), s)
        v = v if self.reset_delay else self._after(u, s, fired_at)
        others = [s] * len(others)
        if self.refractory:
            # `check_gradients` replaces spikes by smooth values, which are rarely exactly 0 or 1.
            others.append(jnp.where(s > 0.5, float(self.refractory), jnp.maximum(left - 1, 0)))
        return ((v, *others) if others else v), s

    def _after(self, u, s, fired_at):
        if self.reset == "none":
            return u
        if not (self.reset != "zero" if self.reset_grad is None else self.reset_grad):
            s = detached(s)
        return u - fired_at * s if self.reset == "subtract" else u * (1 - s)
