"""Where time and batch are in a traced program: does an output of one time step, or example, depend on another?

Where a rule sums, sorts or convolves over an axis, its entries are mixed; where a rule can't tell, or an operation has
none, that is not known.
"""

from collections.abc import Sequence

from .factors import BATCH, TIME, VARIES, Fact, all_of, followed, of_columns, plain, together
from .reading import needed, read
from .rules import RULES, not_known


def mixing(program, shape: Sequence[int], axes: Sequence[str]) -> dict[str, bool | None]:
    """Return for each axis that is followed whether a program mixes its entries; None if that is not known.

    Args:
      program: a closed jaxpr of one input, ``[time, batch, ...]``.
      shape: of this input, of at least two entries along each of the axes.
      axes: which are followed, ``"time"``, ``"batch"`` or both.
    """
    jaxpr, used = needed(program)
    first = [((axis, size),) if axis in axes else plain(size) for axis, size in zip((TIME, BATCH), shape, strict=False)]
    input_ = Fact((*first, *map(plain, shape[2:])), depends=True)
    outputs = read(_Reader(), jaxpr, [input_] if used[0] else [])
    return {axis: _verdict(axis, jaxpr.outvars, outputs, shape) for axis in axes}


def _verdict(axis, variables, facts, shape):
    place = (TIME, BATCH).index(axis)
    verdict: bool | None = False
    for var, fact in zip(variables, facts, strict=True):
        if var.aval.ndim <= place or var.aval.shape[:1] != tuple(shape[:1]):
            continue
        if axis in fact.mixed:
            return True
        its = fact.dims[place]
        stays = its == ((axis, shape[place]),) if fact.depends else axis == BATCH or VARIES not in dict(its)
        if axis in fact.unknown or not stays:
            verdict = None
    return verdict


class _Reader:
    def __init__(self):
        self.calls = []

    def constant(self, var):
        return Fact(tuple(map(plain, var.aval.shape)))

    def enters(self, equation):
        return equation.primitive.name not in ("shard_map", "pallas_call")

    def row(self, fact):
        return fact.but(fact.dims[1:], unknown=followed(fact.dims[:1]))

    def stacked(self, fact, length):
        return fact.but((plain(length), *fact.dims))

    def carried(self, fact, closed_over):
        return fact

    def same(self, one, other):
        return one == other

    def joined(self, one, other):
        return together([one, other])

    def chosen(self, equation, index, facts):
        if equation.primitive.name == "while":  # it may go on until the last is done, and keep those that are
            index = Fact(index.dims, index.depends, unknown=index.mixed | index.unknown)
        # Under `vmap` the index has the leading axes.
        columns = ([[its, *index.dims[i : i + 1]] for i, its in enumerate(fact.dims)] for fact in facts)
        return [of_columns(all_of([index, fact]), its) for fact, its in zip(facts, columns, strict=True)]

    def operation(self, equation, facts):
        name, outputs = equation.primitive.name, equation.outvars
        if name not in RULES:
            return [not_known(var, facts) for var in outputs]
        out = RULES[name](equation, facts)
        return out if isinstance(out, list) else [out] * len(outputs)
