"""Layers in sequence over time, and what their layers of neurons return besides the output."""

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType

from .._arrays import as_float, shown
from .._checks import check_flag
from .._event_driven import event_driven
from .._hooks import hook
from .._modules import NeuronModule, SurrogateModule
from .._surrogate import Surrogate
from .guard import check_stateless_layer, name_of


@hook
@contextlib.contextmanager
def named(index: int, layer: Any, xs: Any) -> Iterator[None]:
    """Wrap the call of a layer: name it in the program, and in a note on any error with the shape of its input."""
    try:
        with jax.named_scope(f"{index} {name_of(layer)}"):
            yield
    except Exception as error:
        shape = getattr(xs, "shape", type(xs).__name__)
        error.add_note(
            f"in layer {index} of SpikingSequential, {name_of(layer)}, for an input [time, batch, ...] of {shape}"
        )
        raise


def check_network(net: Any):
    """Raise a TypeError for a class among the layers of a network, or a flag that is not a boolean."""
    for flag in ("return_spikes", "mixes_examples", "events"):
        check_flag(f"SpikingSequential: {flag}", getattr(net, flag), optional=flag == "events")
    for layer in net.layers:
        if isinstance(layer, type):
            raise TypeError(f"SpikingSequential: {layer.__name__} is a class. Call it, {layer.__name__}(...)")


class SequentialBase:
    """The constructor of a network."""

    _listed: ClassVar[Callable] = tuple  # of a framework, what holds layers

    def __init__(
        self,
        layers: Iterable[Callable],
        *,
        return_spikes: bool = False,
        mixes_examples: bool = False,
        events: bool | None = None,
    ):
        super().__init__()
        self.layers: Any = self._listed(layers)
        self.return_spikes, self.mixes_examples, self.events = return_spikes, mixes_examples, events
        check_network(self)


def is_stateful(layer: Any) -> bool:
    """Return whether a layer is called as ``layer(carry, xs)``. Its carry may be anything, so it can't tell."""
    return hasattr(layer, "initialize_carry") or cell_inside(layer) is not None


def cell_inside(layer: Any) -> Any:
    """Return the cell of an RNN of flax over time, time first, whose carry a network keeps; None of any other layer."""
    is_rnn = type(layer).__name__ == "RNN" and type(layer).__module__.startswith("flax.")
    return layer.cell if is_rnn and layer.time_major and not layer.reverse else None


def call_layer(layer: Any, carry, xs):
    """Call a layer on a stretch of time; return its carry and outputs. A layer without a state leaves its carry."""
    if cell_inside(layer) is not None:
        return layer(xs, initial_carry=carry, return_carry=True)
    return layer(carry, xs) if is_stateful(layer) else (carry, layer(xs))


@hook
def apply_layer(layer: Any, carry, xs, call: Callable = call_layer):
    """Call a layer; return its carry, its outputs, and the spikes that it returns beside them, or None.

    Raise a ValueError if its state takes on the time axis of ``xs``. A cell does that: to a cell, which takes one step,
    time looks like a batch.
    """
    after, ys = call(layer, carry, xs)
    shapes_before, shapes_after = ([getattr(a, "shape", ()) for a in jax.tree.leaves(c)] for c in (carry, after))
    time = getattr(xs, "shape", ())[:1]
    if time and any(new == (*time, *old) for old, new in zip(shapes_before, shapes_after, strict=False)):
        raise ValueError(
            f"SpikingSequential: expected {type(layer).__name__} to keep the shape of its state, {shapes_before}, got "
            f"{shapes_after}: a ...Cell takes one step, a layer here [time, batch, features]; "
            "for a cell of flax write RNN(cell, time_major=True)"
        )
    if getattr(layer, "return_spikes", False) is not True:
        return after, ys, None
    if not isinstance(ys, tuple):
        raise TypeError(
            f"SpikingSequential: expected outputs (ys, spikes), with return_spikes, got {type(ys).__name__}"
        )
    ys, spikes = ys
    return after, ys, spikes


@hook
def first_carries(layers, input_shape: tuple[int, ...], start: Callable, outputs: Callable) -> tuple[Any, ...]:
    """Return the carry of each layer before the first step, None of one without a state.

    Args:
      layers: modules and functions.
      input_shape: of one time step of the input, ``(*batch, features)``.
      start: of the framework, ``start(i, layer, shape)`` returns the carry of layer ``i`` for an input of that shape.
      outputs: of the framework, ``outputs(i, layer, carry, xs)``; it is followed for its shapes alone.
    """
    carries: list[Any] = []
    xs: Any = jax.ShapeDtypeStruct((1, *input_shape), jnp.float32)
    for i, layer in enumerate(layers):
        with named(i, layer, xs):
            carries.append(start(i, layer, xs.shape[1:]) if is_stateful(layer) else None)
            xs = jax.eval_shape(partial(outputs, i, layer), carries[i], xs)
    return tuple(carries)


def _check_places(index: int, layer: Any, xs: Any, before: int, name: str, sizes: tuple[int, int]):
    """Raise a ValueError if a layer with a state would run over the examples of a batch."""
    if xs.shape[:2] != sizes:
        steps, examples = sizes
        raise ValueError(
            f"SpikingSequential: layers[{index}], {name_of(layer)}, runs over the first axis, where layers[{before}], "
            f"{name}, has put examples of the batch: expected [{steps}, {examples}, ...], got {xs.shape}. Keep time "
            "and batch apart, as xs.reshape(*xs.shape[:2], -1) does; if it is meant: SpikingSequential(layers, "
            "mixes_examples=True)"
        )


def call_on_rows(product: Callable, xs):
    """Call a product over the last axis on ``[time * batch, features]``.

    XLA on a CPU copies ``[time, batch, features]`` into another order for the gradient of the weights, and not this.
    In a trace, a checkpoint lets the backward pass keep ``xs`` as it is, integers too, not a second array of rows of
    floats. Outside of one it would take longer than the product.
    """

    def on_rows(xs):
        ys = product(as_float(xs, "xs").reshape(math.prod(xs.shape[:-1]), xs.shape[-1]))
        return ys.reshape(*xs.shape[:-1], *ys.shape[1:])

    return (jax.checkpoint(on_rows, prevent_cse=False) if isinstance(xs, jax.core.Tracer) else on_rows)(xs)


def overridden_functions(layer: Any) -> tuple[str, ...]:
    """Return the names of the functions of a linear layer or a convolution of flax that are the user's."""
    names = ("dot_general", "dot_general_cls", "conv_general_dilated", "conv_general_dilated_cls")
    usual = (None, jax.lax.dot_general, jax.lax.conv_general_dilated)
    replaced = [name for name in names if getattr(layer, name, None) not in usual]
    if not is_of_flax(layer.promote_dtype, "promote_dtype"):
        replaced.append("promote_dtype")
    return tuple(replaced)


def is_of_flax(function, name: str) -> bool:
    """Return whether a function is flax's own of that name."""
    return getattr(function, "__name__", "") == name and getattr(function, "__module__", "").startswith("flax.")


def is_in_one_block(xs) -> bool:
    """Return whether time and batch of ``xs`` can become one axis without moving data from one device to another.

    In ``shard_map`` every array is the part of one device. Where mesh axes are explicit, the type says what is split;
    elsewhere nothing does.
    """
    mesh = jax.sharding.get_abstract_mesh()
    kinds = set(mesh.axis_types)
    if kinds == {AxisType.Manual}:
        return True
    if kinds == {AxisType.Explicit}:
        return not any(tuple(jax.typeof(xs).sharding.spec)[:-1])
    return jax.device_count() == 1 and kinds <= {AxisType.Auto}


def call_batch_first(convolution: Callable, xs):
    """Call a convolution, which makes one axis of time and batch, on ``[batch, time, ...]``.

    With time first, that axis has the examples of each device at each time step, and XLA sends all of them to all.
    """
    return jnp.swapaxes(convolution(jnp.swapaxes(xs, 0, 1)), 0, 1)


@hook
def gives_spikes(layer: Any) -> bool:
    """Return whether it is known that the output of a layer holds 0, 1 and NaN alone; not of one of the user's."""

    def is_ours(value):
        return type(value).__module__.partition(".")[0] == __package__.partition(".")[0]

    if isinstance(layer, NeuronModule):
        if not is_ours(layer) or not vars(layer._neuron_class).get("_gives_spikes"):
            return False
        layer = layer.spike_fn  # type: ignore[attr-defined]
    surrogate = layer.template if isinstance(layer, SurrogateModule) and is_ours(layer) else layer
    has_own_call = type(surrogate).__call__ is not Surrogate.__call__
    return isinstance(surrogate, Surrogate) and not (has_own_call or surrogate.origin)


@hook
def apply_layers(
    net,
    carry,
    xs,
    as_function,
    products_follow,
    call=call_layer,
    as_product=lambda layer: None,
    is_convolution=lambda layer: False,
):
    """Call the layers of a network in a row on a stretch of time; return their carries and the outputs of the last.

    With ``return_spikes``, the outputs are a pair of these and the spikes of the layers that fire, by index: neurons,
    surrogates, activations, and layers that return their spikes beside their outputs.

    Args:
      net: with ``layers``, ``return_spikes``, ``mixes_examples`` and ``events``.
      carry: the states of the layers, one for each.
      xs: inputs ``[time, ...]``.
      as_function: of the framework, see :func:`check_stateless_layer`.
      products_follow: of the framework, ``products_follow(layer, are_spikes)`` is a context in which the products of a
        layer follow what is not 0, if they are to in the network that calls it. ``are_spikes`` says that its input
        holds 0, 1 and NaN alone.
      call: ``call(layer, carry, xs) -> (carry, ys)`` of the framework.
      as_product: ``as_product(layer)`` of the framework returns a function of ``[..., features]`` for its own module of
        a product over the last axis, and None for any other layer, a subclass too, which may be something else. On
        ``[time, ..., features]`` it treats each time step alone, so it is not tried.
      is_convolution: of the framework, whether it computes a layer as a convolution.
    """
    layers = net.layers
    if not isinstance(carry, tuple | list) or len(carry) != len(layers):
        got = f"{len(carry)} entries" if isinstance(carry, tuple | list) else shown(carry)
        raise ValueError(
            f"SpikingSequential: the carry is {got}, not an entry for each of {len(layers)} layers. Call "
            "net(carry, xs) with the carry of initialize_carry"
        )
    carries, spikes, given, xs, are_spikes = [], {}, xs, as_float(xs, "xs"), False
    moved: Any = None  # by which layer examples were put where time was, and the sizes of both before it
    for index, (layer, before) in enumerate(zip(layers, carry, strict=True)):
        product = as_product(layer)
        fires = isinstance(layer, Surrogate) or getattr(type(layer), "fires", False)
        convolves = is_convolution(layer)
        # Of an image for each time step and example, a convolution of flax makes one axis of both.
        of_images = convolves and getattr(xs, "ndim", 0) > np.size(layer.kernel_size) + 2
        is_known = product is not None or fires or (of_images and not overridden_functions(layer))
        if moved and (is_stateful(layer) or isinstance(layer, NeuronModule)):
            _check_places(index, layer, xs, *moved)
            moved = None  # they were put back
        if not is_known and check_stateless_layer(index, layer, as_function, xs, net.mixes_examples):
            moved = moved or (index, name_of(layer), xs.shape[:2])
        multiplies = product is not None or convolves
        with named(index, layer, xs), event_driven(net.events) as follows:
            as_given = given if multiplies and index == 0 and isinstance(given, jax.Array) else xs
            in_bytes = getattr(as_given, "dtype", None) in (jnp.uint8, jnp.bool_)
            if product and not follows and getattr(xs, "ndim", 0) > 2 and is_in_one_block(xs):
                after, xs, inside = before, call_on_rows(product, as_given), None
            else:
                with products_follow(layer, are_spikes and multiplies) if follows else contextlib.nullcontext():
                    x = as_given if follows and in_bytes else xs
                    if of_images and not is_in_one_block(xs):  # devices may share the batch
                        after, xs, inside = before, call_batch_first(layer, x), None
                    else:
                        after, xs, inside = apply_layer(layer, before, x, call)
        are_spikes = gives_spikes(layer)
        carries.append(after)
        if inside is not None:
            spikes[index] = inside
        elif fires:
            spikes[index] = xs
    return tuple(carries), (xs, spikes) if net.return_spikes else xs
