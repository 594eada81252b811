"""The dimensions of a value as products of factors, and what remains of these where values meet.

``[time, batch, features]`` as ``[time * batch, features]`` has two factors in its first dimension. One that is
followed, time or batch, stays while each entry of it is computed of that entry alone.
"""

import dataclasses
import math

TIME, BATCH = "time", "batch"
# Of a factor that is not followed: how its entries differ. What is drawn has no place in time.
SAME, DRAWN, VARIES = "same", "drawn", "varies"
Factors = tuple[tuple[str, int], ...]


@dataclasses.dataclass(frozen=True)
class Fact:
    """What is known of a value.

    Attributes:
      dims: the factors of each dimension, none of size 1.
      depends: whether it depends on the input.
      mixed: which of time and batch are mixed in it.
      unknown: of which that is not known.
    """

    dims: tuple[Factors, ...] = ()
    depends: bool = False
    mixed: frozenset[str] = frozenset()
    unknown: frozenset[str] = frozenset()

    def but(self, dims, mixed=(), unknown=()) -> "Fact":
        """Return the fact of a value with other dimensions, in which more is mixed, or unknown."""
        return Fact(tuple(dims), self.depends, self.mixed.union(mixed), self.unknown.union(unknown))


def plain(size: int, kind: str = VARIES) -> Factors:
    return () if size == 1 else ((kind, size),)


def size_of(factors: Factors) -> int:
    return math.prod(size for _, size in factors)


def followed(dims) -> set[str]:
    return {kind for factors in dims for kind, _ in factors} & {TIME, BATCH}


def all_of(facts) -> Fact:
    """Return what holds of a value of these, but for its dimensions."""
    whole = Fact()
    for fact in facts:
        whole = Fact((), whole.depends or fact.depends, whole.mixed | fact.mixed, whole.unknown | fact.unknown)
    return whole


def together(facts) -> Fact:
    """Return the fact of a value that is computed of these entry by entry; numbers meet all entries."""
    facts = list(facts)
    rank = max(len(fact.dims) for fact in facts)
    columns = zip(*(fact.dims for fact in facts if len(fact.dims) == rank), strict=True)
    return of_columns(all_of(facts), columns)


def of_columns(whole: Fact, columns) -> Fact:
    """Return the fact of a value of which each dimension meets several."""
    dims, mixed, unknown = [], set(), set()
    for first, *others in columns:
        for other in others:
            first, mixes, unknowns = meet(first, other)
            mixed |= mixes
            unknown |= unknowns
        dims.append(first)
    kinds = [kind for factors in dims for kind, _ in factors]
    mixed |= {axis for axis in (TIME, BATCH) if kinds.count(axis) > 1}  # one entry meets all others
    return whole.but(without(dims, mixed), mixed, unknown)


def without(dims, axes):
    return [tuple((VARIES if kind in axes else kind, size) for kind, size in factors) for factors in dims]


def meet(one: Factors, other: Factors):
    """Return the factors where two dimensions meet, what mixes there, and what is not known."""
    if one == other or all(kind == SAME for kind, _ in other):
        return one, set(), set()
    if all(kind == SAME for kind, _ in one):
        return other, set(), set()
    if [size for _, size in one] != [size for _, size in other]:
        if {DRAWN} in ({kind for kind, _ in one}, {kind for kind, _ in other}):
            return (other if one[0][0] == DRAWN else one), set(), set()
        return plain(size_of(one)), set(), followed([one, other])
    factors, mixed, unknown = [], set(), set()
    for (kind, size), (its, _) in zip(one, other, strict=True):
        both = {kind, its}
        if both == {TIME, BATCH}:
            mixed |= both
        if both == {TIME, VARIES}:  # of another kind at each step
            unknown.add(TIME)
        ours = sorted(both & {TIME, BATCH})
        kind = ours[0] if len(ours) == 1 else max(both, key=[BATCH, TIME, SAME, DRAWN, VARIES].index)
        factors.append((VARIES if len(ours) > 1 else kind, size))
    return tuple(factors), mixed, unknown
