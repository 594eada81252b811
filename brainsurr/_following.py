"""Which products follow what is not 0: those of the layers that a network calls, as its ``events`` says."""

import contextlib
import threading
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from typing import Any

from ._context import setting

_lock = threading.Lock()  # a network may be traced in several threads
_now: ContextVar[bool | None] = ContextVar("following", default=None)  # None: the products of layers that say so


@contextlib.contextmanager
def following(on: bool | None) -> Iterator[bool | None]:
    """Set whether products follow in this context; what is off stays off, None leaves it as it is. Yield what holds."""
    on = _now.get() if on is None or is_off() else bool(on)
    with setting(_now, on):
        yield on


def is_on() -> bool:
    """Return whether all products follow."""
    return _now.get() is True


def is_off() -> bool:
    """Return whether none does, not even that of a layer that says so."""
    return _now.get() is False


@contextlib.contextmanager
def attributes(modules: Iterable[tuple[Any, dict[str, Any]]]) -> Iterator[None]:
    """Give modules other attributes in this context, frozen ones too."""
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
