"""Find the data that devices send each other, in the text of a compiled program."""

import math
import re
from typing import NamedTuple

KINDS = ("all-reduce", "all-gather", "reduce-scatter", "collective-permute", "all-to-all", "collective-broadcast")
_COMPUTATION = re.compile(r"(?:ENTRY )?%?([\w.-]+) \(.*\) -> .* \{")
_INSTRUCTION = re.compile(r"\s+(?:ROOT )?%?[\w.-]+ = (.*?) ([a-z][\w-]*)\(")
_CALLED = re.compile(r"(?:body|calls|to_apply|\w+_computations?)=\{?((?:%?[\w.-]+(?:, )?)+)")


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
    computations: dict[str, list[str]] = {}
    entry = name = ""
    for line in text.splitlines():
        if start := _COMPUTATION.fullmatch(line):
            name = start[1]
            computations[name] = []
            entry = name if line.startswith("ENTRY") else entry
        elif name:
            computations[name].append(line)

    def walk(computation, loops):
        executed = []
        for line in computations[computation]:
            instruction = _INSTRUCTION.match(line)
            shape, op = instruction.groups() if instruction else ("", "")
            kind = op.removesuffix("-done")  # an asynchronous one returns its result here, not where it starts
            if kind in KINDS:
                executed.append(Collective(kind, _elements(shape), loops, 1))
                continue
            called = [name.lstrip("%") for names in _CALLED.findall(line) for name in names.split(", ")]
            inner = [c for name in called if name in computations for c in walk(name, loops + (op == "while"))]
            times = _length(line) if inner and op == "while" else 1
            executed += [c._replace(times=c.times * times) for c in inner]
        return executed

    return walk(entry, 0)


def _elements(shape):
    return sum(math.prod(map(int, filter(None, size.split(",")))) for size in re.findall(r"\w\[([\d,]*)\]", shape))


def _length(line):
    """Read how often a loop runs."""
    count = re.search(r'"known_trip_count":\{"n":"(\d+)"', line)
    if not count:
        raise ValueError(f"expected a loop of known length around a collective, got {line.strip()[:80]} ...")
    return int(count[1])
