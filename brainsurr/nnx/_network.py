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
    """Layers in sequence, run over time: ``(carry, xs) -> (carry, ys)`` with ``xs`` as ``[time, batch, ...]``.

    The network runs layer by layer. A layer that has ``initialize_carry`` is called as ``layer(carry, xs)``. Any other
    layer is called once as ``layer(xs)``, on all time steps, so a ``Linear`` is one large matrix product. The first
    axis must be time: transpose batch-first data with ``xs = jnp.swapaxes(xs, 0, 1)``.

    On a CPU, a compiled call that is not differentiated runs in blocks of time steps, which is faster and needs less
    memory. All layers must then be brainsurr neurons or treat each time step separately. A network with any other
    layer, or a layer that draws random numbers or changes a variable, runs layer by layer over the whole sequence.

    A stateless layer must treat each example and each time step separately, and all of them in the same way. A
    layer that depends on earlier steps must keep a state. The network follows the time and batch axes through the jaxpr
    of each layer without a state, and raises an error if the layer mixes examples or, within `unroll`, time steps. If
    the jaxpr does not decide it, the network runs the layer on random numbers, which can miss a layer that mixes only
    some values. The network does not check layers that take a dictionary or can't run separately, layers in your own
    module outside of a `SpikingSequential`, or any layer on a mesh with explicit or manual axes.

    The network converts its inputs to floats, so apply an ``Embed`` before the network. Spikes can be uint8 or bool:
    `unroll` keeps their dtype and converts one block at a time. Add a flax cell as ``nnx.RNN(cell, time_major=True)``;
    the carry of this layer is the carry of the cell.

    Args:
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

        The entry of a stateless layer is None. ``carry_init`` draws separate random numbers for each layer, from
        seed 0 if ``rngs`` is None.
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
    """Return a layer as a function that changes nothing, and returns None if the layer would change a variable."""
    if not isinstance(layer, nnx.Module):
        return layer

    def call(xs):
        copy = nnx.clone(layer)  # in the trace that writes its counters
        before = _values(nnx.state(copy, _OTHER))
        ys = copy(xs)
        return None if _changed(before, _values(nnx.state(copy, _OTHER))) else ys

    return call


_OTHER = nnx.Not(nnx.Any(nnx.Param, nnx.RngState))  # variables that a layer may change in training


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
    """Return whether flax computes a layer as a convolution; False for a subclass with its own ``__call__``."""
    kinds = (nnx.Conv, nnx.ConvTranspose)
    return isinstance(layer, kinds) and type(layer).__call__ in [_CALLS[kind] for kind in kinds]


# `nnx.capture` replaces these temporarily to store the outputs, which must then be ``[time, batch, features]``.
_CALLS = {kind: kind.__call__ for kind in (nnx.Linear, nnx.LinearGeneral, nnx.Conv, nnx.ConvTranspose)}

_HOST = sequential.Host(_as_function, _products_follow, _as_product, _is_convolution)


def unroll(
    net: nnx.Module, carry: Any, xs: Any, *, block_size: int | None = None, remat: str = "none", reduce: Any = None
):
    """Run a network over a long sequence in blocks of time steps: :func:`brainsurr.unroll` for a module.

    State that is not a parameter, such as batch statistics and the keys of a Dropout, is passed from block to block and
    written back to ``net``. A Dropout draws a new mask for each block. ``net`` can't create variables, so it can't use
    ``sow``. To return the spikes of its layers, use a network with ``return_spikes=True``.

    Args:
      net: a module that is called as ``net(carry, xs)``, such as :class:`SpikingSequential`.
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
      ValueError: ``net`` writes to an ``nnx.Param`` or creates a variable.
      ValueError: a layer of a :class:`SpikingSequential` is stateless and mixes time steps or examples.

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
    written: set[Any] = set()  # only these are written back; a variable that is only read may belong to another trace

    def block(carry, xs):
        carry, state = carry
        before = _values(state)  # before the call, which changes the variables in place
        net = nnx.clone(nnx.merge(graphdef, params, state))  # in this trace, as `nnx.RNN` requires
        carry, ys = net(carry, xs)
        parts: Any = nnx.split(net, nnx.Param, ...)
        after = _values(parts[2])
        if changed := _changed(fixed, _values(parts[1])):
            how = "which all blocks share. Use nnx.Variable, which is passed from block to block"
            raise ValueError(f"unroll: net changed the nnx.Param {_names(changed)}, {how}")
        if new := after.keys() - before.keys():
            raise ValueError(f"unroll: expected net to create no new variables, but it created {_names(new)}")
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
    """Return the paths of variables whose objects have changed, or that exist in only one of the two states."""

    def objects(values, path):
        return [id(array) for array in values.get(path, [None])]

    return [path for path in before | after if objects(before, path) != objects(after, path)]


def _names(paths) -> str:
    return ", ".join(".".join(map(str, path)) for path in paths)
