"""Layers of neurons for Flax NNX: how a module holds a neuron of which some parts are trained."""

import operator
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import jax
import jax.numpy as jnp
from flax import nnx
from flax.typing import Dtype, Initializer

from .._bounds import Interval
from .._checks import check_drawn_shape, check_flag, check_function, check_input_shape, drawing_dtype
from .._layer import (
    ORTHOGONAL,
    first_state,
    make_class,
    names_of_fields,
    neuron_class,
    neuron_of,
    parent_of,
    pickle_as_call,
    read_fields,
)
from .._value import cache_by_class
from ..neurons import Neuron
from ..neurons._neuron import run
from ..neurons._spikes import with_spike_functions
from ._activation import SpikingActivation
from ._parameters import ParameterModule, check_rngs, parameter_value, set_parameters

if TYPE_CHECKING:
    LayerMeta = type
else:

    class LayerMeta(type(nnx.Module)):
        """The class of the classes that `layer` and `cell` make, which are pickled as that call."""


class Neurons(ParameterModule, metaclass=LayerMeta):
    """A module that holds a neuron: numbers and surrogates under the names of its fields, some of them trained."""

    _neuron_class: ClassVar[type[Neuron]]
    _watch: Callable | None = None  # of `diagnose`: what it puts in the place of each spike function

    def __init__(
        self,
        features: int,
        *,
        learnable: str | Iterable[str] = (),
        bounds: Mapping[str, Interval | None] | None = MappingProxyType({}),
        carry_init: Initializer | None = None,
        param_dtype: Dtype = jnp.float32,
        recurrent: bool = False,
        recurrent_kernel_init: Initializer = ORTHOGONAL,
        rngs: nnx.Rngs | None = None,
        **fields,
    ):
        owner, kind = type(self).__name__, self._neuron_class
        given = read_fields(owner, kind, features, fields, learnable, bounds, _surrogate_of)
        check_function(f"{owner}: carry_init", carry_init, "an initialiser", optional=True)
        check_flag(f"{owner}: recurrent", recurrent)
        check_function(f"{owner}: recurrent_kernel_init", recurrent_kernel_init, "an initialiser")
        check_rngs(owner, rngs)
        self.features, self.carry_init, self.param_dtype, self.recurrent = features, carry_init, param_dtype, recurrent
        set_parameters(self, given.numbers, given.learnable, given.bounds, kind.bounds, param_dtype, given.paths)
        for name, trained in given.surrogates.items():
            setattr(self, name, SpikingActivation(getattr(given.neuron, name), **trained, param_dtype=param_dtype))
        for name, value in given.rest.items():
            setattr(self, name, value)
        self._names = names_of_fields(given.neuron)
        self.recurrent_kernel = self._drawn_kernel(recurrent_kernel_init, rngs) if recurrent else None

    def _drawn_kernel(self, init, rngs):
        if rngs is None:
            raise ValueError(f"{type(self).__name__}: recurrent=True draws weights: pass rngs=nnx.Rngs(seed)")
        shape = (self.features, self.features)
        kernel = nnx.Param(init(rngs.params(), shape, drawing_dtype(self.param_dtype)))
        weights = check_drawn_shape("recurrent_kernel_init", kernel.get_value(), shape)
        kernel.set_value(weights.astype(self.param_dtype))  # with nnx.with_partitioning too
        return kernel

    @property
    def neuron(self) -> Neuron:
        """The neuron with its current values, the trained ones clipped to their bounds."""
        return self._neuron(operator.attrgetter("surrogate"))

    def _neuron(self, spikes: Callable) -> Neuron:
        parameters, flags = self._names
        values = {name: getattr(self, name) for name in parameters}
        for name, held in values.items():
            if isinstance(held, SpikingActivation):
                values[name] = spikes(held)
            elif not isinstance(held, float):
                values[name] = parameter_value(self, name)
        static = {name: getattr(self, name) for name in flags}
        if self.recurrent_kernel is None:
            return neuron_of(self._neuron_class, values, static, recurrent=False)
        return neuron_of(self._neuron_class, values, static, recurrent=True, kernel=self.recurrent_kernel[...])

    def _running(self) -> Neuron:
        """Return the neuron with what draws its spikes, or watches them."""
        neuron = self._neuron(SpikingActivation._spikes)
        return neuron if self._watch is None else with_spike_functions(self._watch, neuron)

    def initialize_carry(
        self,
        input_shape: tuple[int, ...],
        rngs: nnx.Rngs | nnx.RngStream | None = None,
        carry_init: Initializer | None = None,
    ):
        """Return the state before the first step, for inputs of ``input_shape = (*batch, features)``.

        It is that of the neuron, in ``param_dtype``, its first array drawn by ``carry_init`` if there is one.
        """
        shape = check_input_shape(type(self).__name__, self.features, input_shape)
        init: Any = self.carry_init if carry_init is None else carry_init
        check_rngs(type(self).__name__, rngs, nnx.RngStream)

        def draw(shape):
            key = jax.random.key(0) if rngs is None else rngs.carry() if isinstance(rngs, nnx.Rngs) else rngs()
            return init(key, shape, self.param_dtype)

        return first_state(self.neuron, jnp.zeros(shape, self.param_dtype), draw if init else None)


class Layer(Neurons):
    """LIF over time, time first: ``(carry, xs) -> (carry, ys)``.

    A layer of Flax NNX: ``xs`` is ``[time, ..., features]``. Batch-first data would run along the wrong axis:
    ``xs = jnp.swapaxes(xs, 0, 1)`` turns it around.

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr.nnx import LIF
      >>> neurons = LIF(3)
      >>> carry, ys = neurons(neurons.initialize_carry((2, 3)), jnp.ones((10, 2, 3)))
      >>> ys.shape
      (10, 2, 3)
    """

    def __call__(self, carry, xs) -> tuple[Any, jax.Array]:
        return run(self._running(), carry, xs)


class Cell(Neurons, nnx.RNNCellBase):
    """One time step of LIF: ``(carry, x) -> (carry, y)``.

    A cell of Flax NNX: ``x`` is ``[..., features]``. It has the contract of flax's own cells, so ``nnx.RNN`` runs it
    over batch-major sequences.

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr.nnx import LIFCell
      >>> neurons = LIFCell(3)
      >>> carry, y = neurons(neurons.initialize_carry((2, 3)), jnp.ones((2, 3)))
      >>> y.shape
      (2, 3)
    """

    def __call__(self, carry, inputs) -> tuple[Any, jax.Array]:
        return self._running().step(carry, inputs)

    @property
    def num_feature_axes(self) -> int:
        return 1


def _surrogate_of(value):
    return value.surrogate if isinstance(value, SpikingActivation) else None


def layer(kind: type[Neuron]) -> type[Layer]:
    """Return the class of the layers of a neuron over time, such as ``LIF`` for ``brainsurr.neurons.LIF``.

    Its arguments are ``features``, by name the fields of the neuron, and the options of every layer. It is called as
    ``(carry, xs) -> (carry, ys)`` with ``xs`` as ``[time, batch, features]``.

    Args:
      kind: the class of the neuron.

    Raises:
      TypeError: it is not a class of neurons, or a field has no default.
      ValueError: a field has a name that a layer uses for something else.

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr import neurons
      >>> from brainsurr.nnx import layer
      >>> lif = layer(neurons.LIF)(2, decay=0.5)
      >>> carry, spikes = lif(lif.initialize_carry((1, 2)), jnp.full((4, 1, 2), 0.75))
      >>> print(spikes[:, 0].T)
      [[0. 1. 0. 1.]
       [0. 1. 0. 1.]]
    """
    return _made(Layer, neuron_class(kind))


def cell(kind: type[Neuron]) -> type[Cell]:
    """Return the class of the cells of a neuron, one step in time, such as ``LIFCell`` for ``brainsurr.neurons.LIF``.

    As :func:`layer`, but it is called as ``(carry, x) -> (carry, y)`` with ``x`` as ``[batch, features]``: the contract
    of flax's own cells, so ``nnx.RNN`` runs it over batch-major sequences.

    Args:
      kind: the class of the neuron.

    Raises:
      TypeError: as of :func:`layer`.
      ValueError: likewise.

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr import neurons
      >>> from brainsurr.nnx import cell
      >>> lif = cell(neurons.LIF)(2, decay=0.5)
      >>> v, s = lif(lif.initialize_carry((1, 2)), jnp.array([[0.75, 2.0]]))
      >>> print(s, v)
      [[0. 1.]] [[0.75 1.  ]]
    """
    return _made(Cell, neuron_class(kind))


@cache_by_class
def _made(base, kind):
    parent = parent_of(kind)
    return make_class(kind, base, base if parent is None else _made(base, parent))


pickle_as_call(LayerMeta, layer, cell)
