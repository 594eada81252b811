"""Layers of Flax NNX in a row, and over a long stretch of time."""

import operator
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from .._arguments import ChecksArguments
from .._checks import check_input_shape, check_kind
from .._sequential import apply_layer, apply_layers, check_layers, is_stateful, step_shape
from .._time.unroll import unroll as unroll_blocks


class SpikingSequential(ChecksArguments, nnx.Module):
    """Layers in a row over time, time first: ``(carry, xs) -> (carry, ys)`` with ``xs`` as ``[time, batch, ...]``.

    A layer that has ``initialize_carry`` is called as ``layer(carry, xs)``, any other as ``layer(xs)`` on all time
    steps at once, so a ``Linear`` is one large matrix product. Batch-first data would run along the wrong axis:
    ``xs = jnp.swapaxes(xs, 0, 1)`` turns it around.

    A layer without a state must treat each time step alone, and all alike; one that needs earlier steps keeps a state.
    `unroll` refuses a layer that breaks this, if it can try it. Inputs are read as real numbers: an ``Embed`` comes
    before the network, not in it. A cell of flax goes in as ``nnx.RNN(cell, time_major=True)``, which starts from its
    first state at each call.

    Args:
      layers: modules and functions.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from brainsurr.nnx import LI, LIF, SpikingSequential
      >>> rngs = nnx.Rngs(0)
      >>> net = SpikingSequential([nnx.Linear(3, 8, rngs=rngs), LIF(8), nnx.Linear(8, 2, rngs=rngs), LI(2)])
      >>> xs = jnp.ones((10, 4, 3))
      >>> carry, ys = net(net.initialize_carry(xs.shape[1:]), xs)
      >>> ys.shape
      (10, 4, 2)
    """

    def __init__(self, layers: Iterable[Callable]):
        self.layers = nnx.List(check_layers(layers))

    def initialize_carry(self, input_shape: tuple[int, ...], rngs: nnx.Rngs | nnx.RngStream | None = None):
        """The states of all layers, None for one that has none, for inputs of ``input_shape = (*batch, features)``.

        What ``carry_init`` draws is check_drawn_shape anew for each layer, without ``rngs`` from seed 0.
        """
        carries: list[Any] = []
        rngs = nnx.Rngs(0) if rngs is None else rngs
        x = jax.ShapeDtypeStruct((1, *check_input_shape("SpikingSequential", None, input_shape)), jnp.float32)
        graphdef, state = nnx.split(self)  # shapes are found on a copy: a Dropout would leave a traced key behind
        layer: Any
        for i, layer in enumerate(self.layers):
            carries.append(layer.initialize_carry(step_shape(x), rngs) if is_stateful(layer) else None)

            def ys(state, carry, x, i=i):
                return apply_layer(nnx.merge(graphdef, state).layers[i], carry, x)[1]

            x = jax.eval_shape(ys, state, carries[i], x)
        return tuple(carries)

    def __call__(self, carry, xs):
        return apply_layers(self.layers, carry, xs, _as_function)


def _as_function(layer) -> Callable | None:
    """Return a layer as a function that counts no random key; None if it has a state, such as batch statistics."""
    if not isinstance(layer, nnx.Module):
        return layer
    if nnx.state(layer, nnx.Not(nnx.Any(nnx.Param, nnx.RngState))):
        return None
    return lambda xs: nnx.clone(layer)(xs)  # cloned in the trace in which it counts


def unroll(
    net: nnx.Module,
    carry: Any,
    xs: Any,
    *,
    block_size: int | None = None,
    remat: str = "none",
    reduce: str | None = None,
):
    """Run a network over a long stretch of time, time first, block by block: :func:`brainsurr.unroll` for a module.

    State that is not a parameter (batch statistics, the keys of a Dropout) goes from block to block and ends up in
    ``net``; a Dropout draws anew for each block. Variables must be there before, so nothing can be sown inside.

    Args:
      net: a module that is called as ``net(carry, xs)``, such as :class:`SpikingSequential`.
      carry: its state before the first step, from ``net.initialize_carry``.
      xs: inputs ``[time, ...]``.
      block_size: steps a block; about the square root of their number if None.
      remat: what the backward pass keeps of a block, ``"none"`` (everything), ``"dots"`` or ``"full"`` (nothing).
      reduce: ``"mean"``, ``"max"`` or ``"last"`` over time, in place of all outputs.

    Returns:
      The carry after the last step, and the outputs.

    Raises:
      ValueError: a layer of a :class:`SpikingSequential` has no state and mixes time steps.

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr.nnx import LI, unroll
      >>> li = LI(1, decay=0.5)
      >>> carry, v = unroll(li, li.initialize_carry((1, 1)), jnp.ones((1000, 1, 1)), remat="full", reduce="last")
      >>> print(v)
      [[2.]]
    """
    check_kind("net", net, nnx.Module)
    parts: Any = nnx.split(net, nnx.Param, ...)
    graphdef, params, state = parts
    written: set[Any] = set()  # what is only read stays as it is: it may belong to another trace than this one

    def block(carry, xs):
        carry, state = carry
        before = _values(state)  # now: the network shares its variables
        net = nnx.merge(graphdef, params, state)
        carry, ys = net(carry, xs)
        parts: Any = nnx.split(net, nnx.Param, ...)
        after = _values(parts[2])
        if new := [".".join(map(str, path)) for path in after if path not in before]:
            raise ValueError(f"unroll: expected net to keep the variables that it has, it made {', '.join(new)}")
        written.update(path for path, values in after.items() if not _same(values, before[path]))
        return (carry, parts[2]), ys

    (carry, state), ys = unroll_blocks(block, (carry, state), xs, block_size=block_size, remat=remat, reduce=reduce)
    if written:
        nnx.update(net, nnx.from_flat_state([entry for entry in nnx.to_flat_state(state) if entry[0] in written]))
    return carry, ys


def _values(state) -> dict[tuple[Any, ...], list[Any]]:
    """The arrays that each variable of a state holds, by path."""
    return {path: jax.tree.leaves(variable) for path, variable in nnx.to_flat_state(state)}


def _same(left: list[Any], right: list[Any]) -> bool:
    """Whether these are the very same arrays."""
    return len(left) == len(right) and all(map(operator.is_, left, right))
