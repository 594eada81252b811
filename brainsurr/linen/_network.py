"""Networks of Flax Linen layers, and long sequences in blocks of time."""

import dataclasses
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import jax
from flax import linen as nn
from flax.core import DenyList

from .._event_driven import attributes, is_on
from .._time import sequential
from .._time.in_blocks import in_blocks
from .._time.unroll import Transforms, unroll_blocks


class SpikingSequential(nn.Module):
    """Layers in sequence, run over time: ``(carry, xs) -> (carry, ys)`` with ``xs`` as ``[time, batch, ...]``.

    The network runs layer by layer. A layer that has ``initialize_carry`` is called as ``layer(carry, xs)``. Any other
    layer is called once as ``layer(xs)``, on all time steps, so a ``Dense`` is one large matrix product. The first axis
    must be time: transpose batch-first data with ``xs = jnp.swapaxes(xs, 0, 1)``.

    On a CPU, a compiled call that is not differentiated runs in blocks of time steps, which is faster and needs less
    memory. All layers must then be brainsurr neurons or treat each time step separately. A network with any other
    layer, or a layer that draws random numbers or changes a variable, runs layer by layer over the whole sequence.

    A stateless layer must treat each example and each time step separately, and all of them in the same way. A
    layer that depends on earlier steps must keep a state. The network follows the time and batch axes through the jaxpr
    of each layer without a state, and raises an error if the layer mixes examples or, within `unroll`, time steps. If
    the jaxpr does not decide it, the network runs the layer on random numbers, which can miss a layer that mixes only
    some values. The network does not check layers that take a dictionary or can't run separately, layers in your own
    module outside of a `SpikingSequential`, or any layer on a mesh with explicit or manual axes.

    On one device, and in ``jax.shard_map``, the network calls a ``Dense`` on ``[time * batch, features]``, through its
    ``apply``. This is the call that ``nn.intercept_methods`` intercepts.

    The network converts its inputs to floats, so apply an ``Embed`` before the network. Spikes can be uint8 or bool:
    `unroll` keeps their dtype and converts one block at a time. Add a flax cell as ``nn.RNN(cell, time_major=True)``;
    the carry of this layer is the carry of the cell.

    Attributes:
      layers: modules and functions.
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
      >>> import jax, jax.numpy as jnp
      >>> from flax import linen as nn
      >>> from brainsurr.linen import LI, LIF, SpikingSequential
      >>> net = SpikingSequential([nn.Dense(8), LIF(8), nn.Dense(2), LI(2)])
      >>> key = jax.random.key(0)
      >>> xs = jnp.ones((10, 4, 3))
      >>> carry = net.initialize_carry(key, (4, 3))
      >>> variables = net.init(key, carry, xs)
      >>> carry, ys = net.apply(variables, carry, xs)
      >>> ys.shape
      (10, 4, 2)
    """

    layers: Iterable[Callable]
    _: dataclasses.KW_ONLY
    return_spikes: bool = False
    mixes_examples: bool = False
    events: bool | None = None

    def __post_init__(self):
        self.layers = tuple(self.layers)
        sequential.check_network(self)
        super().__post_init__()

    @nn.nowrap
    def initialize_carry(self, rng: jax.Array, input_shape: tuple[int, ...]):
        """Return the initial states of all layers, for inputs of ``input_shape = (*batch, features)``.

        The entry of a stateless layer is None.
        """

        def start(i, layer, shape):
            return layer.initialize_carry(jax.random.fold_in(rng, i), shape)

        return sequential.first_carries(self.layers, input_shape, start, partial(_outputs, rng))

    def __call__(self, carry, xs):
        run = partial(sequential.apply_layers, self, host=_HOST)

        def pure(carry, xs):
            module, variables = self.unbind()
            return nn.apply(partial(sequential.apply_layers, host=_HOST), module)(variables, carry, xs)

        changes = self.scope.mutable or self.scope.rngs  # type: ignore[union-attr]
        return run(carry, xs) if changes else in_blocks(run, carry, xs, pure)


def _as_function(layer) -> Callable | None:
    """Return a layer as a function that raises an error if it writes a variable; None if it has no variables yet."""
    if not isinstance(layer, nn.Module):
        return layer
    if layer.is_initializing():
        return None
    module, variables = layer.unbind()
    return partial(module.apply, variables, rngs=dict.fromkeys(layer.scope.rngs, jax.random.key(0)))  # type: ignore[union-attr]


def _products_follow(layer, are_spikes):
    from ..events import functions_of

    def follow(method, args, kwargs, context):
        module, new = context.module, {}
        kinds = (nn.Dense, nn.DenseGeneral, nn.Conv)
        if is_on() and isinstance(module, kinds) and not sequential.overridden_functions(module):
            new = functions_of(module, are_spikes)
        with attributes([(module, new)]):
            return method(*args, **kwargs)

    return nn.intercept_methods(follow)


def _as_product(layer) -> Callable | None:
    """Return a product over the last axis that flax computes as a function of its variables; None for any other layer.

    None also for a layer that may create its parameters, or whose output ``[time, batch, features]`` may be captured
    as an intermediate.
    """
    kind = type(layer)
    general = kind is nn.DenseGeneral and layer.axis == -1 and not layer.batch_dims
    if not (kind is nn.Dense or general) or sequential.overridden_functions(layer):
        return None
    if layer.is_mutable_collection("params") or layer.is_mutable_collection("intermediates"):
        return None
    module, variables = layer.unbind()
    return partial(module.apply, variables)


def _is_convolution(layer) -> bool:
    """Return whether flax computes a layer as a convolution; False for a subclass with its own ``__call__``.

    False also if its output ``[time, batch, ...]`` may be captured as an intermediate.
    """
    kinds = (nn.Conv, nn.ConvTranspose)
    own = isinstance(layer, kinds) and type(layer).__call__ in [kind.__call__ for kind in kinds]
    return own and not layer.is_mutable_collection("intermediates")


_HOST = sequential.Host(_as_function, _products_follow, _as_product, _is_convolution)


def _outputs(key, i, layer, carry, x):
    """Return the outputs of a layer, initialised or not, for their shape."""
    if not isinstance(layer, nn.Module):
        return layer(x)
    unbound = layer if layer.scope is None else layer.unbind()[0]
    return nn.init_with_output(sequential.apply_layer, unbound)(key, carry, x)[0][1]


def unroll(
    net: nn.Module, carry: Any, xs: Any, *, block_size: int | None = None, remat: str = "none", reduce: Any = None
):
    """Run a network over a long sequence in blocks of time steps: :func:`brainsurr.unroll` for a module.

    State that is not a parameter, such as batch statistics, is passed from block to block and written back to ``net``.
    A Dropout draws a new mask for each block. Values sown into "intermediates" are stacked, one entry per block. Other
    collections must exist before the call.

    Args:
      net: a bound module that is called as ``net(carry, xs)``, such as :class:`SpikingSequential`: a submodule inside a
        method of a module, or ``net.bind(variables)``.
      carry: the state before the first step, from ``net.initialize_carry``.
      xs: inputs ``[time, ...]``.
      block_size: time steps per block. If None, the size is between half and twice the square root of the number of
        steps.
      remat: which part of a block the backward pass recomputes: ``"none"`` nothing, ``"dots"`` everything except matrix
        products, ``"full"`` everything.
      reduce: None returns all outputs. ``"mean"``, ``"max"`` or ``"last"`` returns their reduction over time. For
        several outputs, pass one for each: ``("last", "mean")`` for ``ys, spikes``.

    Returns:
      The carry after the last step, and the outputs.

    Raises:
      ValueError: ``net`` is not bound.
      ValueError: a layer of a :class:`SpikingSequential` is stateless and mixes time steps or examples.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from brainsurr.linen import LI, unroll
      >>> li, xs = LI(1, decay=0.5), jnp.ones((1000, 1, 1))
      >>> carry = li.initialize_carry(jax.random.key(0), (1, 1))
      >>> variables = li.init(jax.random.key(0), carry, xs[:1])
      >>> carry, v = unroll(li.bind(variables), carry, xs, remat="full", reduce="last")
      >>> print(v)
      [[2.]]
    """
    if net.is_initializing():  # create the variables outside of the scan
        net(carry, jax.tree.map(lambda x: x[:1], xs))
    return unroll_blocks(Transforms(_scan, nn.remat), net, carry, xs, block_size, remat, reduce)


def _scan(f, net, carry, xs, unroll):
    """Scan ``f(net, carry, x) -> (carry, y)``: carry the collections that a block may write, share all others.

    Stack sown values. During initialisation, the parameters are created before the scan.
    """
    shared = {name for name in net.variables if not net.is_mutable_collection(name)}
    shared = (shared | ({"params"} if net.is_initializing() else set())) - {"intermediates"}
    loop = nn.scan(
        f,
        variable_axes={"intermediates": 0},
        variable_broadcast=shared,
        variable_carry=DenyList((*shared, "intermediates")),
        split_rngs={"params": False, DenyList("params"): True},
        unroll=unroll,
    )
    return loop(net, carry, xs)
