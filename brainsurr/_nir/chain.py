r"""How far a conversion is: a chain of layers that is written, or read, and what is said of each in its metadata.

With a step of ``dt``, NIR's :math:`\tau \dot v = -v + r\,I` becomes

.. math:: v' = d\, v + (1 - d)\, r\, I, \qquad d = 1 - dt / \tau \ (\text{Euler}), \quad \exp(-dt / \tau) \ (\text{exp})

and a layer here is :math:`v' = d\, v + g\, x`, with g = 1 or, with ``decay_input``, 1 - d. The potentials differ by a
factor, by which the threshold is scaled. All is computed in float64, so that a float32 decay is restored exactly.
"""

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax.numpy as jnp
import nir
import numpy as np

from .. import surrogates
from .._surrogate import Scaled, Surrogate

Shape = tuple[int, ...]


def expect(fits: Any, what: str, got: Any = None):
    """Raise a ValueError with what was expected, and what came if that is given, unless it fits."""
    if not fits:
        raise ValueError(f"expected {what}" if got is None else f"expected {what}, got {got}")


@contextlib.contextmanager
def naming(owner: str) -> Iterator[None]:
    """Begin the message of any error with what it is about: ours, NIR's, of a layer that is made, or of a bad file."""
    try:
        yield
    except Exception as error:  # what others wrote may lack anything
        raise ValueError(f"{owner}: {error}") from error.__cause__ or error


def near(value: np.ndarray, other: Any) -> np.ndarray:
    """Return where two numbers are equal up to their rounding to float32."""
    return np.isclose(value, other, rtol=1e-6, atol=0)


class Convention(NamedTuple):
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

    def gain_of(self, decay: np.ndarray, r: np.ndarray, leaks: bool) -> np.ndarray:
        """Return the factor of the input in a step there; exactly 1 if r is tau / dt, rounded to float32."""
        gain = (1 - decay if leaks else self.dt) * r
        return np.where(leaks & near(gain, 1), 1.0, gain)


class Chain:
    """What is known on the way.

    Attributes:
      shape: of one time step of one sample here, channels last.
      how: the convention of who reads or wrote the graph.
      order: after a `Flatten`, where in it here each entry of NIR's is, whose channels come first; None if the same.
    """

    def __init__(self, shape: Shape, how: Convention):
        self.shape, self.how = shape, how
        self.order: np.ndarray | None = None

    def flatten(self):
        """Make one axis of all."""
        size = int(np.prod(self.shape))
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
      synapses: by their nodes, the potentials that make one node with neurons that come next.
    """

    def __init__(self, shape: Shape, how: Convention):
        super().__init__(shape, how)
        self.nodes: dict[str, Any] = {}
        self.edges: list[tuple[str, str]] = []
        self.synapses: dict[str, Any] = {}
        self.lost: list[str] = []
        self.owner = self.last = ""

    def add(self, name: str, node: Any, words: dict[str, Any] | None = None):
        """Add a node after the last one, with words for its metadata."""
        if words:
            node.metadata = {"brainsurr": words}
        if self.nodes:
            self.edges.append((self.last, name))
        self.nodes[name], self.last = node, name

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
        super().__init__(shape, how)
        self.said = {word: value for word, value in said.items() if value is not None}
        self.layers: list[tuple[Any, Shape]] = []

    def add(self, layer: Any, shape: Shape | None = None):
        """Add a layer; ``shape`` is that of its output, if it differs from the one of its input."""
        self.layers.append((layer, self.shape))
        self.shape = shape or self.shape

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
    value = np.asarray(getattr(node, field))
    fits = value.dtype.kind in "iuf" and np.all(np.isfinite(value))
    expect(fits, f"{field} to hold finite real numbers", f"{value.dtype}{list(value.shape)}")
    return value.astype(np.float64)


def channels_first(shape: Shape) -> Shape:
    """Move the channels to the front, where NIR has them."""
    return (*shape[-1:], *shape[:-1])


# Graphs --------------------------------------------------------------------------------------------------------------


def chain_of(graph: Any) -> tuple[Any, list[tuple[str, Any, Any]]]:
    """Return the input of a graph, and the nodes after it in order; raise a ValueError unless they form a chain.

    Each node has its name, with those of the graphs around it, and what makes one layer of neurons with it: recurrent
    weights, which form a cycle with spiking neurons, or the threshold behind an integrator; or None.
    """
    nodes, edges = _inlined(graph)
    spiking, linear = nir.LIF | nir.IF | nir.CubaLIF, nir.Linear | nir.Affine
    back = [edge for edge in edges if edge[::-1] in edges]
    partners = {a: b for a, b in back if isinstance(nodes[a], spiking) and isinstance(nodes[b], linear)}
    edges -= {edge for a, b in partners.items() for edge in ((a, b), (b, a))}
    order, after = [_only(nir.Input, graph)], dict(sorted(edges))
    while order[-1] in after and len(order) < len(nodes):
        order.append(after[order[-1]])
    left = [*edges - set(itertools.pairwise(order)), *nodes.keys() - {*order, *partners.values()}]
    got = f"{' -> '.join(order)}, and apart from it {sorted(map(str, left))}"
    fits = not left and isinstance(nodes[order[-1]], nir.Output)
    expect(fits, "one layer after another, from the Input to the Output", got)
    for a, b in itertools.pairwise(order):
        if isinstance(nodes[a], nir.LI | nir.I) and isinstance(nodes[b], nir.Threshold):
            partners[a] = b
    passed = [name for name in order if isinstance(nodes[name], nir.Input | nir.Output)]
    names = [name for name in order if name not in {*passed, *partners.values()}]
    return nodes[order[0]], [(name, nodes[name], nodes[partners[name]] if name in partners else None) for name in names]


def _only(kind: type, graph: Any) -> str:
    names = [name for name, node in graph.nodes.items() if isinstance(node, kind)]
    expect(len(names) == 1, f"one {kind.__name__} in each graph", names)
    return names[0]


def _inlined(graph: Any, prefix: str = "") -> tuple[dict[str, Any], set[tuple[str, str]]]:
    """Return nodes and edges of a graph with those of the graphs inside of it."""
    nodes: dict[str, Any] = {}
    edges: set[tuple[str, str]] = set()
    starts, ends = {}, {}  # of graphs inside, which edges name
    for name, node in graph.nodes.items():
        path = f"{prefix}{name}"
        if isinstance(node, nir.NIRGraph):
            inner, between = _inlined(node, f"{path}.")
            starts[path], ends[path] = (f"{path}.{_only(kind, node)}" for kind in (nir.Input, nir.Output))
            nodes |= inner
            edges |= between
        else:
            nodes[path] = node
    pairs = [(f"{prefix}{a}", f"{prefix}{b}") for a, b in graph.edges]
    return nodes, edges | {(ends.get(a, a), starts.get(b, b)) for a, b in pairs}


# Metadata: words, dtypes, and surrogates, which are read by look-up, and no code is run ------------------------------

EXPORTED: dict[str, Any] = {name: f for name, f in vars(surrogates).items() if isinstance(f, type)} | {"Scaled": Scaled}


def words_of(node: Any) -> dict[str, Any]:
    """Return what brainsurr wrote about a node, as Python numbers, flags and words; empty if it wrote nothing."""
    words = node.metadata.get("brainsurr", {}) if isinstance(node.metadata, dict) else {}
    return {key: value if key == "surrogate" else as_python(value) for key, value in words.items()}


def dtype_of(words: dict[str, Any], key: str, default: Any = jnp.float32) -> Any:
    """Return a dtype that brainsurr wrote about a node."""
    return jnp.dtype(words[key]) if key in words else default


def is_own(f: Any) -> bool:
    """Return whether a surrogate, and any inside of it, is brainsurr's own."""
    inner = [value for value in vars(f).values() if isinstance(value, Surrogate)]
    return EXPORTED.get(type(f).__name__) is type(f) and all(map(is_own, inner))


def words_of_surrogate(f: Surrogate) -> dict[str, Any]:
    """Return name and parameters of a surrogate of brainsurr."""
    values = {}
    for parameter, value in vars(f).items():
        if hasattr(value, "ndim"):
            value = plain(value) if value.ndim else plain(value).item()  # nir writes no array without an axis
        values[parameter] = words_of_surrogate(value) if isinstance(value, Surrogate) else value
    return {"name": type(f).__name__, "parameters": values}


def surrogate_of(words: dict[str, Any]) -> Surrogate:
    """Return the surrogate of a name and parameters."""
    name = words["name"]
    with naming("the surrogate in its metadata"):
        expect(name in EXPORTED, f"one of {', '.join(sorted(EXPORTED))}", repr(name))
        values = {p: surrogate_of(v) if isinstance(v, dict) else as_python(v) for p, v in words["parameters"].items()}
        return EXPORTED[name](**values)


def as_python(value: Any) -> Any:
    """Return a number, flag or word of a file as Python's own; arrays stay arrays."""
    value = value.decode() if isinstance(value, bytes) else value
    return value.item() if getattr(value, "shape", None) == () else value


def plain(value: Any) -> np.ndarray:
    """Return an array of a dtype that HDF5 has: bfloat16 as float32, exactly."""
    array = np.asarray(value)
    return array if array.dtype.kind in "biuf" else array.astype(np.float32)
