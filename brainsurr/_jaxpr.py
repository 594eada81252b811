"""The equations of a traced program."""

from collections.abc import Iterator


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
