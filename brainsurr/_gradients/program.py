"""Where a traced program stops gradients, and where it loses digits: the lines of the user's code."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

_OURS = str(Path(__file__).parent.parent)
_JAX = str(Path(jax.__file__).parent)


def equations(jaxpr) -> Iterator:
    """Yield the equations that the outputs depend on, in order, each followed by those inside of it.

    Leave out the condition of a ``while``: how often it repeats is no value.
    """
    used, needed = set(map(id, jaxpr.outvars)), []
    for equation in reversed(jaxpr.eqns):
        if not used.isdisjoint(map(id, equation.outvars)):
            used.update(map(id, equation.invars))
            needed.append(equation)
    for equation in reversed(needed):
        yield equation
        for name, value in equation.params.items():
            for inner in value if isinstance(value, tuple | list) else (value,):
                inner = getattr(inner, "jaxpr", inner)
                if hasattr(inner, "eqns") and name != "cond_jaxpr":
                    yield from equations(inner)


def casts_and_stops(program) -> tuple[list[tuple[str, Any]], list[str]]:
    """Return the line of each cast of floats of 64 bits to fewer, with the new dtype, and of each ``stop_gradient``.

    The line, ``file:line``, is empty for a cast in brainsurr. Its own ``stop_gradient`` and those of jax are left out.
    """
    casts: dict[tuple[str, Any], None] = {}
    stops: dict[str, None] = {}
    for equation in equations(program.jaxpr):
        if equation.primitive.name == "stop_gradient":
            stops[_where(equation)] = None
        elif equation.primitive.name == "convert_element_type":
            before, after = equation.invars[0].aval.dtype, equation.outvars[0].aval.dtype
            if before == jnp.float64 and jnp.issubdtype(after, jnp.floating) and after.itemsize < 8:
                casts[_where(equation), after] = None
    return list(casts), list(filter(None, stops))


def _where(equation) -> str:
    """Return the line that calls jax; nothing if that is one of brainsurr."""
    traceback = equation.source_info.traceback
    for frame in traceback.frames if traceback else ():
        if frame.file_name.startswith(_OURS):
            return ""
        if not frame.file_name.startswith(_JAX):
            return f"{Path(frame.file_name).name}:{frame.line_num}"
    return ""
