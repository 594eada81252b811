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
    """Layers in sequence over time: ``(carry, xs) -> (carry, ys)`` with ``xs`` as ``[time, batch, ...]``.

    A layer with ``initialize_carry`` is called as ``layer(carry, xs)``, any other layer as ``layer(xs)``. Each call
    gets all time steps. A module of Equinox takes one example, so it is mapped over time and batch; a ``Linear``
    computes one large matrix product. A function gets ``[time, batch, ...]``. For batch-first data, pass
    ``jnp.swapaxes(xs, 0, 1)``.

    On a CPU, a compiled call that is not differentiated runs in blocks of time steps. This is faster and takes less
    memory. It needs layers that process each time step separately, and neurons of brainsurr; a network with any other
    layer runs layer by layer.

    ``net(carry, xs, key=key)`` passes a different key to each layer that takes one, such as a Dropout, but not to
    neurons, which fire at their threshold. For random spikes, call ``lif(carry, xs, key=key)`` in your own module.

    Args:
      layers: modules and functions.
      return_spikes: whether to return ``(ys, spikes)`` instead of ``ys``. ``spikes`` is a dictionary: ``spikes[1]`` is
        the output of ``layers[1]``.
      mixes_examples: whether functions among the layers may mix the examples of a batch. Also set it if ``xs`` has no
        batch axis.
      events: whether the products of each ``Linear`` among the layers and of recurrent weights skip zero inputs, see
        :mod:`brainsurr.events`. This is faster on a CPU if most inputs are zero.

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

        The entry of a layer without a state is None.
        """

        def start(i, layer, shape):
            return layer.initialize_carry(shape, None if key is None else jax.random.fold_in(key, i))

        def outputs(i, layer, carry, x):  # without a key, a Dropout has no shape in training
            return sequential.apply_layer(eqx.nn.inference_mode(layer), carry, x, _call)[1]

        return sequential.first_carries(self.layers, input_shape, start, outputs)

    def __call__(self, carry, xs, *, key: jax.Array | None = None) -> tuple[Any, Any]:
        call = _call if key is None else partial(_call_with_key, key, itertools.count())
        # A Linear has no argument for its product, so `_as_product` also gives the product that skips zeros.
        host = sequential.Host(_over_time, as_product=_as_product, call=call)
        run = partial(sequential.apply_layers, self, host=host)
        return in_blocks(run, carry, xs) if key is None else run(carry, xs)


def _over_time(layer: Any) -> Any:
    """Return what calls a layer without a state on time and batch at once; a layer with one as it is."""
    if sequential.is_stateful(layer) or not isinstance(layer, eqx.Module):
        return layer
    return _as_product(layer) or jax.vmap(jax.vmap(layer))  # type: ignore[type-var]


def _call(layer, carry, xs):
    return sequential.call_layer(_over_time(layer), carry, xs)


def _call_with_key(key, drawn, layer, carry, xs):
    """Call a module that takes a key with the next one; of no state, with one for each time step and example."""
    takes = isinstance(layer, eqx.Module) and not isinstance(layer, Neurons)
    if not takes or "key" not in inspect.signature(layer.__call__).parameters:
        return _call(layer, carry, xs)
    key = jax.random.fold_in(key, next(drawn))
    if sequential.is_stateful(layer):
        return layer(carry, xs, key=key)
    keys = jax.random.split(key, xs.shape[:2])
    return carry, jax.vmap(jax.vmap(lambda x, key: layer(x, key=key)))(xs, keys)


def _as_product(layer) -> Callable | None:
    """Return the product of a Linear over the last axis; None for any other layer."""
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
