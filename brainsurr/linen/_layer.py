"""Layers of neurons for Flax Linen: how a module holds a neuron of which some parts are trained."""

import dataclasses
import functools
import operator
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.core import FrozenDict

from .._checks import check_drawn_shape, check_flag, check_function, check_input_shape, drawing_dtype
from .._layer import (
    ORTHOGONAL,
    attributes_of,
    fields_of,
    first_state,
    names_of_fields,
    neuron_class,
    neuron_of,
    options_of,
    parent_of,
    pickle_as_call,
    read_fields,
)
from .._value import cache_by_class
from ..neurons import Neuron
from ..neurons._neuron import run
from ..neurons._spikes import with_spike_functions
from ._activation import SpikingActivation
from ._parameters import ParameterModule

OPTIONS: dict[str, Any] = {
    "learnable": (),
    "bounds": FrozenDict(),
    "carry_init": None,
    "param_dtype": jnp.float32,
    "recurrent": False,
    "recurrent_kernel_init": ORTHOGONAL,
}


class LayerMeta(type):
    """The class of the classes that `layer` and `cell` make, which are pickled as that call."""


class Neurons(ParameterModule, metaclass=LayerMeta):
    """A module that holds a neuron. The fields of the neuron, and the options, are fields of the class that is made."""

    _neuron_class: ClassVar[type[Neuron]]
    _watch: ClassVar[Callable | None] = None  # of `diagnose`: what it puts in the place of each spike function
    features: int
    # Fields of the classes that are made; of a neuron that has no use for an option, its default.
    learnable, bounds, carry_init, param_dtype, recurrent, recurrent_kernel_init = OPTIONS.values()

    def __post_init__(self):
        owner = type(self).__name__
        fields = {field.name: getattr(self, field.name) for field in fields_of(self._neuron_class)}
        given = read_fields(
            owner, self._neuron_class, self.features, fields, self.learnable, self.bounds, _surrogate_of
        )
        check_function(f"{owner}: carry_init", self.carry_init, "an initialiser", optional=True)
        check_flag(f"{owner}: recurrent", self.recurrent)
        check_function(f"{owner}: recurrent_kernel_init", self.recurrent_kernel_init, "an initialiser")
        for name, trained in given.surrogates.items():
            if trained["learnable"]:  # its own module, and from now on what says so
                act = SpikingActivation(fields[name], **trained, param_dtype=self.param_dtype, parent=None)
                object.__setattr__(self, name, act)
        for name, value in given.rest.items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "learnable", given.learnable)
        if given.bounds is not None:
            object.__setattr__(self, "bounds", given.bounds)
        object.__setattr__(self, "_given", given)
        super().__post_init__()

    def setup(self):
        super().setup()
        self._kernel = None
        if self.recurrent:
            shape = (self.features, self.features)

            def init(key):
                weights = self.recurrent_kernel_init(key, shape, drawing_dtype(self.param_dtype))
                check_drawn_shape("recurrent_kernel_init", nn.unbox(weights), shape)
                return jax.tree.map(lambda array: array.astype(self.param_dtype), weights)

            self._kernel = self.param("recurrent_kernel", init)

    def neuron(self) -> Neuron:
        """Return the neuron with its current values, the trained ones clipped to their bounds."""
        if self.scope is None:
            if self.recurrent or self.learnable or any(map(_is_trained, self._fields().values())):
                raise ValueError(
                    f"{type(self).__name__}: what is trained has no value in an unbound module: use "
                    "net.bind(variables).neuron()"
                )
            return self._given.neuron
        return self._neuron(operator.attrgetter("surrogate"))

    @nn.nowrap
    def _running(self) -> Neuron:
        """Return the neuron with what draws its spikes, or watches them."""
        neuron = self._neuron(SpikingActivation._spikes)
        return neuron if self._watch is None else with_spike_functions(self._watch, neuron)

    @nn.nowrap
    def _fields(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields_of(self._neuron_class)}

    @nn.nowrap
    def _neuron(self, spikes) -> Neuron:
        def value(held):
            if isinstance(held, SpikingActivation):
                return spikes(held)
            if isinstance(held, nn.Module):  # lax.scan can't call a module, but a function of variables
                module, variables = held.unbind()
                return functools.partial(module.apply, variables)
            return held

        values = self._fields() | dict(self._now)
        parameters, flags = (
            {name: value(values[name]) for name in names} for names in names_of_fields(self._given.neuron)
        )
        return neuron_of(self._neuron_class, parameters, flags, self.recurrent, self._kernel)

    @nn.nowrap
    def _make_variables(self, x):
        """Make the variables of a spike function that is another module, outside of the scan."""
        for held in self._fields().values() if self.is_initializing() else ():
            if isinstance(held, nn.Module) and not isinstance(held, SpikingActivation):
                held(x)

    @nn.nowrap
    def _parameters_and_bounds(self):
        return dict(self._given.numbers), self._neuron_class.bounds

    @nn.nowrap
    def _inner_paths(self):
        return self._given.paths

    @nn.nowrap
    def initialize_carry(self, rng: jax.Array, input_shape: tuple[int, ...]):
        """Return the state before the first step, for inputs of ``input_shape = (*batch, features)``.

        It is that of the neuron, in ``param_dtype``, its first array drawn by ``carry_init`` if there is one.
        """
        shape = check_input_shape(type(self).__name__, self.features, input_shape)
        neuron, init = self._given.neuron, self.carry_init
        parameters, flags = ({name: getattr(neuron, name) for name in names} for names in names_of_fields(neuron))
        neuron = neuron_of(self._neuron_class, parameters, flags, self.recurrent)
        draw = None if init is None else lambda shape: init(rng, shape, self.param_dtype)
        return first_state(neuron, jnp.zeros(shape, self.param_dtype), draw)


class Layer(Neurons):
    """LIF over time, time first: ``(carry, xs) -> (carry, ys)``.

    A layer of Flax Linen: ``xs`` is ``[time, ..., features]``. Batch-first data would run along the wrong axis:
    ``xs = jnp.swapaxes(xs, 0, 1)`` turns it around.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from brainsurr.linen import LIF
      >>> neurons, key, xs = LIF(3), jax.random.key(0), jnp.ones((10, 2, 3))
      >>> carry = neurons.initialize_carry(key, (2, 3))
      >>> (carry, ys), variables = neurons.init_with_output(key, carry, xs)
      >>> ys.shape
      (10, 2, 3)
    """

    if TYPE_CHECKING:  # of the classes that are made

        def __init__(self, features: int, **fields: Any): ...

    def __call__(self, carry, xs) -> tuple[Any, jax.Array]:
        self._make_variables(xs)
        return run(self._running(), carry, xs)


class Cell(Neurons, nn.RNNCellBase):
    """One time step of LIF: ``(carry, x) -> (carry, y)``.

    A cell of Flax Linen: ``x`` is ``[..., features]``. It has the contract of flax's own cells, so ``nn.RNN`` runs it
    over batch-major sequences.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from brainsurr.linen import LIFCell
      >>> neurons, key = LIFCell(3), jax.random.key(0)
      >>> carry = neurons.initialize_carry(key, (2, 3))
      >>> (carry, y), variables = neurons.init_with_output(key, carry, jnp.ones((2, 3)))
      >>> y.shape
      (2, 3)
    """

    if TYPE_CHECKING:  # of the classes that are made

        def __init__(self, features: int, **fields: Any): ...

    def __call__(self, carry, inputs) -> tuple[Any, jax.Array]:
        self._make_variables(inputs)
        return self._running().step(carry, inputs)

    @property
    def num_feature_axes(self) -> int:
        return 1


def _surrogate_of(value):
    return value.surrogate_init if isinstance(value, SpikingActivation) else None


def _is_trained(value):
    return isinstance(value, SpikingActivation) and bool(value.learnable)


def layer(kind: type[Neuron]) -> type[Layer]:
    """Return the class of the layers of a neuron over time, such as ``LIF`` for ``brainsurr.neurons.LIF``.

    Its fields are ``features``, by name those of the neuron, and the options of every layer. It is called as
    ``(carry, xs) -> (carry, ys)`` with ``xs`` as ``[time, batch, features]``.

    Args:
      kind: the class of the neuron.

    Raises:
      TypeError: it is not a class of neurons, or a field has no default.
      ValueError: a field has a name that a layer uses for something else.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from brainsurr import neurons
      >>> from brainsurr.linen import layer
      >>> lif, xs = layer(neurons.LIF)(2, decay=0.5), jnp.full((4, 1, 2), 0.75)
      >>> carry = lif.initialize_carry(jax.random.key(0), (1, 2))
      >>> carry, spikes = lif.apply({}, carry, xs)
      >>> print(spikes[:, 0].T)
      [[0. 1. 0. 1.]
       [0. 1. 0. 1.]]
    """
    return _made(Layer, neuron_class(kind))


def cell(kind: type[Neuron]) -> type[Cell]:
    """Return the class of the cells of a neuron, one step in time, such as ``LIFCell`` for ``brainsurr.neurons.LIF``.

    As :func:`layer`, but it is called as ``(carry, x) -> (carry, y)`` with ``x`` as ``[batch, features]``: the contract
    of flax's own cells, so ``nn.RNN`` runs it over batch-major sequences.

    Args:
      kind: the class of the neuron.

    Raises:
      TypeError: as of :func:`layer`.
      ValueError: likewise.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from brainsurr import neurons
      >>> from brainsurr.linen import cell
      >>> lif, x = cell(neurons.LIF)(2, decay=0.5), jnp.array([[0.75, 2.0]])
      >>> v = lif.initialize_carry(jax.random.key(0), (1, 2))
      >>> v, s = lif.apply({}, v, x)
      >>> print(s, v)
      [[0. 1.]] [[0.75 1.  ]]
    """
    return _made(Cell, neuron_class(kind))


@cache_by_class
def _made(base, kind):
    options = options_of(kind, base, OPTIONS)
    name, own = attributes_of(kind, base, options)
    annotations: dict[str, Any] = dict.fromkeys(own, ClassVar)
    for field in fields_of(kind):
        annotations[field.name] = Any
        factory = field.default_factory
        default = {"default": field.default} if factory is dataclasses.MISSING else {"default_factory": factory}
        own[field.name] = dataclasses.field(**default, kw_only=field.name not in kind._by_position)
    for option, value in options.items():
        annotations[option] = Any
        own[option] = dataclasses.field(default=value, kw_only=True)
    own["__annotations__"] = annotations
    parent = parent_of(kind)
    above = base if parent is None else _made(base, parent)
    return types.new_class(name, (above,), {"kw_only": True}, lambda namespace: namespace.update(own))


pickle_as_call(LayerMeta, layer, cell)
