"""Stop the loops of a jaxpr early, to find the number of steps over which its gradient can be measured."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from .._dataflow.evaluate import evaluated
from .._jax_private import scan_parts

_CALLS = ("jit", "remat2")  # `jax.jit` and `jax.checkpoint`, whose jaxprs are evaluated like the outer one


def longest_loop(jaxpr) -> int:
    """Return the number of steps of the longest outermost loop, or 0 if there is no loop."""
    steps = [0]
    for equation in jaxpr.eqns:
        if equation.primitive.name == "scan":
            steps.append(equation.params["length"])
        elif equation.primitive.name in _CALLS:
            steps.append(longest_loop(getattr(equation.params["jaxpr"], "jaxpr", equation.params["jaxpr"])))
    return max(steps)


def shorter(program, most: int | None = None) -> Callable:
    """Return a program with one output as a function of a tree of inputs.

    Args:
      program: a closed jaxpr whose inputs are the leaves of the tree.
      most: the number of steps after which each loop stops and repeats its last outputs. If None, loops do not stop.
    """
    from jax.extend.core import jaxpr_as_fun  # here: this import takes as long as all of brainsurr

    def rule(equation, values, as_it_is):
        name, params = equation.primitive.name, equation.params
        if name != "scan":
            return evaluated(params["jaxpr"], values, rule) if name in _CALLS else as_it_is()
        closed_over, carry, xs = scan_parts(params, values)
        length, reverse, body = params["length"], params["reverse"], jaxpr_as_fun(params["jaxpr"])
        n = min(most, length)
        left_out = length - n if reverse else 0  # at the start

        def step(carry, x):
            outputs = body(*closed_over, *carry, *x)
            return outputs[: len(carry)], outputs[len(carry) :]

        carry, ys = jax.lax.scan(step, carry, [x[left_out : left_out + n] for x in xs], n, reverse)
        last_again = jnp.clip(jnp.arange(length) - left_out, 0, n - 1)
        return [*carry, *(y[last_again] for y in ys)]

    if most is None:
        return lambda tree: jaxpr_as_fun(program)(*jax.tree.leaves(tree))[0]
    return lambda tree: evaluated(program, jax.tree.leaves(tree), rule)[0]
