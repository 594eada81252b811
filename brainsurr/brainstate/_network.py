"""Networks of brainstate layers, and long sequences in blocks of time."""

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import brainstate
import jax.numpy as jnp
from brainstate import nn

from .._arrays import as_float
from .._event_driven import attributes
from .._time.guard import NeedsAllSteps
from .._time.in_blocks import in_blocks
from .._time.sequential import Host, SequentialBase, apply_layers
from .._time.unroll import transforms_of, unroll_blocks
from ._activation import preserve_states


class SpikingSequential(SequentialBase, nn.Module):
    """Layers in sequence, run over time: ``ys = net(xs)`` with ``xs`` as ``[time, batch, ...]``.

    The network runs layer by layer. Each layer is called once, on all time steps, so a ``Linear`` is one large matrix
    product. The first axis must be time: transpose batch-first data with ``xs = jnp.swapaxes(xs, 0, 1)``.

    On a CPU, a compiled call that is not differentiated runs in blocks of time steps, which is faster and needs less
    memory. All layers must then be brainsurr neurons or treat each time step separately. A network with any other
    layer, or a layer that draws random numbers or changes a variable, runs layer by layer over the whole sequence.

    A stateless layer must treat each example and each time step separately, and all of them in the same way. A
    layer that depends on earlier steps must keep a state, such as a ``HiddenState``. The network follows the time and
    batch axes through the jaxpr of each layer without a state, and raises an error if the layer mixes examples or,
    within `unroll`, time steps. If the jaxpr does not decide it, the network runs the layer on random numbers, which
    can miss a layer that mixes only some values. The network does not check layers that take a dictionary or can't run
    separately, layers in your own module outside of a `SpikingSequential`, or any layer on a mesh with explicit or
    manual axes.

    The network converts its inputs to floats, so apply an ``Embedding`` before the network. Spikes can be uint8 or
    bool: `unroll` keeps their dtype and converts one block at a time.

    Args:
      layers: modules and functions. The network does not include the states of a module inside a function, except
        in ``jax.vmap(module.update)``.
      return_spikes: If True, the outputs are a pair ``ys, spikes``. ``spikes`` is a dictionary of the outputs of the
        layers that fire, by layer index: ``spikes[1]`` is the output of ``layers[1]``. Layers that fire are neurons,
        :class:`SpikingActivation` layers, surrogates, and layers that return such a pair themselves and have
        ``return_spikes=True``. If False, the network drops the spikes of layers that return such a pair.
      mixes_examples: If True, layers may mix the examples of a batch, as batch statistics do, or ``xs`` has no batch
        axis. The network then does not check for mixed examples.
      events: If True, the matrix products and convolutions of all layers, at any depth, skip zero inputs, see
        :mod:`brainsurr.events`. This is faster on a CPU if few inputs are nonzero. If None, each layer keeps its own
        setting. If False, all products are dense.

    Example:
      >>> import brainstate, jax.numpy as jnp
      >>> from functools import partial
      >>> from brainsurr.brainstate import LI, LIF, SpikingSequential
      >>> linear = partial(brainstate.nn.Linear, b_init=None)
      >>> net = SpikingSequential([linear(3, 8), LIF(8), linear(8, 2), LI(2)])
      >>> net.init_state(batch_size=4)
      >>> net(jnp.ones((10, 4, 3))).shape
      (10, 4, 2)
    """

    def _listed(self, layers):
        self.mapped = list(filter(None, map(mapped, layers)))  # registers their parameters in the network
        return list(layers)

    def init_state(self, batch_size: int | None = None, **kwargs):
        """Create the states of all layers."""
        nn.init_all_states(self.layers, batch_size)

    def reset_state(self, batch_size: int | None = None, **kwargs):
        """Reset the states of all layers to their values before the first step."""
        nn.reset_all_states(self.layers, batch_size)

    def update(self, xs):
        states = list(map(_hidden_states, self.layers))

        def values():
            return [[state.value for state in of_layer] for of_layer in states]

        def set_values(carry):
            for state, value in zip(itertools.chain(*states), itertools.chain(*carry), strict=True):
                state.value = value

        def run(carry, xs):
            ys = apply_layers(self, carry, xs, _HOST)[1]
            return values(), ys

        def pure(carry, xs):
            with preserve_states() as trace:
                set_values(carry)
                result = run(carry, xs)
            if not {*map(id, trace.get_write_states())} <= {*map(id, itertools.chain(*states))}:
                raise NeedsAllSteps
            return result

        carry, ys = in_blocks(run, values(), xs, pure)
        set_values(carry)
        return ys


def mapped(layer) -> Any:
    """Return the module of ``jax.vmap(module.update)``; None for any other layer."""
    inside = getattr(layer, "__wrapped__", None)
    module = getattr(inside, "__self__", None)
    return module if isinstance(module, nn.Module) and inside == module.update else None


def _hidden_states(layer) -> list[Any]:
    states: Any = layer.states(brainstate.HiddenState) if isinstance(layer, nn.Module) else {}
    return list(states.values())


def _call_layer(layer, carry, xs):
    """Call a layer, and return the values of its states after the call as its carry."""
    ys = layer(xs)
    return [state.value for state in _hidden_states(layer)], ys


def _as_function(layer) -> Callable:
    """Return a layer as a function that changes no state, and returns None if the layer would write one."""

    def call(xs):
        with preserve_states() as trace:
            ys = layer(xs)
        return None if trace.get_write_states() else ys

    return call


def _products_follow(layer, are_spikes):
    """Replace a method of linear layers and convolutions until the block ends, since they accept no product."""
    from .. import events

    def methods():
        functions = events.functions(are_spikes)
        for module in brainstate.graph.nodes(layer).values() if isinstance(layer, nn.Module) else ():
            if type(module) is nn.Linear and "update" not in vars(module):
                yield module, {"update": partial(_linear, module, functions["dot_general"])}
            is_plain = isinstance(module, nn.Conv2d) and type(module)._conv_op is nn.Conv2d._conv_op
            if is_plain and "_conv_op" not in vars(module):
                yield module, {"_conv_op": partial(_convolve, module, functions["conv_general_dilated"])}

    return attributes(methods())


def _factors(layer, x, params):
    weight = params["weight"] if layer.w_mask is None else params["weight"] * layer.w_mask
    return x if weight.dtype == jnp.float32 else as_float(x), weight


def _linear(layer, dot_general, x):
    """Compute ``brainstate.nn.Linear`` with the given matrix product."""
    params = layer.weight.value
    x, weight = _factors(layer, x, params)
    y = dot_general(x, weight, (((x.ndim - 1,), (0,)), ((), ())))
    return y + params["bias"] if "bias" in params else y


def _convolve(layer, conv_general_dilated, x, params):
    """Compute a brainstate convolution with the given function."""
    x, weight = _factors(layer, x, params)
    how = layer.stride, layer.padding, layer.lhs_dilation, layer.rhs_dilation, layer.dimension_numbers
    y = conv_general_dilated(x, weight, *how, feature_group_count=layer.groups)
    return y + params["bias"] if "bias" in params else y


def _as_product(layer) -> Callable | None:
    """Return a linear layer, which is a product over the last axis; None for any other layer."""
    return layer if type(layer) is nn.Linear else None


_HOST = Host(_as_function, _products_follow, _as_product, call=_call_layer)


def unroll(net: nn.Module, xs: Any, *, block_size: int | None = None, remat: str = "none", reduce: Any = None):
    """Run a network over a long sequence in blocks of time steps: :func:`brainsurr.unroll` for a module.

    The state of ``net`` is passed from block to block, and ``net`` keeps the state after the last step. A Dropout draws
    a new mask for each block.

    Args:
      net: a module that is called as ``net(xs)`` over time, such as :class:`SpikingSequential`, after ``init_state``.
      xs: inputs ``[time, ...]``.
      block_size: time steps per block. If None, the size is between half and twice the square root of the number of
        steps.
      remat: which part of a block the backward pass recomputes: ``"none"`` nothing, ``"dots"`` everything except matrix
        products, ``"full"`` everything.
      reduce: None returns all outputs. ``"mean"``, ``"max"`` or ``"last"`` returns their reduction over time. For
        several outputs, pass one for each: ``("last", "mean")`` for ``ys, spikes``.

    Returns:
      The outputs.

    Raises:
      ValueError: a layer of a :class:`SpikingSequential` is stateless and mixes time steps or examples.

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr.brainstate import LI, unroll
      >>> li = LI(1, decay=0.5)
      >>> li.init_state(batch_size=1)
      >>> print(unroll(li, jnp.ones((1000, 1, 1)), remat="full", reduce="last"))
      [[2.]]
    """
    transforms = transforms_of(brainstate.transform.scan, brainstate.transform.checkpoint)
    return unroll_blocks(transforms, lambda carry, xs: (carry, net(xs)), None, xs, block_size, remat, reduce)[1]
