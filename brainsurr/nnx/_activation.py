"""How a module of Flax NNX holds what it may train, and a surrogate as a layer."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from flax.typing import Dtype

from .._bounds import Interval, clip_straight_through, not_trained
from .._modules import SettableModule, SurrogateModule
from .._surrogate import Surrogate


class NNXModule(SettableModule, nnx.Module):
    """What every layer with trainable values has: a number that is fixed refuses to become a parameter.

    That is what ``nnx.update`` tries with the state of a layer that trains it.
    """

    _variable_types = nnx.Variable
    _array = nnx.Variable

    def _param(self, value, interval):
        return nnx.Param(value, bounds=interval)

    def _value(self, name):
        held = getattr(self, name)
        if not isinstance(held, nnx.Variable):
            return held
        return clip_straight_through(held[...], held.get_metadata().get("bounds"))

    def __setattr__(self, name, value):
        fixed = name in self._fixed and isinstance(vars(self).get(name), (int, float, np.generic))
        if fixed and isinstance(value, (nnx.Variable, jax.Array)):
            raise not_trained(type(self).__name__, name)
        super().__setattr__(name, value)


class SpikingActivation(SurrogateModule, NNXModule):
    """A surrogate as a layer, its parameters configuration or trained.

    Args:
      surrogate: say ``LogTailedRelu(alpha=0.1)``. A parameter may be an array, one number per channel (last axis).
      learnable: the name or names of the parameters to train, each an ``nnx.Param`` of that name that holds the
        value itself. The others are attributes of the same name: a number, or an ``nnx.Variable`` for an array.
      bounds: closed intervals by name, ``{"alpha": (0.0, 1.0)}``, in place of the surrogate's own; None trains
        unbounded. The layer never uses a value outside, and passes the gradient at an edge so that it can be
        left. Add ``brainsurr.optim.project(bounds(model))`` to the optimiser and the stored value stays inside too.
      param_dtype: of a trained parameter that was given as a Python number.
      random: whether a spike is drawn, with probability :math:`g(x)`, as by ``brainsurr.spike(x, f, key=key)``; here
        and in a layer that has this as its ``spike_fn``. In evaluation it is the threshold: the attribute
        ``deterministic`` is as that of ``nnx.Dropout``, set by ``model.eval()`` and ``model.train()``, or ``nnx.view``.
      rngs: needed with ``random=True`` alone, whose stream "spikes" is kept as ``nnx.Dropout`` keeps its own.

    Raises:
      TypeError: ``surrogate`` is not a surrogate.
      ValueError: an unknown name, or a start outside its interval; ``random``, and the primitive is no probability.

    Example:
      >>> import brainsurr as bs, jax.numpy as jnp
      >>> from brainsurr.nnx import SpikingActivation
      >>> act = SpikingActivation(bs.LogTailedRelu(0.1), learnable="alpha")
      >>> act(jnp.array([-1.0, 0.0, 2.0]))
      Array([0., 1., 1.], dtype=float32)
      >>> print(act.alpha[...], f"{act.surrogate.alpha:.3f}")
      0.1 0.100
    """

    def __init__(
        self,
        surrogate: Surrogate,
        *,
        learnable: str | Iterable[str] = (),
        bounds: Mapping[str, Interval | None] | None = MappingProxyType({}),
        param_dtype: Dtype = jnp.float32,
        random: bool = False,
        rngs: nnx.Rngs | nnx.RngStream | None = None,
    ):
        self._set_surrogate(surrogate, learnable, bounds, param_dtype, random)
        self.deterministic = False
        if random:
            if rngs is None:
                raise ValueError("SpikingActivation: random=True draws spikes: expected rngs=nnx.Rngs(seed), got None")
            self.rngs = (rngs["spikes"] if isinstance(rngs, nnx.Rngs) else rngs).fork()

    def __call__(self, x) -> jax.Array:
        """Return the spikes of ``x``, membrane potential minus threshold, in its shape and dtype."""
        return self._running()(x)

    def _new_key(self):
        return None if self.deterministic else self.rngs()

    def set_view(self, deterministic: bool | None = None):
        """Set the mode, for ``nnx.view``.

        Args:
          deterministic: if True, no spike is drawn.
        """
        if deterministic is not None:
            self.deterministic = deterministic


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
    state, is_variable = nnx.state(model, wrt), lambda node: isinstance(node, nnx.Variable)
    return jax.tree.map(lambda variable: variable.get_metadata().get("bounds"), state, is_leaf=is_variable)
