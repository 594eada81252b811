"""Reports: a mapping from names to what was measured, that prints as a table with sentences below it."""

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

_BESIDE = ("jax", "flax", "brainstate", "brainunit", "saiunit", "equinox")
_OURS, _HOME = f"{Path(__file__).parent}{os.sep}", Path(jax.__file__).parent.parent
_LIBRARIES = (_OURS, contextlib.__file__, functools.__file__, *(f"{_HOME / name}{os.sep}" for name in _BESIDE))

Measured = TypeVar("Measured")


class Report(Mapping[str, Measured]):
    """A mapping from names to what was measured, which a subclass holds in the attribute that ``_measured`` names."""

    _measured: ClassVar[str]

    def __getitem__(self, name: str) -> Measured:
        return getattr(self, self._measured)[name]

    def __iter__(self) -> Iterator[str]:
        return iter(getattr(self, self._measured))

    def __len__(self) -> int:
        return len(getattr(self, self._measured))


def user_line() -> str:
    """Return ``file:line`` of the code that is running, of a user: not of brainsurr, jax or a framework."""
    for frame, line in traceback.walk_stack(None):
        if not (file := frame.f_code.co_filename).startswith(_LIBRARIES):
            return f"{Path(file).name}:{line}"
    return "?"


def line_of(*equations, until: str = _OURS) -> str:
    """Return the user's line that calls a library. What jit has kept knows no line outside.

    Args:
      *equations: an equation and the calls that it is inside of, the innermost first.
      until: a path: nothing is returned if code of it comes before a line of the user's.
    """
    for frame in frames(equations):
        if frame.file_name.startswith(until):
            return ""
        if not frame.file_name.startswith(_LIBRARIES):
            return f"{Path(frame.file_name).name}:{frame.line_num}"
    return ""


def package_of(net: Any) -> str | None:
    """Return the name of brainsurr's package for the framework of a network or layer; None of anything else."""
    for kind in type(net).__mro__:
        package = kind.__module__.removeprefix("flax.").partition(".")[0]
        if kind.__name__ == "Module" and package in ("nnx", "linen", "brainstate", "equinox"):
            return package
    return None


def framework_of(net: Any) -> Any:
    """Return that package, None for Flax Linen, whose reports take variables too."""
    package = package_of(net)
    return None if package in (None, "linen") else importlib.import_module(f"brainsurr.{package}")


def named_leaves(tree: Any) -> dict[str, Any]:
    """Return the leaves of a tree by their paths, such as ``layers.0.alpha``; a tree of one array is ``params``."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    named = {jax.tree_util.keystr(path, simple=True, separator=".") or "params": leaf for path, leaf in leaves}
    # Two may be alike, of keys with a dot.
    return named if len(named) == len(leaves) else {jax.tree_util.keystr(path): leaf for path, leaf in leaves}


def listed(names: Iterable[str]) -> str:
    """Return names as words, at most three of many."""
    names = list(names)
    shown = names if len(names) <= 4 else [*names[:3], f"{len(names) - 3} more"]
    return " and ".join(filter(None, [", ".join(shown[:-1]), *shown[-1:]]))


def as_text(rows: Sequence[Sequence[str]], sentences: Sequence[str]) -> str:
    """Align rows of a name, numbers and words, numbers to the right, and put sentences below.

    Args:
      rows: of one length, the first of them the header.
      sentences: may be none.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for name, *numbers, words in rows:
        aligned = [number.rjust(width) for number, width in zip(numbers, widths[1:-1], strict=True)]
        lines.append("  ".join([name.ljust(widths[0]), *aligned, words]))
    below = [textwrap.fill(sentence, 88, subsequent_indent="  ") for sentence in sentences]
    return "\n".join([*lines, "", *below] if below else lines)
