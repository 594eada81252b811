"""The product that follows what is not 0, as an operation of jax with a rule for each transformation.

It is linear in the weights. Its transpose in them, the gradient of the weights, ``x^T g``, follows x as well and is the
same operation, `transposed`. What is differentiated in x is a dense product, since a gradient has few zeros.
"""

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.custom_partitioning import custom_partitioning
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from ..cpu import _cores
from . import _library

# By whether it is a convolution, and transposed: the share of what is not 0, beyond which the dense product is faster.
# Measured by `python -m benchmarks.speed events`.
CROSSINGS = {(False, False): 0.2, (False, True): 0.18, (True, False): 0.3, (True, True): 0.5}
_STRIDED = 0.1  # of a convolution with strides, of which the dense one skips most of the work
_TINY = 2**19  # multiplications, of which the dense product makes fewer before the loops are called
_SAMPLED = 64  # rows in which what is not 0 is counted


@dataclasses.dataclass(frozen=True)
class Product:
    """What is multiplied: x and a matrix, or images ``[batch, height, width, channels]`` and a kernel.

    Attributes:
      weights: the shape of the matrix or kernel.
      window: strides, padding and dilation of a convolution, each of height and width; None of a matrix.
      precision: of the dense product.
      are_spikes: whether x, of floats, holds 0, 1 and NaN alone.
      transposed: whether the gradient of the weights is computed, of x and that of the output.
    """

    weights: tuple[int, ...]
    window: tuple[Any, ...] | None
    precision: Any
    are_spikes: bool
    transposed: bool = False

    def dense(self, x, w):
        """Compute it densely."""
        if self.transposed:
            like = jax.ShapeDtypeStruct(self.weights, w.dtype)
            return jax.linear_transpose(functools.partial(_dense, self, x), like)(w)[0]
        return _dense(self, x, w)


def _dense(product, x, w):
    if product.window is None:
        return jax.lax.dot_general(x, w, (((x.ndim - 1,), (0,)), ((), ())), precision=product.precision)
    strides, padding, dilation = product.window
    of, numbers = {"rhs_dilation": dilation, "precision": product.precision}, ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(x, w, strides, padding, dimension_numbers=numbers, **of)


def multiply(product: Product, x, w):
    """Multiply x, float32, uint8 or bool, by w, float32: the matrix, the kernel, or the gradient of an output."""
    if jax.sharding.get_abstract_mesh().manual_axes:  # in `shard_map`, what one varies over, the other must as well
        w = jnp.where(False, jnp.zeros_like(x, w.dtype, shape=()), w)
        x = jnp.where(False, jnp.zeros_like(w, x.dtype, shape=()), x)
    if product.are_spikes and x.dtype == jnp.float32:
        return _bind((x, jnp.where(jnp.isnan(x), -1, x).astype(jnp.int8)), w, product)
    return _bind((x,), w, product)


# Its operands are x, of spikes their codes as well, and w. With codes, what is compiled reads them and not x. But the
# rules differentiate in x: so derivatives of every order are right, and XLA keeps the bytes alone.
product_p = Primitive("events_product")


@functools.cache
def _on_devices():
    """Return a program that jax compiles for the devices at hand: it then says, of what holds it, which they are."""
    alone = custom_partitioning(lambda x: x)
    alone.def_partition(None)
    return jax.make_jaxpr(alone)(0.0)


def _bind(xs, w, product):
    return product_p.bind(*xs, w, product=product, on=_on_devices())


_jitted = jax.jit(product_p.bind, static_argnames=("product", "on"))


@product_p.def_impl
def _eagerly(*operands, **how):
    with jax.disable_jit(False):
        return _jitted(*operands, **how)


@product_p.def_abstract_eval
def _abstract(x, *codes_and_w, product, on):
    w = codes_and_w[-1]
    shape = product.weights if product.transposed else jax.eval_shape(product.dense, _like(x), _like(w)).shape
    return w.update(shape=shape, weak_type=False)  # no axis of a mesh is explicit here


def _jvp(primals, tangents, *, product, on):
    (*xs, w), (dx, *_, dw) = primals, tangents
    terms = []
    if type(dx) is not ad.Zero and xs[0].dtype == jnp.float32:
        terms.append(product.dense(dx, w))
    if type(dw) is not ad.Zero:
        terms.append(_bind(xs, dw, product))
    y = _bind(xs, w, product)
    return y, functools.reduce(jnp.add, terms) if terms else ad.Zero.from_primal_value(y)  # type: ignore[attr-defined]


def _transpose(cotangent, *operands, product, on):
    *xs, w = operands
    if ad.is_undefined_primal(xs[0]):
        of_x = jax.linear_transpose(lambda x: product.dense(x, w), xs[0].aval)(cotangent)[0]
        return of_x, *[None] * len(operands[1:])
    flipped = dataclasses.replace(product, transposed=not product.transposed)
    return *[None] * len(xs), _bind(xs, cotangent, flipped)


def _batch(operands, axes, *, product, on):
    """Make a batch of x more rows, and one of w more columns; multiply in turns where that is not the same."""
    (*xs, w), (*of_xs, of_w) = operands, axes
    if of_xs[0] is None:
        w = jnp.moveaxis(w, of_w, -2)
        wide = dataclasses.replace(product, weights=(*product.weights[:-1], w.shape[-2] * product.weights[-1]))
        y = _bind(xs, w.reshape(*w.shape[:-2], -1), wide)
        return y.reshape(*y.shape[:-1], w.shape[-2], -1), y.ndim - 1
    xs = [jnp.moveaxis(x, axis, 0) for x, axis in zip(xs, of_xs, strict=True)]
    if of_w is not None:
        each = xs, jnp.moveaxis(w, of_w, 0)
        return jax.lax.map(lambda one: _bind(one[0], one[1], product), each), 0
    if product.transposed:
        return jax.lax.map(lambda one: _bind(one, w, product), xs), 0
    if product.window is None:
        return _bind(xs, w, product), 0
    y = _bind([x.reshape(-1, *x.shape[2:]) for x in xs], w, product)
    return y.reshape(*xs[0].shape[:2], *y.shape[1:]), 0


ad.primitive_jvps[product_p] = _jvp
ad.primitive_transposes[product_p] = _transpose
batching.primitive_batchers[product_p] = _batch


# ---- What it is compiled to: dense, unless it is for a CPU, here, and the loops are to be had.


def _densely(product, x, w):
    """Multiply in the form that XLA on a CPU computes fast: rows, and convolutions with channels last.

    It copies ``[time, batch, features]`` for the gradient of weights. And in a ``cond`` or a loop, the gradient of a
    kernel as jax writes it takes fifty times as long as the same sum with the batch as channels.
    """
    x = _floats(x)
    if product.window is not None and product.transposed:
        strides, padding, apart = product.window
        sizes = zip(product.weights, strides, padding, apart, x.shape[1:], w.shape[1:], strict=False)
        ends = [(k - 1) * d + (out - 1) * s + 1 - size - low for k, s, (low, _), d, size, out in sizes]
        pads = tuple((low, end) for (low, _), end in zip(padding, ends, strict=True))
        swapped = Product(product.weights, (apart, pads, strides), product.precision, are_spikes=False)
        return jnp.transpose(
            swapped.dense(jnp.transpose(x, (3, 1, 2, 0)), jnp.transpose(w, (1, 2, 0, 3))), (1, 2, 0, 3)
        )
    if product.window is not None:
        return product.dense(x, w)
    y = product.dense(x.reshape(-1, x.shape[-1]), w.reshape(-1, w.shape[-1]))
    return y if product.transposed else y.reshape(*x.shape[:-1], w.shape[-1])


def _like(x):
    return jax.ShapeDtypeStruct(x.shape, jnp.float32)


def _floats(x):
    if x.dtype == jnp.int8:  # the codes of spikes
        return jnp.where(x < 0, jnp.float32(np.nan), x.astype(jnp.float32))
    return x.astype(jnp.float32)


def _split(product, x, w):
    """Multiply on one device or several. A row belongs to one of them, and so do the columns of w."""
    x_axes, w_axes, y_axes = (["n", "h", "w", "c"], ["a", "b", "c", "m"], ["n", "i", "j", "m"])
    rows = ["n"]
    if product.window is None:
        rows = [f"r{i}" for i in range(x.ndim - 1)]
        x_axes, w_axes, y_axes = ([*rows, "c"], ["c", "m"], [*rows, "m"])
    if product.transposed:
        w_axes, y_axes = y_axes, w_axes

    def partition(mesh, arguments, result):
        """Keep how the rows are split, and the columns of w."""
        split: dict[str, Any] = {}
        for axes, argument in zip((w_axes, x_axes), arguments[::-1], strict=True):
            split |= dict(zip(axes, argument.sharding.spec, strict=False))
        kept = {name: split.get(name) for name in rows}
        taken = set(jax.tree.leaves(list(kept.values())))  # one axis of the mesh can split one axis of the output
        kept["m"] = None if taken & set(jax.tree.leaves(split.get("m"))) else split.get("m")
        of_x, of_w, of_y = (NamedSharding(mesh, P(*map(kept.get, axes))) for axes in (x_axes, w_axes, y_axes))
        over = tuple(jax.tree.leaves(of_x.spec[: len(rows)] if product.transposed else ()))  # what the sum is over

        def part(x, w):
            own = dataclasses.replace(product, weights=(*product.weights[:-1], w.shape[-1]))
            y = _chosen(own, x, w)
            return jax.lax.psum(y, over) if over else y

        return mesh, part, of_y, (of_x, of_w)

    multiply = custom_partitioning(functools.partial(_chosen, product))
    multiply.def_partition(
        partition,
        sharding_rule=f"{' '.join(x_axes)}, {' '.join(w_axes)} -> {' '.join(y_axes)}",
        need_replication_factors=tuple(dict.fromkeys(n for n in (*x_axes, *w_axes, *y_axes) if n not in (*rows, "m"))),
        reduction_factors=tuple(rows) if product.transposed else (),
    )
    return multiply(x, w)


def _chosen(product, x, w):
    """Multiply what is not 0, or densely if that is too much: XLA chooses while it runs."""
    crossing = CROSSINGS[product.window is not None, product.transposed]
    if product.window is not None and not product.transposed and set(product.window[0]) != {1}:
        crossing = min(crossing, _STRIDED) if crossing < 1 else crossing
    rows = math.prod((w if product.transposed else jax.eval_shape(product.dense, _like(x), w)).shape[:-1])
    if crossing >= 1:
        return _by_the_loops(product, x, w)
    if rows * math.prod(product.weights) < _TINY:
        return _densely(product, x, w)
    lines = x.reshape(-1, x.shape[-1] if product.window is None else math.prod(x.shape[1:]))
    few = jnp.mean(_sample(lines).astype(bool)) < crossing
    return jax.lax.cond(few, functools.partial(_by_the_loops, product), functools.partial(_densely, product), x, w)


def _sample(lines):
    """Return some lines: spread by the golden ratio, so that no axis of ``[time, batch]`` is missed."""
    if len(lines) <= _SAMPLED:
        return lines
    return lines[(jnp.arange(_SAMPLED, dtype=jnp.float32) * (5**0.5 - 1) / 2 % 1 * len(lines)).astype(jnp.int32)]


def _by_the_loops(product, x, w):
    kind = {"float32": 0, "uint8": 1, "bool": 1, "int8": 2}[str(x.dtype)]
    y = jax.eval_shape(product.dense, _like(x), w)
    if product.window is None:
        sizes = [math.prod(x.shape[:-1]), x.shape[-1], w.shape[-1], *[0] * 13]
    else:
        (strides, padding, dilation), out = product.window, w if product.transposed else y
        taps = product.weights[:2]
        sizes = [math.prod(out.shape[:-1]), math.prod(product.weights[:-1]), out.shape[-1], *x.shape[1:]]
        sizes += [*out.shape[1:3], *taps, *strides, *dilation, padding[0][0], padding[1][0]]
    call = jax.ffi.ffi_call(_library.TARGET, jax.ShapeDtypeStruct(y.shape, w.dtype))
    return call(x, w, sizes=np.array([threads(), product.transposed, kind, *sizes], np.int64))


def threads() -> int:
    """Return how many threads of XLA a device may use."""
    return max(1, _cores() // jax.local_device_count(backend="cpu"))


def _lower(context, *operands, loops, **how):
    """Compile the product of the last two operands: x or the codes of spikes, and w."""
    given, module = context.avals_in[-2:], context.module_context
    # Without the mesh axes of `shard_map` that they vary over, which the call of the loops does not say.
    alone = context.replace(avals_in=[jax.core.ShapedArray(a.shape, a.dtype) for a in given])
    multiply = _densely
    exported, empty = module.lowering_parameters.for_export, 0 in (*given[0].shape, *given[1].shape)
    here = module.axis_context
    # On one device, or where no array is split: `jax.set_mesh` alone makes a program one of several devices.
    whole = getattr(here, "num_devices", 0) == 1 or getattr(here, "abstract_mesh", here) is None
    is_split = getattr(jax.config, "jax_use_shardy_partitioner", True)  # jax's former partitioner has no such rule
    if loops and (whole or is_split) and not exported and not empty and _library.is_known():
        multiply = _chosen if whole else _split
    lower = mlir.lower_fun(lambda x, w, *, product, on: multiply(product, x, w), multiple_results=False)
    return lower(alone, *operands[-2:], **how)


mlir.register_lowering(product_p, functools.partial(_lower, loops=False))
mlir.register_lowering(product_p, functools.partial(_lower, loops=True), platform="cpu")
