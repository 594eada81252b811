"""Layers of Flax Linen as arrays and neurons, for NIR, and back."""

from collections.abc import Iterable
from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from .._flax import product
from .._nir.layers import Affine, Conv, Population, Shape, arguments, population
from .._surrogate import Surrogate
from ._activation import SpikingActivation
from ._layer import Layer
from ._layer import layer as neuron_layer
from ._network import SpikingSequential


def as_arrays(layer: Any) -> Any:
    """Return a layer as arrays or neurons, a function unchanged, and None for any other module."""
    kind = type(layer)
    if isinstance(layer, nn.Module) and layer.scope is None:
        raise ValueError("to_nir: expected a bound module, net.bind(variables), got one without its variables")
    if kind is nn.Dense or (kind is nn.Conv and layer.mask is None and layer.input_dilation in (None, 1)):
        params = nn.unbox(layer.unbind()[1].get("params", {}))
        if "kernel" not in params:
            raise ValueError(f"to_nir: expected the variables of the network, got none of its layer {layer.name!r}")
        kernel, bias, computed = params["kernel"], params.get("bias"), product(layer)
        if kind is nn.Dense:
            return Affine(kernel, bias, **computed)
        how = layer.strides, layer.padding, layer.kernel_dilation, layer.feature_group_count
        return Conv(kernel, bias, *how, **computed)
    if isinstance(layer, Layer) and kind is neuron_layer(layer._neuron_class):  # a subclass may do something else
        return population(layer, layer.neuron())
    if kind is SpikingActivation:
        return layer.surrogate
    return None if isinstance(layer, nn.Module) else layer


def build(layers: Iterable[tuple[Any, Shape]]) -> tuple[SpikingSequential, dict[str, Any]]:
    """Return a network of layers, each with the shape of its input, and its variables."""
    modules: list[Any] = []
    params: dict[str, Any] = {}
    for index, (layer, shape) in enumerate(layers):
        modules.append(_layer(layer, shape))
        if own := _params(layer):
            params[f"layers_{index}"] = own
    return SpikingSequential(modules), {"params": params}


def _params(layer: Any) -> dict[str, Any]:
    if isinstance(layer, Affine | Conv):
        params: dict[str, Any] = {"kernel": layer.kernel, "bias": layer.bias}
    elif isinstance(layer, Population):
        params = {"recurrent_kernel": layer.kernel}
    else:
        params = {}
    return {name: jnp.asarray(value) for name, value in params.items() if value is not None}


def _layer(layer: Any, shape: Shape) -> Any:
    if isinstance(layer, Affine | Conv):
        bias, dtype = layer.bias is not None, jnp.asarray(layer.kernel[:0]).dtype
        *window, _, out = layer.kernel.shape
        if isinstance(layer, Affine):
            return nn.Dense(out, use_bias=bias, param_dtype=dtype)
        how: dict[str, Any] = {"strides": layer.strides, "padding": layer.padding, "kernel_dilation": layer.dilation}
        more: dict[str, Any] = {"feature_group_count": layer.groups, "use_bias": bias, "param_dtype": dtype}
        return nn.Conv(out, tuple(window), **how, **more)
    if isinstance(layer, Population):
        return neuron_layer(type(layer.neuron))(shape[-1], **arguments(layer))
    return SpikingActivation(layer) if isinstance(layer, Surrogate) else layer
