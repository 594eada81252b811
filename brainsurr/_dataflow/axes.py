"""Where time and batch are in a traced program: does an output of one time step, or example, depend on another?

What moves the entries of a value moves their sets; what sums, sorts or convolves over an axis unites them. Where a rule
can't tell, or an operation has none, that is not known.
"""

from collections.abc import Sequence

import numpy as np

from .._jax_private import needed
from .axis_sets import (
    BATCH,
    MEMBERS,
    NOT_KNOWN,
    TIME,
    UNKNOWN,
    constant,
    depends,
    each,
    has_several,
    placed,
    some,
    together,
)
from .jaxprs import Reader, read
from .rules import RULES

MOVED = "moved"


def mixing(program, shape: Sequence[int], axes: Sequence[str]) -> dict[str, bool | None]:
    """Return for each axis that is followed whether a program mixes its entries; None if that is not known.

    With the batch, ``"moved"`` is whether its examples are known to lie along the first axis of an output.

    Args:
      program: a closed jaxpr of one input, ``[time, batch, ...]``.
      shape: of this input, of at least two entries along each of the axes.
      axes: which are followed, ``"time"``, ``"batch"`` or both.
    """
    jaxpr, used = needed(program)
    places = {axis: (TIME, BATCH).index(axis) for axis in axes}
    own = {axis: spread(place, each(axis, shape[place]), len(shape)) for axis, place in places.items()}
    outputs = read(_Reader(), jaxpr, [sum(own.values())] if used[0] else [])
    verdicts: dict[str, bool | None] = {}
    for axis, place in places.items():
        said = [
            _mixes(axis, place, shape[place], var.aval.shape, sets)
            for var, sets in zip(jaxpr.outvars, outputs, strict=True)
            if var.aval.ndim > place and var.aval.shape[0] == shape[0]
        ]
        verdicts[axis] = True if True in said else None if None in said else False
    if BATCH in axes:
        verdicts[MOVED] = any(
            ((sets ^ sets[:1]) & MEMBERS[BATCH]).any() for sets in outputs if sets.ndim and depends(sets)
        )
    return verdicts


def spread(place: int, along: np.ndarray, rank: int) -> np.ndarray:
    """Return a vector along one of the axes of an array."""
    return along.reshape([-1 if i == place else 1 for i in range(rank)])


def _mixes(axis, place, size, shape, sets):
    """Return whether an output mixes the entries of an axis, which is at that place of the input."""
    if not depends(sets):
        return None if axis == TIME and len(sets) > 1 else False
    members, own = sets & MEMBERS[axis], spread(place, each(axis, size), len(shape))
    if has_several(members, axis) if shape[place] != size else (members & ~own).any():
        return True
    if axis == BATCH and shape[-1] > size and has_several(np.bitwise_or.reduce(members, -1), axis):
        return True  # flattened into the features
    return None if (sets & UNKNOWN[axis]).any() or (axis == TIME and (members != own).any()) else False


class _Reader(Reader):
    def constant(self, var):
        return constant(var.aval.shape)

    def enters(self, equation):
        return equation.primitive.name not in ("shard_map", "pallas_call")

    def row(self, sets):
        return some(sets, 0)[0]

    def stacked(self, sets, length):
        return sets[None] if depends(sets) else constant((length, *sets.shape))

    def same(self, one, other):
        return np.array_equal(one, other) and depends(one) == depends(other)

    def joined(self, one, other):
        return together(one, other)

    def chosen(self, equation, index, cases):
        several = any(has_several(index, axis) for axis in (TIME, BATCH))
        if equation.primitive.name == "while" and several:
            index = np.array(NOT_KNOWN)  # it may go on until the last is done, and keep those that are
        # Under `vmap` the index has leading axes of the cases.
        return [together(placed(index, range(index.ndim), case.ndim), case) for case in cases]

    def operation(self, equation, operands):
        name, outputs = equation.primitive.name, equation.outvars
        out = RULES[name](equation, *operands) if name in RULES else None
        if out is None:
            known = not any(map(depends, operands))
            return [constant(var.aval.shape) if known else np.full([1] * var.aval.ndim, NOT_KNOWN) for var in outputs]
        return out if isinstance(out, list) else [out] * len(outputs)
