"""brainstate layers of neurons: modules that store a neuron with trainable parameters, and its state."""

import dataclasses
from collections.abc import Callable
from typing import Any, dataclass_transform

import brainstate
import jax
import jax.numpy as jnp
from brainstate import nn

from .. import _layer
from .._layer import NeuronLayer, construct, layer_class, options, pickled_as_call
from .._modules import first_state
from ..neurons import Neuron
from ..neurons._neuron import expected_state, run
from ._activation import BrainstateModule, SpikingActivation, dtype_or_default, make_param


@options
class Size(_layer.Size):
    """The size of a layer.

    Args:
      features: number of neurons, the size of the last input axis; or the full size, ``(height, width, channels)``.
    """

    features: int | tuple[int, ...] = dataclasses.field(kw_only=False)  # type: ignore[assignment]


@options
class Features(Size, _layer.Features):
    """The size of a layer, its only positional argument."""


@options
class Trained(_layer.Trained):
    """The options of a layer.

    Args:
      param_dtype: dtype of the parameters and the state. Defaults to ``brainstate.environ.dftype()``. The output has
        the dtype of the input.
    """

    param_dtype: Any = None


@options
class Spiking(Trained, _layer.Spiking):
    """The options of a layer that fires.

    Args:
      recurrent_kernel_init: initialiser of the recurrent weights, a function of the shape.
    """

    recurrent_kernel_init: Callable = nn.init.Orthogonal()


class Neurons(NeuronLayer, BrainstateModule, metaclass=pickled_as_call(type(nn.Module))):  # type: ignore[metaclass]
    """A module with the parameters of a neuron, and a ``HiddenState`` for each array of its state."""

    _options, _construct = (Features, Trained, Spiking), classmethod(construct)
    _activation = SpikingActivation

    def _start(self, features, **given):
        nn.Module.__init__(self)
        size = _sizes(features)
        if "param_dtype" in given:
            given["param_dtype"] = dtype_or_default(given["param_dtype"])
        self._set_neuron(size[-1], **given)
        self.in_size = size
        if self.recurrent:
            shape = (size[-1], size[-1])
            with brainstate.environ.context(precision=max(32, brainstate.environ.get_precision())):  # see drawing_dtype
                kernel = given["recurrent_kernel_init"](shape)
            self.recurrent_kernel = make_param(jnp.asarray(kernel, self.param_dtype))
        self.out_size = (*size[:-1], self.neuron._outputs(size[-1]))

    @property
    def _size(self):
        return _sizes(self.in_size)

    def init_state(self, batch_size: int | tuple[int, ...] | None = None, **kwargs):
        """Create the state before the first step, in ``param_dtype``.

        If there is a ``carry_init``, it initialises the first array. Each array is a ``HiddenState`` with its own name:
        the potential ``v``, the last spikes ``s``, the adaptation ``a``. Call this once, because compiled functions
        keep references to these states. To reset the states, use `reset_state`.

        Args:
          batch_size: the batch size, or a shape of several batch axes. If None, there is no batch axis.
          **kwargs: ignored.
        """
        for name, value in zip(self.neuron.states, jax.tree.leaves(self._first(batch_size)), strict=True):
            setattr(self, name, brainstate.HiddenState(value))

    def reset_state(self, batch_size: int | tuple[int, ...] | None = None, **kwargs):
        """Reset the state to its values before the first step, with the arguments of `init_state`."""
        neuron = self.neuron
        self._state(neuron)  # raises an error if there is no state
        self._set_state(neuron, self._first(batch_size))

    def _first(self, batch_size):
        batch = () if batch_size is None else _sizes(batch_size)
        return first_state(self.neuron, jnp.zeros((*batch, *_sizes(self.in_size)), self.param_dtype), self.carry_init)

    def _state(self, neuron):
        if not all(hasattr(self, name) for name in neuron.states):
            raise ValueError(f"{type(self).__name__} has no state yet: call init_state(batch_size) on the network")
        structure = jax.tree.structure(expected_state(neuron, _sizes(self.in_size)))
        return jax.tree.unflatten(structure, [getattr(self, name).value for name in neuron.states])

    def _set_state(self, neuron, state):
        for name, value in zip(neuron.states, jax.tree.leaves(state), strict=True):
            getattr(self, name).value = value


@dataclass_transform(kw_only_default=True, field_specifiers=(dataclasses.field,))
class Layer(Neurons):
    """LIF over time, time first: ``ys = layer(xs)``.

    A brainstate layer: ``xs`` is ``[time, ..., features]``. The first axis must be time: transpose batch-first data
    with ``xs = jnp.swapaxes(xs, 0, 1)``. Each call continues from the state after the last call; ``reset_state`` resets
    the state. A compiled function ignores a later ``init_state``.

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr.brainstate import LIF
      >>> neurons = LIF(3)
      >>> neurons.init_state(batch_size=2)
      >>> neurons(jnp.ones((10, 2, 3))).shape
      (10, 2, 3)
    """

    def update(self, xs) -> jax.Array:
        neuron = self._running(xs)
        # Use brainstate's scan, because a function that replaces a surrogate may read or write states.
        state, ys = run(neuron, self._state(neuron), xs, brainstate.transform.scan)
        self._set_state(neuron, state)
        return ys


@dataclass_transform(kw_only_default=True, field_specifiers=(dataclasses.field,))
class Cell(Neurons):
    """One time step of LIF: ``y = cell(x)``.

    A brainstate cell: ``x`` is ``[..., features]``. Run it over time with ``brainstate.transform.for_loop(cell, xs)``
    or ``checkpointed_for_loop``.

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr.brainstate import LIFCell
      >>> neurons = LIFCell(3)
      >>> neurons.init_state(batch_size=2)
      >>> neurons(jnp.ones((2, 3))).shape
      (2, 3)
    """

    def update(self, x) -> jax.Array:
        neuron = self._running(x)
        state, y = neuron.step(self._state(neuron), x)
        self._set_state(neuron, state)
        return y


def _sizes(value) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) and value else (value,)


def layer(kind: type[Neuron]) -> type[Layer]:
    """Return the class of layers over time for a neuron, such as ``LIF`` for ``brainsurr.neurons.LIF``.

    Its arguments are ``features``, the fields of the neuron by name, and the options of every layer. Call a layer as
    ``ys = layer(xs)`` with ``xs`` as ``[time, batch, features]``. Each call continues from the state after the last
    call; ``reset_state`` resets the state. A compiled function ignores a later ``init_state``.

    Args:
      kind: the class of the neuron.

    Raises:
      TypeError: ``kind`` is not a class of neurons, or a field has no default.
      ValueError: a field has a name that layers use for something else.

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
    return layer_class(Layer, kind)


def cell(kind: type[Neuron]) -> type[Cell]:
    """Return the class of one-step cells for a neuron, such as ``LIFCell`` for ``brainsurr.neurons.LIF``.

    It has the arguments of :func:`layer`. Call a cell as ``y = cell(x)`` with ``x`` as ``[batch, features]``. Run it
    over time with ``brainstate.transform.for_loop(cell, xs)`` or ``checkpointed_for_loop``.

    Args:
      kind: the class of the neuron.

    Raises:
      TypeError: as for :func:`layer`.
      ValueError: as for :func:`layer`.

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr import neurons
      >>> from brainsurr.brainstate import cell
      >>> lif = cell(neurons.LIF)(2, decay=0.5)
      >>> lif.init_state(batch_size=1)
      >>> print(lif(jnp.array([[0.75, 2.0]])), lif.v.value)
      [[0. 1.]] [[0.75 1.  ]]
    """
    return layer_class(Cell, kind)
