"""A surrogate as a layer of brainstate."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, ClassVar

import brainstate
import jax
from brainstate import nn

from .._bounds import Interval
from .._checks import check_random, check_surrogate
from .._surrogate import Surrogate
from .._wrong_calls import AnswersWrongCalls
from ..neurons._spikes import Drawn
from ._parameters import parameter_value, set_parameters


class SpikingActivation(AnswersWrongCalls, nn.ElementWiseBlock):
    """A surrogate as a layer, its parameters configuration or trained.

    It is called with any shape, alone, among layers, or as the ``spk_fun=`` of a neuron.

    Args:
      surrogate: say ``LogTailedRelu(alpha=0.1)``. A parameter may be an array, one number per channel (last axis).
      learnable: the name or names of the parameters to train, each a ``brainstate.nn.Param`` of that name that holds
        the value itself. The others are attributes of the same name: a number, or a ``LongTermState`` for an array.
      bounds: closed intervals by name, ``{"alpha": (0.0, 1.0)}``, in place of the surrogate's own; None trains
        unbounded. The layer never uses a value outside, and passes the gradient at an edge so that it can be
        left. Add ``brainsurr.optim.project(bounds(model))`` to the optimiser and the stored value stays inside too.
      param_dtype: of a trained parameter that was given as a Python number; ``brainstate.environ.dftype()`` if None.
      random: whether a spike is drawn, with probability :math:`g(x)`, as by ``brainsurr.spike(x, f, key=key)``; here
        and in a layer that has this as its ``spike_fn``. It takes its key from ``brainstate.random``, and is the
        threshold in evaluation, as ``brainstate.nn.Dropout`` is off: where ``brainstate.environ`` has ``fit=False``.

    Raises:
      TypeError: ``surrogate`` is not a surrogate.
      ValueError: an unknown name, or a start outside its interval; ``random``, and the primitive is no probability.

    Example:
      >>> import brainsurr as bs, jax.numpy as jnp
      >>> from brainsurr.brainstate import SpikingActivation
      >>> act = SpikingActivation(bs.LogTailedRelu(0.1), learnable="alpha")
      >>> act(jnp.array([-1.0, 0.0, 2.0]))
      Array([0., 1., 1.], dtype=float32)
      >>> print(act.alpha.value(), f"{act.surrogate.alpha:.3f}")
      0.1 0.100
    """

    fires: ClassVar[bool] = True
    _watch: Callable | None = None  # of `diagnose`, as of `Neurons`

    def __init__(
        self,
        surrogate: Surrogate,
        *,
        learnable: str | Iterable[str] = (),
        bounds: Mapping[str, Interval | None] | None = MappingProxyType({}),
        param_dtype: Any = None,
        random: bool = False,
    ):
        super().__init__()
        check_surrogate("surrogate", surrogate)
        self.template, values = surrogate.named_parameters()
        set_parameters(self, values, learnable, bounds, surrogate._all_bounds(), param_dtype)
        fixed = tuple(name for name in values if not isinstance(getattr(self, name), nn.Param))
        check_random("SpikingActivation", random, surrogate, fixed)
        self.random = random

    @property
    def surrogate(self) -> Surrogate:
        """The surrogate with its current parameters, the trained ones clipped to their bounds."""
        return jax.tree.map(partial(parameter_value, self), self.template)

    def update(self, x) -> jax.Array:
        """Return the spikes of ``x``, membrane potential minus threshold, in its shape and dtype."""
        f = self._spikes()
        return f(x) if self._watch is None else self._watch("", f)(x)

    def _spikes(self) -> Callable:
        """Return what makes spikes now: the surrogate, or one that draws with a new key."""
        if not self.random or not brainstate.environ.get("fit", desc="Whether this is a fitting process. Bool."):
            return self.surrogate
        return Drawn(self.surrogate, brainstate.random.split_key())
