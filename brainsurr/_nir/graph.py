"""A graph of NIR as a chain of nodes."""

import itertools
from typing import Any, NamedTuple

import nir

from .chain import expect


class Link(NamedTuple):
    """A node of the chain.

    Attributes:
      name: of the node, with those of the graphs around it.
      node: of NIR.
      partner: what makes one layer of neurons with it: the recurrent weights that form a cycle with spiking neurons, or
        the threshold behind an integrator; or None.
    """

    name: str
    node: Any
    partner: "Link | None" = None


def chain_of(graph: Any) -> tuple[Any, list[Link]]:
    """Return the input and the nodes after it, in order; raise a ValueError unless they form a chain."""
    nodes, edges = _inlined(graph)
    start = name = _only(nir.Input, nodes)
    chain, seen = [Link(start, nodes[start])], {start}
    while True:
        after = [b for a, b in edges if a == name]
        back = [b for b in after if (b, name) in edges and isinstance(nodes[b], nir.Linear | nir.Affine)]
        if len(back) == 1 and isinstance(nodes[name], nir.LIF | nir.IF | nir.CubaLIF):
            (weights,) = back
            around = sorted(edge for edge in edges if weights in edge)
            what = f"the recurrent weights {weights!r} to take the spikes of {name!r} alone and to go nowhere else"
            expect(around == sorted([(name, weights), (weights, name)]), what, f"the edges {around}")
            chain[-1] = chain[-1]._replace(partner=Link(weights, nodes[weights]))
            after.remove(weights)
            seen.add(weights)
        if isinstance(nodes[name], nir.Output) and not after:
            break
        goes_on = len(after) == 1 and after[0] in nodes.keys() - seen
        expect(goes_on, "one layer after another", f"the node {name!r} before {after}")
        (name,) = after
        seen.add(name)
        last, link = chain[-1], Link(name, nodes[name])
        if isinstance(link.node, nir.Threshold) and isinstance(last.node, nir.LI | nir.I) and last.partner is None:
            chain[-1] = last._replace(partner=link)
        else:
            chain.append(link)
    left = sorted({*nodes, *itertools.chain(*edges)} - seen)
    expect(not left, "every node on the way from the Input to the Output", f"{left} elsewhere")
    return nodes[start], chain[1:-1]


def _only(kind: type, nodes: dict[str, Any], where: str = "") -> str:
    names = [name for name, node in nodes.items() if isinstance(node, kind)]
    expect(len(names) == 1, f"one {kind.__name__}{where}", len(names))
    return names[0]


def _inlined(graph: Any, prefix: str = "") -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Return nodes and edges of a graph with those of the graphs inside of it."""
    nodes: dict[str, Any] = {}
    edges: list[tuple[str, str]] = []
    ends: dict[str, list[str]] = {}  # the Input and the Output of each graph inside
    for name, node in graph.nodes.items():
        if isinstance(node, nir.NIRGraph):
            inner, between = _inlined(node, f"{prefix}{name}.")
            ends[name] = [_only(kind, inner, f" in the graph {prefix}{name}") for kind in (nir.Input, nir.Output)]
            nodes |= inner
            edges += between
        else:
            nodes[f"{prefix}{name}"] = node
    for start, end in graph.edges:
        edges.append((ends.get(start, [f"{prefix}{start}"])[-1], ends.get(end, [f"{prefix}{end}"])[0]))
    for name in itertools.chain(*ends.values()):
        del nodes[name]
        into, out = [a for a, b in edges if b == name], [b for a, b in edges if a == name]
        edges = [edge for edge in edges if name not in edge] + [(a, b) for a in into for b in out]
    return nodes, edges
