"""The product that follows what is not 0, as an operation of jax with a rule for each transformation.

It is linear in the weights. Its transpose in them, the gradient of the weights, ``x^T g``, follows x as well and is the
same operation, `transposed`. What is differentiated in x is a dense product, since a gradient has few zeros.
"""

import dataclasses
import functools
import math
import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.custom_partitioning import custom_partitioning
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from . import _library

# By whether it is a convolution, and transposed: the share of what is not 0, beyond which the dense product is faster.
# Measured by `python -m benchmarks.speed crossing`.
CROSSINGS = {(False, False): 0.15, (False, True): 0.15, (True, False): 0.08, (True, True): 0.2}
_SAMPLED = 64  # rows in which what is not 0 is counted


@dataclasses.dataclass(frozen=True)
class Product:
    """What is multiplied: x and a matrix, or images ``[batch, height, width, channels]`` and a kernel.

    Attributes:
      weights: the shape of the matrix or kernel.
      window: strides, padding and dilation of a convolution, each of height and width; None of a matrix.
      precision: of the dense product.
      transposed: whether the gradient of the weights is computed, of x and that of the output.
      are_spikes: whether x, of floats, holds 0, 1 and NaN alone. The backward pass then keeps a byte of each.
    """

    weights: tuple[int, ...]
    window: tuple[Any, ...] | None = None
    precision: Any = None
    transposed: bool = False
    are_spikes: bool = False

    def dense(self, x, w):
        """Compute it densely."""
        if self.transposed:
            like = jax.ShapeDtypeStruct(self.weights, w.dtype)
            return jax.linear_transpose(functools.partial(_dense, self, x), like)(w)[0]
        return _dense(self, x, w)

    def flipped(self):
        """Return the product that is the transpose of this one in its second factor."""
        return dataclasses.replace(self, transposed=not self.transposed)


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
    return _bind(x, w, product)


product_p = Primitive("events_product")


@functools.cache
def _on_devices():
    """Return a program that jax compiles for the devices at hand: it then says, of what holds it, which they are."""
    alone = custom_partitioning(lambda x: x)
    alone.def_partition(None, sharding_rule=" -> ")
    return jax.make_jaxpr(alone)(0.0)


def _bind(x, w, product):
    return product_p.bind(x, w, product=product, on=_on_devices())


product_p.def_impl(jax.jit(lambda x, w, product, on: _bind(x, w, product), static_argnames=("product", "on")))


@product_p.def_abstract_eval
def _abstract(x, w, *, product, on):
    like = (jax.ShapeDtypeStruct(x.shape, jnp.float32), jax.ShapeDtypeStruct(w.shape, w.dtype))
    shape = product.weights if product.transposed else jax.eval_shape(product.dense, *like).shape
    replicated = NamedSharding(w.sharding.mesh, P(*[None] * len(shape)))  # also in `shard_map`, as one device sees it
    return w.update(shape=shape, weak_type=False, sharding=replicated)


def _jvp(primals, tangents, *, product, on):
    (x, w), (dx, dw) = primals, tangents
    is_float = x.dtype == jnp.float32
    if product.are_spikes and is_float:
        x = jnp.where(jnp.isnan(x), -1, x).astype(jnp.int8)
    y, terms = _bind(x, w, product), []
    if type(dx) is not ad.Zero and is_float:
        terms.append(product.dense(dx, w))
    if type(dw) is not ad.Zero:
        terms.append(_bind(x, dw, product))
    return y, functools.reduce(jnp.add, terms) if terms else ad.Zero.from_primal_value(y)  # type: ignore[attr-defined]


def _transpose(cotangent, x, w, *, product, on):
    if ad.is_undefined_primal(x):
        return jax.linear_transpose(lambda x: product.dense(x, w), x.aval)(cotangent)[0], None
    return None, _bind(x, cotangent, product.flipped())


def _batch(args, axes, *, product, on):
    """Make one more axis of rows, or of columns, of a batch of x or of w; multiply in turns where both have one."""
    (x, w), (of_x, of_w), weights = args, axes, product.weights
    if of_x is not None and of_w is not None:
        both = jnp.moveaxis(x, of_x, 0), jnp.moveaxis(w, of_w, 0)
        return jax.lax.map(lambda pair: _bind(pair[0], pair[1], product), both), 0
    if of_w is not None or product.transposed:  # columns: of w and of the output, or of x and of the transposed output
        at = -2 if of_w is None else -1
        moved = jnp.moveaxis(w, of_w, -2) if of_w is not None else jnp.moveaxis(x, of_x, -2)
        size = moved.shape[-2]
        merged = moved.reshape(*moved.shape[:-2], size * moved.shape[-1])
        wider = [*weights]
        wider[at] *= size
        wide = dataclasses.replace(product, weights=tuple(wider))
        y = _bind(x, merged, wide) if of_w is not None else _bind(merged, w, wide)
        axis = y.ndim + at
        return y.reshape(*y.shape[:axis], size, y.shape[axis] // size, *y.shape[axis + 1 :]), axis
    x = jnp.moveaxis(x, of_x, 0)
    if product.window is None:
        return _bind(x, w, product), 0
    y = _bind(x.reshape(-1, *x.shape[2:]), w, product)
    return y.reshape(*x.shape[:2], *y.shape[1:]), 0


ad.primitive_jvps[product_p] = _jvp
ad.primitive_transposes[product_p] = _transpose
batching.primitive_batchers[product_p] = _batch


# ---- What it is compiled to: dense, unless it is for a CPU, here, and the loops are to be had.


def _densely(product, x, w):
    """Multiply rows: XLA on a CPU copies ``[time, batch, features]`` for the gradient of the weights."""
    x = _floats(x)
    if product.window is not None:
        return product.dense(x, w)
    y = product.dense(x.reshape(-1, x.shape[-1]), w.reshape(-1, w.shape[-1]))
    return y if product.transposed else y.reshape(*x.shape[:-1], w.shape[-1])


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

    def shardings(mesh, arguments, result):
        """Keep how the rows are split, and the columns of w."""
        split: dict[str, Any] = {}
        for axes, argument in zip((w_axes, x_axes), arguments[::-1], strict=True):
            split |= dict(zip(axes, argument.sharding.spec, strict=False))
        kept = {name: split.get(name) for name in (*rows, "m")}
        return [NamedSharding(mesh, P(*map(kept.get, axes))) for axes in (x_axes, w_axes, y_axes)]

    def partition(mesh, arguments, result):
        of_x, of_w, of_y = shardings(mesh, arguments, result)
        over = tuple(jax.tree.leaves(of_x.spec[: len(rows)] if product.transposed else ()))  # what the sum is over

        def part(x, w):
            own = dataclasses.replace(product, weights=(*product.weights[:-1], w.shape[-1]))
            y = _chosen(own, x, w)
            return jax.lax.psum(y, over) if over else y

        return mesh, part, of_y, (of_x, of_w)

    multiply = custom_partitioning(functools.partial(_chosen, product))
    multiply.def_partition(
        partition,
        infer_sharding_from_operands=lambda *given: shardings(*given)[-1],
        sharding_rule=f"{' '.join(x_axes)}, {' '.join(w_axes)} -> {' '.join(y_axes)}",
        need_replication_factors=tuple(dict.fromkeys(n for n in (*x_axes, *w_axes, *y_axes) if n not in (*rows, "m"))),
        reduction_factors=tuple(rows) if product.transposed else (),
    )
    return multiply(x, w)


def _chosen(product, x, w):
    """Multiply what is not 0, or densely if that is too much: XLA chooses while it runs."""
    rows = x.reshape(-1, x.shape[-1] if product.window is None else math.prod(x.shape[1:]))
    sample = rows[:: max(1, len(rows) // _SAMPLED)]
    few = jnp.mean(sample.astype(bool)) < CROSSINGS[product.window is not None, product.transposed]
    return jax.lax.cond(few, functools.partial(_by_the_loops, product), functools.partial(_densely, product), x, w)


def _by_the_loops(product, x, w):
    kind = {"float32": 0, "uint8": 1, "bool": 1, "int8": 2}[str(x.dtype)]
    like = jax.ShapeDtypeStruct(x.shape, w.dtype)
    y = jax.eval_shape(product.dense, like, w)
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
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // jax.local_device_count(backend="cpu"))


def _lowering(multiply):
    return mlir.lower_fun(lambda x, w, *, product, on: multiply(product, x, w), multiple_results=False)


_lower_densely, _lower_split = _lowering(_densely), _lowering(_split)


def _lower_on_a_cpu(context, x, w, *, product, on):
    given = context.avals_in
    if context.module_context.lowering_parameters.for_export or 0 in (*given[0].shape, *given[1].shape):
        return _lower_densely(context, x, w, product=product, on=on)
    if _library.why_not():
        return _lower_densely(context, x, w, product=product, on=on)
    # Without the mesh axes of `shard_map` that they vary over, which the call of the loops does not say.
    alone = context.replace(avals_in=[jax.core.ShapedArray(a.shape, a.dtype) for a in given])
    return _lower_split(alone, x, w, product=product, on=on)


mlir.register_lowering(product_p, _lower_densely)
mlir.register_lowering(product_p, _lower_on_a_cpu, platform="cpu")
