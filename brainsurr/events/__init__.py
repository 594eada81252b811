"""Products that pass over what is 0, for spikes on a CPU; needs the extra ``events``, and is dense without it.

A spike is 0 in most steps, and a dense product multiplies all of it. These products add up rows of the weights for what
is not 0. They are right for any input: graded values, negative ones and NaN count as they do in a dense product. The
sums are taken in another order, so the last digits may differ; and where an input is 0, a weight of NaN or infinity is
not met, nor is such a gradient of the output, which a dense product would spread.

They choose while they run. Where more is not 0 than pays, the dense product runs; what is not 0 is counted in a sample
of rows. Everything but x of float32, uint8 or bool with weights of float32 on a CPU is the dense product, and so are
convolutions of three axes, in groups, or with a dilated input, and what ``jax.export`` writes. :func:`available` says
whether, and why not.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from .._arrays import as_float, as_real, is_float
from .._following import is_off
from . import _library
from ._product import Product, multiply

__all__ = ["available", "conv_general_dilated", "dot", "dot_general"]

_BYTES = (jnp.dtype("uint8"), jnp.dtype("bool"))


def dot(x: Any, w: Any) -> jax.Array:
    r"""Return the product of x and a matrix of weights, :math:`y = x W`, which passes over what is 0 in x.

    The gradient of the weights, :math:`x^\top \bar y`, passes over it as well; that of x is a dense product.

    Args:
      x: ``[..., k]``, of float32, uint8 or bool; any other dtype is multiplied densely.
      w: ``[k, m]``, of float32; any other floating dtype is multiplied densely.

    Returns:
      ``[..., m]``, in the dtype of ``w``; of two floats, in that of both.

    Raises:
      TypeError: ``w`` is not of floats, or one is no array.
      ValueError: the shapes do not fit.

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
        raise TypeError(f"events.dot: expected w to be of a floating dtype, got {w.dtype}: w.astype(jnp.float32)")
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
    """Multiply as ``jax.lax.dot_general``, but pass over what is 0 in ``lhs``: for ``dot_general=`` of a layer of flax.

    That is for the last axis of ``lhs`` and the first of ``rhs``; any other product is dense. See :func:`dot`.

    Args:
      lhs: the input of the layer.
      rhs: its kernel.
      dimension_numbers: the axes that are summed over, and those of a batch.
      precision: of the dense product; sums of what is not 0 are of float32.
      preferred_element_type: of the result; another than float32 is multiplied densely.
      **more: what else jax takes; where it is given, the product is dense.

    Returns:
      As ``jax.lax.dot_general``.

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
    if not (axes and lhs.ndim and rhs.ndim >= 2 and _are_followed(lhs, rhs, **asked)):
        x, w = _of_one_dtype(lhs, rhs)
        return jax.lax.dot_general(x, w, dimension_numbers, precision, **asked)
    w = rhs.reshape(len(rhs), -1)
    x = lhs if lhs.ndim > 1 else lhs[None]
    y = multiply(Product(w.shape, None, precision, are_spikes=_are_spikes), x, w)
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
    """Convolve as ``jax.lax.conv_general_dilated``, but pass over what is 0 in ``lhs``.

    For ``conv_general_dilated=`` of a ``Conv`` of flax. That is for one or two axes with channels last; any other
    convolution is dense, and so is one with groups or a dilated input. See :func:`dot`.

    Args:
      lhs: images ``[batch, height, width, channels]``, or without the height.
      rhs: the kernel, ``[height, width, channels, features]``.
      window_strides: for each axis.
      padding: for each axis, or a word of jax.
      lhs_dilation: of the input.
      rhs_dilation: of the kernel.
      dimension_numbers: which axis is which.
      precision: of the dense product; sums of what is not 0 are of float32.
      preferred_element_type: of the result; another than float32 is convolved densely.
      **more: what else jax takes, such as groups; where it is given, the convolution is dense.

    Returns:
      As ``jax.lax.conv_general_dilated``.

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
    axes, asked = lhs.ndim - 2, more | {"preferred_element_type": preferred_element_type}
    others = {name: value for name, value in asked.items() if not (name.endswith("group_count") and value == 1)}
    is_apart = lhs_dilation is not None and tuple(map(int, lhs_dilation)) != (1,) * axes
    fits = axes in (1, 2) and not is_apart and _are_followed(lhs, rhs, **others)
    if not (fits and _has_channels_last(lhs, rhs, dimension_numbers)):
        how = window_strides, padding, lhs_dilation, rhs_dilation, dimension_numbers
        x, w = _of_one_dtype(lhs, rhs)
        return jax.lax.conv_general_dilated(x, w, *how, precision=precision, **asked)
    dilation = (1,) * axes if rhs_dilation is None else tuple(map(int, rhs_dilation))
    spread = [(n - 1) * d + 1 for n, d in zip(rhs.shape, dilation, strict=False)]
    if isinstance(padding, str):
        padding = jax.lax.padtype_to_pads(lhs.shape[1:-1], spread, window_strides, padding)
    pairs = tuple((int(low), int(high)) for low, high in padding)
    window: tuple[tuple[Any, ...], ...] = tuple(map(int, window_strides)), pairs, dilation
    x, w = lhs, rhs
    if axes == 1:  # an image one pixel high
        x, w = lhs[:, None], rhs[None]
        window = (1, *window[0]), ((0, 0), *window[1]), (1, *window[2])
    y = multiply(Product(w.shape, window, precision, are_spikes=_are_spikes), x, w)
    return y[:, 0] if axes == 1 else y


def _are_followed(x, w, preferred_element_type=None, **more) -> bool:
    """Return whether a product of two arrays passes over what is 0; the platform is not asked, which is known later."""
    sizes = (*x.shape, *w.shape)
    fits = preferred_element_type in (None, jnp.float32) and not any(more.values())
    fits = fits and w.dtype == jnp.float32 and (x.dtype == jnp.float32 or x.dtype in _BYTES)
    mesh = jax.sharding.get_abstract_mesh()
    split = mesh.explicit_axes or (mesh.manual_axes and mesh.auto_axes)  # the latter XLA splits within `shard_map`
    return bool(fits and not is_off() and not split and all(isinstance(n, int) and n for n in sizes))


def _has_channels_last(x, w, numbers) -> bool:
    n = x.ndim
    inside = tuple(range(1, n - 1))
    axes = jax.lax.conv_dimension_numbers(x.shape, w.shape, numbers)
    images, kernel = (0, n - 1, *inside), (n - 1, n - 2, *range(n - 2))
    return (axes.lhs_spec, axes.rhs_spec, axes.out_spec) == (images, kernel, images)


def _of_one_dtype(x, w):
    return (x.astype(w.dtype) if x.dtype in _BYTES else x), w


@functools.cache  # one function for each of flax: its transforms compile anew for another
def _promote(promote_dtype):
    """Return a function of flax that brings arrays to one dtype, but leaves the first one if it is of bytes."""

    def promote(*args, **how):
        x, *others = args if len(args) > 1 else args[0]  # several in Linen, a tuple in NNX

        def promoted(*arrays):
            return promote_dtype(*arrays, **how) if len(args) > 1 else promote_dtype(arrays, **how)

        if getattr(x, "dtype", None) in _BYTES and promoted(*others)[0].dtype == jnp.float32:
            return (x, *promoted(*others))
        return promoted(as_float(x), *others)

    return promote


def functions_of(layer: Any, are_spikes: bool) -> dict[str, Any]:
    """Return what a layer of flax takes for its products to follow, by the names of its attributes.

    Args:
      layer: a linear layer or a convolution.
      are_spikes: whether its input holds 0, 1 and NaN alone.
    """
    ours = {name: f for name, f in functions(are_spikes).items() if hasattr(layer, name)}
    return ours | {"promote_dtype": _promote(layer.promote_dtype)}


@functools.cache
def functions(are_spikes: bool) -> Mapping[str, Any]:
    """Return the product and the convolution, of spikes or of any numbers, by their names in jax."""
    both: tuple[Any, ...] = dot_general, conv_general_dilated
    return {f.__name__: functools.partial(f, _are_spikes=True) if are_spikes else f for f in both}


@dataclasses.dataclass(frozen=True)
class Available:
    """Whether products pass over what is 0; false if not, and printed with the reason.

    Attributes:
      reason: why not, or an empty string.
    """

    reason: str

    def __bool__(self) -> bool:
        return not self.reason

    def __str__(self) -> str:
        if self.reason:
            return f"all products are dense: {self.reason}"
        return (
            "products of float32, uint8 or bool with weights of float32 pass over what is 0, on a CPU; dense are other "
            "dtypes, other platforms, convolutions of three axes, in groups or with a dilated input, explicit mesh "
            "axes, shard_map over some axes of a mesh, symbolic shapes, and what is exported"
        )


def available() -> Available:
    """Return whether products pass over what is 0 on this machine: a report that is true or false.

    The first call on a machine compiles the loops, and keeps them on disk. Call it before a program that was compiled
    in another process, and serialized, is loaded: XLA must know the loops by then.

    Example:
      >>> from brainsurr import events
      >>> print(events.available())  # doctest: +SKIP
      all products are dense: numba is not installed: pip install ".[events]" in a clone
    """
    if jax.default_backend() != "cpu":
        return Available(f"jax computes on {jax.default_backend()} here, and they are for a CPU")
    return Available(_library.why_not())
