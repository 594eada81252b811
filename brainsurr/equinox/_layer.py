"""Layers of neurons for Equinox: what is trained is an array under the name of its field, and nothing else is."""

import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp

from .._bounds import Interval, clip_straight_through, initial_value, trained_intervals
from .._checks import check_drawn_shape, check_input_shape, check_kind, drawing_dtype
from .._held import HoldsNeuron, first_state
from .._layer import Features, NeuronLayer, Spiking, Trained, construct, made, options, pickled_as_call
from .._surrogate import Surrogate
from ..neurons import Neuron
from ..neurons._neuron import run
from ..neurons._spikes import drawn


@options
class Options(Spiking):
    """The options of a layer that fires.

    Args:
      key: draws the recurrent weights.
      recurrent_kernel: these, in place of drawing them.
    """

    key: jax.Array | None = None
    recurrent_kernel: jax.Array | None = None


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Fixed:
    """An array, held as the integers that its bits are: no gradient, optimiser or weight decay meets these."""

    bits: jax.Array
    dtype: Any = dataclasses.field(metadata={"static": True})

    @property
    def array(self) -> jax.Array:
        """The array."""
        return jax.lax.bitcast_convert_type(self.bits, self.dtype)


def fixed(array) -> Fixed:
    array = jnp.asarray(array)
    return Fixed(jax.lax.bitcast_convert_type(array, f"uint{8 * array.dtype.itemsize}"), array.dtype)


def _static(**how) -> Any:
    return dataclasses.field(init=False, metadata={"static": True}, **how)


class Neurons(NeuronLayer, eqx.Module, metaclass=pickled_as_call(type(eqx.Module))):  # type: ignore[metaclass]
    """A module that holds a neuron: trained arrays as leaves, in fields of the neuron and in its surrogates."""

    features: int = dataclasses.field(kw_only=False, metadata={"static": True})
    keeps_spikes: bool = _static(default=False)
    _intervals: frozenset[tuple[str, str, Interval | None]] = _static(default=frozenset())
    _template: Any = _static()
    _fixed: Any = _static()
    _watch: Any = _static(default=None)
    _options, _construct = (Features, Trained, Options), classmethod(construct)
    _holders, _can_be_set = object, False

    def _start(self, features, key=None, recurrent_kernel: Any = None, **given):
        owner = type(self).__name__
        self._hold_neuron(features, **given)
        self.features = int(features)
        if key is not None and not (isinstance(key, jax.Array) and key.ndim == int(key.dtype == jnp.uint32)):
            raise TypeError(f"{owner}: expected key to be jax.random.key(seed), got {key!r}")
        if self.recurrent:
            shape, dtype, name = (features, features), self.param_dtype, "recurrent_kernel"
            if recurrent_kernel is None and key is None:
                raise ValueError(f"{owner}: recurrent=True draws weights: pass key=jax.random.key(seed)")
            if recurrent_kernel is None:
                name = "recurrent_kernel_init"
                recurrent_kernel = given[name](key, shape, drawing_dtype(dtype))
            self.recurrent_kernel = check_drawn_shape(name, recurrent_kernel, shape).astype(dtype)
            self._intervals |= {("recurrent_kernel", "", None)}
        elif recurrent_kernel is not None:
            raise ValueError(
                f"{type(self).__name__}: recurrent_kernel is of recurrent weights: expected recurrent=True"
            )
        elif self.fires:
            self.recurrent_kernel = None
        for name in {"learnable", "bounds", "recurrent_kernel_init", "key"} & type(self).__dataclass_fields__.keys():
            setattr(self, name, None)  # done with

    def __setattr__(self, name, value):
        if name in type(self).__dataclass_fields__ or not hasattr(HoldsNeuron, name):  # else the class says so
            super().__setattr__(name, value)

    def _hold(self, values, learnable, bounds, defaults, param_dtype, inside="", **more):
        owner = type(self).__name__
        intervals = trained_intervals(owner, values, learnable, bounds, defaults, param_dtype, **more)
        self._intervals |= {(inside or name, inside and name, pair) for name, pair in intervals.items()}
        held = {name: fixed(value) if hasattr(value, "dtype") else value for name, value in values.items()}
        held |= {name: initial_value(values[name], param_dtype) for name in intervals}
        if not inside:
            self._fixed = tuple(name for name in values if name not in intervals)
            for name, value in held.items():
                setattr(self, name, value)
        return held

    def _activate(self, name, surrogate, **trained):
        template, values = surrogate.named_parameters()
        held = self._hold(values, defaults=surrogate._all_bounds(), inside=name, **trained)
        return jax.tree.map(held.get, template)

    def _value(self, name):
        pairs = {inner: pair for field, inner, pair in self._intervals if field == name}

        def now(value, inner=""):
            value = value.array if isinstance(value, Fixed) else value
            return clip_straight_through(value, pairs[inner]) if inner in pairs else value

        value: Any = getattr(self, name)
        if not isinstance(value, Surrogate):
            return now(value)
        leaves, structure = jax.tree.flatten(value, is_leaf=_is_fixed)
        names = jax.tree.leaves(jax.tree.unflatten(structure, [0.0] * len(leaves)).named_parameters()[0])
        return jax.tree.unflatten(structure, map(now, leaves, names))

    def initialize_carry(self, input_shape: tuple[int, ...], key: jax.Array | None = None):
        """Return the state before the first step, for inputs of ``input_shape = (*batch, features)``.

        It is that of the neuron, in ``param_dtype``, its first array drawn by ``carry_init`` if there is one.
        """
        shape, init = check_input_shape(type(self).__name__, self.features, input_shape), self.carry_init
        draw = None if init is None else lambda shape: init(key, shape, self.param_dtype)
        return first_state(self.neuron, jnp.zeros(shape, self.param_dtype), draw)

    def _drawing(self, x, key) -> Neuron:
        return self._running(x) if key is None else drawn(self._running(x), key)


def _is_fixed(node) -> bool:
    return isinstance(node, Fixed)


class Layer(Neurons):
    """LIF over time, time first: ``(carry, xs) -> (carry, ys)``.

    A layer of Equinox: ``xs`` is ``[time, ..., features]``, so it is not mapped over a batch. Batch-first data would
    run along the wrong axis: ``xs = jnp.swapaxes(xs, 0, 1)`` turns it around. With ``key=``, spikes are drawn.

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr.equinox import LIF
      >>> neurons = LIF(3)
      >>> carry, ys = neurons(neurons.initialize_carry((2, 3)), jnp.ones((10, 2, 3)))
      >>> ys.shape
      (10, 2, 3)
    """

    _layers: ClassVar[dict[type, Any]] = {}

    if TYPE_CHECKING:  # of the class that `layer` returns

        def __init__(self, features: int, **fields: Any): ...

    def __call__(self, carry, xs, *, key: jax.Array | None = None) -> tuple[Any, jax.Array]:
        return run(self._drawing(xs, key), carry, xs)


class Cell(Neurons):
    """One time step of LIF: ``(carry, x) -> (carry, y)``.

    A cell of Equinox: ``x`` is ``[..., features]``. With ``key=``, spikes are drawn.

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr.equinox import LIFCell
      >>> neurons = LIFCell(3)
      >>> carry, y = neurons(neurons.initialize_carry((2, 3)), jnp.ones((2, 3)))
      >>> y.shape
      (2, 3)
    """

    _layers: ClassVar[dict[type, Any]] = {}

    if TYPE_CHECKING:  # of the class that `cell` returns

        def __init__(self, features: int, **fields: Any): ...

    def __call__(self, carry, inputs, *, key: jax.Array | None = None) -> tuple[Any, jax.Array]:
        return self._drawing(inputs, key).step(carry, inputs)


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
      >>> from brainsurr.equinox import layer
      >>> lif = layer(neurons.LIF)(2, decay=0.5)
      >>> carry, spikes = lif(lif.initialize_carry((1, 2)), jnp.full((4, 1, 2), 0.75))
      >>> print(spikes[:, 0].T)
      [[0. 1. 0. 1.]
       [0. 1. 0. 1.]]
    """
    return made(Layer, kind)


def cell(kind: type[Neuron]) -> type[Cell]:
    """Return the class of the cells of a neuron, one step in time, such as ``LIFCell`` for ``brainsurr.neurons.LIF``.

    As :func:`layer`, but it is called as ``(carry, x) -> (carry, y)`` with ``x`` as ``[batch, features]``.

    Args:
      kind: the class of the neuron.

    Raises:
      TypeError: as of :func:`layer`.
      ValueError: likewise.

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr import neurons
      >>> from brainsurr.equinox import cell
      >>> lif = cell(neurons.LIF)(2, decay=0.5)
      >>> v, s = lif(lif.initialize_carry((1, 2)), jnp.array([[0.75, 2.0]]))
      >>> print(s, v)
      [[0. 1.]] [[0.75 1.  ]]
    """
    return made(Cell, kind)


def bounds(model: Any) -> Any:
    """Return the closed interval of each parameter of a model, None where it has none, for ``brainsurr.optim.project``.

    Args:
      model: any module. Neurons and surrogates outside of layers have none: see ``brainsurr.optim.bounds``.

    Returns:
      A tree like ``equinox.filter(model, equinox.is_inexact_array)``.

    Example:
      >>> from brainsurr.equinox import LIF, bounds
      >>> bounds(LIF(3, learnable="decay")).decay
      (0.0, 1.0)
    """
    check_kind("model", model, eqx.Module)

    def of_layer(node):
        empty = eqx.filter(node, eqx.is_inexact_array)
        if not isinstance(node, Neurons):
            return jax.tree.map(lambda leaf: None, empty)
        pairs = {f".{field}.{inner}".rstrip("."): pair for field, inner, pair in node._intervals}
        return jax.tree_util.tree_map_with_path(lambda path, leaf: pairs[jax.tree_util.keystr(path)], empty)

    return jax.tree.map(of_layer, model, is_leaf=lambda node: isinstance(node, Neurons))
