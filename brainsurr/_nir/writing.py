"""Convert layers to an NIR graph."""

import itertools
from collections.abc import Callable, Iterable
from typing import Any

from .._surrogate import Surrogate
from . import writing_neurons, writing_weights
from .layers import Population, Shape, function
from .writer import Writer


def write(layers: Iterable[tuple[str, Any]], writer: Writer):
    """Write layers, each with its name for errors; layers of no framework are identified by their input's shape."""
    pairs = list(layers)
    with_next, skip = [*itertools.pairwise(pairs), (pairs[-1], ("", None))] if pairs else [], False
    for index, ((owner, layer), (next_owner, after)) in enumerate(with_next):
        if skip:
            skip = False
            continue
        if isinstance(layer, Population) and layer.size is not None:
            _check_size(owner, layer, writer.shape)
        if writing_neurons.is_synaptic(layer, after):
            _check_size(next_owner, after, writer.shape)
            writing_neurons.write_synaptic(owner, f"cubalif_{index}", layer, after, writer)
            skip = True
        elif isinstance(layer, Population):
            _writer_of(owner, layer)(owner, f"{type(layer.neuron).__name__.lower()}_{index}", layer, writer)
        else:
            layer = layer if type(layer) in writing_weights.WRITERS else _known(owner, layer, writer.shape)
            if isinstance(layer, Surrogate):
                writing_neurons.write_step(owner, f"threshold_{index}", layer, writer)
            else:
                name = f"{type(layer).__name__.lower()}_{index}"
                writing_weights.WRITERS[type(layer)](owner, name, layer, writer)


def _check_size(owner, population: Population, shape: Shape):
    size = population.size
    if size is not None and shape[-len(size) :] != size:
        raise ValueError(f"{owner}: expected an input of shape {size}, got {shape}")


def _writer_of(owner, population: Population) -> Callable[..., None]:
    kind = type(population.neuron)
    if kind not in writing_neurons.WRITERS:
        known = ", ".join(each.__name__ for each in writing_neurons.WRITERS)
        raise ValueError(f"{owner}: expected neurons that NIR has, {known}, got {kind.__name__}")
    return writing_neurons.WRITERS[kind]


def _known(owner, layer, shape: Shape) -> Any:
    known = None if layer is None else function(layer, shape)
    if known is None:
        raise ValueError(
            f"{owner}: expected a layer that NIR has: a linear layer, a convolution over one axis "
            "or two, LIF, LI, Delay, a surrogate, a reshape of all axes but time and batch, or "
            "functools.partial(nnx.avg_pool, window_shape=(2, 2), strides=(2, 2))"
        )
    return known
