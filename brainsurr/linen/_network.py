"""Layers of Flax Linen in a row, and over a long stretch of time."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.core import DenyList

from .._arguments import ChecksArguments
from .._checks import check_input_shape, check_kind
from .._sequential import apply_layer, apply_layers, check_layers, is_stateful, step_shape
from .._time.unroll import unroll_with


class SpikingSequential(ChecksArguments, nn.Module):
    """Layers in a row over time, time first: ``(carry, xs) -> (carry, ys)`` with ``xs`` as ``[time, batch, ...]``.

    A layer that has ``initialize_carry`` is called as ``layer(carry, xs)``, any other as ``layer(xs)`` on all time
    steps at once, so a ``Dense`` is one large matrix product. Batch-first data would run along the wrong axis:
    ``xs = jnp.swapaxes(xs, 0, 1)`` turns it around.

    A layer without a state must treat each time step alone, and all alike; one that needs earlier steps keeps a state.
    `unroll` refuses a layer that breaks this, if it can try it. Inputs are read as real numbers: an ``Embed`` comes
    before the network, not in it. A cell of flax goes in as ``nn.RNN(cell, time_major=True)``, which starts from its
    first state at each call.

    Attributes:
      layers: modules and functions.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from flax import linen as nn
      >>> from brainsurr.linen import LI, LIF, SpikingSequential
      >>> net, key = SpikingSequential([nn.Dense(8), LIF(8), nn.Dense(2), LI(2)]), jax.random.key(0)
      >>> xs = jnp.ones((10, 4, 3))
      >>> carry = net.initialize_carry(key, xs.shape[1:])
      >>> variables = net.init(key, carry, xs)
      >>> carry, ys = net.apply(variables, carry, xs)
      >>> ys.shape
      (10, 4, 2)
    """

    layers: Iterable[Callable]

    def __post_init__(self):
        object.__setattr__(self, "layers", check_layers(self.layers))
        super().__post_init__()

    @nn.nowrap
    def initialize_carry(self, rng: jax.Array, input_shape: tuple[int, ...]):
        """The states of all layers, None for one that has none, for inputs of ``input_shape = (*batch, features)``."""
        carries: list[Any] = []
        x = jax.ShapeDtypeStruct((1, *check_input_shape("SpikingSequential", None, input_shape)), jnp.float32)
        layer: Any
        for i, layer in enumerate(self.layers):
            key = jax.random.fold_in(rng, i)
            carries.append(layer.initialize_carry(key, step_shape(x)) if is_stateful(layer) else None)
            x = jax.eval_shape(partial(_outputs, layer), key, carries[i], x)
        return tuple(carries)

    def __call__(self, carry, xs):
        return apply_layers(self.layers, carry, xs, _as_function)


def _as_function(layer) -> Callable | None:
    """Return a layer as a function of its variables as they are; None if it has a state, such as batch statistics."""
    if not isinstance(layer, nn.Module):
        return layer
    if layer.is_initializing():
        return None
    module, variables = layer.unbind()
    return None if set(variables) - {"params"} else partial(module.apply, variables)


def _outputs(layer, key, carry, x):
    """What a layer that need not be initialised yet returns, for its shape."""
    if not isinstance(layer, nn.Module):
        return layer(x)
    unbound = layer if layer.scope is None else layer.unbind()[0]
    return nn.init_with_output(apply_layer, unbound)(key, carry, x)[0][1]


def unroll(
    net: nn.Module,
    carry: Any,
    xs: Any,
    *,
    block_size: int | None = None,
    remat: str = "none",
    reduce: str | None = None,
):
    """Run a network over a long stretch of time, time first, block by block: :func:`brainsurr.unroll` for a module.

    State that is not a parameter (batch statistics, say) goes from block to block and ends up in ``net``; a Dropout
    draws anew for each block. What is sown into "intermediates" comes out stacked, an entry a block; another
    collection must be there before.

    Args:
      net: a bound module that is called as ``net(carry, xs)``, such as :class:`SpikingSequential`: one inside a
        module's own method, or ``net.bind(variables)``.
      carry: its state before the first step, from ``net.initialize_carry``.
      xs: inputs ``[time, ...]``.
      block_size: steps a block; about the square root of their number if None.
      remat: what the backward pass keeps of a block, ``"none"`` (everything), ``"dots"`` or ``"full"`` (nothing).
      reduce: ``"mean"``, ``"max"`` or ``"last"`` over time, in place of all outputs.

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
    check_kind("net", net, nn.Module)
    if net.scope is None:
        raise ValueError(
            "unroll: expected a bound module: inside a module's method, or unroll(net.bind(variables), carry, xs)"
        )
    if net.is_initializing():  # variables are made outside of the loop
        net(carry, jax.tree.map(lambda x: x[:1], xs))
    # Inside a lifted scan or remat, flax calls with another copy of the module: the last one is the one to use.
    copies = [net]

    def lifted(run):
        def call(copy, carry, xs):
            copies.append(copy)
            try:
                return run(carry, xs)
            finally:
                copies.pop()

        return call

    def scan(run, carry, xs):
        rngs: dict[Any, bool] = {"params": False, DenyList("params"): True}
        state = DenyList(("params", "intermediates"))
        sown: dict[Any, Any] = {"intermediates": 0}
        loop = nn.scan(
            lifted(run), variable_axes=sown, variable_broadcast="params", variable_carry=state, split_rngs=rngs
        )
        return loop(copies[-1], carry, xs)

    def checkpoint(run, **options):
        return lambda carry, xs: nn.remat(lifted(run), **options)(copies[-1], carry, xs)

    def block(carry, xs):
        return copies[-1](carry, xs)

    return unroll_with(scan, checkpoint, block, carry, xs, block_size, remat, reduce)
