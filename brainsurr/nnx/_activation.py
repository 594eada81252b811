"""A surrogate as a layer of Flax NNX."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import nnx
from flax.typing import Dtype

from .._bounds import Interval
from .._checks import check_random, check_surrogate
from .._surrogate import Surrogate
from ..neurons._spikes import Drawn
from ._parameters import ParameterModule, check_rngs, parameter_value, set_parameters


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

    fires: ClassVar[bool] = True
    _watch: Callable | None = None  # of `diagnose`, as of `Neurons`

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
        check_surrogate("surrogate", surrogate)
        self.template, values = surrogate.named_parameters()
        set_parameters(self, values, learnable, bounds, surrogate._all_bounds(), param_dtype)
        check_random("SpikingActivation", random, surrogate, self._fixed)
        check_rngs("SpikingActivation", rngs, nnx.RngStream)
        self.random, self.deterministic = random, False
        if random:
            if rngs is None:
                raise ValueError("SpikingActivation: random=True draws spikes: expected rngs=nnx.Rngs(seed), got None")
            self.rngs = (rngs["spikes"] if isinstance(rngs, nnx.Rngs) else rngs).fork()

    @property
    def surrogate(self) -> Surrogate:
        """The surrogate with its current parameters, the trained ones clipped to their bounds."""
        return jax.tree.map(partial(parameter_value, self), self.template)

    def __call__(self, x) -> jax.Array:
        """Return the spikes of ``x``, membrane potential minus threshold, in its shape and dtype."""
        f = self._spikes()
        return f(x) if self._watch is None else self._watch("", f)(x)

    def set_view(self, deterministic: bool | None = None):
        """Set the mode, for ``nnx.view``.

        Args:
          deterministic: if True, no spike is drawn.
        """
        if deterministic is not None:
            self.deterministic = deterministic

    def _spikes(self) -> Callable:
        """Return what makes spikes now: the surrogate, or one that draws with a new key."""
        return Drawn(self.surrogate, self.rngs()) if self.random and not self.deterministic else self.surrogate
