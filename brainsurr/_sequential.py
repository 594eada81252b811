"""Layers in a row over time, for the frameworks in which a layer's state is passed in and returned."""

from collections.abc import Callable, Iterable
from typing import Any

import jax

from ._arrays import as_float
from ._checks import hint_to_call, is_function
from ._time.guard import check_time_steps_alone


def check_layers(layers: Iterable[Callable]) -> tuple[Callable, ...]:
    """The layers as a tuple, or a TypeError for one that can't be called."""
    try:
        several = tuple(layers)
    except TypeError as error:
        expected = "SpikingSequential: expected layers to be a list, SpikingSequential([a, b])"
        raise TypeError(f"{expected}, got {layers!r}") from error
    for layer in several:
        if not is_function(layer):
            hint = hint_to_call(layer)
            raise TypeError(f"SpikingSequential: expected layers that can be called, got {layer!r}{hint}")
    return several


def is_stateful(layer: Any) -> bool:
    """Whether it is called as ``layer(carry, xs)``; told by the layer, not by its carry, which may be anything."""
    return hasattr(layer, "initialize_carry")


def step_shape(x) -> tuple[int, ...]:
    """The shape of one time step of what goes into a layer with a state."""
    if not hasattr(x, "shape"):
        raise TypeError(f"SpikingSequential: expected layers to give an array to the next, got {type(x).__name__}")
    return x.shape[1:]


def apply_layer(layer: Any, carry, xs):
    """``(carry, ys)`` of one layer over a stretch of time; a stateless one sees all time steps at once."""
    if not is_stateful(layer):
        return carry, layer(xs)
    after, ys = layer(carry, xs)
    check_state(layer, xs, carry, after)
    return after, ys


def check_state(layer: Any, xs, before, after):
    """A ValueError if the time of ``xs`` shows in a layer's state, as in a cell's, to which it looks like a batch."""
    was, now = ([getattr(leaf, "shape", ()) for leaf in jax.tree.leaves(state)] for state in (before, after))
    time = getattr(xs, "shape", ())[:1]
    if time and any(shape == (*time, *earlier) for earlier, shape in zip(was, now, strict=False)):
        raise ValueError(
            f"SpikingSequential: expected {type(layer).__name__} to keep the shape of its state, {was}, got {now}: "
            "a ...Cell takes one step, a layer here [time, batch, features]"
        )


def apply_layers(layers: Iterable[Any], carry, xs, as_function: Callable[[Any], Callable | None]):
    """``(carries, ys)`` of layers in a row over a stretch of time.

    Args:
      layers: modules and functions.
      carry: their states, one for each.
      xs: ``[time, ...]``.
      as_function: of the host, see :func:`check_time_steps_alone`.
    """
    layers = tuple(layers)
    if not isinstance(carry, (tuple, list)) or len(carry) != len(layers):
        got = f"{len(carry)} entries" if isinstance(carry, (tuple, list)) else type(carry).__name__
        raise ValueError(
            f"SpikingSequential: expected a carry of {len(layers)} entries, one for each layer, got {got}: "
            "start from initialize_carry"
        )
    carries, xs = [], as_float(xs, "xs")
    for i, (layer, c) in enumerate(zip(layers, carry, strict=True)):
        if not is_stateful(layer):
            check_time_steps_alone(i, layer, as_function, xs)
        c, xs = apply_layer(layer, c, xs)
        carries.append(c)
    return tuple(carries), xs
