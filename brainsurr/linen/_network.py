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
    """Layers in a row over time, time first: ``(carry, xs) -> (carry, ys)`` with ``xs`` as ``[time, batch, ...]``.

    A layer that has ``initialize_carry`` is called as ``layer(carry, xs)``, any other as ``layer(xs)`` on all time
    steps at once, so a ``Dense`` is one large matrix product. Batch-first data would run along the wrong axis:
    ``xs = jnp.swapaxes(xs, 0, 1)`` turns it around.

    A layer without a state must treat each example of the batch alone, and each time step, all in the same way; one
    that needs earlier steps keeps a state. A network follows time and batch through the program of such a layer,
    and raises an error for one that mixes examples; within `unroll`, for one that mixes time steps too. Where the
    program does not tell, it tries the layer on random numbers and on spikes, and does not see mixing that shows
    with other values alone. It does not check layers that take a dictionary or can't run separately, those of a
    module of your own outside of a `SpikingSequential`, or any on a mesh with explicit or manual axes.

    On one device, and in ``jax.shard_map``, a ``Dense`` gets ``[time * batch, features]``, by a function of its
    variables: what is given to ``nn.intercept_methods`` sees that call.

    Inputs become real numbers, so put an ``Embed`` before the network; spikes can be uint8 or bool, which `unroll`
    keeps, but for one block at a time. Add a cell of flax as ``nn.RNN(cell, time_major=True)``, whose carry is
    that of the cell.

    Attributes:
      layers: modules and functions.
      return_spikes: whether the outputs are a pair, ``ys, spikes``: a dictionary of what each layer that fires returns,
        by its index in ``layers``, not a list: ``spikes[1]`` is what ``layers[1]`` returns. Layers that fire are LIF
        layers, a :class:`SpikingActivation`, a surrogate, and any whose own ``return_spikes`` is True and which returns
        such a pair. Elsewhere, that one's spikes are dropped.
      mixes_examples: whether layers may mix the examples of a batch, as statistics over it do, or ``xs`` has no batch
        axis: then none is tried for that.
      events: whether the products of all layers, at any depth, pass over what is 0, as :mod:`brainsurr.events` says,
        which is faster on a CPU where few inputs are not 0. None leaves each layer as it is; False makes all dense.

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

        A layer without a state has None.
        """

        def start(i, layer, shape):
            return layer.initialize_carry(jax.random.fold_in(rng, i), shape)

        return sequential.first_carries(self.layers, input_shape, start, partial(_outputs, rng))

    def __call__(self, carry, xs):
        run = partial(sequential.apply_layers, self, host=_HOST)
        def pure(carry, xs):
            module, variables = self.unbind()
            return module.apply(variables, carry, xs)

        return run(carry, xs) if self.scope.mutable else in_blocks(run, carry, xs, pure)  # type: ignore[union-attr]


def _as_function(layer) -> Callable | None:
    """Return a layer as a function, which fails to change a variable; None if it has no variables yet."""
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

    And None for one that may make its parameters, or whose output may be wanted as an intermediate
    ``[time, batch, features]``.
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
    """Return whether flax computes a layer as a convolution; not if a subclass is called otherwise.

    And not where its output may be wanted as an intermediate ``[time, batch, ...]``.
    """
    kinds = (nn.Conv, nn.ConvTranspose)
    own = isinstance(layer, kinds) and type(layer).__call__ in [kind.__call__ for kind in kinds]
    return own and not layer.is_mutable_collection("intermediates")


_HOST = sequential.Host(_as_function, _products_follow, _as_product, _is_convolution)


def _outputs(key, i, layer, carry, x):
    """Return the outputs of a layer that need not be initialised, for their shape."""
    if not isinstance(layer, nn.Module):
        return layer(x)
    unbound = layer if layer.scope is None else layer.unbind()[0]
    return nn.init_with_output(sequential.apply_layer, unbound)(key, carry, x)[0][1]


def unroll(
    net: nn.Module, carry: Any, xs: Any, *, block_size: int | None = None, remat: str = "none", reduce: Any = None
):
    """Run a network over a long sequence, time first, in blocks of time: :func:`brainsurr.unroll` for a module.

    State that is not a parameter (batch statistics, say) is passed from block to block and written back to ``net``; a
    Dropout draws a new mask for each block. Values sown into "intermediates" are stacked, one entry per block. Other
    collections must exist before the call.

    Args:
      net: a bound module that is called as ``net(carry, xs)``, such as :class:`SpikingSequential`: a submodule inside
        a method of a module, or ``net.bind(variables)``.
      carry: its state before the first step, from ``net.initialize_carry``.
      xs: inputs ``[time, ...]``.
      block_size: time steps per block; if None, from half to twice the square root of their number.
      remat: how much of a block the backward pass recomputes: ``"none"``, all but matrix products (``"dots"``), or
        everything (``"full"``).
      reduce: return the ``"mean"``, ``"max"`` or ``"last"`` over time in place of all outputs; or one for each of
        several outputs, ``("last", "mean")`` for ``ys, spikes``.

    Returns:
      The carry after the last step, and the outputs.

    Raises:
      ValueError: ``net`` is not bound; a layer of a :class:`SpikingSequential` has no state and mixes time steps.

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
    if net.scope is None:
        raise ValueError("unroll: expected a bound module: in a method, or unroll(net.bind(variables), carry, xs)")
    if net.is_initializing():  # create the variables outside of the scan
        net(carry, jax.tree.map(lambda x: x[:1], xs))
    return unroll_blocks(Transforms(_scan, nn.remat), net, carry, xs, block_size, remat, reduce)


def _scan(f, net, carry, xs, unroll):
    """Scan ``f(net, carry, x) -> (carry, y)``: carry the collections that a block may write to, share all others.

    Stack sown values. A network that is initialised writes its parameters before.
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
