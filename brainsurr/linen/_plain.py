"""Layers of Flax Linen as plain arrays, and back."""

from collections.abc import Iterable
from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from .._layers import plain
from ._activation import SpikingActivation
from ._delay import Delay
from ._network import SpikingSequential
from ._neurons import LI, LIF


def as_plain(layer: Any) -> Any:
    """Return a layer as plain arrays, a function as it is, and None for a module that is none Flax Linen's or ours."""
    kind = type(layer)
    if isinstance(layer, nn.Module) and layer.scope is None:
        raise ValueError("to_nir: expected a bound module, net.bind(variables), got one without its variables")
    if kind is nn.Dense or (kind is nn.Conv and layer.mask is None and layer.input_dilation in (None, 1)):
        params = nn.unbox(layer.unbind()[1].get("params", {}))
        if "kernel" not in params:
            raise ValueError(f"to_nir: expected the variables of the network, got none of its layer {layer.name!r}")
        kernel, bias, product = params["kernel"], params.get("bias"), plain.product_of_flax(layer)
        if kind is nn.Dense:
            return plain.Affine(kernel, bias, **product)
        how = layer.strides, layer.padding, layer.kernel_dilation, layer.feature_group_count
        return plain.Conv(kernel, bias, *how, **product)
    return plain.as_plain(layer, LIF, LI, Delay, SpikingActivation, nn.Module)


def build(layers: Iterable[tuple[Any, plain.Shape]]) -> tuple[SpikingSequential, dict[str, Any]]:
    """Return a network of layers, each with the shape of its input, and its variables."""
    modules: list[Any] = []
    params: dict[str, Any] = {}
    for index, (layer, shape) in enumerate(layers):
        modules.append(_layer(layer, shape))
        if own := _params(layer):
            params[f"layers_{index}"] = own
    return SpikingSequential(modules), {"params": params}


def _params(layer: Any) -> dict[str, Any]:
    if isinstance(layer, plain.Affine | plain.Conv):
        params: dict[str, Any] = {"kernel": layer.kernel, "bias": layer.bias}
    elif isinstance(layer, plain.Neurons):
        params = {"recurrent_kernel": layer.kernel}
    else:
        params = {}
    return {name: jnp.asarray(value) for name, value in params.items() if value is not None}


def _layer(layer: Any, shape: plain.Shape) -> Any:
    if isinstance(layer, plain.Affine | plain.Conv):
        bias, dtype = layer.bias is not None, jnp.asarray(layer.kernel[:0]).dtype
        *window, _, out = layer.kernel.shape
        if isinstance(layer, plain.Affine):
            return nn.Dense(out, use_bias=bias, param_dtype=dtype)
        how: dict[str, Any] = {"strides": layer.strides, "padding": layer.padding, "kernel_dilation": layer.dilation}
        more: dict[str, Any] = {"feature_group_count": layer.groups, "use_bias": bias, "param_dtype": dtype}
        return nn.Conv(out, tuple(window), **how, **more)
    if isinstance(layer, plain.Neurons):
        return LIF(shape[-1], **plain.arguments(layer))
    return plain.build(layer, shape[-1], LI, Delay, SpikingActivation)
