"""How a layer of Flax Linen holds what it may train, and inside which interval."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from flax import linen as nn
from flax.core import FrozenDict
from flax.errors import ScopeCollectionNotFound, ScopeParamNotFoundError
from flax.traverse_util import flatten_dict, unflatten_dict

from .._arrays import combine, is_number, partition
from .._bounds import Interval, clip_straight_through, initial_value, names_of, not_trained, trained_intervals
from .._checks import check_kind
from .._pytree import leaf_key
from .._surrogate import Surrogate
from .._wrong_calls import AnswersWrongCalls


class ParameterModule(AnswersWrongCalls, nn.Module):
    """What every layer with trainable values has: which are trained, and inside which interval.

    Arrays among its fields compare and hash by value, as a module must.
    """

    def __init_subclass__(cls, **kwargs):
        for name in ("__eq__", "__hash__"):  # define these in the class itself, or flax writes those of a dataclass
            if name not in cls.__dict__:
                setattr(cls, name, getattr(cls, name))
        super().__init_subclass__(**kwargs)

    def __eq__(self, other):
        return self._key() == other._key() if type(self) is type(other) else NotImplemented

    def __hash__(self):
        return hash((type(self), self._key()))

    @nn.nowrap
    def _key(self):
        values = (getattr(self, field.name) for field in dataclasses.fields(self) if field.compare)
        return tuple(leaf_key(v) if isinstance(v, (jax.Array, np.ndarray)) else v for v in values)

    def __post_init__(self):
        # Convert before flax takes over: a field must be hashable, and can't be set afterwards.
        object.__setattr__(self, "learnable", names_of(type(self).__name__, self.learnable))
        for field in dataclasses.fields(self):
            if isinstance(value := getattr(self, field.name, None), jax.Array | Surrogate):
                object.__setattr__(self, field.name, jax.tree.map(_as_numpy, value))
        self._intervals()
        if self.bounds is not None:
            intervals = {name: None if pair is None else tuple(pair) for name, pair in self.bounds.items()}
            object.__setattr__(self, "bounds", FrozenDict(intervals))
        super().__post_init__()

    def setup(self):
        (now, _), intervals = self._parameters_and_bounds(), self._intervals()
        owner = " ".join([type(self).__name__, "/".join(self.path)]).strip()
        ours = type(self).__module__.startswith(__package__)  # a subclass may have a parameter of this name itself
        for name in now:
            if ours and name not in intervals and self.has_variable("params", name):  # flax would ignore it
                raise not_trained(owner, name)
        for name, interval in intervals.items():
            try:
                stored = self.param(name, lambda key, value=now[name]: initial_value(value, self.param_dtype))
            except (ScopeParamNotFoundError, ScopeCollectionNotFound) as error:
                raise ValueError(
                    f"{owner}: {name} is trained here and not among the parameters given: add it to them, or make the "
                    f"layer without learnable={name!r}"
                ) from error
            now[name] = clip_straight_through(stored, interval)
        self._now = now  # the current values, the trained ones clipped to their bounds

    @nn.nowrap
    def _intervals(self) -> dict[str, Interval | None]:
        values, defaults = self._parameters_and_bounds()
        owner, inner = type(self).__name__, self._inner_paths()
        return trained_intervals(owner, values, self.learnable, self.bounds, defaults, self.param_dtype, inner)

    @nn.nowrap
    def _inner_paths(self) -> list[str]:
        """Return what may be trained in modules inside, for a message."""
        return []

    @nn.nowrap
    def _parameters_and_bounds(self) -> tuple[dict[str, Any], Mapping[str, Interval]]:
        """Return the values before training and their default intervals, by name."""
        raise NotImplementedError


def _as_numpy(value):
    """Convert to NumPy: `nn.jit` iterates over a jax array in a field, and fails at the 0-d arrays inside."""
    is_known = isinstance(value, jax.Array) and is_number(value) and not isinstance(value, jax.core.Tracer)
    return np.asarray(value)[()] if is_known else value


def bounds(module: nn.Module, *args, **kwargs) -> dict[str, Any]:
    """Return the closed interval of each parameter, None where it has none, for ``brainsurr.optim.project``.

    Modules made inside compact methods are seen too. Nothing is computed: shapes alone are followed.

    Args:
      module: any module.
      *args: what it is called with, as in ``module.init(key, *args)``.
      **kwargs: likewise.

    Returns:
      A tree like ``module.init(key, *args, **kwargs)["params"]``.

    Example:
      >>> import brainsurr as bs
      >>> from brainsurr.linen import SpikingActivation, bounds
      >>> bounds(SpikingActivation(bs.LogTailedRelu(0.1), learnable="alpha"), 0.0)
      {'alpha': (0.0, 1.0)}
    """
    check_kind("module", module, nn.Module)
    intervals: dict[tuple[str, ...], Interval | None] = {}

    def note(method, args, kwargs, context):
        layer = context.module
        if context.method_name == "setup" and isinstance(layer, ParameterModule) and layer.is_initializing():
            intervals.update({(*layer.path, name): interval for name, interval in layer._intervals().items()})
        return method(*args, **kwargs)

    arrays, rest = partition((args, kwargs), lambda leaf: hasattr(leaf, "shape"))  # not a flag, nor a count

    def init(arrays):
        args, kwargs = combine(arrays, rest)
        return module.init(jax.random.key(0), *args, **kwargs)

    with nn.intercept_methods(note):
        variables = jax.eval_shape(init, arrays)
    return unflatten_dict({path: intervals.get(path) for path in flatten_dict(variables.get("params", {}))})
