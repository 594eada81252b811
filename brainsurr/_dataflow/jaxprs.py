"""Derive facts about each value of a jaxpr from facts about its inputs, including calls, loops and branches."""

from collections.abc import Sequence
from functools import reduce
from typing import Any

from .._jax_private import scan_parts

_MOST_TURNS = 20  # maximum iterations until the facts of a loop carry must not change


class Reader:
    """The rules of one tool: which fact it derives for each value.

    In addition to the methods below, a subclass defines:

    - ``constant(var)`` returns the fact of a literal, or of an array that a program closes over.
    - ``operation(equation, facts)`` returns the facts of the outputs of an operation.
    - ``joined(one, other)`` returns the fact of a value that may be either of two values.
    - ``chosen(equation, index, facts)`` returns the facts of values that depend on the index of a branch, or on the
      condition of a loop.

    Attributes:
      calls: the calls around the equation that is being read, the outermost first.
    """

    def __init__(self):
        self.calls: list[Any] = []

    def enters(self, equation) -> bool:
        """Return whether to read the jaxpr inside a call; otherwise the call is treated as an operation."""
        return True

    def row(self, fact: Any) -> Any:
        """Return the fact of one entry of the leading axis."""
        return fact

    def stacked(self, fact: Any, length: int) -> Any:
        """Return the fact of entries with this fact, stacked along a new leading axis."""
        return fact

    def carried(self, fact: Any, closed_over: Sequence[Any]) -> Any:
        """Return the fact of a value that a loop carries to its next iteration."""
        return fact

    def same(self, one: Any, other: Any) -> bool:
        """Return whether two facts of a loop carry are equal, so that another iteration would not change anything."""
        return one == other


def read(reader: Any, jaxpr, facts: Sequence[Any]) -> list[Any]:
    """Return the facts of the outputs of a jaxpr, given the facts of its inputs."""
    known = {var: reader.constant(var) for var in jaxpr.constvars} | dict(zip(jaxpr.invars, facts, strict=True))

    def of(var):
        return reader.constant(var) if hasattr(var, "val") else known[var]

    for equation in jaxpr.eqns:
        reader.calls.append(equation)
        known.update(zip(equation.outvars, _read(reader, equation, [of(var) for var in equation.invars]), strict=True))
        reader.calls.pop()
    return [of(var) for var in jaxpr.outvars]


def _read(reader, equation, facts):
    name, params = equation.primitive.name, equation.params
    if name == "scan":
        closed_over, carry, xs = scan_parts(params, facts)
        carry, ys = _settled(reader, params["jaxpr"].jaxpr, closed_over, carry, [reader.row(x) for x in xs])
        return [*carry, *(reader.stacked(y, params["length"]) for y in ys)]
    if name == "while":
        n, rest = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]
        closed_over, carry = facts[n:rest], facts[rest:]
        carry = _settled(reader, params["body_jaxpr"].jaxpr, closed_over, carry, [])[0]
        condition = read(reader, params["cond_jaxpr"].jaxpr, [*facts[:n], *carry])[0]
        return reader.chosen(equation, condition, carry)
    if name == "cond":
        outputs = [read(reader, branch.jaxpr, facts[1:]) for branch in params["branches"]]
        return reader.chosen(
            equation, facts[0], [reduce(reader.joined, output) for output in zip(*outputs, strict=True)]
        )
    inner = inside(equation)
    if inner is None or not reader.enters(equation):
        return reader.operation(equation, facts)
    return read(reader, getattr(inner, "jaxpr", inner), facts)


def inside(equation) -> Any:
    """Return the jaxpr that a call runs on its operands, open or closed; None for any other operation."""
    for name in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
        inner = equation.params.get(name)
        jaxpr = getattr(inner, "jaxpr", inner)
        sizes = len(getattr(jaxpr, "invars", ())), len(getattr(jaxpr, "outvars", ()))
        if sizes == (len(equation.invars), len(equation.outvars)) and not equation.primitive.name.startswith("reduce"):
            return inner
    return None


def _settled(reader, body, closed_over, carry, xs):
    """Return the facts of a carry that another iteration leaves unchanged, and the facts of the other outputs."""
    for _ in range(_MOST_TURNS):
        outputs = read(reader, body, [*closed_over, *carry, *xs])
        after = [reader.carried(fact, closed_over) for fact in outputs[: len(carry)]]
        joined = [reader.joined(*pair) for pair in zip(carry, after, strict=True)]
        if all(map(reader.same, carry, joined)):
            return joined, outputs[len(carry) :]
        carry = joined
    raise NotImplementedError(f"the facts of a loop carry still change after {_MOST_TURNS} iterations")
