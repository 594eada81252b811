"""Find the data that devices send each other, in the text of a compiled program."""

import math
import re
from typing import NamedTuple

from ..lib.program import Program

KINDS = ("all-reduce", "all-gather", "reduce-scatter", "collective-permute", "all-to-all", "collective-broadcast")


class Collective(NamedTuple):
    """A collective of a program.

    Attributes:
      kind: of ``KINDS``.
      elements: of its result, all arrays of a combined one together.
      loops: how many loops contain it.
      times: how often one run of the program executes it: the product of their lengths.
    """

    kind: str
    elements: int
    loops: int
    times: int


def collectives(text: str) -> list[Collective]:
    """List the collectives in the text of a program, ``jax.jit(f).lower(...).compile().as_text()``.

    Raises:
      ValueError: a loop around a collective whose length the compiler does not know.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> collectives(jax.jit(jnp.sin).lower(1.0).compile().as_text())
      []
    """
    program, found = Program(text), []
    for each, _, loops in program.scheduled():
        kind = each.operation.removesuffix("-done")  # an asynchronous one returns its result here, not where it starts
        if kind in KINDS:
            times = math.prod(map(program.trips, loops))
            found.append(Collective(kind, _elements(each.shape), len(loops), times))
    return found


def _elements(shape):
    return sum(math.prod(map(int, filter(None, size.split(",")))) for size in re.findall(r"\w\[([\d,]*)\]", shape))
