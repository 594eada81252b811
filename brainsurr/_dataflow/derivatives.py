"""Find where a program loses the derivative of a value that depends on a parameter, but still adds it to its result.

A step function without a surrogate has slope 0 by construction: jax gives its output no tangent. This is not reported
if the step only selects or masks values, or is excluded on purpose: ``jnp.where(h > 0, h, 0)``, ``h * (h > 0.3)``, an
arg-max that picks a value, a ``stop_gradient``. It is reported if the step enters the result by a sum, or by a product
with a value that it was not computed from, such as a weight.
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
_SUMS = (*PRODUCTS, "reduce_sum", "cumsum")  # operations that add up the entries that `concatenate` joined
_TAKES_A_PART = ("slice", "dynamic_slice", "gather", "split", "unstack")
_CHOOSES = ("concatenate", "stack", "pad", "dynamic_update_slice", "scatter", "max", "min", "clamp")
# jax functions by name: a step that keeps a tangent if its input is NaN, and linear interpolation in a table.
_BY_NAME = {"heaviside": False, "_interp": True}


@dataclasses.dataclass(frozen=True)
class Fact:
    """Facts about a value. Values are numbered, and a set of values is an integer with one bit per value.

    Attributes:
      depends: whether the value depends on a parameter.
      tangent: whether it has a tangent that is not 0 by construction.
      is_weight: whether it is computed only from parameters and numbers.
      number: the bit of this value.
      ancestors: the values it was computed from, including itself; for a value that is not a weight, without weights.
      near: the ancestors from which it was computed elementwise.
      lost: the lines where its derivative was lost.
      beside: the lines where the derivative of some of its entries was lost.
      added: the lines of values without a derivative that were added to it.
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
    """Return the lines of step functions that enter the result of a program. Parameters are its only inputs.

    Args:
      program: a closed jaxpr with one output.
      line_of: ``line_of(equation, calls)`` returns the line of an equation inside calls, or nothing to ignore it.
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
            return "custom_" in str(equation.params["jaxpr"])  # a user's function with the same name
        return not equation.primitive.name.startswith("custom_")

    def carried(self, fact, closed_over):
        # The state contains a weight that a loop closes over through earlier steps, which does not make it a gate.
        outside = union(other.number for other in closed_over)
        return dataclasses.replace(fact, ancestors=fact.ancestors & ~outside)

    def joined(self, one, other):
        if not (one.depends or other.depends):
            return Fact(is_weight=one.is_weight and other.is_weight)
        return self._together([one, other], one.tangent or other.tangent)

    def chosen(self, equation, index, facts):
        if equation.primitive.name == "while":  # the number of iterations matters only for values without a tangent
            counted = self.line_of(equation, self.calls[:-1]) if index.tangent else ""
            return [
                self._together([index, fact], False, counted) if index.depends and not fact.tangent else fact
                for fact in facts
            ]
        return [self._selected(equation, index, [fact]) for fact in facts]

    def _together(self, facts, tangent, cut_here="", near=True):
        """Return the fact of a value that is computed from values with these facts."""
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
        """Return the fact of the selected case: the index is a gate of one case, or a step between numbers."""
        kept = [case for case in cases if case.tangent]
        if not (index.depends or any(case.depends for case in cases)):
            return self.joined(index, cases[0])
        line = self.line_of(equation, self.calls[:-1]) if index.tangent else ""
        new = self._together([index, *cases], bool(kept), line)
        return dataclasses.replace(new, added=new.added | _ungated([index], kept)) if kept else new

    def operation(self, equation, facts):
        news = self._outputs(equation, facts)
        with contextlib.suppress(TypeError):  # unhashable parameters
            key = (equation.primitive, *map(id, facts), *equation.params.items(), *news)
            news, _ = self.values.setdefault(key, (news, facts))  # shared by equal expressions
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
    """Return the fact of an output that has a tangent, and record the float inputs that enter it without a tangent."""
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
    """Return the lines of values that lost their derivative, unless they are gates of a value that has one."""
    kept = [fact for fact in others if fact.tangent]
    lost = [fact for fact in facts if fact.depends and not fact.tangent]
    return frozenset().union(*(fact.lost for fact in lost if not any(_is_gate(fact, other) for other in kept)))


def union(sets) -> int:
    """Return the union of sets of values."""
    return functools.reduce(int.__or__, sets, 0)


def _is_gate(lost, kept):
    """Return whether a value that lost its derivative only gates the values it is multiplied with."""
    return bool(lost.ancestors & kept.number or lost.near & kept.near)


def _is_inexact(var):
    return jnp.issubdtype(var.aval.dtype, jnp.inexact)


def _keeps_tangent(equation, tangents):
    """Return for each output whether its tangent depends on tangents of the inputs, by jax's rule."""
    kept = [True] * len(equation.outvars)
    if equation.primitive.name.startswith("custom_"):  # a user's rule, or the rule of a surrogate
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
    except (TypeError, ValueError):  # the rule needs more than shapes
        return kept
    return [any(needed(program, output)[1][: sum(has)]) for output in range(len(kept))]
