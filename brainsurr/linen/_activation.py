"""A surrogate as a layer of Flax Linen."""

from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.core import FrozenDict
from flax.typing import Dtype

from .._bounds import Interval
from .._checks import check_flag, check_random, check_surrogate
from .._surrogate import Surrogate
from ..neurons._spikes import Drawn
from ._parameters import ParameterModule


class SpikingActivation(ParameterModule):
    """A surrogate as a layer, its parameters configuration or trained.

    Attributes:
      surrogate_init: the surrogate before training, say ``LogTailedRelu(alpha=0.1)``. A parameter may be an array,
        one number per channel (last axis).
      learnable: the name or names of the parameters to train, each a parameter of that name in the collection
        "params" that holds the value itself.
      bounds: closed intervals by name, ``{"alpha": (0.0, 1.0)}``, in place of the surrogate's own; None trains
        unbounded. The layer never uses a value outside, and passes the gradient at an edge so that it can be
        left. Add ``brainsurr.optim.project(bounds(model, x))`` to the optimiser and the stored value stays inside too.
      param_dtype: of a trained parameter that was given as a Python number.
      random: whether a spike is drawn, with probability :math:`g(x)`, as by ``brainsurr.spike(x, f, key=key)``; here
        and in a layer that has this as its ``spike_fn``. It takes its key from the collection "spikes", as
        ``nn.Dropout`` does from "dropout": ``net.apply(variables, ..., rngs={"spikes": key})``.
      deterministic: if true it is the threshold all the same, as ``nn.Dropout`` is off: give it in evaluation.

    Raises:
      TypeError: ``surrogate_init`` is not a surrogate.
      ValueError: an unknown name, or a start outside its interval; ``random``, and the primitive is no probability.

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

    fires: ClassVar[bool] = True
    _watch: ClassVar[Callable | None] = None  # of `diagnose`, as of `Neurons`

    surrogate_init: Surrogate
    learnable: str | Iterable[str] = ()
    bounds: Mapping[str, Interval | None] | None = FrozenDict()
    param_dtype: Dtype = jnp.float32
    random: bool = False
    deterministic: bool = False

    def __post_init__(self):
        check_surrogate("surrogate_init", self.surrogate_init)
        check_flag("SpikingActivation: deterministic", self.deterministic)
        super().__post_init__()
        fixed = self.surrogate_init.named_parameters()[1].keys() - self._intervals().keys()
        check_random("SpikingActivation", self.random, self.surrogate_init, tuple(fixed))

    @property
    def surrogate(self) -> Surrogate:
        """The surrogate with its current parameters, the trained ones clipped to their bounds."""
        if self.scope is not None:
            return jax.tree.map(self._now.get, self.surrogate_init.named_parameters()[0])
        if self.learnable:
            raise ValueError(
                "SpikingActivation: a trained surrogate has no value in an unbound module: "
                "use act.bind(variables).surrogate, or act.surrogate_init for the one before training"
            )
        return self.surrogate_init

    def __call__(self, x) -> jax.Array:
        """Return the spikes of ``x``, membrane potential minus threshold, in its shape and dtype."""
        f = self._spikes()
        return f(x) if self._watch is None else self._watch("", f)(x)

    @nn.nowrap
    def _spikes(self) -> Callable:
        """Return what makes spikes now: the surrogate, or one that draws with a new key."""
        draws = self.random and not self.deterministic
        return Drawn(self.surrogate, self.make_rng("spikes")) if draws else self.surrogate

    @nn.nowrap
    def _parameters_and_bounds(self):
        return self.surrogate_init.named_parameters()[1], self.surrogate_init._all_bounds()
