"""Find the messages between devices in the text of a compiled program."""

import math
import re
from typing import NamedTuple

from ..lib.program import Program

KINDS = ("all-reduce", "all-gather", "reduce-scatter", "collective-permute", "all-to-all", "collective-broadcast")


class Collective(NamedTuple):
    """A collective of a program.

    Attributes:
      kind: one of ``KINDS``.
      elements: the number of elements of its result, over all arrays if several are combined.
      loops: the number of loops that contain it.
      times: how often one run of the program executes it: the product of the loop lengths.
    """

    kind: str
    elements: int
    loops: int
    times: int


def collectives(text: str) -> list[Collective]:
    """List the collectives in the text of a program, ``jax.jit(f).lower(...).compile().as_text()``.

    Raises:
      ValueError: The compiler does not know the length of a loop around a collective.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> collectives(jax.jit(jnp.sin).lower(1.0).compile().as_text())
      []
    """
    program, found = Program(text), []
    for each, _, loops in program.scheduled():
        kind = each.operation.removesuffix("-done")  # an asynchronous one returns its result here
        if kind in KINDS:
            times = math.prod(map(program.trips, loops))
            found.append(Collective(kind, _elements(each.shape), len(loops), times))
    return found


def _elements(shape):
    return sum(math.prod(map(int, filter(None, size.split(",")))) for size in re.findall(r"\w\[([\d,]*)\]", shape))
