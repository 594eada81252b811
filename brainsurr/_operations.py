"""`operations`: count the operations in a network's matrix products on one batch, sparse and dense."""

import contextlib
import dataclasses
import re
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from ._checks import check_positive_integer
from ._dataflow.derivatives import PRODUCTS
from ._dataflow.evaluate import evaluated
from ._dataflow.jaxprs import inside
from ._jax_private import scan_parts, scopes
from ._report import Report, as_text, line_of
from ._time import sequential
from ._time.unroll import as_arrays


class ProductOperations(NamedTuple):
    """Operations of a matrix product or convolution per example, over all time steps, averaged over the batch.

    An operation multiplies a nonzero input with a weight, or two nonzero inputs with each other, and adds the result.
    If all inputs are spikes (0 and 1 only), the operation is an addition; for a product of two inputs, it is enough if
    one of them contains only spikes. Otherwise it is a multiply-add.

    Attributes:
      inputs: number of nonzero inputs; for spikes, the number of spikes.
      additions: number of operations on spikes.
      multiply_adds: number of operations on other inputs.
      dense: number of multiply-adds of the dense product, including zeros but not padding.
    """

    inputs: float
    additions: float
    multiply_adds: float
    dense: float


@dataclasses.dataclass(frozen=True)
class OperationReport(Report[ProductOperations]):
    """Operations of each matrix product in a network per example; ``print`` shows them as a table.

    A mapping from the name of a product to its :class:`ProductOperations`. The name consists of the index and the class
    of the layer in a ``SpikingSequential``, such as ``"0 Linear"``, and the line in your code, ``file:line``, as far as
    they are known. The name of a product of two activations contains ``pairs``.

    Attributes:
      products: the operations by name, in the order of computation.
    """

    _measured: ClassVar[str] = "products"

    products: dict[str, ProductOperations]

    @property
    def total(self) -> ProductOperations:
        """The sum over all products."""
        return ProductOperations(*map(sum, zip(*self.values(), strict=True)))

    def __str__(self) -> str:
        rows = [["product", "not 0", "additions", "multiply-adds", "dense", "share"]]
        for place, product in [*self.items(), ("in all", self.total)]:
            _, *operations, dense = product
            rows.append([place, *(f"{n:,.1f}" for n in product), f"{sum(operations) / (dense or 1):6.1%}"])
        return as_text(rows, [])


def operations(f: Callable, *args: Any, examples: int) -> OperationReport:
    r"""Count the operations of each matrix product of a network on one batch, sparse (nonzero inputs only) and dense.

    Matrix products are linear layers, convolutions, recurrent weights, and products of two activations, as in
    attention. Let :math:`z_i` be 1 if input :math:`i` is nonzero, else 0, and :math:`n_i` the number of weights that
    this input is multiplied with. Then a product has

    .. math:: \sum_i z_i \ \text{inputs}, \qquad \sum_i z_i n_i \ \text{operations}, \qquad \sum_i n_i \ \text{dense,}

    over all time steps, including those in scans and :func:`unroll`. For two activations, the operations are the pairs
    in which both are nonzero. The counts are exact and divided by the number of examples. Masked and padded values
    count if they are computed. Neuron updates, normalisation and pooling are not counted.

    Args:
      f: a network in plain jax or any framework: a function, or a module that is called with arrays. Values that depend
        on its arguments count as inputs; arrays that it stores or closes over count as weights.
      *args: the arguments of the network: arrays or pytrees of arrays, such as a carry and one batch ``xs``.
      examples: the number of examples in the batch.

    Returns:
      An :class:`OperationReport`: print it, or read ``report["0 Linear"].additions``.

    Raises:
      TypeError: ``f`` is not a function, or an argument is not an array.
      ValueError: ``examples`` is not a positive integer, or no product depends on the arguments.
      NotImplementedError: a product is in a branch, a ``while`` loop, ``shard_map`` or a kernel.

    Example:
      >>> import jax.numpy as jnp, brainsurr as bs
      >>> f, w = bs.Arctan(), jnp.ones((3, 4))
      >>> xs = jnp.array([[0.5, 0.0, -1.0], [0.0, 0.0, 2.0]])
      >>> report = bs.operations(lambda xs: jnp.dot(f(jnp.dot(xs, w)), w.T), xs, examples=2)
      >>> report.total
      ProductOperations(inputs=3.5, additions=6.0, multiply_adds=6.0, dense=24.0)
    """
    check_positive_integer("operations: examples", examples)
    args, of_brainstate = as_arrays("args", args), sys.modules.get("brainsurr.brainstate._activation")
    nnx = sys.modules.get("flax.nnx")

    def run(*args):  # clone an NNX module, which can only write to variables created in this trace
        return (nnx.clone(f) if nnx and isinstance(f, nnx.Module) else f)(*args)

    with of_brainstate.preserve_states() if of_brainstate else contextlib.nullcontext():
        program = jax.make_jaxpr(run)(*args)
    with jax.enable_x64(True):
        counts = jax.device_get(jax.jit(partial(_counts, program))(jax.tree.leaves(args)))
    if not counts:
        raise ValueError("operations: expected f to have a product that depends on the arguments, got none")
    rows: dict[tuple[str, str], Any] = {}
    for place, row in (item for count in counts for item in count.items()):
        rows[place] = rows.get(place, 0) + row[:4] * (1, row[4] == 0, row[4] > 0, 1) / examples
    several = Counter(name for name, _ in rows)  # such as on the two branches of a residual block
    of = {f"{name} {shape}" if several[name] > 1 else name: row.tolist() for (name, shape), row in rows.items()}
    return OperationReport({name: ProductOperations(*row) for name, row in of.items()})


def _counts(program, inputs):
    """Run a program; return a dict ``{(name, shape of weights): row}`` for each product, with the counts of `_row`."""
    active: dict[int, Any] = {}  # values that depend on the inputs, by identity

    def activate(values):
        active.update(zip(map(id, values), values, strict=True))
        return values

    def apart(program, values, calls=()):
        rows = list[dict[str, Any]]()
        return evaluated(program, values, partial(rule, rows, calls)), rows

    def rule(rows, calls, equation, values, as_it_is):
        name, params, calls = equation.primitive.name, equation.params, (equation, *calls)
        sides = [id(value) in active for value in values]
        if not any(sides):
            return as_it_is()
        if name in PRODUCTS:
            layers = re.findall(r"\d+ [^/()]+", "/".join(scopes(call) for call in calls[::-1]))
            line = line_of(*calls, until=sequential.__file__ if layers else "?")
            place = " ".join([*layers, *filter(None, [line]), *["pairs"] * (sides[0] and sides[-1])]) or "?"
            weights = next((values[i].shape for i in (0, -1) if not sides[i]), ())
            rows.append({(place, " x ".join(map(str, weights))): _row(equation, values, sides)})
        if not any(product in str(params) for product in PRODUCTS):
            return activate(as_it_is())
        if name == "scan":
            closed_over, carry, xs = scan_parts(params, values)

            def step(carry, x):
                activate(carry + [value for value, side in zip(x, scan_parts(params, sides)[2], strict=True) if side])
                outputs, inner = apart(params["jaxpr"], [*closed_over, *carry, *x], calls)
                return outputs[: len(carry)], (outputs[len(carry) :], inner)

            carry, (ys, inner) = jax.lax.scan(step, carry, xs, params["length"], params["reverse"])
            rows += jax.tree.map(lambda row: row.sum(0), inner)
            return activate([*carry, *ys])
        if (called := inside(equation)) is None or name in ("shard_map", "xla_pmap"):
            raise NotImplementedError(f"operations: can't count a matrix product inside {name}: count it separately")
        return evaluated(called, values, partial(rule, rows, calls))

    return apart(program, activate(inputs))[1]


def _row(equation, values, sides):
    """Return the counts of a product: nonzero inputs, pairs (twice), dense pairs, and inputs other than 0 and 1."""
    params = equation.params | {"precision": None, "preferred_element_type": jnp.float32}
    multiply = params["product"].dense if "product" in params else partial(equation.primitive.bind, **params)

    def pairs(*masks):  # the barrier prevents XLA from computing products of constants at compile time
        factors = [mask.astype(jnp.float32) for mask in jax.lax.optimization_barrier(masks)]
        return multiply(*factors).sum(dtype=jnp.int64)

    both = [values[i] if sides[i] else jnp.full(values[i].shape, 2, jnp.int8) for i in (0, -1)]
    masks = [value != 0 for value in both]
    inputs = sum(jnp.count_nonzero(masks[i]) for i in (0, -1) if sides[i])
    graded = [jnp.count_nonzero(mask & (value != 1)) for mask, value in zip(masks, both, strict=True)]
    return jnp.stack([inputs, *[pairs(*masks)] * 2, pairs(*map(jnp.ones_like, masks)), jnp.minimum(*graded)])
