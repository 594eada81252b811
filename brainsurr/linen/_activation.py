"""Trainable parameters of Flax Linen modules, and surrogates as Linen layers."""

import dataclasses
import functools
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.core import FrozenDict
from flax.traverse_util import flatten_dict, unflatten_dict
from flax.typing import Dtype

from .._arrays import is_number
from .._bounds import Interval, clip_straight_through, initial_value, not_trained, training_arguments
from .._modules import ParameterModule, SurrogateModule
from .._pytree import value_key
from .._surrogate import Surrogate
from .._value import is_ours


class LinenModule(ParameterModule, nn.Module):
    """The base of all layers with trainable parameters. It stores the names of trainable parameters and their bounds.

    Modules must be hashable, so arrays among the fields compare and hash by value.
    """

    def __init_subclass__(cls, **kwargs):
        for name in ("__eq__", "__hash__"):  # without these, flax would generate dataclass methods
            if name not in cls.__dict__:
                setattr(cls, name, getattr(cls, name))
        super().__init_subclass__(**kwargs)

    def __eq__(self, other):
        return self._key() == other._key() if type(self) is type(other) else NotImplemented

    def __hash__(self):
        return hash((type(self), self._key()))

    @nn.nowrap
    def _key(self):
        return tuple(value_key(getattr(self, field.name)) for field in dataclasses.fields(self) if field.compare)

    @nn.nowrap
    def _set_values(self, values, intervals, param_dtype):
        """Store which values are trainable, before flax freezes the fields and requires them to be hashable."""
        self._numbers, self._intervals = values, intervals
        vars(self).update({name: FrozenDict(given) for name, given in training_arguments(intervals).items()})
        self._fixed = tuple(name for name in values if name not in intervals)

    def __post_init__(self):
        for field in dataclasses.fields(self):
            if isinstance(value := getattr(self, field.name, None), jax.Array | Surrogate):
                setattr(self, field.name, jax.tree.map(_as_numpy, value))
        super().__post_init__()

    def setup(self):
        now = dict(self._numbers)
        for name in self._fixed:
            is_held = name in now or isinstance(getattr(self, name), Surrogate)
            # Flax would ignore the parameter. A user's subclass may define its own parameter of this name.
            if is_ours(type(self)) and is_held and self.has_variable("params", name):
                path = next(iter(flatten_dict({name: self.get_variable("params", name)}, sep=".")))
                raise not_trained(" ".join([type(self).__name__, "/".join(self.path)]).strip(), path)
        for name, interval in self._intervals.items():
            stored = self.param(name, lambda key, n=now[name], i=interval: initial_value(n, self.param_dtype, i))
            now[name] = clip_straight_through(stored, interval)
        self._now = now  # the current values, trainable ones clipped to their bounds

    @nn.nowrap
    def _value(self, name):
        if self.scope is None and (name in self._intervals or name == "recurrent_kernel"):
            what = f"{type(self).__name__}: an unbound module has no value of {name}"
            raise ValueError(f"{what}; use layer.bind(variables) or layer.apply(variables, ...)")
        now = self._numbers if self.scope is None else self._now
        held = now[name] if name in now else getattr(self, name)
        if isinstance(held, nn.Module) and not isinstance(held, SurrogateModule):
            module, variables = held.unbind()  # lax.scan can't call a module, only a function of variables
            return functools.partial(module.apply, variables)
        return held


class SpikingActivation(SurrogateModule, LinenModule):
    """A surrogate as a layer, with fixed or trainable parameters.

    Attributes:
      surrogate_init: the surrogate before training, such as ``LogTailedRelu(alpha=0.1)``. A parameter may be an array,
        one number per channel (last axis).
      learnable: the name or names of the trainable parameters, or a dict from names to scales, as in layers. Each is
        stored as a parameter of that name in the collection "params".
      bounds: closed intervals by name, ``{"alpha": (0.0, 1.0)}``, instead of the surrogate's bounds. If None,
        parameters are unbounded. The layer clips the value it uses to the interval, and passes the gradient at an edge,
        so that the parameter can leave the edge. To clip the stored value too, add
        ``brainsurr.optim.project(bounds(model, x))`` to the optimiser.
      param_dtype: dtype of a trainable parameter that is given as a Python number.
      random: If True, the layer draws each spike with probability :math:`g(x)`, like
        ``brainsurr.spike(x, f, key=key)``. This also holds in a layer that uses it as ``spike_fn``. The key comes from
        the collection "spikes": ``net.apply(variables, ..., rngs={"spikes": key})``.
      deterministic: If True, the layer applies the threshold even with ``random=True``. Set it in evaluation, as for
        ``nn.Dropout``.

    Raises:
      TypeError: ``surrogate_init`` is not a surrogate.
      ValueError: a name is unknown, an initial value is outside its interval, or ``random`` is True and the surrogate
        function is not a probability.

    Example:
      >>> import brainsurr as bs, jax, jax.numpy as jnp
      >>> from brainsurr.linen import SpikingActivation
      >>> act = SpikingActivation(bs.LogTailedRelu(0.1), learnable="alpha")
      >>> x = jnp.array([-1.0, 0.0, 2.0])
      >>> variables = act.init(jax.random.key(0), x)
      >>> act.apply(variables, x)
      Array([0., 1., 1.], dtype=float32)
      >>> print(variables["params"]["alpha"], f"{act.bind(variables).surrogate.alpha:.3f}")
      0.1 0.100
    """

    surrogate_init: Surrogate
    _: dataclasses.KW_ONLY
    learnable: str | Iterable[str] | Mapping[str, str] = ()
    bounds: Mapping[str, Interval | None] | None = FrozenDict()
    param_dtype: Dtype = jnp.float32
    random: bool = False
    deterministic: bool = False

    def __post_init__(self):
        self._set_surrogate(self.surrogate_init, self.learnable, self.bounds, self.param_dtype, self.random)
        super().__post_init__()

    def __call__(self, x) -> jax.Array:
        """Return the spikes of ``x``, the membrane potential minus threshold, in the shape and dtype of ``x``."""
        return self._running()(x)

    @nn.nowrap
    def _new_key(self):
        return None if self.deterministic else self.make_rng("spikes")


def _as_numpy(value):
    """Convert to NumPy: `nn.jit` iterates over jax arrays in fields, and fails on the 0-d arrays inside."""
    is_known = isinstance(value, jax.Array) and is_number(value) and not isinstance(value, jax.core.Tracer)
    return np.asarray(value)[()] if is_known else value


def bounds(module: nn.Module, *args, **kwargs) -> dict[str, Any]:
    """Return the bounds of each parameter, or None if it is unbounded, for ``brainsurr.optim.project``.

    This includes modules created in compact methods. The function only traces shapes and computes nothing.

    Args:
      module: any module.
      *args: the arguments of a call, as in ``module.init(key, *args)``.
      **kwargs: the keyword arguments of a call.

    Returns:
      A tree like ``module.init(key, *args, **kwargs)["params"]``.

    Example:
      >>> import brainsurr as bs
      >>> from brainsurr.linen import SpikingActivation, bounds
      >>> bounds(SpikingActivation(bs.LogTailedRelu(0.1), learnable="alpha"), 0.0)
      {'alpha': (0.0, 1.0)}
    """
    intervals: dict[tuple[str, ...], Interval | None] = {}

    def note(method, args, kwargs, context):
        layer = context.module
        if context.method_name == "setup" and isinstance(layer, LinenModule) and layer.is_initializing():
            intervals.update({(*layer.path, name): interval for name, interval in layer._intervals.items()})
        return method(*args, **kwargs)

    with nn.intercept_methods(note):
        variables = jax.eval_shape(lambda: module.lazy_init(jax.random.key(0), *args, **kwargs))
    return unflatten_dict({path: intervals.get(path) for path in flatten_dict(variables.get("params", {}))})
