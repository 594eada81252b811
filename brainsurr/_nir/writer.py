"""The NIR graph while it is written."""

import warnings
from typing import Any

import nir
import numpy as np

from .layers import Shape


class Writer:
    """The graph as far as it is written.

    Attributes:
      shape: of one time step of one sample here, channels last.
      order: after a `Flatten`, where in it here each entry of NIR's is, whose channels come first; None if the same.
      lost: what NIR does not say of the layers so far.
    """

    def __init__(self, shape: Shape, dt: float, method: str, r: str):
        self.shape, self.dt, self.method, self.r = shape, dt, method, r
        self.order: np.ndarray | None = None
        self.lost: list[str] = []
        start = nir.Input(input_type={"input": np.array(channels_first(shape))})
        start.metadata = {"brainsurr": {"dt": dt, "method": method}}
        self.nodes: dict[str, Any] = {"input": start}
        self.edges: list[tuple[str, str]] = []
        self.last = "input"

    def add(self, name: str, node: Any, metadata: dict[str, Any] | None = None):
        """Add a node after the last one."""
        if metadata:
            node.metadata = {"brainsurr": metadata}
        self.nodes[name] = node
        self.edges.append((self.last, name))
        self.last = name

    def spread(self, value: Any) -> np.ndarray:
        """Expand a number, or one for each channel, to one for each entry of a time step, in the order of NIR."""
        full = np.broadcast_to(np.asarray(value, np.float64), self.shape)
        if full.ndim > 1:
            return np.moveaxis(full, -1, 0).copy()
        return (full if self.order is None else full[self.order]).copy()

    def graph(self, lossy: bool) -> Any:
        """Return the graph; if it loses information, raise a ValueError, or warn with ``lossy``."""
        if self.order is not None:
            raise ValueError(
                "to_nir: expected a Flatten of several axes to come before a Linear layer, which takes its entries in "
                "the order that NIR has, got it at the end of the network"
            )
        if self.lost and not lossy:
            raise ValueError(f"{self.lost[0]}. With lossy=True it is written all the same, and other readers miss that")
        if self.lost:
            lost = [words.removeprefix("to_nir: ") for words in self.lost]
            warnings.warn(f"to_nir: not said to other readers: {'; '.join(lost)}", UserWarning, stacklevel=4)
        self.add("output", nir.Output(output_type={"output": np.array(channels_first(self.shape))}))
        return nir.NIRGraph(nodes=self.nodes, edges=self.edges)


def channels_first(shape: Shape) -> Shape:
    """Move the channels to the front, where NIR has them."""
    return (*shape[-1:], *shape[:-1])


def channels_last(shape: Shape) -> Shape:
    """Move the channels to the end, where brainsurr has them."""
    return (*shape[1:], *shape[:1])


def flat_order(shape: Shape) -> np.ndarray:
    """Return, for each entry in NIR's flat order (channels first), its index in ours (channels last)."""
    return np.moveaxis(np.arange(np.prod(shape)).reshape(shape), -1, 0).reshape(-1)
