"""A surrogate as a layer of Flax NNX."""

from collections.abc import Iterable, Mapping
from functools import partial
from types import MappingProxyType

import jax
import jax.numpy as jnp
from flax.typing import Dtype

from .._bounds import Interval
from .._checks import check_surrogate
from .._diagnosis.watching import seen
from .._surrogate import Surrogate
from ._parameters import ParameterModule, parameter_value, set_parameters


class SpikingActivation(ParameterModule):
    """A surrogate as a layer, its parameters configuration or trained.

    Args:
      surrogate: say ``LogTailedRelu(alpha=0.1)``. A parameter may be an array, one number per channel (last axis).
      learnable: the name or names of the parameters to train, each an ``nnx.Param`` of that name that holds the
        value itself. The others are attributes of the same name: a number, or an ``nnx.Variable`` for an array.
      bounds: closed intervals by name, ``{"alpha": (0.0, 1.0)}``, in place of the surrogate's own; None trains
        unbounded. The layer never uses a value outside, and passes the gradient at an edge so that it can be
        left. Add ``brainsurr.optim.project(bounds(model))`` to the optimiser and the stored value stays inside too.
      param_dtype: of a trained parameter that was given as a Python number.

    Raises:
      TypeError: ``surrogate`` is not a surrogate.
      ValueError: an unknown name, or a start outside its interval.

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
    ):
        check_surrogate("surrogate", surrogate)
        self.template, values = surrogate.named_parameters()
        set_parameters(self, values, learnable, bounds, surrogate.bounds, param_dtype)

    @property
    def surrogate(self) -> Surrogate:
        """The surrogate as it is now, its trained parameters inside their bounds."""
        return jax.tree.map(partial(parameter_value, self), self.template)

    def __call__(self, x) -> jax.Array:
        """Spikes of ``x``, membrane potential minus threshold, in its shape and dtype."""
        return seen(self, self.surrogate)(x)
