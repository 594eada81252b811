"""The function of a surrogate class: `sigmoid(x, alpha)` for `Sigmoid(alpha)(x)`."""

import inspect
from collections.abc import Callable

import jax

from .._surrogate import Surrogate


def function(cls: type[Surrogate], name: str) -> Callable[..., jax.Array]:
    """Make the function that constructs ``cls`` and applies it, with the same parameters and defaults."""

    def call(x, *args, **kwargs):
        return cls(*args, **kwargs)(x)

    x = inspect.Parameter("x", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(cls).parameters.values()
    call.__signature__ = inspect.Signature([x, *parameters])  # type: ignore[attr-defined]
    call.__name__ = call.__qualname__ = name
    call.__module__ = cls.__module__
    call.__doc__ = f"``{cls.__name__}(...)(x)``, with the parameters and defaults of :class:`{cls.__name__}`."
    return call
