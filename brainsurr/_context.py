"""Set a context variable while a block of code runs, in the current thread only."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TypeVar

Held = TypeVar("Held")


@contextlib.contextmanager
def setting(variable: ContextVar[Held], value: Held) -> Iterator[None]:
    """Set a context variable to a value until the block ends."""
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)
