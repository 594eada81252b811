"""Layers of neurons for brainstate: how a module holds a neuron of which some parts are trained, and its state."""

import operator
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import brainstate
import jax
import jax.numpy as jnp
from brainstate import nn

from .._bounds import Interval
from .._checks import check_drawn_shape, check_flag, check_function, is_size
from .._layer import (
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
from .._wrong_calls import AnswersWrongCalls
from ..neurons import Neuron
from ..neurons._neuron import expected_state, run
from ..neurons._spikes import with_spike_functions
from ._activation import SpikingActivation
from ._parameters import make_param, parameter_value, set_parameters

ORTHOGONAL = nn.init.Orthogonal()


if TYPE_CHECKING:
    LayerMeta = type
else:

    class LayerMeta(type(nn.Module)):
        """The class of the classes that `layer` and `cell` make, which are pickled as that call."""


class Neurons(AnswersWrongCalls, nn.Module, metaclass=LayerMeta):
    """A module that holds a neuron, some parts of it trained, and a ``HiddenState`` for each array of its state."""

    _neuron_class: ClassVar[type[Neuron]]
    fires: ClassVar[bool]
    _watch: Callable | None = None  # of `diagnose`: what it puts in the place of each spike function

    def __init__(
        self,
        features: Any,
        *,
        learnable: str | Iterable[str] = (),
        bounds: Mapping[str, Interval | None] | None = MappingProxyType({}),
        carry_init: Callable | None = None,
        param_dtype: Any = None,
        recurrent: bool = False,
        recurrent_kernel_init: Callable = ORTHOGONAL,
        **fields,
    ):
        super().__init__()
        owner, kind = type(self).__name__, self._neuron_class
        size = _sizes(features)
        if not all(map(is_size, size[:-1])):
            raise ValueError(f"{owner}: expected features to be an integer or several, got {features!r}")
        given = read_fields(owner, kind, size[-1], fields, learnable, bounds, _surrogate_of)
        check_function(f"{owner}: carry_init", carry_init, "an initialiser", optional=True)
        check_flag(f"{owner}: recurrent", recurrent)
        check_function(f"{owner}: recurrent_kernel_init", recurrent_kernel_init, "an initialiser")
        self.in_size = self.out_size = size
        self.carry_init, self.recurrent = carry_init, recurrent
        self.param_dtype = dtype = brainstate.environ.dftype() if param_dtype is None else param_dtype
        set_parameters(self, given.numbers, given.learnable, given.bounds, kind.bounds, dtype, given.paths)
        for name, trained in given.surrogates.items():
            setattr(self, name, SpikingActivation(getattr(given.neuron, name), **trained, param_dtype=dtype))
        for name, value in given.rest.items():
            setattr(self, name, value)
        self._names = names_of_fields(given.neuron)
        if recurrent:
            shape = (size[-1], size[-1])
            with brainstate.environ.context(precision=max(32, brainstate.environ.get_precision())):  # see drawing_dtype
                kernel = check_drawn_shape("recurrent_kernel_init", recurrent_kernel_init(shape), shape)
            self.recurrent_kernel = make_param(jnp.asarray(kernel, dtype))

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
        kernel = self.recurrent_kernel.value() if self.recurrent else None
        return neuron_of(self._neuron_class, values, static, self.recurrent, kernel)

    def _running(self) -> Neuron:
        """Return the neuron with what draws its spikes, or watches them."""
        neuron = self._neuron(SpikingActivation._spikes)
        return neuron if self._watch is None else with_spike_functions(self._watch, neuron)

    def __pretty_repr_item__(self, name, value):
        """Hide what is not an argument of the layer."""
        hidden = name == "_names" or name in self._neuron_class._without or (name == "recurrent" and not self.fires)
        return None if hidden else super().__pretty_repr_item__(name, value)

    def init_state(self, batch_size: int | tuple[int, ...] | None = None, **kwargs):
        """Make the state before the first step, in ``param_dtype``, its first array drawn by ``carry_init`` if given.

        Each array is a state of its name: ``v``, the last spikes ``s``, the adaptation ``a``. Call this once. Compiled
        functions keep a reference to these states; use `reset_state` to restart them.
        """
        for name, value in zip(self.neuron.states, jax.tree.leaves(self._first(batch_size)), strict=True):
            setattr(self, name, brainstate.HiddenState(value))

    def reset_state(self, batch_size: int | tuple[int, ...] | None = None, **kwargs):
        """Set the state back to what it is before the first step."""
        self._set_state(self._check_state(self.neuron), self._first(batch_size))

    def _first(self, batch_size):
        batch = () if batch_size is None else _sizes(batch_size)
        if not all(map(is_size, batch)):
            owner = type(self).__name__
            raise ValueError(f"{owner}: expected batch_size to be an integer or several, got {batch_size!r}")
        return first_state(self.neuron, jnp.zeros((*batch, *_sizes(self.in_size)), self.param_dtype), self.carry_init)

    def _check_state(self, neuron):
        if not all(hasattr(self, name) for name in neuron.states):
            raise ValueError(
                f"{type(self).__name__} has no state yet: call init_state(batch_size) on it or on the network, "
                "or brainstate.nn.init_all_states(network, batch_size)"
            )
        return neuron

    def _state(self, neuron):
        self._check_state(neuron)
        structure = jax.tree.structure(expected_state(neuron, jax.tree.structure(neuron), _sizes(self.in_size)))
        return jax.tree.unflatten(structure, [getattr(self, name).value for name in neuron.states])

    def _set_state(self, neuron, state):
        for name, value in zip(neuron.states, jax.tree.leaves(state), strict=True):
            getattr(self, name).value = value


class Layer(Neurons):
    """LIF over time, time first: ``ys = layer(xs)``.

    A layer of brainstate: ``xs`` is ``[time, ..., features]``. Batch-first data would run along the wrong axis: ``xs =
    jnp.swapaxes(xs, 0, 1)`` turns it around. A call continues from the state that the last one left; ``reset_state``
    resets it. A compiled function ignores a later ``init_state``.

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr.brainstate import LIF
      >>> neurons = LIF(3)
      >>> neurons.init_state(batch_size=2)
      >>> neurons(jnp.ones((10, 2, 3))).shape
      (10, 2, 3)
    """

    def update(self, xs) -> jax.Array:
        neuron = self._running()
        # The scan of the framework: a function in the place of a surrogate may read or write states.
        state, ys = run(neuron, self._state(neuron), xs, brainstate.transform.scan)
        self._set_state(neuron, state)
        return ys


class Cell(Neurons):
    """One time step of LIF: ``y = cell(x)``.

    A cell of brainstate: ``x`` is ``[..., features]``. ``brainstate.transform.for_loop(cell, xs)`` and
    ``checkpointed_for_loop`` run it over time.

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr.brainstate import LIFCell
      >>> neurons = LIFCell(3)
      >>> neurons.init_state(batch_size=2)
      >>> neurons(jnp.ones((2, 3))).shape
      (2, 3)
    """

    def update(self, x) -> jax.Array:
        neuron = self._running()
        state, y = neuron.step(self._state(neuron), x)
        self._set_state(neuron, state)
        return y


def _sizes(value) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) and value else (value,)


def _surrogate_of(value):
    return value.surrogate if isinstance(value, SpikingActivation) else None


def layer(kind: type[Neuron]) -> type[Layer]:
    """Return the class of the layers of a neuron over time, such as ``LIF`` for ``brainsurr.neurons.LIF``.

    Its arguments are ``features``, by name the fields of the neuron, and the options of every layer. It is called as
    ``ys = layer(xs)`` with ``xs`` as ``[time, batch, features]``. A call continues from the state that the last one
    left; ``reset_state`` resets it. A compiled function ignores a later ``init_state``.

    Args:
      kind: the class of the neuron.

    Raises:
      TypeError: it is not a class of neurons, or a field has no default.
      ValueError: a field has a name that a layer uses for something else.

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr import neurons
      >>> from brainsurr.brainstate import layer
      >>> lif = layer(neurons.LIF)(2, decay=0.5)
      >>> lif.init_state(batch_size=1)
      >>> print(lif(jnp.full((4, 1, 2), 0.75))[:, 0].T)
      [[0. 1. 0. 1.]
       [0. 1. 0. 1.]]
    """
    return _made(Layer, neuron_class(kind))


def cell(kind: type[Neuron]) -> type[Cell]:
    """Return the class of the cells of a neuron, one step in time, such as ``LIFCell`` for ``brainsurr.neurons.LIF``.

    As :func:`layer`, but it is called as ``y = cell(x)`` with ``x`` as ``[batch, features]``.
    ``brainstate.transform.for_loop(cell, xs)`` and ``checkpointed_for_loop`` run it over time.

    Args:
      kind: the class of the neuron.

    Raises:
      TypeError: as of :func:`layer`.
      ValueError: likewise.

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr import neurons
      >>> from brainsurr.brainstate import cell
      >>> lif = cell(neurons.LIF)(2, decay=0.5)
      >>> lif.init_state(batch_size=1)
      >>> print(lif(jnp.array([[0.75, 2.0]])), lif.v.value)
      [[0. 1.]] [[0.75 1.  ]]
    """
    return _made(Cell, neuron_class(kind))


@cache_by_class
def _made(base, kind):
    parent = parent_of(kind)
    return make_class(kind, base, base if parent is None else _made(base, parent), **_OTHERS)


pickle_as_call(LayerMeta, layer, cell)

_OTHERS = {
    "features": "number of neurons, the last axis of the input; or the whole size, ``(height, width, channels)``.",
    "param_dtype": "of parameters and of the state; ``brainstate.environ.dftype()`` if None. The output has the dtype "
    "of\n    the input.",
    "recurrent_kernel_init": "their initialiser, a function of the shape.",
}
