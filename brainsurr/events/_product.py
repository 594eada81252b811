"""The sparse product as a jax primitive, with a rule for each transformation.

The product is linear in the weights. Its transpose, the gradient ``x^T g`` with respect to the weights, skips zeros in
x as well, and is the same primitive with ``transposed=True``. The derivative with respect to x is a dense product,
since a gradient has few zeros.
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
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from .._jax_private import is_unknown, is_zero, set_lowering, set_rules, zero_tangent
from ..cpu import _cores
from . import _library

# The fraction of nonzero inputs from which the dense product is faster, by (is a convolution, is transposed).
# Measured by `python -m benchmarks.speed events`.
CROSSINGS = {(False, False): 0.2, (False, True): 0.18, (True, False): 0.3, (True, True): 0.5}
_STRIDED = 0.1  # the same for a convolution with strides, which does less work in dense form
_TINY = 2**19  # below this many multiplications, the dense product takes less time than a call of the loops
_SAMPLED = 64  # number of rows in which nonzero inputs are counted


@dataclasses.dataclass(frozen=True)
class Product:
    """The static parameters of a product: of x and a matrix, or of images and a kernel.

    Images are ``[batch, height, width, channels]``.

    Attributes:
      inputs: the shape of the matrix or kernel without its last axis (columns or features).
      window: the strides, padding and dilation of a convolution, each for height and width; None for a matrix.
      precision: the precision of the dense product.
      are_spikes: whether a floating x contains only 0, 1 and NaN.
      transposed: whether to compute the gradient of the weights, from x and the gradient of the output.
    """

    inputs: tuple[int, ...]
    window: tuple[Any, ...] | None
    precision: Any
    are_spikes: bool
    transposed: bool = False

    def dense(self, x, w):
        """Compute the dense product."""
        if self.transposed:
            forward = functools.partial(dataclasses.replace(self, transposed=False).dense, x)
            return jax.linear_transpose(forward, jax.ShapeDtypeStruct((*self.inputs, w.shape[-1]), w.dtype))(w)[0]
        if self.window is None:
            return jax.lax.dot_general(x, w, (((x.ndim - 1,), (0,)), ((), ())), precision=self.precision)
        strides, padding, dilation = self.window
        how = {"rhs_dilation": dilation, "precision": self.precision, "dimension_numbers": ("NHWC", "HWIO", "NHWC")}
        return jax.lax.conv_general_dilated(x, w, strides, padding, **how)

    def output(self, x, w):
        """Return the shape and dtype of the product."""
        x, w = (jax.ShapeDtypeStruct(array.shape, jnp.float32) for array in (x, w))
        return jax.eval_shape(self.dense, x, w)


def multiply(product: Product, x, w):
    """Multiply x (float32, uint8 or bool) by w (float32): a matrix, a kernel, or the gradient of an output."""
    if jax.sharding.get_abstract_mesh().manual_axes:  # in `shard_map`, both must vary over the same mesh axes
        w = jnp.where(False, jnp.zeros_like(x, w.dtype, shape=()), w)
        x = jnp.where(False, jnp.zeros_like(w, x.dtype, shape=()), x)
    if product.are_spikes and x.dtype == jnp.float32:
        return _bind((x, jnp.where(jnp.isnan(x), -1, x).astype(jnp.int8)), w, product)
    return _bind((x,), w, product)


# The operands are x, the int8 codes of x if it contains spikes, and w. The compiled product reads the codes, so that
# XLA stores only bytes. The rules differentiate with respect to x, so that derivatives of every order are correct.
product_p = Primitive("events_product")


@functools.cache
def _on_devices():
    """Return a jaxpr with `custom_partitioning`. As a parameter, it makes jax compile for the current devices."""
    identity = custom_partitioning(lambda x: x)
    identity.def_partition(None)
    return jax.make_jaxpr(identity)(0.0)


def _bind(xs, w, product):
    return product_p.bind(*xs, w, product=product, on=_on_devices())


_jitted = jax.jit(product_p.bind, static_argnames=("product", "on"))


@product_p.def_impl
def _eagerly(*operands, **params):
    with jax.disable_jit(False):
        return _jitted(*operands, **params)


@product_p.def_abstract_eval
def _abstract(x, *codes_and_w, product, on):
    w = codes_and_w[-1]
    return w.update(shape=product.output(x, w).shape, weak_type=False)  # no mesh axis is explicit here


def _jvp(primals, tangents, *, product, on):
    (*xs, w), (dx, *_, dw) = primals, tangents
    y, terms = _bind(xs, w, product), []
    if not is_zero(dx) and xs[0].dtype == jnp.float32:
        terms.append(product.dense(dx, w))
    if not is_zero(dw):
        terms.append(_bind(xs, dw, product))
    return y, functools.reduce(jnp.add, terms) if terms else zero_tangent(y)


def _transpose(cotangent, *operands, product, on):
    *xs, w = operands
    if is_unknown(xs[0]):
        of_x = jax.linear_transpose(lambda x: product.dense(x, w), xs[0].aval)(cotangent)[0]
        return of_x, *[None] * len(operands[1:])
    flipped = dataclasses.replace(product, transposed=not product.transposed)
    return *[None] * len(xs), _bind(xs, cotangent, flipped)


def _batch(operands, axes, *, product, on):
    """Merge a batch of x into its rows, or a batch of w into its columns; otherwise loop over the batch."""
    (*xs, w), (*of_xs, of_w) = operands, axes
    if of_xs[0] is None:
        w = jnp.moveaxis(w, of_w, -2)
        y = _bind(xs, w.reshape(*w.shape[:-2], -1), product)
        return y.reshape(*y.shape[:-1], w.shape[-2], -1), y.ndim - 1
    xs = [jnp.moveaxis(x, axis, 0) for x, axis in zip(xs, of_xs, strict=True)]
    if of_w is not None:
        return jax.lax.map(lambda each: _bind(each[0], each[1], product), (xs, jnp.moveaxis(w, of_w, 0))), 0
    if product.transposed:
        return jax.lax.map(lambda each: _bind(each, w, product), xs), 0
    if product.window is None:
        return _bind(xs, w, product), 0
    y = _bind([x.reshape(-1, *x.shape[2:]) for x in xs], w, product)
    return y.reshape(*xs[0].shape[:2], *y.shape[1:]), 0


set_rules(product_p, _jvp, _transpose, _batch)


# ---- Lowering: the dense product, or the loops on a CPU.


def _dense(product, x, w):
    """Compute the dense product in the form that is fastest on a CPU: rows, and convolutions with channels last.

    XLA transposes ``[time, batch, features]`` for the gradient of weights. In a ``cond`` or a loop, jax's gradient of a
    kernel takes fifty times as long as the same sum with the batch axis as channels.
    """
    are_codes, x = x.dtype == jnp.int8, x.astype(jnp.float32)
    if are_codes:
        x = jnp.where(x < 0, np.nan, x)
    if product.window is None:
        y = product.dense(x.reshape(-1, x.shape[-1]), w.reshape(-1, w.shape[-1]))
        return y if product.transposed else y.reshape(*x.shape[:-1], w.shape[-1])
    if not product.transposed:
        return product.dense(x, w)
    strides, padding, dilation = product.window
    sizes = zip(product.inputs, strides, padding, dilation, x.shape[1:], w.shape[1:], strict=False)
    pads = [(low, (k - 1) * d + (out - 1) * s + 1 - size - low) for k, s, (low, _), d, size, out in sizes]
    swapped = dataclasses.replace(product, window=(dilation, pads, strides), transposed=False)
    return swapped.dense(x.transpose(3, 1, 2, 0), w.transpose(1, 2, 0, 3)).transpose(1, 2, 0, 3)


def _partitioned(product, x, w):
    """Multiply on several devices: each device computes some of the rows, for some of the columns of w.

    On one device and within `shard_map`, jax compiles the local product itself.
    """
    rows = [f"r{i}" for i in range(x.ndim - 1 if product.window is None else 1)]
    pixels, taps, outputs = ("", "", "") if product.window is None else ("hw", "ab", "ij")
    x_axes, w_axes, y_axes = [*rows, *pixels, "c"], [*taps, "c", "m"], [*rows, *outputs, "m"]
    if product.transposed:
        w_axes, y_axes = y_axes, w_axes

    def partition(mesh, arguments, result):
        """Follow the sharding of the arguments: the rows of x, and the columns of w over the remaining mesh axes."""
        x_spec, w_spec = (argument.sharding.spec for argument in arguments)
        split = dict(zip(w_axes, w_spec, strict=False)) | dict(zip(x_axes, x_spec, strict=False))
        split = {name: split.get(name) for name in (*rows, "m")}
        over_rows = tuple(jax.tree.leaves([split[name] for name in rows]))
        if {*over_rows} & {*jax.tree.leaves(split["m"])}:
            split["m"] = None
        of_x, of_w, of_y = (NamedSharding(mesh, P(*map(split.get, axes))) for axes in (x_axes, w_axes, y_axes))

        def part(x, w):
            y = _sparse_or_dense(product, x, w)
            return jax.lax.psum(y, over_rows) if product.transposed and over_rows else y

        return mesh, part, of_y, (of_x, of_w)

    multiply = custom_partitioning(functools.partial(_sparse_or_dense, product))
    multiply.def_partition(
        partition,
        sharding_rule=f"{' '.join(x_axes)}, {' '.join(w_axes)} -> {' '.join(y_axes)}",
        need_replication_factors=tuple(dict.fromkeys(n for n in (*x_axes, *w_axes, *y_axes) if n not in (*rows, "m"))),
        reduction_factors=tuple(rows) if product.transposed else (),
    )
    return multiply(x, w)


def _sparse_or_dense(product, x, w):
    """Multiply with the loops, or densely if a sample of rows has too many nonzero inputs, decided at run time."""
    crossing = CROSSINGS[product.window is not None, product.transposed]
    if crossing >= 1:
        return _sparse(product, x, w)
    if product.window is not None and not product.transposed and set(product.window[0]) != {1}:
        crossing = min(crossing, _STRIDED)
    rows = math.prod((w if product.transposed else product.output(x, w)).shape[:-1])
    if rows * math.prod(product.inputs) * w.shape[-1] < _TINY:
        return _dense(product, x, w)
    lines = x.reshape(-1, x.shape[-1] if product.window is None else math.prod(x.shape[1:]))
    if len(lines) > _SAMPLED:  # spaced by the golden ratio, so that the sample covers both axes of [time, batch]
        places = jnp.arange(_SAMPLED, dtype=jnp.float32) * (5**0.5 - 1) / 2 % 1
        lines = lines[(places * len(lines)).astype(jnp.int32)]
    few = jnp.mean(lines.astype(bool)) < crossing
    return jax.lax.cond(few, functools.partial(_sparse, product), functools.partial(_dense, product), x, w)


def _sparse(product, x, w):
    """Call the loops. The sizes are in the order that `_kernels` expects."""
    y, kind = product.output(x, w), {"float32": 0, "uint8": 1, "bool": 1, "int8": 2}[str(x.dtype)]
    out = w if product.transposed else y
    sizes = [math.prod(out.shape[:-1]), math.prod(product.inputs), out.shape[-1]]
    if product.window is not None:
        strides, padding, dilation = product.window
        before = (low for low, _ in padding)
        sizes += [*x.shape[1:], *out.shape[1:3], *product.inputs[:2], *strides, *dilation, *before]
    sizes = [threads(), product.transposed, kind, *sizes, *[0] * (16 - len(sizes))]
    return jax.ffi.ffi_call(_library.TARGET, y)(x, w, sizes=np.array(sizes, np.int64))


def threads() -> int:
    """Return the number of XLA threads that one device may use."""
    return max(1, _cores() // jax.local_device_count(backend="cpu"))


def _compile(*operands, product, on, is_exported, has_loops):
    """Multiply the last two operands: x, or the codes of its spikes, and w."""
    x, w = operands[-2:]
    is_split = getattr(jax.config, "jax_use_shardy_partitioner", True)  # the older GSPMD has no such partitioning rule
    if not has_loops or is_exported or not is_split or not (x.size and w.size) or not _library.is_known():
        return _dense(product, x, w)
    return _partitioned(product, x, w)


set_lowering(product_p, functools.partial(_compile, has_loops=False))
set_lowering(product_p, functools.partial(_compile, has_loops=True), "cpu")
