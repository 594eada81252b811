"""Analyse a jaxpr: which inputs it uses, where it stops gradients, and where it loses precision."""

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import jax.numpy as jnp

from .._jax_private import frames, needed
from .._report import line_of

# Operations that may reduce precision. A matrix product does so with a narrow `preferred_element_type`, which a
# convolution does not accept.
_CASTS = ("convert_element_type", "reduce_precision", "dot_general")


def used(program, names: Iterable[str]) -> set[str]:
    """Return the names of the inputs that the output of a program depends on."""
    return set(itertools.compress(names, needed(program)[1]))


def equations(jaxpr) -> Iterator:
    """Yield the equations in order, each followed by the equations inside it.

    Skip the condition of a ``while`` loop: it affects the number of iterations, not the values directly.
    """
    for equation in jaxpr.eqns:
        yield equation
        for name, value in equation.params.items():
            for inner in value if isinstance(value, tuple | list) else (value,):
                inner = getattr(inner, "jaxpr", inner)
                if hasattr(inner, "eqns") and name != "cond_jaxpr":
                    yield from equations(inner)


def step_line(equation, calls=()) -> str:
    """Return the user's line with a step function, or a phrase if a neuron's spike function is a jax function.

    Args:
      equation: the equation of the step.
      calls: the calls that contain it, the innermost last.
    """
    equations = [equation, *reversed(calls)]
    called = [frame.function_name for frame in frames(equations)]
    return line_of(*equations) or ("a spike function of jax" if "call_function" in called else "")


def casts_and_stops(program) -> tuple[list[tuple[str, Any]], list[str]]:
    """Return the line of each cast of floats to fewer bits, with the new dtype, and of each ``stop_gradient``.

    The line, ``file:line``, is empty for a cast in brainsurr. ``stop_gradient`` calls in brainsurr and jax are skipped.
    """
    casts: dict[tuple[str, Any], None] = {}
    stops: dict[str, None] = {}
    for equation in equations(needed(program)[0]):
        if equation.primitive.name == "stop_gradient":
            stops[line_of(equation)] = None
        elif equation.primitive.name in _CASTS:
            after = equation.outvars[0].aval.dtype
            before = max((of.aval.dtype for of in equation.invars), key=lambda dtype: dtype.itemsize)
            are_floats = all(jnp.issubdtype(dtype, jnp.inexact) for dtype in (before, after))
            bits = equation.params.get("mantissa_bits", jnp.finfo(after).nmant) if are_floats else 0
            if are_floats and jnp.finfo(before).nmant == 52 > bits:
                casts[line_of(equation), after] = None
    return list(casts), list(filter(None, stops))
