"""Convert an NIR graph to layers."""

import math
import warnings
from typing import Any

import nir
import numpy as np

from . import reading_neurons, reading_weights
from .graphs import row_of
from .layers import Shape
from .reader import LARGEST, Reader, words_of
from .writer import channels_last

READERS = reading_weights.READERS | reading_neurons.READERS


def layers_of_graph(graph: Any, **how) -> list[tuple[Any, Shape]]:
    """Return the layers of a graph, each with the shape of its input, channels last."""
    start, row = row_of(graph)
    shape = start.input_type.get("input") if isinstance(start.input_type, dict) else None
    sizes = np.asarray(shape).reshape(-1).tolist() if shape is not None else []
    if not sizes or not all(isinstance(n, int) and n > 0 for n in sizes):
        raise ValueError(f"from_nir: expected an Input with a shape of positive integers, got {shape!r}")
    if math.prod(sizes) > LARGEST:
        raise ValueError(f"from_nir: expected an Input of {LARGEST} entries at most, got {sizes}")
    reader = Reader(channels_last(tuple(sizes)), **how)
    written = words_of("from_nir: its Input", start)
    for word in ("dt", "method"):
        if word in written and written[word] != how[word]:
            text = f"from_nir: expected {word}={written[word]!r}, which the file was written with, got {how[word]!r}"
            warnings.warn(text, UserWarning, stacklevel=3)
    skip = False
    for index, link in enumerate(row):
        after = row[index + 1] if index + 1 < len(row) else None
        if skip:
            skip = False
        elif isinstance(link.node, nir.LI | nir.I) and after is not None and isinstance(after.node, nir.Threshold):
            reading_neurons.read_without_reset(link, after, reader)
            skip = True
        else:
            read_node = READERS.get(type(link.node))
            if read_node is None:
                known = ", ".join(sorted(kind.__name__ for kind in READERS))
                raise ValueError(
                    f"from_nir: expected the node {link.name!r} to be one of {known}, got {type(link.node).__name__}"
                )
            read_node(f"from_nir: node {link.name!r}", link, reader)
    if reader.order is not None:
        raise ValueError("from_nir: expected a Flatten of several axes to come before a Linear or Affine, got the end")
    return reader.layers
