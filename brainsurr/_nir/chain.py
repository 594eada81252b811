r"""How far a conversion is: a chain of layers that is written, or read.

With a step of ``dt``, NIR's :math:`\tau \dot v = -v + r\,I` becomes

.. math:: v' = d\, v + (1 - d)\, r\, I, \qquad d = 1 - dt / \tau \ (\text{Euler}), \quad \exp(-dt / \tau) \ (\text{exp})

and a layer here is :math:`v' = d\, v + g\, x`, with g = 1 or, with ``decay_input``, 1 - d. The potentials differ by a
factor, by which the threshold is scaled. All is computed in float64, so that a float32 decay is restored exactly.
"""

import contextlib
import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import nir
import numpy as np

from .layers import Shape

LARGEST = 2**31 - 1  # entries of one time step; a larger shape is no network, and checking it would take all memory


def expect(fits: Any, what: str, got: Any = None):
    """Raise a ValueError with what was expected, and what came if that is given, unless it fits."""
    if not fits:
        raise ValueError(f"expected {what}" if got is None else f"expected {what}, got {got}")


@contextlib.contextmanager
def naming(owner: str) -> Iterator[None]:
    """Begin the message of any error with what it is about: of ours, of NIR's, or of a layer that is made."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise ValueError(f"{owner}: {error}").with_traceback(error.__traceback__) from error.__cause__


@dataclasses.dataclass(frozen=True)
class Convention:
    """How a library computes what a graph says.

    Attributes:
      dt: its step.
      method: ``"euler"`` or ``"exp"``.
      r: what it takes the resistances of neurons for, ``"1"`` or ``"tau/dt"``; None if for what they are.
    """

    dt: float
    method: str
    r: str | None = None

    def tau_of(self, decay: np.ndarray) -> np.ndarray:
        """Return the time constant of a decay below 1."""
        return self.dt / (1 - decay) if self.method == "euler" else -self.dt / np.log(decay)

    def decay_of(self, tau: np.ndarray) -> np.ndarray:
        """Return the decay of a time constant above 0."""
        return 1 - self.dt / tau if self.method == "euler" else np.exp(-self.dt / tau)


@dataclasses.dataclass
class Chain:
    """What is known on the way.

    Attributes:
      shape: of one time step of one sample here, channels last.
      how: the convention of who reads or wrote the graph.
      order: after a `Flatten`, where in it here each entry of NIR's is, whose channels come first; None if the same.
    """

    shape: Shape
    how: Convention
    order: np.ndarray | None = dataclasses.field(default=None, init=False)

    def flatten(self):
        """Make one axis of all."""
        size = math.prod(self.shape)
        self.order = np.moveaxis(np.arange(size).reshape(self.shape), -1, 0).reshape(-1)
        self.shape = (size,)

    def to_order(self, value: np.ndarray) -> np.ndarray:
        """Put entries along the first axis into the order of NIR."""
        return value if self.order is None else value[self.order]

    def from_order(self, value: np.ndarray) -> np.ndarray:
        """Put entries along the first axis into the order here."""
        return value if self.order is None else value[np.argsort(self.order)]

    def check_end(self):
        """Raise a ValueError if the last layer leaves entries in another order than NIR."""
        expect(self.order is None, "a Flatten of several axes to come before a linear layer", "it at the end")


class Writer(Chain):
    """A graph while it is written.

    Attributes:
      owner: the layer that is written, for messages.
      lost: what NIR does not say of the layers so far.
      synapse: a leaky integrator that waits for the neurons behind it, with which it makes one node; or None.
    """

    def __init__(self, shape: Shape, how: Convention):
        super().__init__(shape, how)
        start = nir.Input(input_type={"input": np.array(channels_first(shape))})
        start.metadata = {"brainsurr": {"dt": how.dt, "method": how.method}}
        self.nodes: dict[str, Any] = {"input": start}
        self.edges: list[tuple[str, str]] = []
        self.last, self.owner = "input", ""
        self.lost: list[str] = []
        self.synapse: Any = None

    def add(self, name: str, node: Any, metadata: dict[str, Any] | None = None):
        """Add a node after the last one."""
        if metadata:
            node.metadata = {"brainsurr": metadata}
        self.nodes[name] = node
        self.edges.append((self.last, name))
        self.last = name

    def lose(self, what: str):
        """Note what NIR does not say of the layer."""
        self.lost.append(f"{self.owner}: {what}")

    def spread(self, value: Any) -> np.ndarray:
        """Expand a number, or one for each channel, to one for each entry of a time step, in the order of NIR."""
        spread = np.broadcast_to(np.asarray(value, np.float64), self.shape)
        return (np.moveaxis(spread, -1, 0) if spread.ndim > 1 else self.to_order(spread)).copy()


class Reader(Chain):
    """Layers while they are read, each with the shape of its input.

    Attributes:
      said: by the caller of all neurons: ``reset``, ``reset_delay``, ``spike_fn``, but those that are None.
    """

    def __init__(self, shape: Shape, how: Convention, said: dict[str, Any]):
        super().__init__(checked(shape), how)
        self.said = {word: value for word, value in said.items() if value is not None}
        self.layers: list[tuple[Any, Shape]] = []

    def add(self, layer: Any, shape: Shape | None = None):
        """Add a layer; ``shape`` is that of its output, if it differs from the one of its input."""
        self.layers.append((layer, self.shape))
        self.shape = checked(shape or self.shape)

    def numbers(self, node: Any, field: str) -> np.ndarray:
        """Return a parameter of a node that has one number for all, or one for each entry of a time step."""
        value, shape = numbers(node, field), channels_first(self.shape)
        expect(value.shape in ((), (1,), shape), f"{field} of shape {shape}", value.shape)
        return value.reshape(()) if value.shape == (1,) else value

    def each(self, field: str, value: np.ndarray) -> Any:
        """Return one number for each channel, or for all, of one for each entry of a time step as NIR has them."""
        if value.ndim > 1:
            value = np.moveaxis(value, 0, -1).reshape(-1, self.shape[-1])
            expect(np.all(value == value[0]), f"{field} to be one for each channel", "several")
            value = value[0]
        value = self.from_order(value) if value.size > 1 else value.reshape(-1)
        return value[0] if np.all(value == value[0]) else value


def numbers(node: Any, field: str) -> np.ndarray:
    """Return a parameter of a node in float64, or raise a ValueError if it does not hold real and finite numbers."""
    value = getattr(node, field)
    array = np.asarray(value)
    fits = array.dtype.kind in "iuf" and array.size and np.all(np.isfinite(array))
    got = type(value).__name__ if array.dtype == object else f"{array.dtype}{list(array.shape)}"
    expect(fits, f"{field} to hold finite real numbers", got)
    return array.astype(np.float64)


def checked(shape: Shape) -> Shape:
    """Return a shape, or raise a ValueError if a time step of it fits into no memory."""
    expect(
        math.prod(shape) <= LARGEST,
        f"a time step of {LARGEST} entries at most",
        f"one of shape {channels_first(shape)}",
    )
    return shape


def channels_first(shape: Shape) -> Shape:
    """Move the channels to the front, where NIR has them."""
    return (*shape[-1:], *shape[:-1])
