"""`Report`, the base class of reports, and helpers for them: lines of the user's code, names, and text tables."""

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
    """A mapping from names to measurements, which a subclass stores in the attribute that ``_measured`` names."""

    _measured: ClassVar[str]

    def __getitem__(self, name: str) -> Measured:
        return getattr(self, self._measured)[name]

    def __iter__(self) -> Iterator[str]:
        return iter(getattr(self, self._measured))

    def __len__(self) -> int:
        return len(getattr(self, self._measured))


def user_line() -> str:
    """Return ``file:line`` of the innermost running code that is not in brainsurr, jax or a framework."""
    for frame, line in traceback.walk_stack(None):
        if not (file := frame.f_code.co_filename).startswith(_LIBRARIES):
            return f"{Path(file).name}:{line}"
    return "?"


def line_of(*equations, until: str = _OURS) -> str:
    """Return ``file:line`` of the user's code that calls a library, or an empty string if it is not known.

    If jit has cached the trace of a function, the lines outside the function are not known.

    Args:
      *equations: an equation and the calls that contain it, the innermost first.
      until: a path. If code in this path comes before the user's code, the result is an empty string.
    """
    for frame in frames(equations):
        if frame.file_name.startswith(until):
            return ""
        if not frame.file_name.startswith(_LIBRARIES):
            return f"{Path(frame.file_name).name}:{frame.line_num}"
    return ""


def package_of(net: Any) -> str | None:
    """Return the name of brainsurr's package for the framework of a network or layer, or None for anything else."""
    for kind in type(net).__mro__:
        package = kind.__module__.removeprefix("flax.").partition(".")[0]
        if kind.__name__ == "Module" and package in ("nnx", "linen", "brainstate", "equinox"):
            return package
    return None


def framework_of(net: Any) -> Any:
    """Import and return that package. Return None for Flax Linen, whose reports need variables too."""
    package = package_of(net)
    return None if package in (None, "linen") else importlib.import_module(f"brainsurr.{package}")


def named_leaves(tree: Any) -> dict[str, Any]:
    """Return the leaves of a tree by path, such as ``layers.0.alpha``. A single array is named ``params``."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    named = {jax.tree_util.keystr(path, simple=True, separator=".") or "params": leaf for path, leaf in leaves}
    # If keys contain dots, two paths may be equal. Then use the full form of each path.
    return named if len(named) == len(leaves) else {jax.tree_util.keystr(path): leaf for path, leaf in leaves}


def listed(names: Iterable[str]) -> str:
    """Join names to a phrase. Of more than four, list three and the number of the rest."""
    names = list(names)
    shown = names if len(names) <= 4 else [*names[:3], f"{len(names) - 3} more"]
    return " and ".join(filter(None, [", ".join(shown[:-1]), *shown[-1:]]))


def as_text(rows: Sequence[Sequence[str]], sentences: Sequence[str]) -> str:
    """Format rows as a table, with sentences below it.

    Args:
      rows: the header, then rows of the same length: a name, numbers, which are aligned to the right, and words.
      sentences: the sentences, if any.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for name, *numbers, words in rows:
        aligned = [number.rjust(width) for number, width in zip(numbers, widths[1:-1], strict=True)]
        lines.append("  ".join([name.ljust(widths[0]), *aligned, words]))
    below = [textwrap.fill(sentence, 88, subsequent_indent="  ") for sentence in sentences]
    return "\n".join([*lines, "", *below] if below else lines)
