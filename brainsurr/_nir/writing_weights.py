"""Convert layers without neurons to nodes of NIR: products, convolutions, pools, a flatten, delays."""

from collections.abc import Callable
from typing import Any

import nir
import numpy as np

from .layers import Affine, Conv, Flatten, Pool, Product
from .surrogates import plain
from .writer import Writer, channels_first, flat_order


def _affine(owner, name, layer: Affine, to: Writer):
    _check_product(owner, layer, to)
    kernel = plain(layer.kernel)
    if len(to.shape) != 1 or kernel.shape[0] != to.shape[0]:
        raise ValueError(f"{owner}: expected an input of shape ({kernel.shape[0]},), got {to.shape}{_flatten(to)}")
    kernel, to.order = kernel if to.order is None else kernel[to.order], None
    if layer.bias is None:
        node = nir.Linear(weight=kernel.T.copy())
    else:
        node = nir.Affine(weight=kernel.T.copy(), bias=plain(layer.bias).reshape(-1))
    to.add(name, node, _dtype(layer.kernel))
    to.shape = kernel.shape[1:]


def _check_product(owner, layer: Product, to: Writer):
    """Raise a ValueError for a product of the user's own; note a dtype that readers, ours too, would not compute in."""
    if layer.replaced:
        raise ValueError(f"{owner}: expected flax's own {' and '.join(layer.replaced)}, got another, which NIR lacks")
    weights = np.asarray(layer.kernel).dtype
    if layer.dtype is not None and (np.dtype(layer.dtype) != weights or weights.itemsize < 4):
        dtype = np.dtype(layer.dtype).name
        to.lost.append(f"{owner}: the dtype {dtype} that it computes in, where NIR says nothing of any")


def _flatten(to):
    return ": flatten it before, lambda xs: xs.reshape(*xs.shape[:2], -1)" if len(to.shape) > 1 else ""


def _dtype(kernel) -> dict[str, Any]:
    """Return the dtype of weights that HDF5 can't hold."""
    return {} if np.asarray(kernel).dtype.kind == "f" else {"dtype": np.asarray(kernel).dtype.name}


def _conv(owner, name, layer: Conv, to: Writer):
    _check_product(owner, layer, to)
    kernel = plain(layer.kernel)
    axes = kernel.ndim - 2
    if axes not in (1, 2):
        raise ValueError(f"{owner}: expected a convolution over one axis or two, which NIR has, got {axes}")
    if len(to.shape) != axes + 1 or kernel.shape[-2] * layer.groups != to.shape[-1]:
        channels = kernel.shape[-2] * layer.groups
        raise ValueError(f"{owner}: expected an input of {axes + 1} axes with {channels} channels, got {to.shape}")
    strides, dilation = (_each(n, axes) for n in (layer.strides, layer.dilation))
    pads, size = [], []
    window = [d * (k - 1) + 1 for d, k in zip(dilation, kernel.shape, strict=False)]
    for i, n in enumerate(to.shape[:-1]):
        low, high = _pads(owner, layer.padding, i, n, window[i], strides[i])
        pads.append((low, high))
        size.append((n + low + high - window[i]) // strides[i] + 1)
    _check_fits(owner, size, to)
    padding: Any = tuple(low for low, _ in pads)
    if any(low != high for low, high in pads):
        if layer.padding != "SAME" or set(strides) != {1}:
            raise ValueError(f"{owner}: expected padding that is the same on both sides, as in NIR, got {pads}")
        padding = "same"
    bias = np.zeros(kernel.shape[-1], kernel.dtype) if layer.bias is None else plain(layer.bias).reshape(-1)
    weight = np.ascontiguousarray(np.moveaxis(kernel, (-1, -2), (0, 1)))
    if axes == 1:
        padding = padding if padding == "same" else padding[0]
        node = nir.Conv1d(int(to.shape[0]), weight, strides[0], padding, dilation[0], layer.groups, bias)
    else:
        node = nir.Conv2d(tuple(to.shape[:-1]), weight, strides, padding, dilation, layer.groups, bias)
    node.input_type = {"input": np.array(channels_first(to.shape))}  # nir leaves the groups out of it
    to.shape = (*size, kernel.shape[-1])
    computed = tuple(np.asarray(node.output_type["output"]).tolist())
    if computed != channels_first(to.shape):
        raise ValueError(
            f"{owner}: expected a convolution whose output nir computes as {channels_first(to.shape)}, got {computed}: "
            "it assumes square kernels"
        )
    to.add(name, node, _dtype(layer.kernel))


def _each(value, axes: int) -> tuple[int, ...]:
    """Return one integer for each axis."""
    value = 1 if value is None else value
    return (int(value),) * axes if np.ndim(value) == 0 else tuple(map(int, value))


def _pads(owner, padding, axis: int, size: int, window: int, stride: int) -> tuple[int, int]:
    """Return how much is added before and after one axis."""
    if padding == "VALID":
        return 0, 0
    if padding == "SAME":
        total = max((-(-size // stride) - 1) * stride + window - size, 0)
        return total // 2, total - total // 2
    if isinstance(padding, str):
        raise ValueError(f"{owner}: expected padding in numbers, 'SAME' or 'VALID', which NIR has, got {padding!r}")
    if np.ndim(padding) == 0:
        return int(padding), int(padding)
    pair = padding[axis]
    return (int(pair), int(pair)) if np.ndim(pair) == 0 else (int(pair[0]), int(pair[1]))


def _pool(owner, name, layer: Pool, to: Writer):
    if len(to.shape) != 3:
        raise ValueError(f"{owner}: expected an input [height, width, channels], got {to.shape}")
    kind = nir.AvgPool2d if layer.average else nir.SumPool2d
    to.add(name, kind(*(np.array(n) for n in (layer.window, layer.strides, layer.padding))))
    size = [
        (n + 2 * p - k) // s + 1
        for n, k, s, p in zip(to.shape, layer.window, layer.strides, layer.padding, strict=False)
    ]
    _check_fits(owner, size, to)
    to.shape = (*size, to.shape[-1])


def _check_fits(owner, size, to: Writer):
    if min(size) < 1:
        raise ValueError(f"{owner}: expected a window that fits into its input, got one of shape {to.shape}")


def _flat(owner, name, layer: Flatten, to: Writer):
    if layer.axes != len(to.shape):
        raise ValueError(f"{owner}: expected a Flatten of all {len(to.shape)} axes of a time step, got {layer.axes}")
    if len(to.shape) == 1:
        return
    to.add(name, nir.Flatten(input_type={"input": np.array(channels_first(to.shape))}, start_dim=0, end_dim=-1))
    to.order = flat_order(to.shape)
    to.shape = (int(np.prod(to.shape)),)


WRITERS: dict[type, Callable[..., None]] = {Affine: _affine, Conv: _conv, Pool: _pool, Flatten: _flat}
