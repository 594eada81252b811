"""`Report`, the base class of the results of `diagnose` and `check_gradients`, and functions that both use."""

import contextlib
import functools
import importlib
import os
import textwrap
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import jax

from ._jax_private import frames

_FRAMEWORKS = ("jax", "flax", "brainstate", "brainunit", "saiunit", "equinox")
_OURS, _SITE = f"{Path(__file__).parent}{os.sep}", Path(jax.__file__).parent.parent
_LIBRARIES = (_OURS, contextlib.__file__, functools.__file__, *(f"{_SITE / name}{os.sep}" for name in _FRAMEWORKS))

Measured = TypeVar("Measured")


class Report(Mapping[str, Measured]):
    """A mapping from the name of a layer or parameter to its measurements.

    Attributes:
      _measured: the name of the attribute in which a subclass stores the dictionary of measurements.
    """

    _measured: ClassVar[str]

    def __getitem__(self, name: str) -> Measured:
        return getattr(self, self._measured)[name]

    def __iter__(self) -> Iterator[str]:
        return iter(getattr(self, self._measured))

    def __len__(self) -> int:
        return len(getattr(self, self._measured))


def user_line() -> str:
    """Return the line of the user's code that is running, as ``file:line``, or ``"?"`` if there is none.

    The line is the innermost one on the call stack outside brainsurr, jax and the frameworks.
    """
    for frame, line in traceback.walk_stack(None):
        if not (file := frame.f_code.co_filename).startswith(_LIBRARIES):
            return f"{Path(file).name}:{line}"
    return "?"


def line_of(*equations, until: str = _OURS) -> str:
    """Return the line of the user's code that an equation of a jaxpr comes from, as ``file:line``.

    If the line is unknown, the result is an empty string. An example is a caller of a function whose trace jit took
    from its cache.

    Args:
      *equations: the equation, then the calls that contain it, the innermost first.
      until: a path. If a file in this path is closer to the equation than the user's code, the result is an empty
        string. Defaults to the package brainsurr.
    """
    for frame in frames(equations):
        if frame.file_name.startswith(until):
            return ""
        if not frame.file_name.startswith(_LIBRARIES):
            return f"{Path(frame.file_name).name}:{frame.line_num}"
    return ""


def package_of(net: Any) -> str | None:
    """Return the framework of a module: ``"nnx"``, ``"linen"``, ``"brainstate"`` or ``"equinox"``; otherwise None."""
    for kind in type(net).__mro__:
        package = kind.__module__.removeprefix("flax.").partition(".")[0]
        if kind.__name__ == "Module" and package in ("nnx", "linen", "brainstate", "equinox"):
            return package
    return None


def framework_of(net: Any) -> Any:
    """Import and return the subpackage of brainsurr for the framework of a module, such as ``brainsurr.nnx``.

    Return None if ``net`` is not a module, or is a Flax Linen module, for which the reports also need the variables.
    """
    package = package_of(net)
    return None if package in (None, "linen") else importlib.import_module(f"brainsurr.{package}")


def named_leaves(tree: Any) -> dict[str, Any]:
    """Return the leaves of a tree by name. A name is a path such as ``layers.0.alpha``, or ``params`` for one array."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    named = {jax.tree_util.keystr(path, simple=True, separator=".") or "params": leaf for path, leaf in leaves}
    # Two names are equal if a key contains a dot, as in {"a.b": 0, "a": {"b": 1}}: use the full form, ['a']['b'].
    return named if len(named) == len(leaves) else {jax.tree_util.keystr(path): leaf for path, leaf in leaves}


def listed(names: Iterable[str]) -> str:
    """Join names into a phrase, such as ``"a, b and c"``, or ``"a, b, c and 9 more"`` for more than four names."""
    names = list(names)
    shown = names if len(names) <= 4 else [*names[:3], f"{len(names) - 3} more"]
    return " and ".join(filter(None, [", ".join(shown[:-1]), *shown[-1:]]))


def as_text(rows: Sequence[Sequence[str]], sentences: Sequence[str]) -> str:
    """Format a report as a text table, with sentences below it.

    Args:
      rows: the header and the rows, all of the same length. The first column is aligned to the left, and the other
        columns to the right, except the last one, which is not aligned.
      sentences: the sentences, which are wrapped at 88 characters.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for name, *numbers, words in rows:
        aligned = [number.rjust(width) for number, width in zip(numbers, widths[1:-1], strict=True)]
        lines.append("  ".join([name.ljust(widths[0]), *aligned, words]))
    below = [textwrap.fill(sentence, 88, subsequent_indent="  ") for sentence in sentences]
    return "\n".join([*lines, "", *below] if below else lines)
