"""Layers of neurons for Flax NNX: how a module holds a neuron of which some parts are trained."""

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
      rngs: needed with ``recurrent=True`` alone.
    """

    rngs: nnx.Rngs | None = None


class Neurons(NeuronLayer, NNXModule, metaclass=pickled_as_call(type(nnx.Module))):  # type: ignore[metaclass]
    """A module that holds a neuron."""

    _options, _construct = (Features, Trained, Options), classmethod(construct)
    _activation = SpikingActivation

    def _start(self, features, rngs=None, **given):
        self.features, kernel = features, None
        self._set_neuron(features, **given)
        if self.recurrent:
            if rngs is None:
                raise ValueError(f"{type(self).__name__}: recurrent=True draws weights: pass rngs=nnx.Rngs(seed)")
            shape, init = (features, features), given["recurrent_kernel_init"]
            kernel = nnx.Param(init(rngs.params(), shape, drawing_dtype(self.param_dtype)))
            kernel.set_value(kernel.get_value().astype(self.param_dtype))  # with nnx.with_partitioning too
        self.recurrent_kernel = kernel

    def initialize_carry(
        self,
        input_shape: tuple[int, ...],
        rngs: nnx.Rngs | nnx.RngStream | None = None,
        carry_init: Initializer | None = None,
    ):
        """Return the state before the first step, for inputs of ``input_shape = (*batch, features)``.

        It is that of the neuron, in ``param_dtype``, its first array drawn by ``carry_init`` if there is one.
        """
        rngs = nnx.Rngs(0) if rngs is None else rngs
        key = rngs.carry if isinstance(rngs, nnx.Rngs) else rngs
        return self._first_state(self.neuron, input_shape, self.carry_init if carry_init is None else carry_init, key)


@dataclass_transform(kw_only_default=True, field_specifiers=(dataclasses.field,))
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
        return run(self._running(xs), carry, xs)


@dataclass_transform(kw_only_default=True, field_specifiers=(dataclasses.field,))
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
        return self._running(inputs).step(carry, inputs)

    num_feature_axes = 1


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
    return layer_class(Layer, kind)


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
    return layer_class(Cell, kind)
