"""Trainable parameters of brainstate modules, and surrogates as brainstate layers."""

import contextlib
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import brainstate
import jax
from brainstate import nn
from brainstate.typing import Filter

from .._arrays import variable_value
from .._bounds import Interval, clip_straight_through
from .._modules import SettableModule, SurrogateModule
from .._surrogate import Surrogate


class StraightThroughClip(nn.ClipT):
    """Clips to a closed interval, and passes the gradient at an edge, so that the value can leave the edge."""

    def __init__(self, interval: Interval):
        super().__init__(*interval)
        self.interval = interval

    def forward(self, x):
        return clip_straight_through(x, self.interval)


def make_param(value, interval: Interval | None = None) -> nn.Param:
    param = nn.Param(value, t=nn.IdentityT() if interval is None else StraightThroughClip(interval))
    param.val.value = value  # Param casts its argument to the dtype of the environment
    return param


class BrainstateModule(SettableModule, nn.Module):
    """The base of all layers with trainable parameters."""

    _variable_types = (nn.Param, brainstate.State)
    _param = staticmethod(make_param)
    _array = brainstate.LongTermState

    def _value(self, name):
        return variable_value(getattr(self, name))

    def __pretty_repr_item__(self, name, value):
        return None if name.startswith("_") else super().__pretty_repr_item__(name, value)


class SpikingActivation(SurrogateModule, BrainstateModule, nn.ElementWiseBlock):
    """A surrogate as a layer, with fixed or trainable parameters.

    Use it on arrays of any shape: by itself, among layers, or as the ``spk_fun=`` of a neuron.

    Args:
      surrogate: the surrogate, such as ``LogTailedRelu(alpha=0.1)``. A parameter may be an array, one number per
        channel (last axis).
      learnable: the name or names of the trainable parameters, or a dict from names to scales, as in layers. Each is
        stored as a ``brainstate.nn.Param`` of that name. The others are attributes of the same name: a number, or a
        ``LongTermState`` for an array.
      bounds: closed intervals by name, ``{"alpha": (0.0, 1.0)}``, instead of the surrogate's bounds. If None,
        parameters are unbounded. The layer clips the value it uses to the interval, and passes the gradient at an edge,
        so that the parameter can leave the edge. To clip the stored value too, add
        ``brainsurr.optim.project(bounds(model))`` to the optimiser.
      param_dtype: dtype of a trainable parameter that is given as a Python number. Defaults to
        ``brainstate.environ.dftype()``.
      random: If True, the layer draws each spike with probability :math:`g(x)`, like
        ``brainsurr.spike(x, f, key=key)``. This also holds in a layer that uses it as ``spike_fn``. The key comes from
        ``brainstate.random``. In evaluation, with ``fit=False`` in ``brainstate.environ``, the layer applies the
        threshold instead, as ``brainstate.nn.Dropout`` is also disabled.

    Raises:
      TypeError: ``surrogate`` is not a surrogate.
      ValueError: a name is unknown, an initial value is outside its interval, or ``random`` is True and the surrogate
        function is not a probability.

    Example:
      >>> import brainsurr as bs, jax.numpy as jnp
      >>> from brainsurr.brainstate import SpikingActivation
      >>> act = SpikingActivation(bs.LogTailedRelu(0.1), learnable="alpha")
      >>> act(jnp.array([-1.0, 0.0, 2.0]))
      Array([0., 1., 1.], dtype=float32)
      >>> print(act.alpha.value(), f"{act.surrogate.alpha:.3f}")
      0.1 0.100
    """

    def __init__(
        self,
        surrogate: Surrogate,
        *,
        learnable: str | Iterable[str] | Mapping[str, str] = (),
        bounds: Mapping[str, Interval | None] | None = MappingProxyType({}),
        param_dtype: Any = None,
        random: bool = False,
    ):
        super().__init__()
        self._set_surrogate(surrogate, learnable, bounds, dtype_or_default(param_dtype), random)

    def update(self, x) -> jax.Array:
        """Return the spikes of ``x``, the membrane potential minus threshold, in the shape and dtype of ``x``."""
        return self._running()(x)

    def _new_key(self):
        fits = brainstate.environ.get("fit")
        return brainstate.random.split_key() if fits else None


def dtype_or_default(param_dtype):
    """Return the given dtype, or the default dtype of the environment if it is None."""
    return brainstate.environ.dftype() if param_dtype is None else param_dtype


@contextlib.contextmanager
def preserve_states():
    """Restore all states that are written in this context. Yield the trace, which records reads and writes."""
    with brainstate.StateTraceStack() as trace:
        try:
            yield trace
        finally:
            trace.recovery_original_values()


def bounds(model: nn.Module, wrt: Filter = brainstate.ParamState) -> dict[tuple, Interval | None]:
    """Return the bounds of each parameter of a model, or None if it is unbounded, for ``brainsurr.optim.project``.

    Args:
      model: any module.
      wrt: the filter that selects the trainable states, as in ``model.states(wrt)``.

    Returns:
      A dictionary with the keys of ``model.states(wrt)``, like gradients.

    Example:
      >>> import brainsurr as bs
      >>> from brainsurr.brainstate import SpikingActivation, bounds
      >>> bounds(SpikingActivation(bs.LogTailedRelu(0.1), learnable="alpha"))
      {('alpha', 'val'): (0.0, 1.0)}
    """
    params: Any = model.nodes(nn.Param)
    intervals = {
        (*path, "val"): param.t.interval for path, param in params.items() if isinstance(param.t, StraightThroughClip)
    }
    trained: Any = model.states(wrt)
    return {path: intervals.get(path) for path in trained}
