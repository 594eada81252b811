"""Follow the time or batch axis through a jaxpr: does one time step, or one example, depend on another?

Each entry of a value has a set of the steps or examples that it depends on. Operations that move entries also move
their sets. Operations that sum, sort or convolve over an axis unite the sets. If a rule can't decide, or an operation
has no rule, the result is unknown.
"""

from collections.abc import Sequence

import numpy as np

from .._jax_private import needed
from .axis_sets import UNKNOWN, constant, depends, differ_along, each, has_several, placed, together
from .jaxprs import Reader, read
from .rules import RULES

TIME, BATCH = 0, 1  # axes of the input


def mixing(program, shape: Sequence[int], axis: int) -> tuple[bool | None, bool]:
    """Return whether a program mixes the entries along an axis, or None if this is unknown.

    Also return whether these entries are known to be along the first axis of an output.

    Args:
      program: a closed jaxpr with one input, ``[time, batch, ...]``.
      shape: the shape of the input, with at least two entries along the axis.
      axis: the axis to follow.
    """
    jaxpr, used = needed(program)
    own = placed(each(shape[axis]), [axis], len(shape))
    outputs = read(_Reader(), jaxpr, [own] if used[0] else [])
    said = [
        _mixes(axis, shape[axis], var.aval.shape, sets)
        for var, sets in zip(jaxpr.outvars, outputs, strict=True)
        if var.aval.ndim > axis and var.aval.shape[0] == shape[0]
    ]
    is_first = any(depends(sets) and differ_along(sets, 0) for sets in outputs if sets.ndim)
    return True if True in said else None if None in said else False, is_first


def _mixes(axis, size, shape, sets):
    """Return whether an output mixes the entries of an axis of the input."""
    if not depends(sets):
        return None if sets.shape[axis] > 1 else False
    members, own = sets & ~UNKNOWN, placed(each(size), [axis], len(shape))
    if has_several(members) if shape[axis] != size else (members & ~own).any():
        return True
    if axis == BATCH and shape[-1] > size and has_several(np.bitwise_or.reduce(members, -1)):
        return True  # flattened into the features
    return None if (sets & UNKNOWN).any() or (axis == TIME and (members != own).any()) else False


class _Reader(Reader):
    joined = staticmethod(together)

    def constant(self, var):
        return constant(var.aval.shape)

    def enters(self, equation):
        return equation.primitive.name not in ("shard_map", "pallas_call")

    def row(self, sets):
        alike = np.bitwise_and.reduce(sets, axis=0)
        return alike if (sets == alike).all() else alike | UNKNOWN

    def stacked(self, sets, length):
        return sets[None] if depends(sets) else constant((length, *sets.shape))

    def same(self, one, other):
        return np.array_equal(one, other) and depends(one) == depends(other)

    def chosen(self, equation, index, cases):
        if equation.primitive.name == "while" and has_several(index):
            index = np.array(UNKNOWN)  # the loop may keep finished entries until the last is done
        # Under `vmap`, the index has leading batch axes, like the cases.
        return [together(placed(index, range(index.ndim), case.ndim), case) for case in cases]

    def operation(self, equation, operands):
        name, outputs = equation.primitive.name, equation.outvars
        out = RULES[name](equation, *operands) if name in RULES else None
        if out is None:
            known = not any(map(depends, operands))
            return [constant(var.aval.shape) if known else np.full([1] * var.aval.ndim, UNKNOWN) for var in outputs]
        return out if isinstance(out, list) else [out] * len(outputs)
