r"""Shared parts of the NIR conversion: its state, the order of nodes in a graph, and metadata.

With the time step ``dt``, the NIR equation :math:`\tau \dot v = -v + r\,I` becomes

.. math:: v' = d\, v + (1 - d)\, r\, I, \qquad d = 1 - dt / \tau \ (\text{Euler}), \quad \exp(-dt / \tau) \ (\text{exp})

and a brainsurr layer computes :math:`v' = d\, v + g\, x`, where the gain g is 1, or 1 - d with ``decay_input``. The two
membrane potentials differ by a factor, and the threshold is scaled by the same factor. The conversion computes in
float64, so that a round trip restores float32 decays exactly.
"""

import contextlib
import itertools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import nir
import numpy as np

from .. import surrogates
from .._surrogate import Scaled, Surrogate

Shape = tuple[int, ...]
SPIKING, LINEAR = nir.LIF | nir.IF | nir.CubaLIF, nir.Linear | nir.Affine
PRODUCTS = LINEAR | nir.Conv1d | nir.Conv2d


def expect(fits: Any, what: str, got: Any = None):
    """Raise a ValueError with the expected value, and the actual value if given, unless ``fits`` is true."""
    if not fits:
        raise ValueError(f"expected {what}" if got is None else f"expected {what}, got {got}")


@contextlib.contextmanager
def error_prefix(owner: str) -> Iterator[None]:
    """Convert any error, including errors from nir, jax or a corrupt file, to a ValueError prefixed with its owner."""
    try:
        yield
    except Exception as error:
        raise ValueError(f"{owner}: {error}") from error.__cause__ or error


def check_range(dtype: Any, what: str, value: np.ndarray, *, normal: bool = False) -> np.ndarray:
    """Return ``value``; raise a ValueError if it overflows in ``dtype`` or, with ``normal``, underflows."""
    info, size = jnp.finfo(dtype), np.abs(value)
    fits = (size <= float(info.max)) & (not normal or (size >= float(info.tiny)) | (size == 0))
    expect(np.all(fits), f"{what} to contain numbers that {info.dtype} can represent", np.extract(~fits, value)[:4])
    return value


def near(value: Any, other: Any) -> np.ndarray:
    """Return where two arrays are equal up to float32 rounding."""
    return np.isclose(value, other, rtol=1e-6, atol=0)


class Discretization(NamedTuple):
    """How a library discretises the equations of a graph.

    Attributes:
      dt: the time step.
      method: ``"euler"`` or ``"exp"``.
      r: the resistance that the library assumes for neurons: ``"1"``; ``"tau/dt"``, which gives the input a gain of 1
        (with ``"exp"``, it is 1 / (1 - decay)); or None for the resistance in the graph.
    """

    dt: float
    method: str
    r: str | None = None

    def tau_of(self, decay: np.ndarray) -> np.ndarray:
        """Return the time constant for a decay below 1."""
        return self.dt / (1 - decay) if self.method == "euler" else -self.dt / np.log(decay)

    def decay_of(self, tau: np.ndarray) -> np.ndarray:
        """Return the decay for a time constant above 0. For Euler, a tau within float32 rounding of dt gives 0."""
        if self.method == "exp":
            return np.exp(-self.dt / tau)
        return 1 - self.dt / np.where(near(tau, self.dt), np.maximum(tau, self.dt), tau)

    def gain_of(self, tau: Any, r: np.ndarray) -> np.ndarray:
        """Return the gain of the input per step, exactly 1 where it is near 1; ``tau`` is None without a leak."""
        gain = r * (self.dt if tau is None else 1 - self.decay_of(tau))
        return np.where(near(gain, 1), 1.0, gain)

    def r_of(self, tau: Any, given: np.ndarray) -> np.ndarray:
        """Return the resistance that the library assumes, or else the given one."""
        one = np.ones_like(given)
        return {"1": one, "tau/dt": one / (self.dt if tau is None else 1 - self.decay_of(tau))}.get(self.r or "", given)


class Chain:
    """The state of a conversion.

    Attributes:
      how: the discretization of the library that reads or wrote the graph.
      owner: the name of the current layer or node, for messages.
      shape: the shape of one time step of one sample in brainsurr, channels last.
      order: for each entry in NIR order (channels first, also after a `Flatten`), its index in brainsurr's order.
    """

    order: np.ndarray

    def __init__(self, shape: Shape, how: Discretization):
        self.how, self.owner = how, "input_shape"
        self.move_to(shape)

    def move_to(self, shape: Shape):
        """Set the input shape of the next layer."""
        self.shape, self.order = shape, np.moveaxis(np.arange(math.prod(shape)).reshape(shape), -1, 0)

    def flatten(self):
        """Merge all axes into one."""
        self.shape, self.order = (self.order.size,), self.order.reshape(-1)

    def from_order(self, value: np.ndarray) -> np.ndarray:
        """Reorder entries along the first axis from NIR order to brainsurr's order."""
        return value[np.argsort(self.order, axis=None)]

    def check_end(self):
        """Raise a ValueError if the entries of the final output are in a different order in NIR."""
        fits = self.order.ndim > 1 or np.all(np.diff(self.order) > 0)
        expect(fits, "a linear layer after a Flatten of several axes", "none")


class GraphWriter(Chain):
    """A graph under construction.

    Attributes:
      target: the row of ``TARGETS`` that describes how the target library reads the graph.
      reader: the name of the target library, or None.
      nodes: the nodes added so far, in order.
      recurrent: recurrent weights, keyed by the name of the neuron node.
      owners: the layer that each node comes from, for messages.
      lost: properties of the layers so far that NIR can't express.
      refused: errors found in the layers so far.
    """

    def __init__(self, shape: Shape, how: Discretization, target: Any, reader: str | None):
        super().__init__(shape, how)
        self.target, self.reader = target, reader
        self.nodes, self.recurrent, self.owners = dict[str, Any](), dict[str, Any](), dict[str, str]()
        self.lost, self.refused = list[str](), list[str]()

    def add(self, name: str, node: Any, metadata: dict[str, Any] | None = None):
        """Add a node after the last one."""
        if metadata:
            node.metadata = {"brainsurr": metadata}
        self.nodes[name], self.owners[name] = node, self.owner

    def record_loss(self, what: str):
        """Record a property of the layer that NIR can't express."""
        self.lost.append(f"{self.owner}: {what}")

    def refuse_unless(self, fits: Any, problem: str):
        """Record an error for the current layer unless ``fits`` is true, so that all errors are reported at once."""
        if not fits:
            self.refused.append(f"{self.owner}: {problem}")

    def spread(self, value: Any) -> np.ndarray:
        """Expand a scalar, or one number per channel, to one number per entry of a time step, in NIR order."""
        value = check_range(np.float32, "its parameters", np.asarray(value, np.float64))
        return np.broadcast_to(value, self.shape).reshape(-1)[self.order]

    def graph(self) -> Any:
        """Return the nodes as a NIR graph."""
        loops = [(name, f"{name}_recurrent") for name in self.recurrent]
        edges = [*itertools.pairwise(self.nodes), *loops, *(loop[::-1] for loop in loops)]
        return nir.NIRGraph(self.nodes | {loop: self.recurrent[name] for name, loop in loops}, edges)


class GraphReader(Chain):
    """The layers read so far, each with its input shape and the node it comes from.

    Attributes:
      overrides: the caller's ``reset``, ``reset_delay`` and ``surrogate`` for all neurons, if not None.
    """

    def __init__(self, shape: Shape, how: Discretization, overrides: dict[str, Any]):
        super().__init__(shape, how)
        self.overrides = {name: value for name, value in overrides.items() if value is not None}
        self.layers: list[Any] = []

    def add(self, layer: Any, shape: Shape | None = None):
        """Add a layer; ``shape`` is its output shape, if it differs from the input shape."""
        self.layers.append((layer, self.shape, self.owner))
        if shape is not None:
            self.move_to(shape)

    def numbers(self, node: Any, field: str) -> np.ndarray:
        """Return a parameter of a node, broadcast to one number per entry of a time step."""
        return np.broadcast_to(numbers(node, field), self.order.shape)

    def each(self, field: str, value: np.ndarray, dtype: Any = np.float32) -> Any:
        """Reduce one number per entry of a time step, in NIR order, to one per channel, or to a scalar if possible."""
        check_range(dtype, field, value, normal=True)
        rows = self.from_order(value.reshape(-1)).reshape(-1, self.shape[-1])
        expect(np.all(rows == rows[0]), f"{field} to have one value per channel", "several")
        return rows[0, 0] if np.all(rows == rows[0, 0]) else rows[0]


def numbers(node: Any, field: str) -> np.ndarray:
    """Return a parameter of a node in float64; raise a ValueError unless it contains finite real numbers."""
    value = np.asarray(getattr(node, field, None))
    fits = value.dtype.kind in "iuf" and value.size and np.all(np.isfinite(value))
    expect(fits, f"{field} to contain finite real numbers", f"{value.dtype}{list(value.shape)}")
    return value.astype(np.float64)


# Graphs --------------------------------------------------------------------------------------------------------------


def chain_of(graph: Any) -> list[tuple[str, Any, Any]]:
    """Return the nodes of a graph in order, starting at its Input; raise a ValueError unless they form a chain.

    Returns:
      Tuples ``(name, node, partner)``. The name is prefixed with the names of the enclosing subgraphs. The partner is
      the node that belongs to the same layer of neurons: the recurrent weights, which form a cycle with spiking
      neurons, or the threshold after an integrator. Otherwise it is None.
    """
    nodes, edges = _inlined(graph)
    back = edges & {edge[::-1] for edge in edges}
    partners = {a: b for a, b in back if isinstance(nodes[a], SPIKING) and isinstance(nodes[b], LINEAR)}
    edges -= {*partners.items(), *((b, a) for a, b in partners.items())}
    order, after = [_only(nir.Input, graph)], dict(sorted(edges))
    while order[-1] in after and len(order) < len(nodes):
        order.append(after[order[-1]])
    left = [*edges - set(itertools.pairwise(order)), *nodes.keys() - {*order, *partners.values()}]
    got = f"{' -> '.join(order)}, and in addition {sorted(map(str, left))}"
    expect(not left and order[-1] == _only(nir.Output, graph), "one layer after another, from Input to Output", got)
    for a, b in itertools.pairwise(order):
        if isinstance(nodes[a], nir.LI | nir.I) and isinstance(nodes[b], nir.Threshold):
            partners[a] = b
    return [(name, nodes[name], nodes.get(partners.get(name, ""))) for name in order if name not in partners.values()]


def _only(kind: type, graph: Any) -> str:
    names = [name for name, node in graph.nodes.items() if isinstance(node, kind)]
    expect(len(names) == 1, f"one {kind.__name__} in each graph", names)
    return names[0]


def _inlined(graph: Any, prefix: str = "") -> tuple[dict[str, Any], set[tuple[str, str]]]:
    """Return the nodes and edges of a graph with all its subgraphs inlined."""
    nodes, edges = dict[str, Any](), set[tuple[str, str]]()
    starts, ends = {}, {}  # the Input and Output of each subgraph, since edges name the subgraph itself
    for name, node in graph.nodes.items():
        if isinstance(node, nir.NIRGraph):
            inner, between = _inlined(node, f"{prefix}{name}.")
            starts[name], ends[name] = (f"{name}.{_only(kind, node)}" for kind in (nir.Input, nir.Output))
            nodes, edges = nodes | inner, edges | between
        else:
            nodes[f"{prefix}{name}"] = node
    for start, end in graph.edges:
        edge = f"{prefix}{ends.get(start, start)}", f"{prefix}{starts.get(end, end)}"
        expect(edge not in edges, "each edge once", edge)
        edges.add(edge)
    return nodes, edges


# Metadata: numbers, dtypes, and surrogates (looked up by name, so that a file can't run code) ------------------------

EXPORTED: dict[str, Any] = {name: f for name, f in vars(surrogates).items() if isinstance(f, type)} | {"Scaled": Scaled}


def metadata_of(node: Any) -> dict[str, Any]:
    """Return brainsurr's metadata for a node as Python numbers, flags and strings; empty if there is none."""
    written = (getattr(node, "metadata", None) or {}).get("brainsurr", {})
    return {key: as_python(value) for key, value in written.items()}


def surrogate_to_dict(f: Surrogate) -> dict[str, Any]:
    """Return the name and parameters of a brainsurr surrogate."""
    values = {p: surrogate_to_dict(v) if isinstance(v, Surrogate) else plain(v) for p, v in vars(f).items()}
    return {"name": type(f).__name__, "parameters": values}


def surrogate_from_dict(written: dict[str, Any], shape: Shape) -> Surrogate:
    """Return the surrogate with this name and these parameters, for inputs of this shape."""
    name, parameters = (as_python(written[key]) for key in ("name", "parameters"))
    values = {p: surrogate_from_dict(v, shape) if isinstance(v, dict) else as_python(v) for p, v in parameters.items()}
    f = EXPORTED[name](**values)
    for value in jax.tree.leaves(f):
        check_range(jnp.float32, "its parameters", np.asarray(value, np.float64))
    f._matched(jax.ShapeDtypeStruct(shape, jnp.float32))  # raises a ValueError unless they broadcast into the shape
    return f


def as_python(value: Any) -> Any:
    """Convert a scalar or string from a file to its Python type; arrays stay arrays."""
    value = value.decode() if isinstance(value, bytes) else value
    return value.item() if getattr(value, "shape", None) == () else value


def plain(value: Any) -> Any:
    """Return an array in a dtype that HDF5 supports (bfloat16 as float32, exactly); a scalar as a Python number."""
    array = np.asarray(value)
    array = array if array.dtype.kind in "biuf" else array.astype(np.float32)
    return array if array.ndim else array.item()  # nir can't write 0-dimensional arrays
