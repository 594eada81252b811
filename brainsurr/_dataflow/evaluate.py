"""Evaluate a jaxpr with other constants or with custom rules for some operations."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax


def evaluate_with(constants: Sequence[Any], program, *arguments: Any) -> list[Any]:
    """Return the outputs of a closed jaxpr with other constants, for arguments that are trees."""
    from jax.extend.core import ClosedJaxpr, jaxpr_as_fun  # here: this import takes as long as all of brainsurr

    return jaxpr_as_fun(ClosedJaxpr(program.jaxpr, constants))(*jax.tree.leaves(arguments))


def evaluated(program, operands: Sequence[Any], rule: Callable) -> list[Any]:
    """Return the outputs of a program.

    Args:
      program: a closed jaxpr, or an open jaxpr whose constants, if any, come first among its operands.
      operands: the inputs of the program.
      rule: ``rule(equation, values, as_it_is)`` returns the outputs of an operation. ``as_it_is()`` returns its usual
        outputs.
    """
    from jax.extend.core import ClosedJaxpr, jaxpr_as_fun  # here: this import takes as long as all of brainsurr

    jaxpr, consts = getattr(program, "jaxpr", program), getattr(program, "consts", ())
    known = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *operands), strict=True))

    def of(var):
        return var.val if hasattr(var, "val") else known[var]

    def alone(equation):
        taken = dict.fromkeys(var for var in equation.invars if not hasattr(var, "val"))
        part = jaxpr.replace(constvars=[], invars=[*taken], outvars=[*equation.outvars], eqns=[equation])
        return jaxpr_as_fun(ClosedJaxpr(part, ()))(*map(of, taken))

    for equation in jaxpr.eqns:
        outputs = rule(equation, [of(var) for var in equation.invars], partial(alone, equation))
        known.update(zip(equation.outvars, outputs, strict=True))
    return [of(var) for var in jaxpr.outvars]
