"""Sets of time steps or examples: for each entry of a value, those of the input that it was computed from.

A set is an integer of 64 bits. It holds a number as its binary digits, two bits for each: that it is 0, that it is 1.
So the union of sets is ``|``, and a set has several numbers if it has both bits of a digit. The last bit is UNKNOWN.

The sets of a value are an array with the dimensions of the value, of size 1 where all along one have the same. Those
of a constant are empty, and of type bool: its dimensions are of size 1 where its entries do not differ, or are drawn.
"""

import functools

import numpy as np

UNKNOWN = np.uint64(1 << 63)
_ZEROS = np.uint64(sum(1 << bit for bit in range(0, 62, 2)))
MOST = 2**22  # sets of a value


def constant(shape) -> np.ndarray:
    return np.broadcast_to(np.False_, shape)


def depends(sets: np.ndarray) -> bool:
    """Return whether a value depends on the input."""
    return sets.dtype != np.bool_


def each(size: int) -> np.ndarray:
    """Return the set of each number by itself."""
    digits = range((size - 1).bit_length())
    return np.array([sum(1 << 2 * digit + (i >> digit & 1) for digit in digits) for i in range(size)], np.uint64)


def has_several(sets: np.ndarray) -> bool:
    """Return whether one of the sets has more than one number."""
    return bool((sets & sets >> np.uint64(1) & _ZEROS).any())


def differ_along(sets: np.ndarray, axis: int) -> bool:
    """Return whether the known members of the sets differ along an axis."""
    return bool(((sets ^ sets.take([0], axis)) & ~UNKNOWN).any())


def union(sets: np.ndarray, axes) -> np.ndarray:
    """Return the union of the sets along some axes, which are of size 1 then."""
    return np.bitwise_or.reduce(sets, axis=axes, keepdims=True)


def together(*operands: np.ndarray) -> np.ndarray:
    """Return the sets of what is computed of these entry by entry; numbers meet all entries."""
    ours = [sets for sets in operands if depends(sets)]
    if not ours:
        return constant(np.broadcast_shapes(*(sets.shape for sets in operands)))
    joint = functools.reduce(np.bitwise_or, ours)
    numbers = [sets for sets in operands if not depends(sets)]
    # They may be of another kind at each time step, or for each example.
    differ = any(differ_along(joint, i) for sets in numbers for i in range(sets.ndim) if sets.shape[i] > 1)
    return joint | UNKNOWN if differ else joint


def placed(sets: np.ndarray, places, rank: int) -> np.ndarray:
    """Return the sets of a value of some rank with these dimensions at those places, all along others the same."""
    shape = [1] * rank
    for place, size in zip(places, sets.shape, strict=True):
        shape[place] = size
    return sets.transpose(np.argsort(places)).reshape(shape)
