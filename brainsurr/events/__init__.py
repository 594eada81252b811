"""Sparse matrix products and convolutions that skip zero inputs, for spikes on a CPU.

Most entries of a spike array are 0, but a dense product multiplies them all. Sparse products sum only the rows of the
weights that belong to nonzero inputs. They are correct for any input, including graded, negative and NaN inputs. The
order of summation differs, so the last digits may differ. If an input is 0, a NaN or infinite weight does not affect
the output; a dense product would give NaN. The same applies to gradients of the output.

The choice between the sparse and the dense product is made at run time, from the fraction of nonzero inputs in a sample
of rows. Products are sparse on a CPU if x is float32, uint8 or bool and the weights are float32. Convolutions over
three axes, with groups or with a dilated input are dense, and so are programs exported with ``jax.export``. Sparse
products need the extra ``events``; :func:`available` reports whether they are available, and if not, why.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from .._arrays import as_float, as_real, is_float
from .._event_driven import is_off
from . import _library
from ._product import Product, multiply

__all__ = ["available", "conv_general_dilated", "dot", "dot_general"]

_BYTES = (jnp.dtype("uint8"), jnp.dtype("bool"))
_CHANNELS_LAST = {3: ("NWC", "WIO", "NWC"), 4: ("NHWC", "HWIO", "NHWC")}  # by the number of axes


def dot(x: Any, w: Any) -> jax.Array:
    r"""Return the matrix product of x and weights, :math:`y = x W`, skipping zeros in x.

    The gradient with respect to the weights, :math:`x^\top \bar y`, skips zeros in x too. The gradient with respect to
    x is a dense product.

    Args:
      x: the inputs ``[..., k]``, float32, uint8 or bool. The product is dense for any other dtype.
      w: the weights ``[k, m]``, float32. The product is dense for any other floating dtype.

    Returns:
      The product ``[..., m]``, in the dtype of ``w``, or in the promoted dtype if ``x`` is floating too.

    Raises:
      TypeError: the dtype of ``w`` is not floating, or an argument is not an array.
      ValueError: the shapes do not match.

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr import events
      >>> print(
      ...     events.dot(
      ...         jnp.array([[0, 1], [1, 1]], jnp.uint8), jnp.array([[1.0, 2.0], [3.0, 4.0]])
      ...     )
      ... )
      [[3. 4.]
       [4. 6.]]
    """
    x, w = as_real(x, "x"), as_real(w, "w")
    if not is_float(w):
        raise TypeError(f"events.dot: expected w of a floating dtype, got {w.dtype}; use w.astype(jnp.float32)")
    if not x.ndim or w.ndim != 2 or x.shape[-1] != w.shape[0]:
        raise ValueError(f"events.dot: expected x [..., k] and w [k, m], got shapes {x.shape} and {w.shape}")
    if x.dtype not in _BYTES:
        dtype = jnp.promote_types(x.dtype, w.dtype) if is_float(x) else w.dtype
        x, w = x.astype(dtype), w.astype(dtype)
    return dot_general(x, w, (((x.ndim - 1,), (0,)), ((), ())))


def dot_general(
    lhs: Any,
    rhs: Any,
    dimension_numbers: Any,
    precision: Any = None,
    preferred_element_type: Any = None,
    *,
    _are_spikes: bool = False,
    **more: Any,
) -> jax.Array:
    """Compute ``jax.lax.dot_general``, skipping zeros in ``lhs``; pass it as ``dot_general=`` to a flax layer.

    The product is sparse over the last axis of ``lhs`` and the first axis of ``rhs``, and dense over any other axes.
    See :func:`dot`.

    Args:
      lhs: the input of the layer.
      rhs: the kernel of the layer.
      dimension_numbers: the contracted axes and the batch axes.
      precision: the precision of the dense product. Sparse products sum in float32.
      preferred_element_type: the dtype of the result. The product is dense for any other dtype than float32.
      **more: further arguments of the jax function. The product is dense if there are any.

    Returns:
      The same shape and dtype as ``jax.lax.dot_general``.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from brainsurr import events
      >>> linear = nnx.Linear(3, 2, dot_general=events.dot_general, rngs=nnx.Rngs(0))
      >>> linear(jnp.zeros((5, 3))).shape
      (5, 2)
    """
    asked = more | {"preferred_element_type": preferred_element_type}
    contracted, batch = dimension_numbers
    axes = tuple(map(tuple, contracted)) == ((lhs.ndim - 1,), (0,)) and not any(map(tuple, batch))
    if not (axes and lhs.ndim and rhs.ndim >= 2 and _is_sparse(lhs, rhs, **asked)):
        return jax.lax.dot_general(_in_dtype_of(rhs, lhs), rhs, dimension_numbers, precision, **asked)
    w = rhs.reshape(len(rhs), -1)
    x = lhs if lhs.ndim > 1 else lhs[None]
    y = multiply(Product(w.shape[:-1], None, precision, are_spikes=_are_spikes), x, w)
    return y.reshape(*lhs.shape[:-1], *rhs.shape[1:])


def conv_general_dilated(
    lhs: Any,
    rhs: Any,
    window_strides: Any,
    padding: Any,
    lhs_dilation: Any = None,
    rhs_dilation: Any = None,
    dimension_numbers: Any = None,
    *,
    precision: Any = None,
    preferred_element_type: Any = None,
    _are_spikes: bool = False,
    **more: Any,
) -> jax.Array:
    """Compute ``jax.lax.conv_general_dilated``, skipping zeros in ``lhs``.

    Pass it as ``conv_general_dilated=`` to a flax ``Conv``. Convolutions over one or two axes with channels last are
    sparse, except with groups or a dilated input. All others are dense. See :func:`dot`.

    Args:
      lhs: images ``[batch, height, width, channels]``, or ``[batch, width, channels]``.
      rhs: the kernel, ``[height, width, channels, features]``, or without the height.
      window_strides: the stride along each axis.
      padding: a pair for each axis, or a string that jax accepts.
      lhs_dilation: the dilation of the input.
      rhs_dilation: the dilation of the kernel.
      dimension_numbers: the layout of the arrays.
      precision: the precision of the dense convolution. Sparse convolutions sum in float32.
      preferred_element_type: the dtype of the result. The convolution is dense for any other dtype than float32.
      **more: further arguments of the jax function, such as groups. The convolution is dense if there are any.

    Returns:
      The same shape and dtype as ``jax.lax.conv_general_dilated``.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from brainsurr import events
      >>> conv = nnx.Conv(
      ...     1, 8, (3, 3), conv_general_dilated=events.conv_general_dilated, rngs=nnx.Rngs(0)
      ... )
      >>> conv(jnp.zeros((5, 28, 28, 1))).shape
      (5, 28, 28, 8)
    """
    layout, asked = _CHANNELS_LAST.get(lhs.ndim), more | {"preferred_element_type": preferred_element_type}
    others = {name: value for name, value in asked.items() if not (name.endswith("group_count") and value == 1)}
    is_dilated = lhs_dilation is not None and any(int(n) != 1 for n in lhs_dilation)
    numbers = functools.partial(jax.lax.conv_dimension_numbers, lhs.shape, rhs.shape)
    has_layout = layout is not None and numbers(dimension_numbers) == numbers(layout)
    if is_dilated or not has_layout or not _is_sparse(lhs, rhs, **others):
        how = window_strides, padding, lhs_dilation, rhs_dilation, dimension_numbers
        return jax.lax.conv_general_dilated(_in_dtype_of(rhs, lhs), rhs, *how, precision=precision, **asked)
    dilation = (1,) * (lhs.ndim - 2) if rhs_dilation is None else tuple(map(int, rhs_dilation))
    if isinstance(padding, str):
        sizes = [(n - 1) * d + 1 for n, d in zip(rhs.shape, dilation, strict=False)]
        padding = jax.lax.padtype_to_pads(lhs.shape[1:-1], sizes, window_strides, padding)
    flat = 4 - lhs.ndim  # the number of missing axes: one-dimensional images become one pixel high
    pairs = ((0, 0),) * flat + tuple((int(low), int(high)) for low, high in padding)
    window = (1,) * flat + tuple(map(int, window_strides)), pairs, (1,) * flat + dilation
    x, w = (jnp.expand_dims(array, range(at, at + flat)) for array, at in ((lhs, 1), (rhs, 0)))
    y = multiply(Product(w.shape[:-1], window, precision, are_spikes=_are_spikes), x, w)
    return y.reshape(len(lhs), *y.shape[1 + flat :])


def _is_sparse(x, w, preferred_element_type=None, **more) -> bool:
    """Return whether a product can be sparse on a CPU. The platform is not known until lowering."""
    fits = preferred_element_type in (None, jnp.float32) and not any(more.values())
    fits = fits and w.dtype == jnp.float32 and (x.dtype == jnp.float32 or x.dtype in _BYTES)
    mesh = jax.sharding.get_abstract_mesh()
    is_split = mesh.explicit_axes or (mesh.manual_axes and mesh.auto_axes)  # in `shard_map`, XLA shards over auto axes
    return bool(fits and not is_off() and not is_split and all(isinstance(n, int) and n for n in x.shape + w.shape))


def _in_dtype_of(w, x):
    return x.astype(w.dtype) if x.dtype in _BYTES else x


@functools.cache  # flax's transforms compile again if the function is a different object
def _promote(promote_dtype):
    """Return a ``promote_dtype`` for flax that leaves the first array unchanged if it is uint8 or bool."""

    def promote(*args, **how):
        x, *others = args if len(args) > 1 else args[0]  # Linen passes the arrays, NNX a tuple

        def promoted(*arrays):
            return promote_dtype(*arrays, **how) if len(args) > 1 else promote_dtype(arrays, **how)

        if getattr(x, "dtype", None) in _BYTES and promoted(*others)[0].dtype == jnp.float32:
            return (x, *promoted(*others))
        return promoted(as_float(x), *others)

    return promote


def functions_of(layer: Any, are_spikes: bool) -> dict[str, Any]:
    """Return the attributes that make the matrix products of a flax layer sparse.

    Args:
      layer: a linear layer or a convolution.
      are_spikes: whether its input contains only 0, 1 and NaN.
    """
    ours = {name: f for name, f in functions(are_spikes).items() if hasattr(layer, name)}
    return ours | {"promote_dtype": _promote(layer.promote_dtype)}


@functools.cache
def functions(are_spikes: bool) -> Mapping[str, Any]:
    """Return the sparse product and convolution, for spikes or for any numbers, keyed by their names in jax."""
    both: tuple[Any, ...] = dot_general, conv_general_dilated
    return {f.__name__: functools.partial(f, _are_spikes=True) if are_spikes else f for f in both}


@dataclasses.dataclass(frozen=True)
class Available:
    """Whether sparse products are available. In a condition, it is true or false; ``print`` shows the reason.

    Attributes:
      reason: why they are not available; an empty string if they are.
    """

    reason: str

    def __bool__(self) -> bool:
        return not self.reason

    def __str__(self) -> str:
        if self.reason:
            return f"all products are dense: {self.reason}"
        but = "explicit mesh axes, in shard_map over some axes, with symbolic shapes or in exported programs"
        return f"products skip zeros if x is float32, uint8 or bool and w is float32, on a CPU, but not under {but}"


def available() -> Available:
    """Return whether sparse products are available on this machine, as an object that is true or false.

    The first call on a machine compiles the loops and stores them on disk. It also registers them with XLA, so call it
    before you load an executable that another process has compiled and serialised.

    Example:
      >>> from brainsurr import events
      >>> print(events.available())  # doctest: +SKIP
      all products are dense: jax computes on gpu here, but sparse products need a CPU
    """
    if jax.default_backend() != "cpu":
        return Available(f"jax computes on {jax.default_backend()} here, but sparse products need a CPU")
    return Available(_library.why_not())
