"""Flax NNX layers of neurons: modules that store a neuron with trainable parameters."""

import dataclasses
from typing import Any, dataclass_transform

import jax
from flax import nnx
from flax.typing import Initializer

from .._arrays import drawing_dtype
from .._layer import Features, NeuronLayer, Spiking, Trained, construct, layer_class, options, pickled_as_call
from ..neurons import Neuron
from ..neurons._neuron import run
from ._activation import NNXModule, SpikingActivation


@options
class Options(Spiking):
    """The options of a layer that fires.

    Args:
      rngs: random keys for the recurrent weights, required with ``recurrent=True``.
    """

    rngs: nnx.Rngs | None = None


class Neurons(NeuronLayer, NNXModule, metaclass=pickled_as_call(type(nnx.Module))):  # type: ignore[metaclass]
    """A module with the parameters of a neuron."""

    _options, _construct = (Features, Trained, Options), classmethod(construct)
    _activation = SpikingActivation

    def _start(self, features, rngs=None, **given):
        self.features, kernel = features, None
        self._set_neuron(features, **given)
        if self.recurrent:
            if not isinstance(rngs, nnx.Rngs):
                raise ValueError(f"{type(self).__name__}: recurrent=True needs rngs=nnx.Rngs(seed), got rngs={rngs!r}")
            shape, init = (features, features), given["recurrent_kernel_init"]
            kernel = nnx.Param(init(rngs.params(), shape, drawing_dtype(self.param_dtype)))
            kernel.set_value(kernel.get_value().astype(self.param_dtype))  # also with nnx.with_partitioning
        self.recurrent_kernel = kernel

    def initialize_carry(
        self,
        input_shape: tuple[int, ...],
        rngs: nnx.Rngs | nnx.RngStream | None = None,
        carry_init: Initializer | None = None,
    ):
        """Return the state before the first step, for inputs of ``input_shape = (*batch, features)``.

        The state has the dtype ``param_dtype``. If there is a ``carry_init``, it initialises the first array.
        """
        rngs = nnx.Rngs(0) if rngs is None else rngs
        key = rngs.carry if isinstance(rngs, nnx.Rngs) else rngs
        return self._first_state(self.neuron, input_shape, self.carry_init if carry_init is None else carry_init, key)


@dataclass_transform(kw_only_default=True, field_specifiers=(dataclasses.field,))
class Layer(Neurons):
    """LIF over time, time first: ``(carry, xs) -> (carry, ys)``.

    A Flax NNX layer: ``xs`` is ``[time, ..., features]``. The first axis must be time: transpose batch-first data with
    ``xs = jnp.swapaxes(xs, 0, 1)``.

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr.nnx import LIF
      >>> neurons = LIF(3)
      >>> carry, ys = neurons(neurons.initialize_carry((2, 3)), jnp.ones((10, 2, 3)))
      >>> ys.shape
      (10, 2, 3)
    """

    def __call__(self, carry, xs) -> tuple[Any, jax.Array]:
        return run(self._running(xs), carry, xs)

    @property
    def num_feature_axes(self):  # ``nnx.RNN`` reads this
        raise AttributeError(f"{type(self).__name__} already runs over time; in nnx.RNN, use {type(self).__name__}Cell")


@dataclass_transform(kw_only_default=True, field_specifiers=(dataclasses.field,))
class Cell(Neurons, nnx.RNNCellBase):
    """One time step of LIF: ``(carry, x) -> (carry, y)``.

    A Flax NNX cell: ``x`` is ``[..., features]``. It has the interface of flax's own cells, so ``nnx.RNN`` runs it over
    batch-first sequences.

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr.nnx import LIFCell
      >>> neurons = LIFCell(3)
      >>> carry, y = neurons(neurons.initialize_carry((2, 3)), jnp.ones((2, 3)))
      >>> y.shape
      (2, 3)
    """

    def __call__(self, carry, inputs) -> tuple[Any, jax.Array]:
        return self._running(inputs).step(carry, inputs)

    num_feature_axes = 1


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
      >>> from brainsurr.nnx import layer
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
    ``[batch, features]``. This is the interface of flax's own cells, so ``nnx.RNN`` runs it over batch-first sequences.

    Args:
      kind: the class of the neuron.

    Raises:
      TypeError: as for :func:`layer`.
      ValueError: as for :func:`layer`.

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr import neurons
      >>> from brainsurr.nnx import cell
      >>> lif = cell(neurons.LIF)(2, decay=0.5)
      >>> v, s = lif(lif.initialize_carry((1, 2)), jnp.array([[0.75, 2.0]]))
      >>> print(s, v)
      [[0. 1.]] [[0.75 1.  ]]
    """
    return layer_class(Cell, kind)
