"""Run layers in sequence over time, and collect the spikes that they return with their outputs."""

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, ClassVar, NamedTuple

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
from .._value import is_built_in, is_ours
from .guard import NeedsAllSteps, check_stateless_layer, name_of, running, treats_steps_separately


@hook
@contextlib.contextmanager
def named(index: int, layer: Any, xs: Any) -> Iterator[None]:
    """Name a layer in the jaxpr while it is called; add its name and input shape as a note to errors."""
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
    """Raise a TypeError if a layer is a class, or if a flag is not a boolean."""
    for flag in ("return_spikes", "mixes_examples", "events"):
        check_flag(f"SpikingSequential: {flag}", getattr(net, flag), optional=flag == "events")
    for layer in net.layers:
        if isinstance(layer, type):
            raise TypeError(f"SpikingSequential: {layer.__name__} is a class. Call it, {layer.__name__}(...)")


class SequentialBase:
    """The base class of networks: their constructor."""

    _listed: ClassVar[Callable] = tuple  # the framework's container for layers

    def __init__(
        self,
        layers: Iterable[Callable],
        *,
        return_spikes: bool = False,
        mixes_examples: bool = False,
        events: bool | None = None,
    ):
        super().__init__()
        self.layers: Any = self._listed(tuple(layers))
        self.return_spikes, self.mixes_examples, self.events = return_spikes, mixes_examples, events
        check_network(self)


def is_stateful(layer: Any) -> bool:
    """Return whether a layer is called as ``layer(carry, xs)``."""
    return hasattr(layer, "initialize_carry") or cell_inside(layer) is not None


def cell_inside(layer: Any) -> Any:
    """Return the cell of a time-major flax RNN, whose carry the network keeps; None for any other layer."""
    is_rnn = type(layer).__name__ == "RNN" and type(layer).__module__.startswith("flax.")
    return layer.cell if is_rnn and layer.time_major and not layer.reverse else None


def call_layer(layer: Any, carry, xs):
    """Call a layer on a block of time; return its carry and outputs. A stateless layer returns its carry unchanged."""
    if cell_inside(layer) is not None:
        return layer(xs, initial_carry=carry, return_carry=True)
    return layer(carry, xs) if is_stateful(layer) else (carry, layer(xs))


@hook
def apply_layer(layer: Any, carry, xs, call: Callable = call_layer):
    """Call a layer; return its carry, its outputs, and the spikes that it returns with the outputs, or None.

    Raise a ValueError if the new state has the time axis of ``xs``. This happens if the layer is a cell, which runs one
    step and treats the time axis as a batch.
    """
    after, ys = call(layer, carry, xs)
    shapes_before, shapes_after = ([getattr(a, "shape", ()) for a in jax.tree.leaves(c)] for c in (carry, after))
    time = getattr(xs, "shape", ())[:1]
    if time and any(new == (*time, *old) for old, new in zip(shapes_before, shapes_after, strict=False)):
        changed = f"{type(layer).__name__} turned a state of {shapes_before} into {shapes_after}"
        raise ValueError(f"SpikingSequential: {changed}: wrap a flax cell in RNN(cell, time_major=True)")
    if getattr(layer, "return_spikes", False) is not True:
        return after, ys, None
    if not isinstance(ys, tuple):
        raise TypeError(f"SpikingSequential: expected outputs (ys, spikes) with return_spikes, got {type(ys).__name__}")
    return after, *ys


@hook
def first_carries(layers, input_shape: tuple[int, ...], start: Callable, outputs: Callable) -> tuple[Any, ...]:
    """Return the initial carry of each layer; None for stateless layers.

    Args:
      layers: modules and functions.
      input_shape: the shape of one time step of the input, ``(*batch, features)``.
      start: the framework's ``start(i, layer, shape)``, which returns the initial carry of layer ``i``, or of the cell
        of a flax RNN, for an input of that shape.
      outputs: the framework's ``outputs(i, layer, carry, xs)``; only the shapes of its results are used.
    """
    carries: list[Any] = []
    xs: Any = jax.ShapeDtypeStruct((1, *input_shape), jnp.float32)
    for i, layer in enumerate(layers):
        with named(i, layer, xs):
            carries.append(start(i, cell_inside(layer) or layer, xs.shape[1:]) if is_stateful(layer) else None)
            xs = jax.eval_shape(partial(outputs, i, layer), carries[i], xs)
    return tuple(carries)


def call_on_rows(product: Callable, xs):
    """Call a matrix product over the last axis on ``[time * batch, features]``.

    For the gradient of the weights, XLA on a CPU transposes ``[time, batch, features]``, but not a matrix of rows.
    While tracing, a checkpoint makes the backward pass store ``xs`` itself, which may be integers, instead of a float
    copy. Outside a trace, the checkpoint would take longer than the matrix product.
    """

    def on_rows(xs):
        ys = product(as_float(xs, "xs").reshape(math.prod(xs.shape[:-1]), xs.shape[-1]))
        return ys.reshape(*xs.shape[:-1], *ys.shape[1:])

    return (jax.checkpoint(on_rows, prevent_cse=False) if isinstance(xs, jax.core.Tracer) else on_rows)(xs)


def overridden_functions(layer: Any) -> tuple[str, ...]:
    """Return the names of the functions of a flax linear layer or convolution that the user has replaced."""
    names = ("dot_general", "dot_general_cls", "conv_general_dilated", "conv_general_dilated_cls")
    usual = (None, jax.lax.dot_general, jax.lax.conv_general_dilated)
    replaced = [name for name in names if getattr(layer, name, None) not in usual]
    promotes = is_of_flax(layer.promote_dtype, "promote_dtype")
    return tuple(replaced if promotes else [*replaced, "promote_dtype"])


def is_of_flax(function, name: str) -> bool:
    """Return whether a function is the flax function with this name."""
    return getattr(function, "__name__", "") == name and getattr(function, "__module__", "").startswith("flax.")


def is_in_one_block(xs) -> bool:
    """Return whether the time and batch axes of ``xs`` can be merged without moving data between devices.

    In ``shard_map``, each array is local to one device. With explicit mesh axes, the type of an array includes its
    sharding. Otherwise, the sharding is unknown if there are several devices.
    """
    mesh = jax.sharding.get_abstract_mesh()
    kinds = set(mesh.axis_types)
    if kinds == {AxisType.Manual}:
        return True
    if kinds == {AxisType.Explicit}:
        return not any(tuple(jax.typeof(xs).sharding.spec)[:-1])
    return jax.device_count() == 1 and kinds <= {AxisType.Auto}


@hook
def gives_spikes(layer: Any) -> bool:
    """Return whether a layer's output is known to contain only 0, 1 and NaN; False for user-defined layers."""
    if isinstance(layer, NeuronModule):
        kind = layer._neuron_class
        if not (is_ours(type(layer)) and is_ours(kind) and kind._gives_spikes):
            return False
        layer = layer.spike_fn  # type: ignore[attr-defined]
    surrogate = layer.template if isinstance(layer, SurrogateModule) and is_ours(type(layer)) else layer
    has_own_call = type(surrogate).__call__ is not Surrogate.__call__
    return isinstance(surrogate, Surrogate) and not (has_own_call or surrogate.origin)


class Host(NamedTuple):
    """How a framework runs the layers of a network.

    Attributes:
      as_function: ``as_function(layer)``, see :func:`check_stateless_layer`.
      products_follow: ``products_follow(layer, are_spikes)`` returns a context in which the matrix products and
        convolutions of a layer skip zero inputs if the network has ``events=True``. ``are_spikes`` says whether the
        input contains only 0, 1 and NaN.
      as_product: ``as_product(layer)`` returns a function of ``[..., features]`` for the framework's own linear layers,
        and None for any other layer, including subclasses. These linear layers treat each time step separately, so the
        guard does not check them.
      is_convolution: ``is_convolution(layer)`` says whether a layer is computed as a convolution.
      call: ``call(layer, carry, xs) -> (carry, ys)``.
    """

    as_function: Callable
    products_follow: Callable = lambda layer, are_spikes: contextlib.nullcontext()
    as_product: Callable = lambda layer: None
    is_convolution: Callable = lambda layer: False
    call: Callable = call_layer


def _runs_in_blocks(layer, is_known: bool, host: Host, xs, steps: int) -> bool:
    """Return whether a layer returns the same results in blocks of time as on all steps at once."""
    if isinstance(layer, NeuronModule):
        return is_ours(type(layer)) and is_built_in(layer.neuron)
    return not is_stateful(layer) and (is_known or treats_steps_separately(layer, host.as_function, xs, steps))


@hook
def apply_layers(net, carry, xs, host: Host):
    """Call the layers of a network in sequence on a block of time; return their carries and the last layer's outputs.

    With ``return_spikes``, the second result is a pair of these outputs and a dictionary of spikes by layer index.
    It includes neurons, surrogates, activations, and layers that return their spikes with their outputs.

    Args:
      net: a network with ``layers``, ``return_spikes``, ``mixes_examples`` and ``events``.
      carry: the state of each layer.
      xs: inputs ``[time, ...]``.
      host: how the framework of the network runs layers.
    """
    layers = net.layers
    if not isinstance(carry, tuple | list) or len(carry) != len(layers):
        what = f"the carry of initialize_carry, with {len(layers)} entries"
        raise ValueError(f"SpikingSequential: expected {what}, got {shown(carry)}")
    run, carries, spikes, given, xs, are_spikes = running.get(), [], {}, xs, as_float(xs, "xs"), False
    moved: Any = None  # the layer that moved examples to the time axis, and the sizes of both axes before it
    for index, (layer, before) in enumerate(zip(layers, carry, strict=True)):
        product, convolves = host.as_product(layer), host.is_convolution(layer)
        multiplies = product is not None or convolves
        fires = isinstance(layer, Surrogate) or getattr(type(layer), "fires", False)
        # A flax convolution merges the time and batch axes if the input has an image for each step and example.
        of_images = convolves and getattr(xs, "ndim", 0) > np.size(layer.kernel_size) + 2
        has_state = is_stateful(layer)
        is_known = product is not None or fires or has_state or (of_images and not overridden_functions(layer))
        if moved and (has_state or isinstance(layer, NeuronModule)):
            _check_first_axes(index, layer, xs, *moved)
            moved = None  # a later layer has restored the axes
        if run.kind == "block":
            if not _runs_in_blocks(layer, is_known, host, xs, run.steps):
                raise NeedsAllSteps
        elif not is_known and check_stateless_layer(index, layer, host.as_function, xs, net.mixes_examples):
            moved = moved or (index, layer, xs.shape[:2])
        with named(index, layer, xs), event_driven(net.events) as follows:
            has_rows = product and not follows and getattr(xs, "ndim", 0) > 2 and is_in_one_block(xs)
            if index == 0 and multiplies and isinstance(given, jax.Array):
                xs = given if has_rows or (follows and given.dtype in (jnp.uint8, jnp.bool_)) else xs
            with host.products_follow(layer, are_spikes and multiplies) if follows else contextlib.nullcontext():
                if has_rows:
                    after, xs, inside = before, call_on_rows(product, xs), None
                elif of_images and not is_in_one_block(xs):
                    after, xs, inside = before, _call_batch_first(layer, xs), None
                else:
                    after, xs, inside = apply_layer(layer, before, xs, host.call)
        are_spikes = gives_spikes(layer)
        carries.append(after)
        if fires or inside is not None:
            spikes[index] = xs if inside is None else inside
    return tuple(carries), (xs, spikes) if net.return_spikes else xs


def _check_first_axes(index: int, layer, xs, source: int, moved_by, sizes: tuple[int, int]):
    """Raise a ValueError if a neuron would run over examples, which an earlier layer has moved to the time axis."""
    if xs.shape[:2] != sizes:
        moved = f"layers[{source}], {name_of(moved_by)}, put examples on the time axis: {xs.shape[:2]}, not {sizes}"
        raise ValueError(f"SpikingSequential: {moved}, before layers[{index}], {name_of(layer)}: keep both axes")


def _call_batch_first(layer, xs):
    """Call a convolution that merges the first two axes on ``[batch, time, ...]``.

    The batch may be sharded. With time first, the merged axis would interleave the devices' examples, and XLA would
    send all examples to all devices.
    """
    return jnp.swapaxes(layer(jnp.swapaxes(xs, 0, 1)), 0, 1)
