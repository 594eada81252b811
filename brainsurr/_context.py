"""What holds while a block runs, in its thread alone."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TypeVar

Held = TypeVar("Held")


@contextlib.contextmanager
def setting(variable: ContextVar[Held], value: Held) -> Iterator[None]:
    """Give a variable a value until the block ends."""
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)
