"""Layers without neurons to nodes of NIR and back: products, convolutions, pools, a flatten."""

from typing import Any

import jax
import nir
import numpy as np

from .chain import Reader, Shape, Writer, channels_first, expect, numbers
from .layers import Affine, Conv, Flatten, Pool
from .metadata import as_python, dtype_of, plain, words_of

# Products ----------------------------------------------------------------------------------------------------------


def _checked(layer: Affine, to: Writer) -> tuple[np.ndarray, np.ndarray | None, dict[str, Any]]:
    """Return kernel and bias, and for the metadata a dtype that HDF5 can't hold; refuse what is not flax's own.

    Note a dtype that readers, ours too, would not compute in.
    """
    expect(not layer.replaced, f"flax's own {' and '.join(layer.replaced)}", "another, which NIR lacks")
    dtype = np.asarray(layer.kernel).dtype
    if layer.dtype is not None and (np.dtype(layer.dtype) != dtype or dtype.itemsize < 4):
        to.lose(f"the dtype {np.dtype(layer.dtype).name} that it computes in, where NIR says nothing of any")
    bias = None if layer.bias is None else plain(layer.bias).reshape(-1)
    return plain(layer.kernel), bias, {} if dtype.kind == "f" else {"dtype": dtype.name}


def weights_of(node: Any, field: str) -> np.ndarray:
    """Return weights of a node in the dtype that they have, or had here."""
    given = np.asarray(getattr(node, field)).dtype
    return numbers(node, field).astype(dtype_of(words_of(node), "dtype", given if given.kind == "f" else np.float32))


def write_affine(name: str, layer: Affine, to: Writer):
    """Write a product over the last axis."""
    kernel, bias, words = _checked(layer, to)
    expect(to.shape == kernel.shape[:1], f"a flat input of shape {kernel.shape[:1]}", to.shape)
    weight = to.to_order(kernel).T.copy()
    to.add(name, nir.Linear(weight) if bias is None else nir.Affine(weight, bias), words)
    to.shape, to.order = kernel.shape[1:], None


def read_affine(node: Any, to: Reader):
    """Read a product over the last axis."""
    weight = weights_of(node, "weight")
    expect(weight.shape == (len(weight), *to.shape), f"weight of shape (outputs, *{to.shape})", weight.shape)
    bias = weights_of(node, "bias").reshape(len(weight)) if isinstance(node, nir.Affine) else None
    to.add(Affine(to.from_order(weight.T), bias), weight.shape[:1])
    to.order = None


# Windows that move over the input ----------------------------------------------------------------------------------


def _slid(layer: Any, kernel_shape: Shape, shape: Shape) -> tuple[Shape, Shape, Any, Shape]:
    """Return strides and dilation, what is added before and after each axis, and the shape of the output."""
    *window, inputs, outputs = kernel_shape
    axes, channels, space = len(window), inputs * layer.feature_group_count, shape[:-1]
    fits = len(space) == axes and channels == shape[-1]
    expect(fits, f"an input of {axes + 1} axes with {channels} channels", shape)
    strides, dilation = (tuple(np.broadcast_to(n or 1, axes).tolist()) for n in (layer.strides, layer.kernel_dilation))
    window = [d * (k - 1) + 1 for d, k in zip(dilation, window, strict=True)]
    words = isinstance(layer.padding, str)
    given = np.asarray(jax.lax.padtype_to_pads(space, window, strides, layer.padding) if words else layer.padding)
    pads = np.broadcast_to(given if given.ndim == 2 else given.reshape(-1, 1), (axes, 2)).tolist()
    out = [(n + sum(pad) - k) // stride + 1 for n, pad, k, stride in zip(space, pads, window, strides, strict=True)]
    expect(min(out) >= 1, "a window that fits into its input", f"one of shape {space}")
    return strides, dilation, tuple(map(tuple, pads)), (*out, outputs)


def _even(pads: Any) -> Shape:
    """Return what is added on each side of each axis."""
    expect(all(low == high for low, high in pads), "padding that is the same on both sides, as in NIR", pads)
    return tuple(low for low, _ in pads)


def write_conv(name: str, layer: Conv, to: Writer):
    """Write a convolution over one axis or two."""
    kernel, bias, words = _checked(layer, to)
    axes = kernel.ndim - 2
    expect(axes in (1, 2), "a convolution over one axis or two, which NIR has", axes)
    strides, dilation, pads, shape = _slid(layer, kernel.shape, to.shape)
    same = layer.padding == "SAME" and set(strides) == {1} and any(low != high for low, high in pads)
    padding: Any = "same" if same else _even(pads)
    how = {"input_shape": to.shape[:-1], "stride": strides, "padding": padding, "dilation": dilation}
    if axes == 1:
        how = {field: value if isinstance(value, str) else value[0] for field, value in how.items()}
    weight = np.ascontiguousarray(np.moveaxis(kernel, (-1, -2), (0, 1)))
    bias = np.zeros(kernel.shape[-1], kernel.dtype) if bias is None else bias
    kind = nir.Conv1d if axes == 1 else nir.Conv2d
    node = kind(weight=weight, groups=layer.feature_group_count, bias=bias, **how)
    node.input_type = {"input": np.array(channels_first(to.shape))}  # nir leaves the groups out of it
    right = np.array_equal(node.output_type["output"], channels_first(shape))
    expect(right, "a square kernel, for which alone nir computes the shape of the output", kernel.shape[:axes])
    to.add(name, node, words)
    to.shape = shape


def read_conv(node: Any, to: Reader):
    """Read a convolution."""
    weight = weights_of(node, "weight")
    kernel, bias = np.moveaxis(weight, (0, 1), (-1, -2)), weights_of(node, "bias").reshape(len(weight))
    axes, padding = weight.ndim - 2, as_python(node.padding)
    padding = padding.upper() if isinstance(padding, str) else [(n, n) for n in _integers(node, "padding", axes)]
    strides, dilation = (_integers(node, field, axes) for field in ("stride", "dilation"))
    layer = Conv(kernel, bias, strides, padding, dilation, int(node.groups))
    to.add(layer, _slid(layer, kernel.shape, to.shape)[-1])


def _integers(node: Any, field: str, axes: int) -> Shape:
    value = np.broadcast_to(numbers(node, field), axes)
    expect(np.all(value == np.floor(value)), f"{field} to be integers", value.tolist())
    return tuple(map(int, value))


def write_pool(name: str, layer: Pool, to: Writer):
    """Write a pool over two axes."""
    expect(len(layer.window) == 2, "a pool over two axes, which NIR has", len(layer.window))
    strides, _, pads, to.shape = _slid(layer, (*layer.window, *to.shape[-1:] * 2), to.shape)
    kind = nir.AvgPool2d if layer.average else nir.SumPool2d
    to.add(name, kind(*map(np.array, (layer.window, strides, _even(pads)))))


def read_pool(node: Any, to: Reader):
    """Read a pool over two axes."""
    window, strides, padding = (_integers(node, field, 2) for field in ("kernel_size", "stride", "padding"))
    layer = Pool(window, strides, padding, average=isinstance(node, nir.AvgPool2d))
    to.add(layer, _slid(layer, (*window, *to.shape[-1:] * 2), to.shape)[-1])


# A flatten ---------------------------------------------------------------------------------------------------------


def write_flatten(name: str, layer: Flatten, to: Writer):
    """Write a flatten of all axes."""
    if layer.axes > 1:
        to.add(name, nir.Flatten(input_type={"input": np.array(channels_first(to.shape))}, start_dim=0, end_dim=-1))
        to.flatten()


def read_flatten(node: Any, to: Reader):
    """Read a flatten of all axes."""
    last = len(to.shape) - 1
    start, end = node.start_dim, node.end_dim
    expect(start == 0 and end in (-1, last), f"a Flatten of all axes, from 0 to {last}", f"from {start} to {end}")
    if last:
        to.add(Flatten(len(to.shape)))
        to.flatten()


PAIRS = [  # a layer, how it is written, how it is read, and as which nodes
    (Affine, write_affine, read_affine, nir.Affine, nir.Linear),
    (Conv, write_conv, read_conv, nir.Conv1d, nir.Conv2d),
    (Pool, write_pool, read_pool, nir.AvgPool2d, nir.SumPool2d),
    (Flatten, write_flatten, read_flatten, nir.Flatten),
]
