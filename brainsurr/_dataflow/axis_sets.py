"""Sets of time steps and examples: for each entry of a value, those of the input that it was computed from.

A set is an integer of 64 bits. It holds a number as its binary digits, two bits for each: that it is 0, that it is 1.
So the union of sets is ``|``, and one with other numbers than n has a bit that the set of n has not.

The sets of a value are an array with the dimensions of the value, of size 1 where all along one have the same. Those
of a constant are empty, and of type bool: its dimensions are of size 1 where its entries do not differ, or are drawn.
"""

import functools

import numpy as np

TIME, BATCH = "time", "batch"  # in the order of their dimensions
UNKNOWN = {TIME: np.uint64(1), BATCH: np.uint64(2)}  # the bit of a set of which that is not known
NOT_KNOWN = UNKNOWN[TIME] | UNKNOWN[BATCH]
_BITS = {TIME: range(2, 32), BATCH: range(32, 64)}
MEMBERS = {axis: np.uint64(sum(1 << bit for bit in bits)) for axis, bits in _BITS.items()}
_LOWER = np.uint64(sum(1 << bit for bit in range(0, 64, 2)))
MOST = 2**22  # sets of a value


def constant(shape) -> np.ndarray:
    return np.broadcast_to(np.False_, shape)


def depends(sets: np.ndarray) -> bool:
    """Return whether a value depends on the input."""
    return sets.dtype != np.bool_


def each(axis: str, size: int) -> np.ndarray:
    """Return the sets of each time step, or each example, by itself."""
    digits = range((size - 1).bit_length())
    ones = [sum(1 << _BITS[axis][2 * digit + (i >> digit & 1)] for digit in digits) for i in range(size)]
    return np.array(ones, np.uint64)


def has_several(sets: np.ndarray, axis: str) -> bool:
    """Return whether one of the sets has more than one time step, or example."""
    return bool((sets & sets >> np.uint64(1) & _LOWER & MEMBERS[axis]).any())


def union(sets: np.ndarray, axes) -> np.ndarray:
    """Return the union of the sets along some axes, which are of size 1 then."""
    return np.bitwise_or.reduce(sets, axis=axes, keepdims=True)


def some(sets: np.ndarray, axes) -> np.ndarray:
    """Return the sets of one of the entries along some axes, of size 1 then; which of them is not known."""
    one, all_ = np.bitwise_and.reduce(sets, axis=axes, keepdims=True), union(sets, axes)
    for axis, bit in UNKNOWN.items():
        if ((one ^ all_) & (MEMBERS[axis] | bit)).any():
            one = one | bit
    return one


def together(*operands: np.ndarray) -> np.ndarray:
    """Return the sets of what is computed of these entry by entry; numbers meet all entries."""
    ours = [sets for sets in operands if depends(sets)]
    if not ours:
        return constant(np.broadcast_shapes(*(sets.shape for sets in operands)))
    joint = functools.reduce(np.bitwise_or, ours)
    for sets in operands:
        if not depends(sets):  # of another kind at each time step?
            axes = [i for i in range(sets.ndim) if sets.shape[i] > 1 and joint.shape[i] > 1]
            if any(((joint ^ joint.take([0], i)) & MEMBERS[TIME]).any() for i in axes):
                return joint | UNKNOWN[TIME]
    return joint


def placed(sets: np.ndarray, places, rank: int) -> np.ndarray:
    """Return the sets of a value of some rank with these dimensions at those places, all along others the same."""
    shape = [1] * rank
    for place, size in zip(places, sets.shape, strict=True):
        shape[place] = size
    return sets.transpose(np.argsort(places)).reshape(shape)
