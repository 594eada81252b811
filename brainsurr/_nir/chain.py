r"""How far a conversion is: a chain of layers that is written, or read, and what is said of each in its metadata.

With a step of ``dt``, NIR's :math:`\tau \dot v = -v + r\,I` becomes

.. math:: v' = d\, v + (1 - d)\, r\, I, \qquad d = 1 - dt / \tau \ (\text{Euler}), \quad \exp(-dt / \tau) \ (\text{exp})

and a layer here is :math:`v' = d\, v + g\, x`, with g = 1 or, with ``decay_input``, 1 - d. The potentials differ by a
factor, by which the threshold is scaled. All is computed in float64, so that a float32 decay is restored exactly.
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
from .._checks import check_dtype
from .._surrogate import Scaled, Surrogate

Shape = tuple[int, ...]
MOST_ENTRIES = 2**30  # of a time step, of what a Delay keeps: 4 GiB
MOST_TERMS = 1000  # of a Fourier series, which compiles for a second then
DEEPEST = 50  # that a graph is in others, or a surrogate
SPIKING, LINEAR = nir.LIF | nir.IF | nir.CubaLIF, nir.Linear | nir.Affine
PRODUCTS = LINEAR | nir.Conv1d | nir.Conv2d


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


def within(dtype: Any, what: str, value: np.ndarray, *, normal: bool = False) -> np.ndarray:
    """Return numbers, or raise a ValueError if one is not finite in a dtype, or, if so asked, 0 only there."""
    info, size = jnp.finfo(dtype), np.abs(value)
    fits = (size <= float(info.max)) & (not normal or (size >= float(info.tiny)) | (size == 0))
    expect(np.all(fits), f"{what} to hold numbers that {info.dtype} has", np.extract(~fits, value)[:4])
    return value


def near(value: np.ndarray, other: Any) -> np.ndarray:
    """Return where two numbers are equal up to their rounding to float32."""
    return np.isclose(value, other, rtol=1e-6, atol=0)


class Convention(NamedTuple):
    """How a library computes what a graph says.

    Attributes:
      dt: its step.
      method: ``"euler"`` or ``"exp"``.
      r: what it takes the resistances of neurons for; ``"1"``; ``"tau/dt"``, the one that lets all of the input in,
        with exp 1 / (1 - decay); or None, what they are.
    """

    dt: float
    method: str
    r: str | None = None

    def tau_of(self, decay: np.ndarray) -> np.ndarray:
        """Return the time constant of a decay below 1."""
        return self.dt / (1 - decay) if self.method == "euler" else -self.dt / np.log(decay)

    def decay_of(self, tau: np.ndarray) -> np.ndarray:
        """Return the decay of a time constant above 0; 0 by Euler's method if it is dt, rounded to float32."""
        if self.method == "exp":
            return np.exp(-self.dt / tau)
        return 1 - self.dt / np.where(near(tau, self.dt), np.maximum(tau, self.dt), tau)

    def gain_of(self, tau: Any, r: np.ndarray) -> np.ndarray:
        """Return the factor of the input in a step, 1 where it is near; ``tau`` is None without a leak."""
        gain = r * (self.dt if tau is None else 1 - self.decay_of(tau))
        return np.where(near(gain, 1), 1.0, gain)

    def r_of(self, tau: Any, given: np.ndarray) -> np.ndarray:
        """Return the resistance of neurons, which may be given."""
        one = np.ones_like(given)
        return {"1": one, "tau/dt": one / (self.dt if tau is None else 1 - self.decay_of(tau))}.get(self.r or "", given)


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
      owners: by its nodes.
      reset: that of neurons there, with ``reset_delay``.
      fuses: whether integrators and the neurons behind them are one node, a CubaLIF.
      reader: the library that it is written for, or None.
      lost: what NIR does not say of the layers so far.
      refused: which of these layers can't be written, and why.
    """

    def __init__(self, shape: Shape, how: Convention, reset: tuple[str, bool], fuses: bool, reader: str | None):
        super().__init__(shape, how)
        self.reset, self.fuses, self.reader = reset, fuses, reader
        self.nodes: dict[str, Any] = {}
        self.edges: list[tuple[str, str]] = []
        self.lost: list[str] = []
        self.refused: list[str] = []
        self.owners: dict[str, str] = {}
        self.owner, self.last = "input_shape", ""

    def add(self, name: str, node: Any, words: dict[str, Any] | None = None):
        """Add a node after the last one, with words for its metadata."""
        if words:
            node.metadata = {"brainsurr": words}
        if self.nodes:
            self.edges.append((self.last, name))
        self.nodes[name], self.owners[name], self.last = node, self.owner, name

    def lose(self, what: str):
        """Note what NIR does not say of the layer."""
        self.lost.append(f"{self.owner}: {what}")

    def refuse_unless(self, fits: Any, what: str, got: Any, owner: str | None = None):
        """Note what was expected of a layer, and what came, unless it fits: all of that is said at once."""
        if not fits:
            self.refused.append(f"{owner or self.owner}: expected {what}, got {got}")

    @contextlib.contextmanager
    def noting(self, owner: str, *, ends: bool = False) -> Iterator[None]:
        """Note what is refused of a layer, and go on, or end: what comes behind a product can't be judged then.

        Nor can such a product behind a refused layer, whose outputs may have any shape.
        """
        try:
            with naming(owner):
                yield
        except ValueError as error:
            if not (ends and self.refused):
                self.refused.append(str(error))
            if ends:
                self.check_refused()

    def check_refused(self):
        """Raise a ValueError with all that was refused."""
        if self.refused:
            raise ValueError("\n".join(dict.fromkeys(self.refused)))

    def spread(self, value: Any) -> np.ndarray:
        """Expand a number, or one for each channel, to one for each entry of a time step, in the order of NIR."""
        value = within(np.float32, "its parameters", np.asarray(value, np.float64))
        spread = np.broadcast_to(value, self.shape)
        return (np.moveaxis(spread, -1, 0) if spread.ndim > 1 else self.to_order(spread)).copy()


class Reader(Chain):
    """Layers while they are read, each with the shape of its input and its node.

    Attributes:
      said: by the caller of all neurons: ``reset``, ``reset_delay``, ``surrogate``, but those that are None.
      heard: which of these had neurons, or a surrogate, to be said of.
      owner: the node that is read, for messages.
    """

    def __init__(self, shape: Shape, how: Convention, said: dict[str, Any]):
        super().__init__(shape, how)
        self.said = {word: value for word, value in said.items() if value is not None}
        self.heard: set[str] = set()
        self.layers: list[Any] = []
        self.owner = ""

    def saying(self, words: dict[str, Any], *about: str) -> dict[str, Any]:
        """Return what a file says, with what the caller says about it in its place."""
        said = {word: value for word, value in self.said.items() if word in about}
        self.heard |= said.keys()
        return words | said

    def check_said(self):
        """Raise a ValueError if the caller said something of no neurons."""
        unheard = ["spike_fn" if word == "surrogate" else word for word in self.said if word not in self.heard]
        expect(not unheard, f"neurons of which {' and '.join(unheard)} can be said", "none: leave it out")

    def add(self, layer: Any, shape: Shape | None = None):
        """Add a layer; ``shape`` is that of its output, if it differs from the one of its input."""
        self.layers.append((layer, self.shape, self.owner))
        self.shape = shape or self.shape
        self.check_size("a time step", 1)

    def check_size(self, what: str, steps: float):
        """Raise a ValueError if some time steps have more entries than there is memory."""
        size = steps * math.prod(self.shape)
        expect(size <= MOST_ENTRIES, f"at most {MOST_ENTRIES} entries in {what}", f"{size:.3g}")

    def check_shape(self, what: str, given: Any, ours: Shape | None = None):
        """Raise a ValueError unless a shape that a node says is None or the one here, with or without axes of 1."""
        ours = channels_first(self.shape) if ours is None else ours
        said = ours if given is None else np.ravel(given).tolist()
        expect([n for n in said if n != 1] == [n for n in ours if n != 1], f"{what} of shape {ours}", said)

    def numbers(self, node: Any, field: str) -> np.ndarray:
        """Return a parameter of a node that has one number for all, or one for each entry of a time step."""
        value, shape = numbers(node, field), channels_first(self.shape)
        expect(value.shape in ((), (1,), shape), f"{field} of shape {shape}", value.shape)
        return value.reshape(()) if value.shape == (1,) else value

    def each(self, field: str, value: np.ndarray, dtype: Any = np.float32) -> Any:
        """Return one number for each channel, or for all, of one for each entry of a time step as NIR has them."""
        within(dtype, field, value, normal=True)
        if value.ndim > 1:
            value = np.moveaxis(value, 0, -1).reshape(-1, self.shape[-1])
            expect(np.all(value == value[0]), f"{field} to be one for each channel", "several")
            value = value[0]
        value = self.from_order(value) if value.size > 1 else value.reshape(-1)
        return value[0] if np.all(value == value[0]) else value


def numbers(node: Any, field: str) -> np.ndarray:
    """Return a parameter of a node in float64, or raise a ValueError if it does not hold real and finite numbers."""
    given = getattr(node, field, None)
    expect(given is not None, f"a {type(node).__name__} with {field}", "one without")
    value = np.asarray(given)
    fits = value.dtype.kind in "iuf" and value.size and np.all(np.isfinite(value))
    expect(fits, f"{field} to hold finite real numbers", f"{value.dtype}{list(value.shape)}")
    return value.astype(np.float64)


def shape_of(node: Any, end: str) -> Any:
    """Return the shape of the input or the output of a node, as it says; None if it says none."""
    types = getattr(node, f"{end}_type", None)
    return types.get(end) if isinstance(types, dict) else None


def channels_first(shape: Shape) -> Shape:
    """Move the channels to the front, where NIR has them."""
    return (*shape[-1:], *shape[:-1])


# Graphs --------------------------------------------------------------------------------------------------------------


def chain_of(graph: Any) -> list[tuple[str, Any, Any]]:
    """Return the nodes of a graph in order, from its Input on; raise a ValueError unless they form a chain.

    Each node has its name, with those of the graphs around it, and what makes one layer of neurons with it: recurrent
    weights, which form a cycle with spiking neurons, or the threshold behind an integrator; or None.
    """
    nodes, edges = _inlined(graph)
    back = [edge for edge in edges if edge[::-1] in edges]
    partners = {a: b for a, b in back if isinstance(nodes[a], SPIKING) and isinstance(nodes[b], LINEAR)}
    edges -= {edge for edge in back if edge in partners.items() or edge[::-1] in partners.items()}
    order, after = [_only(nir.Input, graph)], dict(sorted(edges))
    while order[-1] in after and len(order) < len(nodes):
        order.append(after[order[-1]])
    left = [*edges - set(itertools.pairwise(order)), *nodes.keys() - {*order, *partners.values()}]
    got = f"{' -> '.join(order)}, and apart from it {sorted(map(str, left))}"
    fits = not left and order[-1] == _only(nir.Output, graph)
    expect(fits, "one layer after another, from the Input to the Output", got)
    follow = itertools.pairwise(order)
    fires = {a: b for a, b in follow if isinstance(nodes[a], nir.LI | nir.I) and isinstance(nodes[b], nir.Threshold)}
    partners |= fires
    return [(name, nodes[name], nodes.get(partners.get(name, ""))) for name in order if name not in partners.values()]


def _only(kind: type, graph: Any) -> str:
    names = [name for name, node in graph.nodes.items() if isinstance(node, kind)]
    expect(len(names) == 1, f"one {kind.__name__} in each graph", names)
    return names[0]


def _inlined(graph: Any, prefix: str = "", around: tuple[Any, ...] = ()) -> tuple[dict[str, Any], set[tuple[str, str]]]:
    """Return nodes and edges of a graph with those of the graphs inside of it."""
    fits = len(around) < DEEPEST and all(graph is not other for other in around)
    expect(fits, f"graphs in each other, none in itself, at most {DEEPEST} deep", f"more at node {prefix[:60]!r}")
    kinds = type(graph.nodes).__name__, type(graph.edges).__name__
    expect(kinds == ("dict", "list"), f"a dict of nodes and a list of edges in the graph {prefix!r}", kinds)
    nodes: dict[str, Any] = {}
    edges: set[tuple[str, str]] = set()
    starts, ends = {}, {}  # of graphs inside, which edges name
    for name, node in graph.nodes.items():
        path = f"{prefix}{name}"
        if isinstance(node, nir.NIRGraph):
            inner, between = _inlined(node, f"{path}.", (*around, graph))
            starts[name], ends[name] = (f"{name}.{_only(kind, node)}" for kind in (nir.Input, nir.Output))
            nodes, edges = nodes | inner, edges | between
        else:
            nodes[path] = node
    for edge in graph.edges:
        pair = isinstance(edge, list | tuple) and len(edge) == 2 and all(isinstance(end, str) for end in edge)
        expect(pair, "edges from one node to another", repr(edge))
        here = f"{prefix}{ends.get(edge[0], edge[0])}", f"{prefix}{starts.get(edge[1], edge[1])}"
        expect(here not in edges, "each edge once", repr(edge))
        edges.add(here)
    return nodes, edges


# Metadata: words, dtypes, and surrogates, which are read by look-up, and no code is run ------------------------------

EXPORTED: dict[str, Any] = {name: f for name, f in vars(surrogates).items() if isinstance(f, type)} | {"Scaled": Scaled}


def words_of(node: Any) -> dict[str, Any]:
    """Return what brainsurr wrote about a node, as Python numbers, flags and words; empty if it wrote nothing."""
    metadata = getattr(node, "metadata", None)
    words = metadata.get("brainsurr", {}) if isinstance(metadata, dict) else {}
    expect(isinstance(words, dict), "words by name in its metadata", words)
    words = {key: as_python(value) for key, value in words.items()}
    for key, value in words.items():
        kind, what = (dict, "a name and parameters") if key == "surrogate" else (int | float | str, "a number or word")
        expect(isinstance(value, kind), f"{key} in its metadata to be {what}", type(value).__name__)
    return words


def dtype_of(words: dict[str, Any], key: str, default: Any = jnp.float32) -> Any:
    """Return a dtype that brainsurr wrote about a node."""
    check_dtype(key, words.get(key, default))
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


def surrogate_of(words: dict[str, Any], shape: Shape, at: int = 0) -> Surrogate:
    """Return the surrogate of a name and parameters, for an input of a shape."""
    parameters: Any
    expect(at < DEEPEST, f"surrogates in each other at most {DEEPEST} deep", "more")
    name, parameters = (as_python(words.get(key)) for key in ("name", "parameters"))
    expect(isinstance(name, str) and name in EXPORTED, f"one of {', '.join(sorted(EXPORTED))}", repr(name))
    expect(isinstance(parameters, dict), "parameters by name", type(parameters).__name__)
    values = {p: surrogate_of(v, shape, at + 1) if isinstance(v, dict) else as_python(v) for p, v in parameters.items()}
    f = EXPORTED[name](**values)
    expect(getattr(f, "n", 0) <= MOST_TERMS, f"n, its number of terms, to be {MOST_TERMS} or less", values.get("n"))
    for value in jax.tree.leaves(f):
        within(jnp.float32, "its parameters", np.asarray(value, np.float64))
    f._matched(jax.ShapeDtypeStruct(shape, jnp.float32))  # a ValueError unless they broadcast into it
    return f


def as_python(value: Any) -> Any:
    """Return a number, flag or word of a file as Python's own; arrays stay arrays."""
    value = value.decode() if isinstance(value, bytes) else value
    return value.item() if getattr(value, "shape", None) == () else value


def plain(value: Any) -> np.ndarray:
    """Return an array of a dtype that HDF5 has: bfloat16 as float32, exactly."""
    array = np.asarray(value)
    return array if array.dtype.kind in "biuf" else array.astype(np.float32)
