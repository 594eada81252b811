"""Convert any NIR graph to a linear sequence of nodes, or raise an error that says what was expected."""

from typing import Any, NamedTuple

import nir
import numpy as np

FIRES = (nir.LIF, nir.IF, nir.CubaLIF)


class Link(NamedTuple):
    """A node of the sequence, and the recurrent weights that form a cycle with it, or None."""

    name: str
    node: Any
    recurrent: Any


def row_of(graph: Any) -> tuple[Any, list[Link]]:
    """Return the input and the nodes after it, in order; raise a ValueError unless they form a linear sequence."""
    nodes, edges = _inlined(graph, "")
    unknown = sorted({end for edge in edges for end in edge} - nodes.keys())
    if unknown:
        raise ValueError(f"from_nir: expected edges between nodes of the graph, {sorted(nodes)}, got {unknown}")
    if len(set(edges)) != len(edges):
        raise ValueError(
            f"from_nir: expected every edge once, got {sorted(e for e in set(edges) if edges.count(e) > 1)}"
        )
    starts = [name for name, node in nodes.items() if isinstance(node, nir.Input)]
    if len(starts) != 1:
        raise ValueError(f"from_nir: expected one Input, got {len(starts)}")
    row: list[Link] = []
    (name,), seen = starts, {starts[0]}
    while True:
        after = [end for start, end in edges if start == name]
        if row and isinstance(nodes[name], FIRES):
            loops = [end for end in after if (end, name) in edges]
            if len(loops) == 1 and isinstance(nodes[loops[0]], nir.Linear | nir.Affine):
                _check_alone(loops[0], name, edges)
                row[-1] = row[-1]._replace(recurrent=nodes[loops[0]])
                after.remove(loops[0])
                seen.add(loops[0])
        if row and isinstance(nodes[name], nir.Output) and not after:
            break
        if len(after) != 1 or after[0] in seen:
            raise ValueError(f"from_nir: expected one layer after another, got the node {name!r} before {after}")
        (name,) = after
        seen.add(name)
        row.append(Link(name, nodes[name], None))
    if left := sorted(nodes.keys() - seen):
        raise ValueError(f"from_nir: expected every node on the way from the Input to the Output, got {left} elsewhere")
    return nodes[starts[0]], row[:-1]


def _check_alone(loop: str, name: str, edges):
    around = [edge for edge in edges if loop in edge]
    if sorted(around) != sorted([(name, loop), (loop, name)]):
        raise ValueError(
            f"from_nir: expected the recurrent weights {loop!r} to take the spikes of {name!r} alone and to go nowhere "
            f"else, got the edges {around}"
        )


def _inlined(graph: Any, prefix: str) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Return nodes and edges of a graph with those of the graphs inside of it."""
    nodes, edges = {}, [(str(start), str(end)) for start, end in graph.edges]
    for name, node in graph.nodes.items():
        if not isinstance(node, nir.NIRGraph):
            nodes[name] = node
            continue
        inner, between = _inlined(node, f"{prefix}{name}.")
        inner = {f"{name}.{key}": value for key, value in inner.items()}
        between = [(f"{name}.{start}", f"{name}.{end}") for start, end in between]
        ways = {
            kind: [key for key, value in inner.items() if isinstance(value, kind)] for kind in (nir.Input, nir.Output)
        }
        for kind, names in ways.items():
            if len(names) != 1:
                raise ValueError(
                    f"from_nir: expected one {kind.__name__} in the graph {prefix}{name}, got {len(names)}"
                )
        (start,), (end,) = ways.values()
        into = [b for a, b in between if a == start]
        out = [a for a, b in between if b == end]
        edges = [pair for edge in edges for pair in _joined(edge, name, into, out)]
        edges += [(a, b) for a, b in between if a != start and b != end]
        nodes |= {key: value for key, value in inner.items() if key not in (start, end)}
    return nodes, edges


def _joined(edge, name, into, out):
    starts = out if edge[0] == name else edge[:1]
    ends = into if edge[1] == name else edge[1:]
    return [(start, end) for start in starts for end in ends]


def numbers(owner: str, node: Any, field: str, *, positive: bool = False) -> np.ndarray:
    """Return a parameter of a node in float64, or raise a ValueError if it does not hold real and finite numbers."""
    value = getattr(node, field)
    array = np.asarray(value) if np.ndim(value) or np.isscalar(value) or hasattr(value, "__array__") else None
    if array is None or array.dtype.kind not in "iuf" or not array.size or not np.all(np.isfinite(array)):
        got = type(value).__name__ if array is None else f"{array.dtype}{list(array.shape)}"
        shown = f"{got}, not all finite" if array is not None and array.dtype.kind == "f" and array.size else got
        raise ValueError(f"{owner}: expected {field} to hold finite real numbers, got {shown}")
    if positive and not np.all(array > 0):
        raise ValueError(f"{owner}: expected {field} above 0, got {array.min()}")
    return array.astype(np.float64)
