"""Equinox layers of neurons: trainable parameters are the only inexact arrays, stored under their field names."""

import dataclasses
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._arrays import drawing_dtype
from .._bounds import Interval, clip_straight_through
from .._layer import Features, NeuronLayer, Spiking, Trained, construct, layer_class, options, pickled_as_call
from .._value import Value
from ..neurons import Neuron
from ..neurons._neuron import run
from ..neurons._spikes import drawn


@options
class Options(Spiking):
    """The options of a layer that fires.

    Args:
      key: random key for the recurrent weights, required with ``recurrent=True`` unless ``recurrent_kernel`` is given.
      recurrent_kernel: the recurrent weights. If None, ``recurrent_kernel_init`` draws them.
    """

    key: jax.Array | None = None
    recurrent_kernel: jax.Array | None = None


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Fixed:
    """An array stored as integer bits, to exclude it from differentiation, optimiser updates and weight decay."""

    bits: jax.Array
    dtype: Any = dataclasses.field(metadata={"static": True})

    @property
    def array(self) -> jax.Array:
        """The array."""
        if self.bits.dtype != _bits_of(self.dtype):
            raise TypeError(f"a fixed array became {self.bits.dtype}: filter by eqx.is_inexact_array, not by is_array")
        return jax.lax.bitcast_convert_type(self.bits, self.dtype)


def _bits_of(dtype) -> str:
    return f"uint{8 * dtype.itemsize}"


def fixed(array) -> Fixed:
    return Fixed(jax.lax.bitcast_convert_type(array, _bits_of(array.dtype)), array.dtype)


def _static(default) -> Any:
    return dataclasses.field(init=False, repr=False, default=default, metadata={"static": True})


class Neurons(NeuronLayer, eqx.Module, metaclass=pickled_as_call(type(eqx.Module))):  # type: ignore[metaclass]
    """A module with the parameters of a neuron. Trainable arrays are leaves, in fields and in surrogates."""

    features: int = dataclasses.field(metadata={"static": True})
    keeps_spikes: bool = _static(None)
    _intervals: frozenset[tuple[str, Interval | None]] = _static(frozenset())  # by the path of a trainable parameter
    _template: Any = _static(None)
    _fixed: Any = _static(())
    _watch: Any = _static(None)
    _options, _construct = (Features, Trained, Options), classmethod(construct)
    _arrays = (jax.Array, np.ndarray, np.generic)
    _array = staticmethod(fixed)
    _param = staticmethod(lambda value, interval: value)

    def _start(self, features, key=None, **given):
        self._set_neuron(features, **given)
        self.features, owner = int(features), type(self).__name__
        if self.recurrent:
            kernel, shape = given["recurrent_kernel"], (self.features, self.features)
            if kernel is None:
                if key is None:
                    raise ValueError(f"{owner}: recurrent=True draws random weights, so pass key=jax.random.key(seed)")
                kernel = given["recurrent_kernel_init"](key, shape, drawing_dtype(self.param_dtype))
            self.recurrent_kernel: Any = jnp.asarray(kernel, self.param_dtype)
            self._intervals |= {(".recurrent_kernel", None)}
        for name in {"learnable", "bounds", "recurrent_kernel_init", "key"} & type(self).__dataclass_fields__.keys():
            setattr(self, name, None)  # not needed any more

    def _set_values(self, values, intervals, param_dtype):
        super()._set_values(values, intervals, param_dtype)
        self._intervals |= {(f".{name}", pair) for name, pair in intervals.items()}

    def _activate(self, field, surrogate, intervals, param_dtype):
        template, values = surrogate.named_parameters()

        def held(path, name):
            if name in intervals:
                self._intervals |= {(f".{field}{jax.tree_util.keystr(path)}", intervals[name])}
            return self._variable(name, values[name], intervals, param_dtype)

        return jax.tree_util.tree_map_with_path(held, template)

    def _value(self, name):
        intervals = dict(self._intervals)

        def now(path, value):
            path = f".{name}{jax.tree_util.keystr(path)}"
            if isinstance(value, Fixed):
                return value.array
            if path not in intervals and isinstance(value, jax.Array):
                raise TypeError(f"{type(self).__name__}: {path[1:]} is fixed: to train it, make a new layer")
            return clip_straight_through(value, intervals.get(path))

        return jax.tree_util.tree_map_with_path(now, getattr(self, name), is_leaf=lambda node: isinstance(node, Fixed))

    def initialize_carry(self, input_shape: tuple[int, ...], key: jax.Array | None = None):
        """Return the state before the first step, for inputs of ``input_shape = (*batch, features)``.

        The state has the dtype ``param_dtype``. If there is a ``carry_init``, it initialises the first array.
        """
        return self._first_state(self.neuron, input_shape, self.carry_init, lambda: key)

    def _drawing(self, x, key) -> Neuron:
        return self._running(x) if key is None else drawn(self._running(x), key)


class Layer(Neurons):
    """LIF over time, time first: ``(carry, xs) -> (carry, ys)``.

    An Equinox layer: ``xs`` is ``[time, ..., features]``, so do not ``vmap`` it over a batch. The first axis must be
    time: transpose batch-first data with ``xs = jnp.swapaxes(xs, 0, 1)``. With ``key=``, the layer draws its spikes at
    random.

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr.equinox import LIF
      >>> neurons = LIF(3)
      >>> carry, ys = neurons(neurons.initialize_carry((2, 3)), jnp.ones((10, 2, 3)))
      >>> ys.shape
      (10, 2, 3)
    """

    if TYPE_CHECKING:  # of the class that `layer` returns

        def __init__(self, features: int, **fields: Any): ...

    def __call__(self, carry, xs, *, key: jax.Array | None = None) -> tuple[Any, jax.Array]:
        return run(self._drawing(xs, key), carry, xs)


class Cell(Neurons):
    """One time step of LIF: ``(carry, x) -> (carry, y)``.

    An Equinox cell: ``x`` is ``[..., features]``. With ``key=``, the cell draws its spikes at random.

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr.equinox import LIFCell
      >>> neurons = LIFCell(3)
      >>> carry, y = neurons(neurons.initialize_carry((2, 3)), jnp.ones((2, 3)))
      >>> y.shape
      (2, 3)
    """

    if TYPE_CHECKING:  # of the class that `cell` returns

        def __init__(self, features: int, **fields: Any): ...

    def __call__(self, carry, inputs, *, key: jax.Array | None = None) -> tuple[Any, jax.Array]:
        return self._drawing(inputs, key).step(carry, inputs)


def layer(kind: type[Neuron]) -> type[Layer]:
    """Return the class of layers over time for a neuron, such as ``LIF`` for ``brainsurr.neurons.LIF``.

    Its arguments are ``features``, the fields of the neuron by name, and the options of every layer. Call a layer as
    ``(carry, xs) -> (carry, ys)`` with ``xs`` as ``[time, batch, features]``.

    Args:
      kind: the class of the neuron.

    Raises:
      TypeError: ``kind`` is not a class of neurons, or a field has no default.
      ValueError: a field has a name that layers use for something else.

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr import neurons
      >>> from brainsurr.equinox import layer
      >>> lif = layer(neurons.LIF)(2, decay=0.5)
      >>> carry, spikes = lif(lif.initialize_carry((1, 2)), jnp.full((4, 1, 2), 0.75))
      >>> print(spikes[:, 0].T)
      [[0. 1. 0. 1.]
       [0. 1. 0. 1.]]
    """
    return layer_class(Layer, kind)


def cell(kind: type[Neuron]) -> type[Cell]:
    """Return the class of one-step cells for a neuron, such as ``LIFCell`` for ``brainsurr.neurons.LIF``.

    It has the arguments of :func:`layer`. Call a cell as ``(carry, x) -> (carry, y)`` with ``x`` as
    ``[batch, features]``.

    Args:
      kind: the class of the neuron.

    Raises:
      TypeError: as for :func:`layer`.
      ValueError: as for :func:`layer`.

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr import neurons
      >>> from brainsurr.equinox import cell
      >>> lif = cell(neurons.LIF)(2, decay=0.5)
      >>> v, s = lif(lif.initialize_carry((1, 2)), jnp.array([[0.75, 2.0]]))
      >>> print(s, v)
      [[0. 1.]] [[0.75 1.  ]]
    """
    return layer_class(Cell, kind)


def bounds(model: Any) -> Any:
    """Return the bounds of each parameter of a model, or None if it is unbounded, for ``brainsurr.optim.project``.

    Args:
      model: any module. Arrays in neurons and surrogates outside of layers have the bounds of their class. Only
        ``project`` enforces these bounds.

    Returns:
      A tree like ``equinox.filter(model, equinox.is_inexact_array)``.

    Example:
      >>> from brainsurr.equinox import LIF, bounds
      >>> bounds(LIF(3, learnable="decay")).decay
      (0.0, 1.0)
    """

    def of_node(node):
        if isinstance(node, Value):
            bounds_of = node._tree_of_bounds()
            return jax.tree.map(lambda leaf, pair: pair if eqx.is_inexact_array(leaf) else None, node, bounds_of)
        intervals = dict(node._intervals) if isinstance(node, Neurons) else {}
        trained = eqx.filter(node, eqx.is_inexact_array)
        return jax.tree_util.tree_map_with_path(lambda path, _: intervals.get(jax.tree_util.keystr(path)), trained)

    return jax.tree.map(of_node, model, is_leaf=lambda node: isinstance(node, Neurons | Value))
