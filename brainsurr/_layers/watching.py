"""The one place where `diagnose` replaces the spike function of a layer."""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

_watch: ContextVar[Callable[[Any, Callable], Callable] | None] = ContextVar("watch", default=None)


@contextlib.contextmanager
def watching(watch: Callable[[Any, Callable], Callable] | None) -> Iterator[None]:
    """Make layers call ``watch(layer, spike_fn)`` instead of their spike function, until the block ends."""
    token = _watch.set(watch)
    try:
        yield
    finally:
        _watch.reset(token)


def seen(layer: Any, spike_fn: Callable) -> Callable:
    """Return the spike function of a layer, or what `watching` puts in its place.

    A layer inside of a spike function that is watched is part of it, and is not watched itself.
    """
    watch = _watch.get()
    if watch is None:
        return spike_fn
    watched = watch(layer, spike_fn)

    def call(x, **key):
        with watching(None):
            return watched(x, **key)

    return spike_fn if watched is spike_fn else call
