"""Find where a program loses the derivative of a value that depends on a parameter, but still adds it to its result.

A step function without a surrogate has slope 0 by construction: jax gives its output no tangent. This is not reported
if the step only selects or masks values, or is excluded on purpose: ``jnp.where(h > 0, h, 0)``, ``h * (h > 0.3)``, an
arg-max that selects a value, a ``stop_gradient``. The step is reported if it enters the result through a sum, or
through a product with a value that it was not computed from, such as a weight. Neither a count of steps,
``(h > 0).sum()``, nor reversed steps are a mask of ``h``. A count only normalises values that its mask has masked.
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
_CHOOSES = ("concatenate", "stack", "pad", "dynamic_update_slice", "scatter", "max", "min", "clamp", "select_n")
_MASKS = (*PRODUCTS, "mul", "div", "max", "min", "clamp", "select_n")  # one operand can be a mask of another
_MOVES = (*_SUMS, "reduce_window_sum", "rev")  # after them, a mask no longer matches the entries of its values
_COMPARES = ("eq", "ne", "lt", "le", "gt", "ge")  # these make a new mask, even from a count
# jax functions by name: a step that keeps a tangent if its input is NaN, and linear interpolation in a table.
_BY_NAME = {"heaviside": False, "_interp": True}


@dataclasses.dataclass(frozen=True)
class Fact:
    """Facts about a value. Values are numbered, and a set of values is an integer with one bit per value.

    For example, with parameters ``w`` and ``u``, an input ``x``, and ``s = h > 0`` in line 7 of the user's file:

    ==============  ======  =========  =====  ===========================
    value           number  ancestors  near   other facts
    ==============  ======  =========  =====  ===========================
    ``w``, ``u``    1, 2    1, 2       1, 2   depends, tangent, is_weight
    ``h = x @ w``   4       4          4      depends, tangent
    ``s = h > 0``   8       4 + 8      4 + 8  depends, lost in line 7
    ==============  ======  =========  =====  ===========================

    In ``h * s``, ``s`` is a mask, since both are near 4. In ``s @ u``, no value is near both, so the step enters the
    result, and line 7 is added to the facts of the result. A sum such as ``h + s`` has no mask, so line 7 is added too.

    Attributes:
      depends: whether the value depends on a parameter.
      tangent: whether it has a tangent that is not 0 by construction.
      is_weight: whether it is computed only from parameters and numbers.
      number: the bit of this value.
      ancestors: the values that it was computed from, including itself, but without weights if it is not a weight.
      near: the ancestors that it matches entry by entry. A comparison, or another step, matches all its ancestors.
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
    (result,) = read(reader, jaxpr, [reader.fact(tangent=_is_inexact(var)) for var in jaxpr.invars])
    return sorted(filter(None, result.added if result.tangent else result.added | result.lost))


class _Reader(Reader):
    def __init__(self, line_of):
        super().__init__()
        self.line_of, self.numbers, self.rules = line_of, itertools.count(), {}
        self.literals, self.values = {}, {}  # the fact of each literal, the facts of each expression
        self.smooth = 0  # the values that have a tangent

    def fact(self, *, tangent, near=0, ancestors=0, **what):
        number = 1 << next(self.numbers)
        self.smooth |= number * tangent
        return Fact(True, tangent, number=number, near=near | number, ancestors=ancestors | number, **what)

    def constant(self, var):
        return self.literals.setdefault(str(var), Fact()) if hasattr(var, "val") else Fact(is_weight=False)

    def enters(self, equation):
        if equation.params.get("name") in _BY_NAME:
            return "custom_" in str(equation.params["jaxpr"])  # a user's function with the same name
        return not equation.primitive.name.startswith("custom_")

    def carried(self, fact, closed_over):
        # The state contains a weight that a loop closes over through earlier steps, which does not make it a gate.
        outside = union(other.number for other in closed_over)
        return dataclasses.replace(fact, ancestors=fact.ancestors & ~outside, near=fact.near & ~outside)

    def joined(self, one, other):
        return self._together([one, other], one.tangent or other.tangent)

    def chosen(self, equation, index, facts):
        if equation.primitive.name == "while":  # the number of iterations matters only for values without a tangent
            return [
                fact if fact.tangent or not index.depends else self._together([index, fact], False) for fact in facts
            ]
        return [self._selected(index, [fact]) for fact in facts]

    def _together(self, facts, tangent):
        """Return the fact of a value that the current equation computes from values with these facts."""
        is_weight = all(fact.is_weight for fact in facts)
        if not any(fact.depends for fact in facts):
            return Fact(is_weight=is_weight)
        *calls, equation = self.calls
        name = equation.primitive.name
        is_cut = not tangent and any(fact.tangent for fact in facts)
        here = [self.line_of(equation, calls)] if is_cut else []
        of = [fact for fact in facts if fact.is_weight == is_weight]
        ancestors = union(fact.ancestors for fact in of)
        matches = name not in (PRODUCTS if tangent else _MOVES)
        near = union(fact.near if matches and fact.tangent == tangent else fact.near & ~self.smooth for fact in of)
        return self.fact(
            tangent=tangent,
            is_weight=is_weight,
            ancestors=ancestors,
            near=ancestors if is_cut or name in _COMPARES else near,
            lost=frozenset() if tangent else frozenset(here).union(*(fact.lost for fact in facts)),
            beside=frozenset().union(*(fact.beside for fact in facts)),
            added=frozenset().union(*(fact.added for fact in facts)),
        )

    def _selected(self, index, cases):
        """Return the fact of the selected case: the index is a gate of one case, or a step between numbers."""
        kept = [case for case in cases if case.tangent]
        new = self._together([index, *cases], bool(kept))
        return dataclasses.replace(new, added=new.added | _ungated([index], kept)) if kept else new

    def operation(self, equation, facts):
        news = self._outputs(equation, facts)
        with contextlib.suppress(TypeError):  # unhashable parameters
            key = (equation.primitive, *map(id, facts), *equation.params.items(), *news)
            news, _ = self.values.setdefault(key, (news, facts))  # shared by equal expressions
        return news

    def _outputs(self, equation, facts):
        name, outputs = equation.primitive.name, equation.outvars
        if name == "stop_gradient":
            return [Fact(is_weight=False)]
        if name == "select_n" and _is_inexact(outputs[0]):
            news = [self._selected(facts[0], facts[1:])]
        else:
            tangents = [fact.tangent for fact in facts]
            kept = self._kept(equation, tangents) if any(tangents) else [False] * len(outputs)
            news = [self._together(facts, keeps and _is_inexact(var)) for keeps, var in zip(kept, outputs, strict=True)]
        floats = [fact for fact, var in zip(facts, equation.invars, strict=True) if _is_inexact(var)]
        return [_entered(name, new, floats) for new in news]

    def _kept(self, equation, tangents):
        dtypes = tuple(var.aval.dtype for var in (*equation.invars, *equation.outvars))
        key = equation.primitive, equation.params.get("name"), *tangents, *dtypes
        if key not in self.rules:
            self.rules[key] = _keeps_tangent(equation, tangents)
        return self.rules[key]


def _entered(name, new, facts):
    """Return the fact of an output; if it has a tangent, record the float inputs that enter it without a tangent."""
    if not new.tangent:
        return new
    if name in _TAKES_A_PART:
        return dataclasses.replace(new, beside=frozenset())
    lost = _ungated(facts, facts if name in _MASKS else [])
    if name in _CHOOSES:
        return dataclasses.replace(new, beside=new.beside | lost)
    if name in _SUMS:
        return dataclasses.replace(new, added=new.added | lost | new.beside, beside=frozenset())
    return dataclasses.replace(new, added=new.added | lost)


def _ungated(facts, others):
    """Return the lines of values that lost their derivative, unless they are gates of a value that has one."""
    kept = [fact for fact in others if fact.tangent]
    lost = [fact for fact in facts if fact.depends and not fact.tangent]
    return frozenset().union(*(fact.lost for fact in lost if not any(fact.near & other.near for other in kept)))


def union(sets) -> int:
    """Return the union of sets of values."""
    return functools.reduce(int.__or__, sets, 0)


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
