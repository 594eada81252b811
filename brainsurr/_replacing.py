"""What a tool puts in the place of functions of brainsurr while it runs. The code that they serve knows of no tool."""

import contextlib
import functools
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

from ._context import setting

_here: ContextVar[Mapping[Callable, Callable]] = ContextVar("here", default=MappingProxyType({}))
_lock, _users = threading.Lock(), Counter[Callable]()
_switches: dict[Callable, Callable] = {}


@contextlib.contextmanager
def replaced(functions: Mapping[Callable, Callable]) -> Iterator[None]:
    """Call other functions in the place of some of brainsurr's, in this context alone, until the block ends.

    Args:
      functions: ``{f: new}``. ``new(f, *args)`` is called in the place of ``f(*args)``, wherever a module of brainsurr
        looks up ``f`` by its name.
    """
    with _lock:
        originals = {switch: f for f, switch in _switches.items()}  # in another thread a tool may run by now
        functions = {originals.get(f, f): new for f, new in functions.items()}
        _users.update(functions.keys())
        _put({f: _switches.setdefault(f, _switch(f)) for f in functions})
    try:
        with setting(_here, {**_here.get(), **functions}):
            yield
    finally:
        with _lock:
            _users.subtract(functions.keys())
            _put({_switches[f]: f for f in functions if not _users[f]})


def _switch(f: Callable) -> Callable:
    """Return a function that calls what is in the place of ``f`` in the context of the call."""

    @functools.wraps(f)
    def switch(*args, **kwargs):
        new = _here.get().get(f)
        return f(*args, **kwargs) if new is None else new(f, *args, **kwargs)

    return switch


def _put(functions: Mapping[Any, Callable]):
    by_id = {id(old): new for old, new in functions.items()}
    package = __name__.partition(".")[0]
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == package:
            for key, value in list(vars(module).items()):
                if id(value) in by_id:
                    setattr(module, key, by_id[id(value)])
