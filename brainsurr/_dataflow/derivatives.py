"""Where a program loses the derivative of what depends on a parameter, and yet adds it to its result.

A step without a surrogate has the slope 0 by construction: jax gives what comes out of it no tangent. That is let be
where it chooses, masks or is left out: ``jnp.where(h > 0, h, 0)``, ``h * (h > 0.3)``, an arg-max that picks a value,
a ``stop_gradient``. It is a step in place of a spike where it enters the result by a sum, or by a product with
something that it was not computed from, such as a weight.
"""

import contextlib
import dataclasses
import functools
import itertools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from .._jax_private import needed
from .jaxprs import Reader, read

PRODUCTS = ("dot_general", "conv_general_dilated", "events_product")
_SUMS = (*PRODUCTS, "reduce_sum", "cumsum")  # over what `concatenate` puts side by side
_TAKES_A_PART = ("slice", "dynamic_slice", "gather", "split", "unstack")
_CHOOSES = ("concatenate", "stack", "pad", "dynamic_update_slice", "scatter", "max", "min", "clamp")
# Functions of jax by name: a step that keeps a tangent where its input is NaN; lines between the entries of a table.
_BY_NAME = {"heaviside": False, "_interp": True}


@dataclasses.dataclass(frozen=True)
class Fact:
    """What is known of a value. Values have numbers, and a set of values is an integer with a bit for each.

    Attributes:
      depends: whether it depends on a parameter.
      tangent: whether it has one that is not 0 by construction.
      is_weight: whether it is computed from parameters and numbers alone.
      number: the bit of this value.
      ancestors: what it was computed from, itself included; of what is no weight, those that are none.
      near: those of them from which it was computed entry by entry.
      lost: the lines where that was.
      beside: the lines where that was, of a part of its entries.
      added: the lines of what was added to it without a derivative.
    """

    depends: bool = False
    tangent: bool = False
    is_weight: bool = True
    number: int = dataclasses.field(default=0, compare=False)
    ancestors: int = dataclasses.field(default=0, compare=False)
    near: int = dataclasses.field(default=0, compare=False)
    lost: frozenset[str] = frozenset()
    beside: frozenset[str] = frozenset()
    added: frozenset[str] = frozenset()


def steps(program, line_of: Callable) -> list[str]:
    """Return the lines of steps that enter the result of a program of parameters, its only inputs.

    Args:
      program: a closed jaxpr with one output.
      line_of: ``line_of(equation, calls)``, inside of those calls; nothing for a step that is let be.
    """
    jaxpr, _ = needed(program)
    reader = _Reader(line_of)
    (result,) = read(reader, jaxpr, [reader.fact(depends=True, tangent=_is_inexact(var)) for var in jaxpr.invars])
    return sorted(filter(None, result.added if result.tangent else result.added | result.lost))


class _Reader(Reader):
    def __init__(self, line_of):
        super().__init__()
        self.line_of, self.numbers, self.rules = line_of, itertools.count(), {}
        self.literals, self.values = {}, {}  # the fact of each literal, the facts of each expression

    def fact(self, near=0, ancestors=0, **what):
        number = 1 << next(self.numbers)
        return Fact(number=number, near=near | number, ancestors=ancestors | number, **what)

    def constant(self, var):
        return self.literals.setdefault(str(var), Fact()) if hasattr(var, "val") else Fact(is_weight=False)

    def enters(self, equation):
        if equation.params.get("name") in _BY_NAME:
            return "custom_" in str(equation.params["jaxpr"])  # a function of the user's of that name
        return not equation.primitive.name.startswith("custom_")

    def carried(self, fact, closed_over):
        # A weight that a loop closes over is in the state by way of earlier steps, which makes it no gate.
        outside = union(other.number for other in closed_over)
        return dataclasses.replace(fact, ancestors=fact.ancestors & ~outside)

    def joined(self, one, other):
        if not (one.depends or other.depends):
            return Fact(is_weight=one.is_weight and other.is_weight)
        return self._together([one, other], one.tangent or other.tangent)

    def chosen(self, equation, index, facts):
        if equation.primitive.name == "while":  # how often it repeats is no value, but for what has no tangent
            counted = self.line_of(equation, self.calls[:-1]) if index.tangent else ""
            return [
                self._together([index, fact], False, counted) if index.depends and not fact.tangent else fact
                for fact in facts
            ]
        return [self._selected(equation, index, [fact]) for fact in facts]

    def _together(self, facts, tangent, cut_here="", near=True):
        """Return the fact of a value that is computed of these; one is of a parameter."""
        is_weight = all(fact.is_weight for fact in facts)
        of = [fact for fact in facts if fact.is_weight == is_weight]
        here = frozenset([cut_here] if any(fact.tangent for fact in facts) else [])
        return self.fact(
            depends=True,
            tangent=tangent,
            is_weight=is_weight,
            ancestors=union(fact.ancestors for fact in of),
            near=union(fact.near for fact in of) if near else 0,
            lost=frozenset() if tangent else here.union(*(fact.lost for fact in facts)),
            beside=frozenset().union(*(fact.beside for fact in facts)),
            added=frozenset().union(*(fact.added for fact in facts)),
        )

    def _selected(self, equation, index, cases):
        """Return the fact of what an index chooses of cases: a gate of one of them, or a step between numbers."""
        kept = [case for case in cases if case.tangent]
        if not (index.depends or any(case.depends for case in cases)):
            return self.joined(index, cases[0])
        line = self.line_of(equation, self.calls[:-1]) if index.tangent else ""
        new = self._together([index, *cases], bool(kept), line)
        return dataclasses.replace(new, added=new.added | _ungated([index], kept)) if kept else new

    def operation(self, equation, facts):
        news = self._outputs(equation, facts)
        with contextlib.suppress(TypeError):  # of parameters without a hash
            key = (equation.primitive, *map(id, facts), *equation.params.items(), *news)
            news, _ = self.values.setdefault(key, (news, facts))  # of an expression that is written twice
        return news

    def _outputs(self, equation, facts):
        name, outputs = equation.primitive.name, equation.outvars
        if name == "stop_gradient" or not any(fact.depends for fact in facts):
            is_number = all(fact.is_weight for fact in facts) and name != "stop_gradient"
            return [Fact(is_weight=is_number) for _ in outputs]
        if name == "select_n" and _is_inexact(outputs[0]):
            new = self._selected(equation, facts[0], facts[1:])
            return [_put_beside(new, facts[1:]) if new.tangent else new]
        tangents = [fact.tangent for fact in facts]
        kept = self._kept(equation, tangents) if any(tangents) else [False] * len(outputs)
        kept = [keeps and _is_inexact(var) for keeps, var in zip(kept, outputs, strict=True)]
        line = self.line_of(equation, self.calls[:-1]) if any(tangents) and not all(kept) else ""
        news = [self._together(facts, keeps, line, near=name not in PRODUCTS) for keeps in kept]
        floats = [fact for fact, var in zip(facts, equation.invars, strict=True) if _is_inexact(var)]
        return [_entered(name, new, floats) if new.tangent else new for new in news]

    def _kept(self, equation, tangents):
        dtypes = tuple(var.aval.dtype for var in (*equation.invars, *equation.outvars))
        key = equation.primitive, equation.params.get("name"), *tangents, *dtypes
        if key not in self.rules:
            self.rules[key] = _keeps_tangent(equation, tangents)
        return self.rules[key]


def _entered(name, new, facts):
    """Return the fact of an output that has a tangent, with what enters it without one of floats."""
    if name in _TAKES_A_PART:
        return dataclasses.replace(new, beside=frozenset())
    if name in _CHOOSES:
        return _put_beside(new, facts, gates=name in ("max", "min", "clamp"))
    added = new.added | _ungated(facts, facts if name in ("mul", "div", *PRODUCTS) else [])
    if name in PRODUCTS:  # a mask that a product sums over, as for a mean
        lost, kept = ([fact for fact in facts if fact.depends and fact.tangent == has] for has in (False, True))
        gates = [fact.near for fact in lost if any(_is_gate(fact, other) for other in kept)]
        new = dataclasses.replace(new, near=new.near | union(gates))
    if name in _SUMS:
        return dataclasses.replace(new, added=added | new.beside, beside=frozenset())
    return dataclasses.replace(new, added=added)


def _put_beside(new, facts, gates=True):
    return dataclasses.replace(new, beside=new.beside | _ungated(facts, facts if gates else []))


def _ungated(facts, others):
    """Return the lines of those that have lost their derivative, and are no gate of another that has one."""
    kept = [fact for fact in others if fact.tangent]
    lost = [fact for fact in facts if fact.depends and not fact.tangent]
    return frozenset().union(*(fact.lost for fact in lost if not any(_is_gate(fact, other) for other in kept)))


def union(sets) -> int:
    """Return the union of sets of values."""
    return functools.reduce(int.__or__, sets, 0)


def _is_gate(lost, kept):
    """Return whether what has lost its derivative only chooses of what it is multiplied by: of the same values."""
    return bool(lost.ancestors & kept.number or lost.near & kept.near)


def _is_inexact(var):
    return jnp.issubdtype(var.aval.dtype, jnp.inexact)


def _keeps_tangent(equation, tangents):
    """Return, for each output, whether by jax's rule its tangent depends on those of the inputs."""
    kept = [True] * len(equation.outvars)
    if equation.primitive.name.startswith("custom_"):  # a rule of the user's, or that of a surrogate
        return kept
    if equation.params.get("name") in _BY_NAME:
        return [_BY_NAME[equation.params["name"]]]
    has = [given and _is_inexact(var) for given, var in zip(tangents, equation.invars, strict=True)]
    shapes = [jax.ShapeDtypeStruct(var.aval.shape, var.aval.dtype) for var in equation.invars]

    def pushed_forward(given, primals):
        def run(*active):
            rest = iter(active)
            return equation.primitive.bind(
                *[next(rest) if its else primal for its, primal in zip(has, primals, strict=True)], **equation.params
            )

        return jax.jvp(run, [*itertools.compress(primals, has)], given)[1]

    try:
        program = jax.make_jaxpr(pushed_forward)([*itertools.compress(shapes, has)], shapes)
    except NotImplementedError:  # jax has no rule
        return [False] * len(kept)
    except (TypeError, ValueError):  # a rule that wants more than shapes
        return kept
    return [any(needed(program, output)[1][: sum(has)]) for output in range(len(kept))]
