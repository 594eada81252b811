"""The sliding parallel spiking neuron (PSN), which computes all time steps in parallel."""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np

from .._arrays import is_number, match_dtype_and_rank
from .._pytree import short
from ..surrogates.algebraic import Arctan
from ._history import InputHistory
from ._neuron import Neuron, by_position, call_function


@dataclasses.dataclass(eq=False, repr=False)
class SlidingPSNFields:
    """The fields of :class:`SlidingPSN` and of its layers."""

    weights: Any = by_position((0.125, 0.25, 0.5, 1.0))
    threshold: Any = 1.0
    spike_fn: Callable = Arctan(2.0)


@dataclasses.dataclass(eq=False, repr=False)
class SlidingPSN(InputHistory, SlidingPSNFields):
    r"""A parallel spiking neuron: its potential is a weighted sum of the last inputs, without a reset.

    .. math:: h_t = \sum_{i=1}^{k} w_i\, x_{t - k + i}, \qquad s_t = \mathrm{spike\_fn}(h_t - \mathrm{threshold})

    The weights are trainable. A step does not depend on earlier spikes, so a layer computes all steps in parallel. The
    paper's other variants have a weight for each pair of time steps, and in one of them a spike depends on later
    inputs. They fix the sequence length and have no state, so they can't process a sequence in blocks or as a stream.

    State: the last inputs ``past``, ``[..., k - 1, features]``, the oldest first. All quantities are dimensionless.

    Args:
      weights: :math:`w`, a tuple or an array ``[k]``, shared by all neurons. The last weight applies to the current
        input.
      threshold: the potential at which a neuron fires, the negative bias of the paper. A number or ``[features]``.
      spike_fn: a surrogate, or any other function of ``h - threshold``.

    Raises:
      TypeError: ``spike_fn`` is not callable.
      ValueError: ``weights`` are not one or more finite real numbers, or ``threshold`` is not finite.

    References:
      Fang, Yu, Zhou, Chen, Chen, Ma, Masquelier, Tian 2023, "Parallel Spiking Neurons with High Efficiency and Ability
      to Learn Long-term Dependencies", NeurIPS, eq. 14 and 15. The default weights halve with each step back, like the
      initial weights in its code.

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr.neurons import SlidingPSN
      >>> neuron, xs = SlidingPSN((0.25, 0.5)), jnp.array([[2.0], [2.0], [0.0], [4.0]])
      >>> state, spikes = neuron(neuron.initial_state(xs[0]), xs)
      >>> print(spikes.ravel())
      [1. 1. 0. 1.]
    """

    _gives_spikes = True

    bounds: ClassVar = {"threshold": (0.0, float("inf"))}

    @classmethod
    def _converted(cls, name, value):
        listed = name == "weights" and type(value) in (list, tuple) and all(map(is_number, value))
        return np.asarray(value, np.float32) if listed else super()._converted(name, value)

    def _check(self, name, value):
        super()._check(name, value)
        if name == "weights" and not (is_number(value) and jnp.ndim(value) == 1 and jnp.size(value)):
            raise ValueError(f"{type(self).__name__}: expected weights to be an array [k], got {short(value)}")

    def _check_features(self, owner, features):
        Neuron._check_features(self._with(weights=1.0), owner, features)  # the weights are the same for all neurons

    @property
    def longest(self) -> int:
        """The number of inputs in the state."""
        return len(self.weights) - 1

    def over_time(self, past, xs):
        """Return the new state and the spikes of all steps."""
        past, h = self._filtered(past, xs, jnp.asarray(self.weights, past.dtype))
        threshold = match_dtype_and_rank(self.threshold, h, f"{type(self).__name__}: threshold")
        return past, call_function(f"{type(self).__name__}: spike_fn", self.spike_fn, h - threshold).astype(xs.dtype)
