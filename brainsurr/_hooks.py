"""Hooks: functions of brainsurr that `diagnose` and `check_gradients` override while they run."""

import contextlib
import functools
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from types import MappingProxyType

from ._context import setting

_overrides: ContextVar[Mapping[Callable, Callable]] = ContextVar("overrides", default=MappingProxyType({}))


def hook(f: Callable) -> Callable:
    """Mark a function that `overriding` may override."""

    @functools.wraps(f)
    def call(*args, **kwargs):
        override = _overrides.get().get(call)
        return f(*args, **kwargs) if override is None else override(f, *args, **kwargs)

    return call


def is_overridden() -> bool:
    """Return whether a hook is overridden in this context."""
    return bool(_overrides.get())


def overriding(overrides: Mapping[Callable, Callable]) -> contextlib.AbstractContextManager[None]:
    """Override hooks in this context until the block ends.

    Args:
      overrides: ``{hook: override}``; ``override(f, *args)`` is called instead of ``f(*args)``. An override that is
        already active for the same hook is suspended.
    """
    return setting(_overrides, {**_overrides.get(), **overrides})
