"""The equations of a traced program."""

from collections.abc import Iterator


def equations(jaxpr) -> Iterator:
    """Yield the equations that the outputs depend on, the last first, and those inside of them.

    Leave out the condition of a ``while``: how often it repeats is no value.
    """
    used = set(map(id, jaxpr.outvars))
    for equation in reversed(jaxpr.eqns):
        if used.isdisjoint(map(id, equation.outvars)):
            continue
        used.update(map(id, equation.invars))
        yield equation
        for name, value in equation.params.items():
            for inner in value if isinstance(value, tuple | list) else (value,):
                inner = getattr(inner, "jaxpr", inner)
                if hasattr(inner, "eqns") and name != "cond_jaxpr":
                    yield from equations(inner)
