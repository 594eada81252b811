"""Networks of Flax NNX layers, and long sequences in blocks of time."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
from flax import nnx

from .._event_driven import attributes
from .._time import sequential
from .._time.in_blocks import in_blocks
from .._time.unroll import JAX, unroll_blocks


class SpikingSequential(sequential.SequentialBase, nnx.Module):
    """Layers in sequence over time: ``(carry, xs) -> (carry, ys)`` with ``xs`` as ``[time, batch, ...]``.

    A layer with ``initialize_carry`` is called as ``layer(carry, xs)``, any other layer as ``layer(xs)``. Each call
    gets all time steps, so a ``Linear`` computes one large matrix product. For batch-first data, pass
    ``jnp.swapaxes(xs, 0, 1)``.

    On a CPU, a compiled call that is not differentiated runs in blocks of time steps. This is faster and takes less
    memory. It needs layers that process each time step separately, and neurons of brainsurr; a network with any other
    layer runs layer by layer.

    A layer without a state must process each example separately, and each time step separately and in the same way. The
    network follows the program of such a layer, and raises an error if it mixes examples, or, in `unroll`, time steps.
    If the program does not tell, the network runs the layer on random inputs, and may miss mixing that occurs only for
    other values. It does not check a layer that takes a dictionary or can't run separately, a layer inside your own
    module, or a network on a mesh with explicit or manual axes.

    Inputs are converted to floats, so apply an ``Embed`` before the network. Spikes can be uint8 or bool; `unroll`
    converts one block at a time. To use a cell of flax, add ``nnx.RNN(cell, time_major=True)``, whose carry is the
    carry of the cell.

    Args:
      layers: modules and functions.
      return_spikes: whether to return ``(ys, spikes)`` instead of ``ys``. ``spikes`` is a dictionary: ``spikes[1]`` is
        the output of ``layers[1]``. It has an entry for each layer that fires: LIF layers, a
        :class:`SpikingActivation`, a surrogate, and any layer that returns such a pair itself, because its own
        ``return_spikes`` is True. Otherwise, the spikes of that layer are dropped.
      mixes_examples: whether layers may mix the examples of a batch, as batch statistics do. Also set it if ``xs`` has
        no batch axis. The network then does not check for mixing.
      events: whether all matrix products and convolutions skip zero inputs, see :mod:`brainsurr.events`. This is faster
        on a CPU if most inputs are zero. None leaves each layer as it is; False makes all products dense.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from brainsurr.nnx import LI, LIF, SpikingSequential
      >>> rngs = nnx.Rngs(0)
      >>> first, last = nnx.Linear(3, 8, rngs=rngs), nnx.Linear(8, 2, rngs=rngs)
      >>> net = SpikingSequential([first, LIF(8), last, LI(2)])
      >>> xs = jnp.ones((10, 4, 3))
      >>> carry, ys = net(net.initialize_carry((4, 3)), xs)
      >>> ys.shape
      (10, 4, 2)
    """

    _listed = nnx.List

    def initialize_carry(self, input_shape: tuple[int, ...], rngs: nnx.Rngs | nnx.RngStream | None = None):
        """Return the initial states of all layers, for inputs of ``input_shape = (*batch, features)``.

        The entry of a layer without a state is None. ``carry_init`` draws different numbers for each layer, from seed 0
        if ``rngs`` is None.
        """
        rngs = nnx.Rngs(0) if rngs is None else rngs

        def outputs(i, layer, carry, x):
            copy = nnx.clone(self)  # a Dropout would keep a traced key
            return sequential.apply_layer(copy.layers[i], carry, x)[1]

        def start(i, layer, shape):
            return layer.initialize_carry(shape, rngs)

        return sequential.first_carries(self.layers, input_shape, start, outputs)

    def __call__(self, carry, xs):
        run = partial(sequential.apply_layers, self, host=_HOST)
        captures = hasattr(self, "__captures__")  # `nnx.capture` stores the outputs of all time steps
        return run(carry, xs) if captures else in_blocks(run, carry, xs)


def _as_function(layer) -> Callable:
    """Return a layer as a function without changes, and without an output if it makes any."""
    if not isinstance(layer, nnx.Module):
        return layer

    def call(xs):
        copy = nnx.clone(layer)  # made in the trace that writes to its counters
        before = _values(nnx.state(copy, _OTHER))
        ys = copy(xs)
        return None if _changed(before, _values(nnx.state(copy, _OTHER))) else ys

    return call


_OTHER = nnx.Not(nnx.Any(nnx.Param, nnx.RngState))  # variables that a layer in training may change


def _products_follow(layer, are_spikes):
    from ..events import functions_of

    modules = [module for _, module in nnx.iter_modules(layer)] if isinstance(layer, nnx.Module) else []
    kinds = (nnx.Linear, nnx.LinearGeneral, nnx.Conv)
    ours = [module for module in modules if isinstance(module, kinds) and not sequential.overridden_functions(module)]
    return attributes((module, functions_of(module, are_spikes)) for module in ours)


def _as_product(layer) -> Callable | None:
    """Return a product over the last axis that flax computes; None for any other layer."""
    kind = type(layer)
    general = kind is nnx.LinearGeneral and layer.axis == (-1,) and not layer.batch_axis
    if not (kind is nnx.Linear or general) or _CALLS[kind] is not kind.__call__:
        return None
    return None if sequential.overridden_functions(layer) else layer


def _is_convolution(layer) -> bool:
    """Return whether flax computes a layer as a convolution; not if a subclass is called otherwise."""
    kinds = (nnx.Conv, nnx.ConvTranspose)
    return isinstance(layer, kinds) and type(layer).__call__ in [_CALLS[kind] for kind in kinds]


# `nnx.capture` replaces these for a while, to store their outputs, which must be ``[time, batch, features]``.
_CALLS = {kind: kind.__call__ for kind in (nnx.Linear, nnx.LinearGeneral, nnx.Conv, nnx.ConvTranspose)}

_HOST = sequential.Host(_as_function, _products_follow, _as_product, _is_convolution)


def unroll(
    net: nnx.Module, carry: Any, xs: Any, *, block_size: int | None = None, remat: str = "none", reduce: Any = None
):
    """Run a network over a long sequence in blocks of time steps: :func:`brainsurr.unroll` for a module.

    State that is not a parameter (batch statistics, the keys of a Dropout) is passed from block to block and written
    back to ``net``; a Dropout draws a new mask for each block. ``net`` can't create variables, so it can't ``sow``: a
    network with ``return_spikes=True`` returns the spikes of its layers.

    Args:
      net: a module that is called as ``net(carry, xs)``, such as :class:`SpikingSequential`.
      carry: its state before the first step, from ``net.initialize_carry``.
      xs: inputs ``[time, ...]``.
      block_size: time steps per block. If None, from half to twice the square root of their number.
      remat: how much of a block the backward pass recomputes: ``"none"`` nothing, ``"dots"`` everything except matrix
        products, ``"full"`` everything.
      reduce: ``"mean"``, ``"max"`` or ``"last"`` returns this reduction over time instead of all outputs. For several
        outputs, pass one string for each: ``("last", "mean")`` for ``ys, spikes``.

    Returns:
      The carry after the last step, and the outputs.

    Raises:
      ValueError: ``net`` writes to an ``nnx.Param`` or creates a variable; a layer of a :class:`SpikingSequential` has
        no state and mixes time steps or examples.

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr.nnx import LI, unroll
      >>> li = LI(1, decay=0.5)
      >>> carry, xs = li.initialize_carry((1, 1)), jnp.ones((1000, 1, 1))
      >>> carry, v = unroll(li, carry, xs, remat="full", reduce="last")
      >>> print(v)
      [[2.]]
    """
    parts: Any = nnx.split(net, nnx.Param, ...)
    graphdef, params, state = parts
    fixed = _values(params)
    written: set[Any] = set()  # write only these back: a variable that is only read may belong to another trace

    def block(carry, xs):
        carry, state = carry
        before = _values(state)  # before the call, which changes the variables in place
        net = nnx.clone(nnx.merge(graphdef, params, state))  # of this trace, as an `nnx.RNN` asks
        carry, ys = net(carry, xs)
        parts: Any = nnx.split(net, nnx.Param, ...)
        after = _values(parts[2])
        if changed := _changed(fixed, _values(parts[1])):
            how = "which all blocks share. Use nnx.Variable, which is passed from block to block"
            raise ValueError(f"unroll: net changed the nnx.Param {_names(changed)}, {how}")
        if new := after.keys() - before.keys():
            raise ValueError(f"unroll: expected net to create no new variables, it created {_names(new)}")
        written.update(_changed(before, after))
        return (carry, parts[2]), ys

    (carry, state), ys = unroll_blocks(JAX, block, (carry, state), xs, block_size, remat, reduce)
    if written:
        nnx.update(net, nnx.from_flat_state([entry for entry in nnx.to_flat_state(state) if entry[0] in written]))
    return carry, ys


def _values(state) -> dict[tuple[Any, ...], list[Any]]:
    """Return the arrays of each variable of a state, by path."""
    return {path: jax.tree.leaves(variable) for path, variable in nnx.to_flat_state(state)}


def _changed(before, after) -> list[tuple[Any, ...]]:
    """Return the paths of variables that hold other objects than before, or that only one of two states has."""

    def objects(values, path):
        return [id(array) for array in values.get(path, [None])]

    return [path for path in before | after if objects(before, path) != objects(after, path)]


def _names(paths) -> str:
    return ", ".join(".".join(map(str, path)) for path in paths)
