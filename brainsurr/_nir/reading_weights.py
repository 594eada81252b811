"""Convert nodes of NIR without neurons to layers: products, convolutions, pools, a flatten, delays."""

import math
from typing import Any

import nir
import numpy as np

from ..neurons import Delay
from .graphs import Link, numbers
from .layers import Affine, Conv, Flatten, Pool, Population
from .reader import LARGEST, Reader, bias_of, unordered, weights, words_of
from .surrogates import as_python
from .writer import channels_first, flat_order


def _affine(owner, link: Link, to: Reader):
    words = words_of(owner, link.node)
    weight = weights(owner, link.node, "weight", words)
    if weight.ndim != 2 or len(to.shape) != 1 or weight.shape[1] != to.shape[0]:
        raise ValueError(f"{owner}: expected weight of shape (outputs, {to.shape[0]}), got {weight.shape}")
    kernel = weight.T if to.order is None else unordered(weight.T, to.order)
    bias = None
    if isinstance(link.node, nir.Affine):
        bias = bias_of(owner, link.node, words, weight.shape[0])
    to.add(Affine(kernel, bias))
    to.shape, to.order = kernel.shape[1:], None


def _conv(owner, link: Link, to: Reader):
    node, words = link.node, words_of(owner, link.node)
    axes = 1 if isinstance(node, nir.Conv1d) else 2
    weight = weights(owner, node, "weight", words)
    groups = _integers(owner, node, "groups", 1, 1)[0]
    if weight.ndim != axes + 2 or len(to.shape) != axes + 1 or weight.shape[1] * groups != to.shape[-1]:
        raise ValueError(
            f"{owner}: expected an input of {axes + 1} axes and weight (out, in / groups, ...) for its {to.shape[-1]} "
            f"channels, got an input of shape {channels_first(to.shape)} and weight of shape {weight.shape}"
        )
    strides, dilation = _integers(owner, node, "stride", axes, 1), _integers(owner, node, "dilation", axes, 1)
    window = [d * (k - 1) + 1 for d, k in zip(dilation, weight.shape[2:], strict=True)]
    padding = as_python(node.padding)
    pads: Any
    if isinstance(padding, str):
        if padding not in ("same", "valid") or (padding == "same" and set(strides) != {1}):
            raise ValueError(
                f"{owner}: expected padding to be numbers, 'valid', or 'same' with a stride of 1, got {padding!r} "
                f"with a stride of {strides}"
            )
        totals = [n - 1 if padding == "same" else 0 for n in window]
        pads = tuple((total // 2, total - total // 2) for total in totals)
    else:
        pads = tuple((n, n) for n in _integers(owner, node, "padding", axes, 0))
    kernel = np.moveaxis(weight, (0, 1), (-1, -2))
    to.add(Conv(kernel, bias_of(owner, node, words, weight.shape[0]), strides, pads, dilation, groups))
    spatial = [
        (n + low + high - k) // s + 1 for n, (low, high), k, s in zip(to.shape[:-1], pads, window, strides, strict=True)
    ]
    _set_space(owner, to, spatial, weight.shape[0])


def _set_space(owner, to: Reader, spatial, channels: int):
    if min(spatial) < 1:
        raise ValueError(f"{owner}: expected a window that fits into its input, got {channels_first(to.shape)}")
    if math.prod((*spatial, channels)) > LARGEST:
        raise ValueError(f"{owner}: expected an output of {LARGEST} entries at most, got {(channels, *spatial)}")
    to.shape = (*spatial, channels)


def _integers(owner, node, field: str, axes: int, least: int) -> tuple[int, ...]:
    value = numbers(owner, node, field).reshape(-1)
    value = np.repeat(value, axes) if value.size == 1 else value
    if value.size != axes or np.any(value != np.floor(value)) or np.any(value < least):
        raise ValueError(f"{owner}: expected {field} to be {axes} integers from {least} on, got {value.tolist()}")
    return tuple(int(n) for n in value)


def _pool(owner, link: Link, to: Reader):
    if len(to.shape) != 3:
        raise ValueError(f"{owner}: expected an input of three axes, got one of shape {channels_first(to.shape)}")
    lows = (("kernel_size", 1), ("stride", 1), ("padding", 0))
    window, strides, padding = (_integers(owner, link.node, field, 2, low) for field, low in lows)
    to.add(Pool(window, strides, padding, average=isinstance(link.node, nir.AvgPool2d)))
    spatial = [(n + 2 * p - k) // s + 1 for n, p, k, s in zip(to.shape, padding, window, strides, strict=False)]
    _set_space(owner, to, spatial, to.shape[-1])


def _flatten(owner, link: Link, to: Reader):
    start, end = (int(numbers(owner, link.node, field)) for field in ("start_dim", "end_dim"))
    last = len(to.shape) - 1
    if start != 0 or end not in (-1, last):
        raise ValueError(
            f"{owner}: expected a Flatten of all axes but the batch, which NIR leaves out, from 0 to {last}, got from "
            f"{start} to {end}"
        )
    if len(to.shape) == 1:
        return
    to.add(Flatten(len(to.shape)))
    to.order = flat_order(to.shape)
    to.shape = (int(np.prod(to.shape)),)


def _delay(owner, link: Link, to: Reader):
    steps = to.numbers(owner, link.node, "delay") / to.dt
    whole = np.round(steps)
    if np.any(np.abs(steps - whole) > 1e-6 * np.maximum(whole, 1)) or np.any(whole < 0):
        raise ValueError(f"{owner}: expected delays of whole steps of dt={to.dt:g}, got {steps.reshape(-1)[:4]} of it")
    if np.max(whole) * math.prod(to.shape) > LARGEST:
        raise ValueError(f"{owner}: expected delays that hold {LARGEST} entries at most, got {np.max(whole):g} steps")
    steps = to.each(owner, "delay", whole)
    to.add(Population(Delay(int(steps) if np.ndim(steps) == 0 else tuple(int(n) for n in steps))))


READERS = {
    nir.Affine: _affine,
    nir.Linear: _affine,
    nir.Conv1d: _conv,
    nir.Conv2d: _conv,
    nir.AvgPool2d: _pool,
    nir.SumPool2d: _pool,
    nir.Flatten: _flatten,
    nir.Delay: _delay,
}
