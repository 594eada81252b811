"""How a module of brainstate holds what it may train, and a surrogate as a layer."""

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
    """Clips into a closed interval, and passes the gradient at an edge so that it can be left."""

    def __init__(self, interval: Interval):
        super().__init__(*interval)
        self.interval = interval

    def forward(self, x):
        return clip_straight_through(x, self.interval)


def make_param(value, interval: Interval | None = None) -> nn.Param:
    param = nn.Param(value, t=nn.IdentityT() if interval is None else StraightThroughClip(interval))
    param.val.value = value  # Param casts what it is given to the dtype of the environment
    return param


class BrainstateModule(SettableModule, nn.Module):
    """What every layer with trainable values has."""

    _variable_types = (nn.Param, brainstate.State)
    _param = staticmethod(make_param)
    _array = brainstate.LongTermState

    def _value(self, name):
        return variable_value(getattr(self, name))

    def __pretty_repr_item__(self, name, value):
        return None if name.startswith("_") else super().__pretty_repr_item__(name, value)


class SpikingActivation(SurrogateModule, BrainstateModule, nn.ElementWiseBlock):
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
        self._set_surrogate(surrogate, learnable, bounds, dtype_or_default(param_dtype), random)

    def update(self, x) -> jax.Array:
        """Return the spikes of ``x``, membrane potential minus threshold, in its shape and dtype."""
        return self._running()(x)

    def _new_key(self):
        fits = brainstate.environ.get("fit")
        return brainstate.random.split_key() if fits else None


def dtype_or_default(param_dtype):
    """Return the dtype that is given, or that of the environment."""
    return brainstate.environ.dftype() if param_dtype is None else param_dtype


@contextlib.contextmanager
def preserve_states():
    """Put all states back that are written in this context. Yield the trace, which knows of those that were read."""
    with brainstate.StateTraceStack() as trace:
        try:
            yield trace
        finally:
            trace.recovery_original_values()


def bounds(model: nn.Module, wrt: Filter = brainstate.ParamState) -> dict[tuple, Interval | None]:
    """Return the closed interval of each parameter of a model, None where it has none, for ``brainsurr.optim.project``.

    Args:
      model: any module.
      wrt: the filter that picks the trained states, as in ``model.states(wrt)``.

    Returns:
      A dictionary with the keys of ``model.states(wrt)``, as gradients have.

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
