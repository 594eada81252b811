"""How a layer of Flax NNX holds what it may train, and inside which interval."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from .._bounds import clip_straight_through, initial_value, not_trained, trained_intervals
from .._checks import check_kind
from .._wrong_calls import AnswersWrongCalls


class ParameterModule(AnswersWrongCalls, nnx.Module):
    """What every layer with trainable values has: a number that is fixed refuses to become a parameter.

    That is what ``nnx.update`` tries with the state of a layer that trains it.
    """

    _fixed: tuple[str, ...] = ()  # the names of the values that are not trained

    def __setattr__(self, name, value):
        fixed = name in self._fixed and isinstance(vars(self).get(name), (int, float, np.generic))
        if fixed and isinstance(value, (nnx.Variable, jax.Array)):
            raise not_trained(type(self).__name__, name)
        super().__setattr__(name, value)


def set_parameters(module: ParameterModule, values, learnable, bounds, defaults, param_dtype, others=()):
    """Set each value as an attribute of its name: trained, an array, or a plain number."""
    intervals = trained_intervals(type(module).__name__, values, learnable, bounds, defaults, param_dtype, others)
    module._fixed = tuple(name for name in values if name not in intervals)
    for name, value in values.items():
        if name in intervals:
            setattr(module, name, nnx.Param(initial_value(value, param_dtype), bounds=intervals[name]))
        elif isinstance(value, (jax.Array, np.ndarray)):
            setattr(module, name, nnx.Variable(jnp.asarray(value)))
        else:
            setattr(module, name, value)


def parameter_value(module: nnx.Module, name: str):
    """Return the current value under a name, a trained one clipped to its bounds."""
    value = getattr(module, name)
    if isinstance(value, nnx.Param):
        return clip_straight_through(value[...], value.get_metadata().get("bounds"))
    return value[...] if isinstance(value, nnx.Variable) else value


def check_rngs(owner: str, rngs, *others: type):
    """Raise a TypeError unless the value is None or has keys: an ``nnx.Rngs``, or of one of the other types."""
    if not isinstance(rngs, (nnx.Rngs, *others)) and rngs is not None:
        raise TypeError(f"{owner}: expected rngs to be nnx.Rngs(seed), got {rngs!r}")


def bounds(model: nnx.Module, wrt: Any = nnx.Param) -> nnx.State:
    """Return the closed interval of each parameter of a model, None where it has none, for ``brainsurr.optim.project``.

    Args:
      model: any module.
      wrt: the filter that was given to ``nnx.Optimizer``.

    Example:
      >>> import brainsurr as bs
      >>> from brainsurr.nnx import SpikingActivation, bounds
      >>> print(bounds(SpikingActivation(bs.LogTailedRelu(0.1), learnable="alpha")).alpha)
      (0.0, 1.0)
    """
    check_kind("model", model, nnx.Module)

    def interval(variable):
        return variable.get_metadata().get("bounds")

    return jax.tree.map(interval, nnx.state(model, wrt), is_leaf=lambda node: isinstance(node, nnx.Variable))
