"""Layers without neurons to nodes of NIR and back: products, convolutions, pools, a flatten."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import nir
import numpy as np

from .chain import Reader, Writer, channels_first, expect, numbers
from .layers import Affine, Conv, Flatten, Pool, Shape
from .metadata import as_python, dtype_of, plain, words_of


def _slid(space: Shape, window: Sequence[int], strides: Sequence[int], pads: Sequence[tuple[int, int]]) -> Shape:
    """Return the shape in space of the output of a window that moves over the input."""
    sizes = zip(space, window, strides, pads, strict=True)
    out = tuple((n + low + high - k) // stride + 1 for n, k, stride, (low, high) in sizes)
    expect(min(out) >= 1, "a window that fits into its input", f"one of shape {space}")
    return out


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


def weights_of(node: Any, field: str, words: dict[str, Any]) -> np.ndarray:
    """Return weights of a node in the dtype that they have, or had here."""
    given = np.asarray(getattr(node, field)).dtype
    return numbers(node, field).astype(dtype_of(words, "dtype", given if given.kind == "f" else np.float32))


def bias_of(node: Any, words: dict[str, Any], size: int) -> np.ndarray:
    """Return the bias of a node."""
    bias = weights_of(node, "bias", words)
    expect(bias.shape == (size,), f"bias of shape ({size},)", bias.shape)
    return bias


def write_affine(name: str, layer: Affine, to: Writer):
    """Write a product over the last axis."""
    kernel, bias, words = _checked(layer, to)
    flatten = ": flatten it before, lambda xs: xs.reshape(*xs.shape[:2], -1)" if len(to.shape) > 1 else ""
    expect(to.shape == kernel.shape[:1], f"an input of shape {kernel.shape[:1]}", f"{to.shape}{flatten}")
    weight = to.to_order(kernel).T.copy()
    to.add(name, nir.Linear(weight) if bias is None else nir.Affine(weight, bias), words)
    to.shape, to.order = kernel.shape[1:], None


def read_affine(node: Any, to: Reader):
    """Read a product over the last axis."""
    words = words_of(node)
    weight = weights_of(node, "weight", words)
    fits = weight.ndim == 2 and to.shape == weight.shape[1:]
    expect(fits, f"weight of shape (outputs, {to.shape[0]})", weight.shape)
    bias = bias_of(node, words, len(weight)) if isinstance(node, nir.Affine) else None
    to.add(Affine(to.from_order(weight.T), bias), weight.shape[:1])
    to.order = None


# Convolutions ------------------------------------------------------------------------------------------------------


def _geometry(layer: Conv, shape: Shape) -> tuple[Shape, Shape, tuple[tuple[int, int], ...], Shape]:
    """Return strides and dilation, what is added before and after each axis, and the shape of the output."""
    *window, inputs, outputs = np.shape(layer.kernel)
    axes, channels, space = len(window), inputs * layer.groups, shape[:-1]
    fits = len(space) == axes and channels == shape[-1]
    expect(fits, f"an input of {axes + 1} axes with {channels} channels", shape)
    strides, dilation = (tuple(np.broadcast_to(n or 1, axes).tolist()) for n in (layer.strides, layer.dilation))
    window = [d * (k - 1) + 1 for d, k in zip(dilation, window, strict=True)]
    pads = _pads(layer.padding, space, window, strides)
    return strides, dilation, pads, (*_slid(space, window, strides, pads), outputs)


def _pads(padding: Any, space: Shape, window: Sequence[int], strides: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Return how much is added before and after each axis."""
    if isinstance(padding, str):
        expect(padding in ("SAME", "VALID"), "padding in numbers, 'SAME' or 'VALID', which NIR has", repr(padding))
        return tuple(jax.lax.padtype_to_pads(np.array(space), np.array(window), np.array(strides), padding))
    each = [padding] * len(space) if np.ndim(padding) == 0 else padding
    pairs = [(pair, pair) if np.ndim(pair) == 0 else pair for pair in each]
    return tuple((int(low), int(high)) for low, high in pairs)


def write_conv(name: str, layer: Conv, to: Writer):
    """Write a convolution over one axis or two."""
    kernel, bias, words = _checked(layer, to)
    axes = kernel.ndim - 2
    expect(axes in (1, 2), "a convolution over one axis or two, which NIR has", axes)
    strides, dilation, pads, shape = _geometry(layer, to.shape)
    even = all(low == high for low, high in pads)
    same = layer.padding == "SAME" and set(strides) == {1}
    expect(even or same, "padding that is the same on both sides, as in NIR", pads)
    padding: Any = tuple(low for low, _ in pads) if even else "same"
    how = {"input_shape": to.shape[:-1], "stride": strides, "padding": padding, "dilation": dilation}
    if axes == 1:
        how = {field: value if isinstance(value, str) else value[0] for field, value in how.items()}
    weight = np.ascontiguousarray(np.moveaxis(kernel, (-1, -2), (0, 1)))
    bias = np.zeros(kernel.shape[-1], kernel.dtype) if bias is None else bias
    node = (nir.Conv1d if axes == 1 else nir.Conv2d)(weight=weight, groups=layer.groups, bias=bias, **how)
    node.input_type = {"input": np.array(channels_first(to.shape))}  # nir leaves the groups out of it
    expected, got = channels_first(shape), tuple(np.asarray(node.output_type["output"]).tolist())
    expect(got == expected, f"nir to compute an output of {expected}", f"{got}: it assumes square kernels")
    to.add(name, node, words)
    to.shape = shape


def read_conv(node: Any, to: Reader):
    """Read a convolution."""
    words, axes = words_of(node), 1 if isinstance(node, nir.Conv1d) else 2
    weight = weights_of(node, "weight", words)
    expect(weight.ndim == axes + 2, f"weight of {axes + 2} axes, (out, in / groups, ...)", f"shape {weight.shape}")
    kernel, bias = np.moveaxis(weight, (0, 1), (-1, -2)), bias_of(node, words, len(weight))
    strides, dilation = _integers(node, "stride", axes, 1), _integers(node, "dilation", axes, 1)
    padding = as_python(node.padding)
    if isinstance(padding, str):
        fits = padding == "valid" or (padding == "same" and set(strides) == {1})
        got = f"{padding!r} with a stride of {strides}"
        expect(fits, "padding to be numbers, 'valid', or 'same' with a stride of 1", got)
    padding = padding.upper() if isinstance(padding, str) else _integers(node, "padding", axes, 0)
    conv = Conv(kernel, bias, strides, padding, dilation, *_integers(node, "groups", 1, 1))
    _, _, pads, shape = _geometry(conv, to.shape)
    to.add(dataclasses.replace(conv, padding=pads), shape)


def _integers(node: Any, field: str, axes: int, least: int) -> tuple[int, ...]:
    value = numbers(node, field).reshape(-1)
    value = np.repeat(value, axes) if value.size == 1 else value
    fits = value.size == axes and np.all(value == np.floor(value)) and np.all(value >= least)
    expect(fits, f"{field} to be {axes} integers from {least} on", value.tolist())
    return tuple(int(n) for n in value)


# Pools, and a flatten ----------------------------------------------------------------------------------------------


def write_pool(name: str, layer: Pool, to: Writer):
    """Write a pool."""
    to.shape = _pooled(layer, to.shape)
    kind = nir.AvgPool2d if layer.average else nir.SumPool2d
    to.add(name, kind(*(np.array(n) for n in (layer.window, layer.strides, layer.padding))))


def read_pool(node: Any, to: Reader):
    """Read a pool."""
    window, strides = _integers(node, "kernel_size", 2, 1), _integers(node, "stride", 2, 1)
    layer = Pool(window, strides, _integers(node, "padding", 2, 0), average=isinstance(node, nir.AvgPool2d))
    to.add(layer, _pooled(layer, to.shape))


def _pooled(layer: Pool, shape: Shape) -> Shape:
    expect(len(shape) == 3, "an input [height, width, channels]", shape)
    return *_slid(shape[:2], layer.window, layer.strides, [(p, p) for p in layer.padding]), shape[2]


def write_flatten(name: str, layer: Flatten, to: Writer):
    """Write a flatten of all axes."""
    expect(layer.axes == len(to.shape), f"a Flatten of all {len(to.shape)} axes of a time step", layer.axes)
    if len(to.shape) > 1:
        to.add(name, nir.Flatten(input_type={"input": np.array(channels_first(to.shape))}, start_dim=0, end_dim=-1))
        to.flatten()


def read_flatten(node: Any, to: Reader):
    """Read a flatten of all axes."""
    start, end = (int(numbers(node, field)) for field in ("start_dim", "end_dim"))
    last = len(to.shape) - 1
    what = f"a Flatten of all axes but the batch, which NIR leaves out, from 0 to {last}"
    expect(start == 0 and end in (-1, last), what, f"from {start} to {end}")
    if last:
        to.add(Flatten(len(to.shape)))
        to.flatten()


PAIRS = [  # a layer, how it is written, how it is read, and as which nodes
    (Affine, write_affine, read_affine, nir.Affine, nir.Linear),
    (Conv, write_conv, read_conv, nir.Conv1d, nir.Conv2d),
    (Pool, write_pool, read_pool, nir.AvgPool2d, nir.SumPool2d),
    (Flatten, write_flatten, read_flatten, nir.Flatten),
]
