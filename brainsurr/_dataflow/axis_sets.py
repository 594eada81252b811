"""Sets of time steps or examples: for each entry of a value, the input steps or examples that it depends on.

A set is a 64-bit integer. It stores a number as binary digits with two bits each: one for 0 and one for 1. The union of
sets is ``|``, and a set has several numbers if both bits of a digit are set. The last bit is UNKNOWN.

The sets of a value are an array with the dimensions of the value, of size 1 if all sets along a dimension are equal.
The sets of a constant are empty and bool: a dimension has size 1 if its entries are equal, or random.
"""

import functools

import numpy as np

UNKNOWN = np.uint64(1 << 63)
_ZEROS = np.uint64(sum(1 << bit for bit in range(0, 62, 2)))
MOST = 2**22  # maximum number of sets of a value


def constant(shape) -> np.ndarray:
    return np.broadcast_to(np.False_, shape)


def depends(sets: np.ndarray) -> bool:
    """Return whether a value depends on the input."""
    return sets.dtype != np.bool_


def each(size: int) -> np.ndarray:
    """Return for each number the set that contains only this number."""
    digits = range((size - 1).bit_length())
    return np.array([sum(1 << 2 * digit + (i >> digit & 1) for digit in digits) for i in range(size)], np.uint64)


def has_several(sets: np.ndarray) -> bool:
    """Return whether any set has more than one number."""
    return bool((sets & sets >> np.uint64(1) & _ZEROS).any())


def differ_along(sets: np.ndarray, axis: int) -> bool:
    """Return whether the known members of the sets differ along an axis."""
    return bool(((sets ^ sets.take([0], axis)) & ~UNKNOWN).any())


def union(sets: np.ndarray, axes) -> np.ndarray:
    """Return the union of the sets along some axes, which then have size 1."""
    return np.bitwise_or.reduce(sets, axis=axes, keepdims=True)


def together(*operands: np.ndarray) -> np.ndarray:
    """Return the sets of the result of an elementwise operation, with broadcasting."""
    ours = [sets for sets in operands if depends(sets)]
    if not ours:
        return constant(np.broadcast_shapes(*(sets.shape for sets in operands)))
    joint = functools.reduce(np.bitwise_or, ours)
    numbers = [sets for sets in operands if not depends(sets)]
    # A constant that varies along such an axis may treat each time step or example differently.
    differ = any(differ_along(joint, i) for sets in numbers for i in range(sets.ndim) if sets.shape[i] > 1)
    return joint | UNKNOWN if differ else joint


def placed(sets: np.ndarray, places, rank: int) -> np.ndarray:
    """Place the dimensions of sets at ``places`` of a value of this rank; sets are equal along other dimensions."""
    shape = [1] * rank
    for place, size in zip(places, sets.shape, strict=True):
        shape[place] = size
    return sets.transpose(np.argsort(places)).reshape(shape)
