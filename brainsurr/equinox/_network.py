"""Networks of Equinox layers."""

import dataclasses
import inspect
import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from .._event_driven import is_on
from .._time import sequential
from .._time.in_blocks import in_blocks
from ._layer import Neurons


class SpikingSequential(sequential.SequentialBase, eqx.Module):
    """Layers in sequence, run over time: ``(carry, xs) -> (carry, ys)`` with ``xs`` as ``[time, batch, ...]``.

    The network runs layer by layer. A layer that has ``initialize_carry`` is called as ``layer(carry, xs)``. Any other
    layer is called once, on all time steps: an Equinox module, which takes one example, is mapped over time and batch,
    and a ``Linear`` is one large matrix product. A function is called with ``[time, batch, ...]``. The first axis must
    be time: transpose batch-first data with ``xs = jnp.swapaxes(xs, 0, 1)``.

    On a CPU, a compiled call that is not differentiated runs in blocks of time steps, which is faster and needs less
    memory. All layers must then be brainsurr neurons or treat each time step separately. A network with any other
    layer, or a layer that draws random numbers or changes a variable, runs layer by layer over the whole sequence.

    ``net(carry, xs, key=key)`` passes a separate key to each layer that accepts one, such as a Dropout. Neurons do not
    receive a key, so they fire at their threshold. For random spikes, call them in your own module as
    ``lif(carry, xs, key=key)``.

    A function must treat each example and each time step separately, and all of them in the same way. For a result that
    depends on earlier steps, use a layer with a state. The network follows the time and batch axes through the jaxpr of
    each function, and raises an error if the function mixes examples or, within `unroll`, time steps. If the jaxpr does
    not decide it, the network runs the function on random numbers and on spikes. This test misses a function that mixes
    only other values. The network does not check functions that take a dictionary or can't run separately, functions in
    your own module outside of a `SpikingSequential`, or any function on a mesh with explicit or manual axes.

    The network converts its inputs to floats, so apply an ``Embedding`` before the network. Spikes can be uint8 or
    bool: `unroll` keeps their dtype and converts one block at a time.

    Args:
      layers: modules and functions.
      return_spikes: If True, the outputs are a pair ``ys, spikes``. ``spikes`` is a dictionary of the outputs of the
        layers that fire, by layer index: ``spikes[1]`` is the output of ``layers[1]``. Layers that fire are LIF layers,
        surrogates, and layers that return such a pair themselves and have ``return_spikes=True``. If False, the network
        drops the spikes of layers that return such a pair.
      mixes_examples: If True, functions among the layers may mix the examples of a batch, as batch statistics do, or
        ``xs`` has no batch axis. The network then does not check for mixed examples.
      events: If True, the matrix products of each ``Linear`` among the layers and of recurrent weights skip zero
        inputs, see :mod:`brainsurr.events`. This is faster on a CPU if few inputs are nonzero. If None, each layer
        keeps its own setting. If False, all products are dense.

    Example:
      >>> import equinox as eqx, jax, jax.numpy as jnp
      >>> from brainsurr.equinox import LI, LIF, SpikingSequential
      >>> first, last = (
      ...     eqx.nn.Linear(*size, key=jax.random.key(0)) for size in ((3, 8), (8, 2))
      ... )
      >>> net = SpikingSequential([first, LIF(8), last, LI(2)])
      >>> carry, ys = net(net.initialize_carry((4, 3)), jnp.ones((10, 4, 3)))
      >>> ys.shape
      (10, 4, 2)
    """

    layers: Sequence[Callable]
    _: dataclasses.KW_ONLY
    return_spikes: bool = eqx.field(static=True, default=False)  # defaults for type checkers
    mixes_examples: bool = eqx.field(static=True, default=False)
    events: bool | None = eqx.field(static=True, default=None)

    def initialize_carry(self, input_shape: tuple[int, ...], key: jax.Array | None = None):
        """Return the initial states of all layers, for inputs of ``input_shape = (*batch, features)``.

        The entry of a stateless layer is None. Each layer receives a separate key, derived from ``key``.
        """

        def start(i, layer, shape):
            return layer.initialize_carry(shape, None if key is None else jax.random.fold_in(key, i))

        def outputs(i, layer, carry, x):  # without a key, a Dropout in training mode raises an error
            return sequential.apply_layer(eqx.nn.inference_mode(layer), carry, x, _call)[1]

        return sequential.first_carries(self.layers, input_shape, start, outputs)

    def __call__(self, carry, xs, *, key: jax.Array | None = None) -> tuple[Any, Any]:
        call = _call if key is None else partial(_call_with_key, key, itertools.count())
        # A Linear has no argument for its product, so `_as_product` also returns the product that skips zeros.
        host = sequential.Host(_over_time, as_product=_as_product, call=call)
        run = partial(sequential.apply_layers, self, host=host)
        return in_blocks(run, carry, xs) if key is None else run(carry, xs)


def _over_time(layer: Any) -> Any:
    """Return a function of time and batch for a module without a state; return any other layer unchanged."""
    if sequential.is_stateful(layer) or not isinstance(layer, eqx.Module):
        return layer
    return _as_product(layer) or jax.vmap(jax.vmap(layer))  # type: ignore[type-var]


def _call(layer, carry, xs):
    return sequential.call_layer(_over_time(layer), carry, xs)


def _call_with_key(key, drawn, layer, carry, xs):
    """Call a layer with the next key if it accepts one. A stateless layer gets a key per time step and example."""
    takes = isinstance(layer, eqx.Module) and not isinstance(layer, Neurons)
    if not takes or "key" not in inspect.signature(layer.__call__).parameters:
        return _call(layer, carry, xs)
    key = jax.random.fold_in(key, next(drawn))
    if sequential.is_stateful(layer):
        return layer(carry, xs, key=key)
    keys = jax.random.split(key, xs.shape[:2])
    return carry, jax.vmap(jax.vmap(lambda x, key: layer(x, key=key)))(xs, keys)


def _as_product(layer) -> Callable | None:
    """Return the matrix product of a Linear over the last axis; None for any other layer."""
    if type(layer) is not eqx.nn.Linear or "scalar" in (layer.in_features, layer.out_features):
        return None

    def product(xs):
        if is_on():
            from .. import events

            ys = events.dot(xs, layer.weight.T)
        else:
            ys = xs @ layer.weight.T
        return ys if layer.bias is None else ys + jnp.broadcast_to(layer.bias, ys.shape)

    return product
