"""Which products follow what is not 0: those of the layers that a network calls, as its ``events`` says."""

import contextlib
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from typing import Any

# Whether products follow (None: those of layers that say so), and whether the input holds 0, 1 and NaN alone.
_now: ContextVar[tuple[bool | None, bool]] = ContextVar("following", default=(None, False))


@contextlib.contextmanager
def following(on: bool | None, are_spikes: bool = False) -> Iterator[bool | None]:
    """Set whether products follow in this context; None leaves it as it is. Yield what holds."""
    on = _now.get()[0] if on is None else on
    token = _now.set((on, are_spikes))
    try:
        yield on
    finally:
        _now.reset(token)


def is_on() -> bool:
    """Return whether all products follow."""
    return _now.get()[0] is True


def is_off() -> bool:
    """Return whether none does, not even that of a layer that says so."""
    return _now.get()[0] is False


def are_spikes() -> bool:
    """Return whether the input of the layer that is called holds 0, 1 and NaN alone."""
    return _now.get()[1]


@contextlib.contextmanager
def attributes(modules: Iterable[tuple[Any, dict[str, Any]]]) -> Iterator[None]:
    """Give modules other attributes in this context, frozen ones too."""
    before = []
    for module, new in modules:
        before.append((vars(module), {name: vars(module)[name] for name in new if name in vars(module)}, new))
        vars(module).update(new)
    try:
        yield
    finally:
        for held, old, new in reversed(before):
            for name in new:
                held.pop(name)
            held.update(old)
