"""Parse the instructions of a compiled program from its text, ``jax.jit(f).lower(...).compile().as_text()``."""

import re
from collections.abc import Iterator
from typing import NamedTuple


class Instruction(NamedTuple):
    """One line of a computation: ``%name = shape operation(operands), attributes``."""

    name: str
    shape: str
    operation: str
    inside: str
    attributes: str
    is_root: bool

    @property
    def operands(self):
        return re.findall(r"%([\w.\-]+)", self.inside)

    @property
    def called(self):
        return self.attribute(r"(?:calls|to_apply)=%?([\w.\-]+)")

    def attribute(self, pattern):
        found = re.search(pattern, self.attributes)
        return found and found[1]


Computation = dict[str, Instruction]


class Program:
    """The computations of a program by name; one of them is its entry.

    Args:
      text: the text of a compiled program.
    """

    def __init__(self, text: str):
        self.computations: dict[str, Computation] = {}
        self.entry, body = "", None
        for line in text.splitlines():
            if start := re.match(r"(ENTRY )?%?([\w.\-]+)\s*\(.*->.*\{\s*$", line):
                body = self.computations[start[2]] = {}
                self.entry = start[2] if start[1] else self.entry
            elif body is not None and (found := re.match(r"\s+(ROOT )?%([\w.\-]+) = (.*)$", line)):
                shape, rest = _cut(found[3]) if found[3].startswith("(") else found[3].split(" ", 1)
                operation, _, rest = rest.strip().partition("(")
                inside, attributes = _cut(f"({rest}")
                body[found[2]] = Instruction(found[2], shape, operation, inside[1:-1], attributes, bool(found[1]))

    def scheduled(self, name="", loops=()) -> Iterator[tuple[Instruction, Computation, tuple[Instruction, ...]]]:
        """Yield the instructions that run, the computation of each, and the loops around it.

        Raises:
          ValueError: The instructions that run depend on values.
        """
        body = self.computations[name or self.entry]
        for each in body.values():
            if each.operation == "while":
                yield from self.scheduled(each.attribute(r"body=%?([\w.\-]+)"), (*loops, each))
            elif each.operation == "call" or (each.operation == "async-start" and each.called):
                yield from self.scheduled(each.called, loops)
            elif each.operation == "conditional":
                raise ValueError("it chooses a branch while it runs")
            else:
                yield each, body, loops

    def trips(self, loop: Instruction) -> int:
        """Return the number of iterations of a loop.

        Raises:
          ValueError: The number depends on values.
        """
        if known := loop.attribute(r'known_trip_count":\{"n":"?(\d+)'):
            return int(known)
        condition = self.computations[loop.attribute(r"condition=%?([\w.\-]+)")]
        (root,) = (each for each in condition.values() if each.is_root)
        limits = [condition[name].inside for name in root.operands if condition[name].operation == "constant"]
        if "direction=LT" not in root.attributes or not (limits and limits[0].isdigit()):
            raise ValueError("how often a loop runs is not known before")
        return int(limits[0])


def _cut(text):
    """Cut a text after the bracket that closes its first one."""
    depth = 0
    for at, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if not depth:
            return text[: at + 1], text[at + 1 :]
    return text, ""
