"""Convert plain layers to an NIR graph."""

import itertools
from collections.abc import Callable, Iterable
from typing import Any

from .._layers.plain import LeakyIntegrator, Neurons, Shape, Step, function
from . import writing_neurons, writing_weights
from .writer import Writer

WRITERS: dict[type, Callable[..., None]] = writing_weights.WRITERS | writing_neurons.WRITERS
NAMES = {Neurons: "lif", LeakyIntegrator: "li", Step: "threshold"}  # of nodes; others are named after their class


def write(layers: Iterable[tuple[str, Any]], writer: Writer):
    """Write layers, each with its name for errors; layers of no framework are identified by their input's shape."""
    pairs = list(layers)
    with_next, skip = [*itertools.pairwise(pairs), (pairs[-1], ("", None))] if pairs else [], False
    for index, ((owner, layer), (_, after)) in enumerate(with_next):
        size = getattr(layer, "size", None)
        if size is not None and writer.shape[-len(size) :] != size:
            raise ValueError(f"{owner}: expected an input of shape {size}, got {writer.shape}")
        if skip:
            skip = False
        elif type(layer) is LeakyIntegrator and writing_neurons.is_synaptic(layer, after):
            writing_neurons.write_synaptic(owner, f"cubalif_{index}", layer, after, writer)
            skip = True
        else:
            layer = layer if type(layer) in WRITERS else _known(owner, layer, writer.shape)
            name = NAMES.get(type(layer), type(layer).__name__.lower())
            WRITERS[type(layer)](owner, f"{name}_{index}", layer, writer)


def _known(owner, layer, shape: Shape) -> Any:
    plain_layer = None if layer is None else function(layer, shape)
    if plain_layer is None:
        raise ValueError(
            f"{owner}: expected a layer that NIR has: a linear layer, a convolution over one axis "
            "or two, LIF, LI, Delay, a surrogate, a reshape of all axes but time and batch, or "
            "functools.partial(nnx.avg_pool, window_shape=(2, 2), strides=(2, 2))"
        )
    return plain_layer
