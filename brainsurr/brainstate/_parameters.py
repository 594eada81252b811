"""How a layer of brainstate holds what it may train, and inside which interval."""

import contextlib
from typing import Any

import brainstate
import jax
import jax.numpy as jnp
import numpy as np
from brainstate import nn
from brainstate.typing import Filter

from .._bounds import Interval, clip_straight_through, initial_value, trained_intervals
from .._checks import check_kind


class Inside(nn.ClipT):
    """Clips into a closed interval, and passes the gradient at an edge so that it can be left."""

    def __init__(self, interval: Interval):
        super().__init__(*interval)
        self.interval = interval

    def forward(self, x):
        return clip_straight_through(x, self.interval)


def make_param(value, interval: Interval | None = None) -> nn.Param:
    param = nn.Param(value, t=nn.IdentityT() if interval is None else Inside(interval))
    param.val.value = value  # Param casts what it is given to the dtype of the environment
    return param


def set_parameters(module: nn.Module, values, learnable, bounds, defaults, param_dtype, others=()):
    """Set each value as an attribute of its name: trained, an array, or a plain number."""
    dtype = brainstate.environ.dftype() if param_dtype is None else param_dtype
    intervals = trained_intervals(type(module).__name__, values, learnable, bounds, defaults, dtype, others)
    for name, value in values.items():
        if name in intervals:
            setattr(module, name, make_param(initial_value(value, dtype), intervals[name]))
        elif isinstance(value, (jax.Array, np.ndarray)):
            setattr(module, name, brainstate.LongTermState(jnp.asarray(value)))
        else:
            setattr(module, name, value)


def parameter_value(module: nn.Module, name: str):
    """Return the current value under a name, a trained one clipped to its bounds."""
    value = getattr(module, name)
    if isinstance(value, nn.Param):
        return value.value()
    return value.value if isinstance(value, brainstate.State) else value


@contextlib.contextmanager
def states_kept():
    """Put all states back that are written in this context. Yield the trace, which knows of those that were read."""
    with brainstate.StateTraceStack() as trace:
        try:
            yield trace
        finally:
            trace.recovery_original_values()


def interval_of(parameter) -> Interval | None:
    """Return the interval that a parameter stays in, None if there is none or it is not trained."""
    transform = getattr(parameter, "t", None)
    return transform.interval if isinstance(transform, Inside) else None


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
    check_kind("model", model, nn.Module)
    params: Any = model.nodes(nn.Param)
    intervals = {(*path, "val"): interval_of(param) for path, param in params.items()}
    trained: Any = model.states(wrt)
    return {path: intervals.get(path) for path in trained}
