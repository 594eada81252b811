"""What an argument must be that is not an array: a word, a flag, a function, a dtype. One wording for each."""

import warnings
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def check_word(name: str, value: Any, words: Sequence[str | None]):
    """A ValueError unless the value is one of some words."""
    # Told by its type first: an array compared with a word has no truth value.
    if not isinstance(value, str | None) or value not in words:
        raise ValueError(f"{_expected(name)} one of {', '.join(map(repr, words))}, got {value!r}")


def check_flag(name: str, value: Any, optional: bool = False):
    """A TypeError unless the value is a Python boolean, or None where that is allowed."""
    if not isinstance(value, bool) and not (optional and value is None):
        raise TypeError(f"{_expected(name)} True{', False or None' if optional else ' or False'}, got {value!r}")


def check_function(name: str, value: Any, what: str = "a function"):
    """A TypeError unless the value can be called; a class can, but was most likely to be called before."""
    if not is_function(value):
        raise TypeError(f"{_expected(name)} {what}, got {value!r}{hint_to_call(value)}")


def is_function(value: Any) -> bool:
    """Whether the value can be called and is not a class."""
    return callable(value) and not isinstance(value, type)


def hint_to_call(value: Any) -> str:
    """What to add to an error about a value if it is a class."""
    return f": call it, {value.__name__}(...)" if isinstance(value, type) else ""


def check_kind(name: str, value: Any, kind: type):
    """A TypeError unless the value is an instance of a class."""
    if not isinstance(value, kind):
        owner = "" if kind.__module__ == "builtins" else f"{kind.__module__.partition('.')[0]} "
        raise TypeError(f"{_expected(name)} a {owner}{kind.__name__}, got {value!r}")


def check_dtype(name: str, value: Any):
    """A TypeError unless the value is a floating dtype."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of names for what is no floating dtype anyway
            # None is float64 to NumPy, and an array has a dtype without being one.
            floating = not isinstance(value, jax.Array | np.ndarray | None) and jnp.issubdtype(
                jnp.dtype(value), jnp.floating
            )
    except (TypeError, ValueError):
        floating = False
    if not floating:
        raise TypeError(f"{_expected(name)} a floating dtype such as jnp.float32, got {value!r}")


def is_integer(value: Any) -> bool:
    """An integer of Python or NumPy; a boolean is none."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _expected(name: str) -> str:
    """``LIF: expected reset to be``, of ``LIF: reset`` or of ``reset`` alone."""
    *owner, argument = name.rpartition(": ")
    return f"{''.join(owner)}expected {argument} to be"
