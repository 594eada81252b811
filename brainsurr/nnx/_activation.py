"""Trainable parameters of Flax NNX modules, and surrogates as NNX layers."""

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
    """The base of all layers with trainable parameters. It raises an error if a parameter would replace a fixed number.

    ``nnx.update`` would replace it if the state comes from a layer in which this number is trainable.
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
    """A surrogate as a layer, with fixed or trainable parameters.

    Args:
      surrogate: the surrogate, such as ``LogTailedRelu(alpha=0.1)``. A parameter may be an array, one number per
        channel (last axis).
      learnable: the name or names of the trainable parameters, or a dict from names to scales, as in layers. Each is
        stored as an ``nnx.Param`` of that name. The others are attributes of the same name: a number, or an
        ``nnx.Variable`` for an array.
      bounds: closed intervals by name, ``{"alpha": (0.0, 1.0)}``, instead of the surrogate's bounds. If None,
        parameters are unbounded. The layer clips the value it uses to the interval, and passes the gradient at an edge,
        so that the parameter can leave the edge. To clip the stored value too, add
        ``brainsurr.optim.project(bounds(model))`` to the optimiser.
      param_dtype: dtype of a trainable parameter that is given as a Python number.
      random: If True, the layer draws each spike with probability :math:`g(x)`, like
        ``brainsurr.spike(x, f, key=key)``. This also holds in a layer that uses it as ``spike_fn``. In evaluation, the
        layer applies the threshold instead: set ``deterministic`` as for ``nnx.Dropout``, with ``model.eval()`` and
        ``model.train()``, or ``nnx.view``.
      rngs: random number generators, required with ``random=True``. The layer draws from the stream "spikes", as
        ``nnx.Dropout`` draws from "dropout".

    Raises:
      TypeError: ``surrogate`` is not a surrogate.
      ValueError: a name is unknown, an initial value is outside its interval, or ``random`` is True and the surrogate
        function is not a probability.

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
        learnable: str | Iterable[str] | Mapping[str, str] = (),
        bounds: Mapping[str, Interval | None] | None = MappingProxyType({}),
        param_dtype: Dtype = jnp.float32,
        random: bool = False,
        rngs: nnx.Rngs | nnx.RngStream | None = None,
    ):
        self._set_surrogate(surrogate, learnable, bounds, param_dtype, random)
        self.deterministic = False
        if random:
            if rngs is None:
                raise ValueError("SpikingActivation: random=True draws random spikes, so pass rngs=nnx.Rngs(seed)")
            self.rngs = (rngs["spikes"] if isinstance(rngs, nnx.Rngs) else rngs).fork()

    def __call__(self, x) -> jax.Array:
        """Return the spikes of ``x``, the membrane potential minus threshold, in the shape and dtype of ``x``."""
        return self._running()(x)

    def _new_key(self):
        return None if self.deterministic else self.rngs()

    def set_view(self, deterministic: bool | None = None):
        """Set the mode. ``nnx.view`` calls this method.

        Args:
          deterministic: If True, the layer applies the threshold instead of drawing spikes. If None, the mode does not
            change.
        """
        if deterministic is not None:
            self.deterministic = deterministic


def bounds(model: nnx.Module, wrt: Any = nnx.Param) -> nnx.State:
    """Return the bounds of each parameter of a model, or None if it is unbounded, for ``brainsurr.optim.project``.

    Args:
      model: any module.
      wrt: the filter that you pass to ``nnx.Optimizer``.

    Returns:
      A state with the structure of ``nnx.state(model, wrt)``.

    Example:
      >>> import brainsurr as bs
      >>> from brainsurr.nnx import SpikingActivation, bounds
      >>> print(bounds(SpikingActivation(bs.LogTailedRelu(0.1), learnable="alpha")).alpha)
      (0.0, 1.0)
    """
    state, is_variable = nnx.state(model, wrt), lambda node: isinstance(node, nnx.Variable)
    return jax.tree.map(lambda variable: variable.get_metadata().get("bounds"), state, is_leaf=is_variable)
