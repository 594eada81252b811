"""Layers of Flax NNX as plain arrays, and back."""

from collections.abc import Iterable
from typing import Any

import jax.numpy as jnp
from flax import nnx

from .._layers import plain
from ._activation import SpikingActivation
from ._delay import Delay
from ._network import SpikingSequential
from ._neurons import LI, LIF


def as_plain(layer: Any) -> Any:
    """Return a layer as plain arrays, a function as it is, and None for a module that is none Flax NNX's or ours."""
    kind = type(layer)
    if kind is nnx.Linear:
        return plain.Affine(layer.kernel[...], _value(layer.bias), **plain.product_of_flax(layer))
    if kind is nnx.Conv and layer.mask is None and layer.input_dilation in (None, 1):
        how = layer.strides, layer.padding, layer.kernel_dilation, layer.feature_group_count
        return plain.Conv(layer.kernel[...], _value(layer.bias), *how, **plain.product_of_flax(layer))
    return plain.as_plain(layer, LIF, LI, Delay, SpikingActivation, nnx.Module)


def _value(variable):
    return None if variable is None else variable[...]


def build(layers: Iterable[tuple[Any, plain.Shape]]) -> SpikingSequential:
    """Return a network of layers, each with the shape of its input."""
    return SpikingSequential([_layer(layer, shape) for layer, shape in layers])


def _layer(layer: Any, shape: plain.Shape) -> Any:
    if isinstance(layer, plain.Affine | plain.Conv):
        *window, channels, out = layer.kernel.shape
        dtype, bias, rngs = jnp.asarray(layer.kernel[:0]).dtype, layer.bias is not None, nnx.Rngs(0)
        if isinstance(layer, plain.Affine):
            module: Any = nnx.Linear(channels, out, use_bias=bias, param_dtype=dtype, rngs=rngs)
        else:
            how: dict[str, Any] = {
                "strides": layer.strides,
                "padding": layer.padding,
                "kernel_dilation": layer.dilation,
            }
            more: dict[str, Any] = {
                "use_bias": bias,
                "feature_group_count": layer.groups,
                "param_dtype": dtype,
                "rngs": rngs,
            }
            module = nnx.Conv(channels * layer.groups, out, tuple(window), **how, **more)
        module.kernel[...] = jnp.asarray(layer.kernel)
        if bias:
            module.bias[...] = jnp.asarray(layer.bias)
        return module
    if isinstance(layer, plain.Neurons):
        lif: Any = LIF(shape[-1], **plain.arguments(layer), rngs=nnx.Rngs(0))
        if layer.kernel is not None:
            lif.recurrent_kernel[...] = jnp.asarray(layer.kernel, lif.param_dtype)
        return lif
    return plain.build(layer, shape[-1], LI, Delay, SpikingActivation)
