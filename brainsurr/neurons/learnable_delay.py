"""Trainable delays, implemented as a Gaussian kernel over time whose width you decrease during training."""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from .._arrays import match_dtype_and_rank
from .._bounds import check_inside
from ._history import InputHistory


@dataclasses.dataclass(eq=False, repr=False)
class LearnableDelayFields:
    """The fields of :class:`LearnableDelay` and of its layers."""

    longest: int = 16
    delay: Any = 0.0
    width: Any = 0.5


@dataclasses.dataclass(eq=False, repr=False)
class LearnableDelay(InputHistory, LearnableDelayFields):
    r"""A trainable delay for each channel: a Gaussian kernel over the last inputs, made narrower during training.

    .. math:: y_t = \sum_{n=0}^{\mathrm{longest}} k_n\, x_{t - n}, \qquad
       k_n \propto \exp\left(-\frac{(n - \mathrm{delay})^2}{2\, \mathrm{width}^2}\right), \qquad \sum_n k_n = 1

    Start the training with a ``width`` of about half of ``longest``, so that the kernel covers all inputs, and decrease
    it to 1/2. Then replace the layer by :class:`Delay` with the rounded delays. Inputs before the first step are 0.

    State: the last inputs ``past``, ``[..., longest, features]``, the oldest first, in the dtype of the state.

    Args:
      longest: the longest delay in time steps, a positive integer. Run time and memory are proportional to it.
      delay: the delay in time steps, in [0, longest]; a layer restricts it to this interval. A number or
        ``[features]``.
      width: the standard deviation of the kernel in time steps, at least 0.01. A number or ``[features]``. Decrease
        it during training instead of training it.

    Raises:
      TypeError: ``longest`` is not an integer, or ``delay`` or ``width`` is not a number.
      ValueError: ``longest`` is below 1, ``delay`` is outside [0, longest], or ``width`` is not finite or below 0.01.

    References:
      Hammouamri, Khalfaoui-Hassani, Masquelier 2024, "Learning Delays in Spiking Neural Networks using Dilated
      Convolutions with Learnable Spacings", ICLR, eq. 7 and 8. There, each synapse has a delay; here, each input
      channel of the next layer has one.

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr.neurons import LearnableDelay
      >>> delay, xs = (
      ...     LearnableDelay(longest=3, delay=2.0, width=0.1),
      ...     jnp.arange(1.0, 6.0)[:, None],
      ... )
      >>> state, ys = delay(delay.initial_state(xs[0]), xs)
      >>> print(jnp.rint(ys).ravel())
      [0. 0. 1. 2. 3.]
    """

    _lower_limits: ClassVar[dict[str, float]] = {"longest": 0}
    _counts: ClassVar[tuple[str, ...]] = ("longest",)
    bounds: ClassVar = {"delay": (0.0, float("inf")), "width": (0.01, float("inf"))}

    def _check(self, name, value):
        super()._check(name, value)
        now = vars(self) | {name: value}
        if {"delay", "longest", "width"} <= now.keys():
            self._with(**now)._check_bounds(type(self).__name__, {"delay": None, "width": None})

    def _all_bounds(self):
        return super()._all_bounds() | {"delay": (0.0, float(self.longest))}

    def _check_bounds(self, owner, intervals):
        for name, interval in intervals.items():
            what = f"{owner}: {name}" if interval is None else f"{owner}: bounds of {name}"
            what += ", at most longest," * (name == "delay")
            widest = self._all_bounds().get(name, (-jnp.inf, jnp.inf))
            check_inside(what, getattr(self, name) if interval is None else interval, widest)

    def _fractions(self, like) -> jax.Array:
        """Return the fraction of each of the last inputs in an output, the oldest first: ``[longest + 1, ...]``."""
        delay, width = (match_dtype_and_rank(n, like, type(self).__name__) for n in (self.delay, self.width))
        back = jnp.arange(self.longest, -1, -1, dtype=like.dtype)
        return jax.nn.softmax(jax.vmap(lambda n: -(((n - delay) / width) ** 2) / 2)(back), axis=0)

    def over_time(self, past, xs):
        """Return the new state and the delayed inputs."""
        self._check_features(type(self).__name__, xs.shape[-1])
        past, ys = self._filtered(past, xs, self._fractions(jax.ShapeDtypeStruct(xs.shape[1:], past.dtype)))
        return past, ys.astype(xs.dtype)
