"""Flax Linen layers of neurons: modules that store a neuron with trainable parameters."""

import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar

import jax
from flax import linen as nn

from .._arrays import drawing_dtype
from .._bounds import training_arguments
from .._layer import Features, NeuronLayer, Spiking, Trained, layer_class, pickled_as_call
from .._modules import SurrogateModule, with_recurrence
from ..neurons import Neuron
from ..neurons._neuron import run
from ._activation import LinenModule, SpikingActivation


class Neurons(NeuronLayer, LinenModule, metaclass=pickled_as_call(type)):  # type: ignore[metaclass]
    """A module with the parameters of a neuron."""

    _options: ClassVar[Any] = (Features, Trained, Spiking)

    def __post_init__(self):
        names = {field.name for field in dataclasses.fields(self) if field.init} - {"parent", "name"}
        self._template = self._set_neuron(**{name: getattr(self, name) for name in names})
        super().__post_init__()

    @nn.nowrap
    def _activate(self, field, surrogate, intervals, param_dtype):
        if not intervals:
            return surrogate
        return SpikingActivation(surrogate, **training_arguments(intervals), param_dtype=param_dtype, parent=None)

    def setup(self):
        super().setup()
        if self.recurrent:
            shape = (self.features, self.features)

            def init(key):
                weights = self.recurrent_kernel_init(key, shape, drawing_dtype(self.param_dtype))
                return jax.tree.map(lambda array: array.astype(self.param_dtype), weights)

            self._now = {**self._now, "recurrent_kernel": self.param("recurrent_kernel", init)}

    @nn.nowrap
    def _make_variables(self, x):
        """Create the variables of a spike function that is itself a module, outside of the scan."""
        if self.scope is None:
            how = "an unbound module can't be called: use layer.apply(variables, carry, xs)"
            raise TypeError(f"{type(self).__name__}: {how}")
        for name in vars(self._template) if self.is_initializing() else ():
            held = getattr(self, name)
            if isinstance(held, nn.Module) and not isinstance(held, SurrogateModule):
                held(x)

    @nn.nowrap
    def initialize_carry(self, rng: jax.Array, input_shape: tuple[int, ...]):
        """Return the state before the first step, for inputs of ``input_shape = (*batch, features)``.

        The state has the dtype ``param_dtype``. If there is a ``carry_init``, it initialises the first array.
        """
        neuron = with_recurrence(self._template, None, self.self_connections) if self.recurrent else self._template
        return self._first_state(neuron, input_shape, self.carry_init, lambda: rng)


class Layer(Neurons):
    """LIF over time, time first: ``(carry, xs) -> (carry, ys)``.

    A Flax Linen layer: ``xs`` is ``[time, ..., features]``. The first axis must be time: transpose batch-first data
    with ``xs = jnp.swapaxes(xs, 0, 1)``.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from brainsurr.linen import LIF
      >>> neurons, key, xs = LIF(3), jax.random.key(0), jnp.ones((10, 2, 3))
      >>> carry = neurons.initialize_carry(key, (2, 3))
      >>> (carry, ys), variables = neurons.init_with_output(key, carry, xs)
      >>> ys.shape
      (10, 2, 3)
    """

    if TYPE_CHECKING:  # of the class that `layer` returns

        def __init__(self, features: int, **fields: Any): ...

    def __call__(self, carry, xs) -> tuple[Any, jax.Array]:
        self._make_variables(xs)
        return run(self._running(xs), carry, xs)

    @property
    def num_feature_axes(self):  # ``nn.RNN`` reads this; a Linen module would hide an AttributeError
        raise TypeError(f"{type(self).__name__} already runs over time; in nn.RNN, use {type(self).__name__}Cell")


class Cell(Neurons, nn.RNNCellBase):
    """One time step of LIF: ``(carry, x) -> (carry, y)``.

    A Flax Linen cell: ``x`` is ``[..., features]``. It has the interface of flax's own cells, so ``nn.RNN`` runs it
    over batch-first sequences.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from brainsurr.linen import LIFCell
      >>> neurons, key = LIFCell(3), jax.random.key(0)
      >>> carry = neurons.initialize_carry(key, (2, 3))
      >>> (carry, y), variables = neurons.init_with_output(key, carry, jnp.ones((2, 3)))
      >>> y.shape
      (2, 3)
    """

    if TYPE_CHECKING:  # of the class that `layer` returns

        def __init__(self, features: int, **fields: Any): ...

    def __call__(self, carry, inputs) -> tuple[Any, jax.Array]:
        self._make_variables(inputs)
        return self._running(inputs).step(carry, inputs)

    num_feature_axes = 1


def layer(kind: type[Neuron]) -> type[Layer]:
    """Return the class of layers over time for a neuron, such as ``LIF`` for ``brainsurr.neurons.LIF``.

    Its fields are ``features``, the fields of the neuron by name, and the options of every layer. Call a layer as
    ``(carry, xs) -> (carry, ys)`` with ``xs`` as ``[time, batch, features]``.

    Args:
      kind: the class of the neuron.

    Raises:
      TypeError: ``kind`` is not a class of neurons, or a field has no default.
      ValueError: a field has a name that layers use for something else.

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
    return layer_class(Layer, kind)


def cell(kind: type[Neuron]) -> type[Cell]:
    """Return the class of one-step cells for a neuron, such as ``LIFCell`` for ``brainsurr.neurons.LIF``.

    It has the arguments of :func:`layer`. Call a cell as ``(carry, x) -> (carry, y)`` with ``x`` as
    ``[batch, features]``. This is the interface of flax's own cells, so ``nn.RNN`` runs it over batch-first sequences.

    Args:
      kind: the class of the neuron.

    Raises:
      TypeError: as for :func:`layer`.
      ValueError: as for :func:`layer`.

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
    return layer_class(Cell, kind)
