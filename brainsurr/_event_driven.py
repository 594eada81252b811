"""Whether matrix products skip zero inputs, as in the layers of a network with ``events=True``."""

import contextlib
import threading
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from typing import Any

from ._context import setting

_lock = threading.Lock()  # a network may be traced in several threads
_now: ContextVar[bool | None] = ContextVar("event_driven", default=None)  # None: each layer decides


@contextlib.contextmanager
def event_driven(on: bool | None) -> Iterator[bool | None]:
    """Set whether products skip zeros until the block ends, and yield the setting in effect.

    Args:
      on: the new setting. None keeps the current one. An enclosing context that is off takes precedence.
    """
    on = _now.get() if on is None or is_off() else bool(on)
    with setting(_now, on):
        yield on


def is_on() -> bool:
    """Return whether all products skip zeros."""
    return _now.get() is True


def is_off() -> bool:
    """Return whether no product skips zeros, not even in a layer that is set to skip zeros."""
    return _now.get() is False


@contextlib.contextmanager
def attributes(modules: Iterable[tuple[Any, dict[str, Any]]]) -> Iterator[None]:
    """Replace attributes of modules, including frozen modules, until the block ends."""
    before = []
    with _lock:
        for module, new in modules:
            before.append((vars(module), {name: vars(module)[name] for name in new if name in vars(module)}, new))
            vars(module).update(new)
    try:
        yield
    finally:
        with _lock:
            for held, old, new in reversed(before):
                for name in new:
                    held.pop(name)
                held.update(old)
