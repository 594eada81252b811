"""Count the launches and the memory traffic of a compiled program from its text; loops count once per iteration.

A launch is an instruction of the scheduled program that runs, such as a fusion, a matrix product or a copy. It reads
and writes arrays in device memory; if it uses only a part of an array, only that part counts.
"""

import math
import re
from typing import NamedTuple

from ..lib.program import Program

_BITS = {"pred": 8, "token": 0, "bf16": 16, "c64": 64, "c128": 128}
_ARRAY = re.compile(r"([a-z]+\d*)\w*\[([\d,]*)\](?:\{([^{}]*)\})?")
_FREE = {"parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "opt-barrier", "partition-id"}
_FREE |= {"replica-id", "add-dependency", "copy-done", "slice-done", "dynamic-slice-done", "async-done", "async-update"}
_FREE |= {"fusion-done", "all-gather-done", "custom-call-done"}


class Costs(NamedTuple):
    """The costs of a program.

    Attributes:
      launches: the number of launched operations.
      fusions: the launched fusions, except those that compute a single number; this is the count for a TPU.
      in_loops: the launches inside loops.
      bytes: the bytes read and written.
    """

    launches: float = 0
    fusions: float = 0
    in_loops: float = 0
    bytes: float = 0


def costs(text: str) -> Costs:
    """Return the costs of a compiled program from its text; a ValueError if they depend on values."""
    program, total = Program(text), Costs()
    for each, body, loops in program.scheduled():
        if each.operation in _FREE or "AllocateBuffer" in each.attributes:
            continue
        times = math.prod(map(program.trips, loops))
        is_array, is_fusion = re.search(r"\[\d", each.shape), each.operation.startswith("fusion")
        moved = times * _moved(program.computations, body, each)
        new = Costs(times, times * bool(is_array and is_fusion), times * bool(loops), moved)
        total = Costs(*map(sum, zip(total, new, strict=True)))
    return total


def _parts(shape):
    """List the shapes in a tuple of shapes."""
    if not shape.startswith("("):
        return [shape]
    parts, depth = [""], 0
    for letter in re.sub(r"/\*.*?\*/", "", shape)[1:-1]:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def _size(shape, everywhere=False):
    """Return the bytes of arrays in device memory, with ``everywhere`` also of those in a TPU's on-chip memory."""
    total = 0.0
    for kind, sizes, layout in _ARRAY.findall(shape):
        if everywhere or not re.search(r"S\([1-9]\)", layout):
            bits = _BITS.get(kind, int(re.sub(r"\D", "", kind) or 0))
            total += bits / 8 * math.prod(int(size) for size in sizes.split(",") if size)
    return total


def _moved(computations, body, each):
    """Return the bytes that an instruction reads and writes."""
    operands = [body[name] for name in each.operands if name in body]
    if each.operation in ("fusion", "fusion-start"):
        shape = each.shape if each.operation == "fusion" else _parts(each.shape)[1]
        arrays = [(at, _size(o.shape)) for at, o in enumerate(operands) if not o.shape.startswith("(")]
        read = sum(_read(computations, each.called, at, size) for at, size in arrays if size)
        return read + _written(computations, each.called, shape)
    if each.operation in ("dynamic-slice", "slice"):
        return 2 * _size(each.shape)
    if each.operation == "dynamic-update-slice":
        return 2 * _size(operands[1].shape)
    if each.operation in ("copy-start", "slice-start", "dynamic-slice-start"):
        first, second, *_ = _parts(each.shape)
        if each.operation == "copy-start":
            return _size(operands[0].shape) + _size(first)
        return min(_size(operands[0].shape), _size(second, True)) + _size(second)
    is_gemm = each.operation == "custom-call" and "gemm" in each.attributes  # its result includes workspace
    return sum(_size(o.shape) for o in operands) + _size(_parts(each.shape)[0] if is_gemm else each.shape)


def _read(computations, name, at, whole, depth=0):
    """Return the bytes that a computation reads of one of its parameters."""
    body = computations[name]
    found = [i for i in body.values() if i.operation == "parameter" and i.inside.strip() == str(at)]
    return _used(computations, body, found[0].name, whole, depth) if found else whole


def _used(computations, body, name, whole, depth):
    total = 0.0
    for user in body.values():
        operands = user.operands
        if name not in operands:
            continue
        if user.operation in ("dynamic-slice", "slice", "gather") and operands[0] == name:
            total += _size(user.shape) or _size(user.shape, True)
        elif user.operation == "dynamic-update-slice" and operands[0] == name != operands[1]:
            continue
        elif user.operation == "bitcast" and not user.is_root:  # a root is read whole by the computation's caller
            total += _used(computations, body, user.name, whole, depth)
        elif user.operation == "fusion" and depth < 6:
            places = [at for at, operand in enumerate(operands) if operand == name]
            total += sum(_read(computations, user.called, at, whole, depth + 1) for at in places)
        elif user.operation != "tuple":
            return whole
    return min(total, whole)


def _written(computations, name, shape):
    """Return the bytes that a computation writes; for an array that it updates in place, only the update counts."""
    body = computations[name]
    root = next(each for each in body.values() if each.is_root)
    outputs = [body[o] for o in root.operands] if root.operation == "tuple" else [root]
    shapes = _parts(shape)
    if len(shapes) != len(outputs):
        return _size(shape)
    total = 0.0
    for output, of in zip(outputs, shapes, strict=True):
        while output.operation == "bitcast" and output.operands[0] in body:
            output = body[output.operands[0]]
        if output.operation == "dynamic-update-slice" and _size(of):
            update = body[output.operands[1]].shape
            total += min(_size(of), _size(update) or _size(update, True))
        elif output.operation == "fusion" and not output.shape.startswith("("):
            total += _written(computations, output.called, of)
        else:
            total += _size(of)
    return total
