"""Layers of brainstate in a row, and over a long stretch of time."""

from collections.abc import Callable, Iterable
from typing import Any

import brainstate
from brainstate import nn

from .._arguments import ChecksArguments
from .._arrays import as_float
from .._checks import check_function
from .._sequential import check_layers, check_state
from .._time.guard import check_time_steps_alone
from .._time.unroll import unroll_with


class SpikingSequential(ChecksArguments, nn.Module):
    """Layers in a row over time, time first: ``ys = net(xs)`` with ``xs`` as ``[time, batch, ...]``.

    Each layer sees all time steps at once, so a ``Linear`` is one large matrix product. Batch-first data would run
    along the wrong axis: ``xs = jnp.swapaxes(xs, 0, 1)`` turns it around.

    A layer without a state must treat each time step alone, and all alike; one that needs earlier steps keeps a state,
    such as a ``HiddenState``. `unroll` refuses a layer that breaks this, if it can try it. Inputs are read as real
    numbers: an ``Embedding`` comes before the network, not in it.

    Args:
      layers: modules and functions.

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

    def __init__(self, layers: Iterable[Callable]):
        super().__init__()
        self.layers = list(check_layers(layers))

    def init_state(self, batch_size: int | None = None, **kwargs):
        """Make the states of all layers."""
        for layer in self.layers:
            if isinstance(layer, nn.Module):
                nn.init_all_states(layer, batch_size)

    def reset_state(self, batch_size: int | None = None, **kwargs):
        """Set the states of all layers back to what they are before the first step."""
        for layer in self.layers:
            if isinstance(layer, nn.Module):
                nn.reset_all_states(layer, batch_size)

    def update(self, xs):
        xs = as_float(xs, "xs")
        for i, layer in enumerate(self.layers):
            check_time_steps_alone(i, layer, _as_function, xs)
            states: Any = layer.states(brainstate.HiddenState) if isinstance(layer, nn.Module) else {}
            before, ys = [state.value for state in states.values()], layer(xs)
            check_state(layer, xs, before, [state.value for state in states.values()])
            xs = ys
        return xs


def _as_function(layer) -> Callable:
    """Return a layer as a function that leaves all states as they are, and has no output if one is not a parameter."""

    def call(xs):
        with brainstate.StateTraceStack() as trace:
            try:
                ys = layer(xs)
            finally:
                trace.recovery_original_values()
        return ys if all(isinstance(state, brainstate.ParamState) for state in trace.states) else None

    return call


def unroll(
    net: nn.Module,
    xs: Any,
    *,
    block_size: int | None = None,
    remat: str = "none",
    reduce: str | None = None,
):
    """Run a network over a long stretch of time, time first, block by block: :func:`brainsurr.unroll` for a module.

    The state of ``net`` goes from block to block and is left as it is after the last step; a Dropout draws anew for
    each block.

    Args:
      net: a module that is called as ``net(xs)`` over time, such as :class:`SpikingSequential`, with its state made.
      xs: inputs ``[time, ...]``.
      block_size: steps a block; about the square root of their number if None.
      remat: what the backward pass keeps of a block, ``"none"`` (everything), ``"dots"`` or ``"full"`` (nothing).
      reduce: ``"mean"``, ``"max"`` or ``"last"`` over time, in place of all outputs.

    Returns:
      The outputs.

    Raises:
      ValueError: a layer of a :class:`SpikingSequential` has no state and mixes time steps.

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr.brainstate import LI, unroll
      >>> li = LI(1, decay=0.5)
      >>> li.init_state(batch_size=1)
      >>> print(unroll(li, jnp.ones((1000, 1, 1)), remat="full", reduce="last"))
      [[2.]]
    """
    check_function("net", net, "a module, or a function of xs")
    scan, checkpoint = brainstate.transform.scan, brainstate.transform.checkpoint
    return unroll_with(scan, checkpoint, lambda carry, xs: (carry, net(xs)), None, xs, block_size, remat, reduce)[1]
