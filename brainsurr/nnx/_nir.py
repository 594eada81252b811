"""Layers of Flax NNX as arrays and neurons, for NIR, and back."""

from collections.abc import Iterable
from typing import Any

import jax.numpy as jnp
from flax import nnx

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
    if kind is nnx.Linear:
        return Affine(layer.kernel[...], _value(layer.bias), **product(layer))
    if kind is nnx.Conv and layer.mask is None and layer.input_dilation in (None, 1):
        how = layer.strides, layer.padding, layer.kernel_dilation, layer.feature_group_count
        return Conv(layer.kernel[...], _value(layer.bias), *how, **product(layer))
    if isinstance(layer, Layer) and kind is neuron_layer(layer._neuron_class):  # a subclass may do something else
        return population(layer, layer.neuron)
    if kind is SpikingActivation:
        return layer.surrogate
    return None if isinstance(layer, nnx.Module) else layer


def _value(variable):
    return None if variable is None else variable[...]


def build(layers: Iterable[tuple[Any, Shape]]) -> SpikingSequential:
    """Return a network of layers, each with the shape of its input."""
    return SpikingSequential([_layer(layer, shape) for layer, shape in layers])


def _layer(layer: Any, shape: Shape) -> Any:
    if isinstance(layer, Affine | Conv):
        *window, channels, out = layer.kernel.shape
        dtype, bias, rngs = jnp.asarray(layer.kernel[:0]).dtype, layer.bias is not None, nnx.Rngs(0)
        if isinstance(layer, Affine):
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
    if isinstance(layer, Population):
        return _neurons(layer, shape[-1])
    return SpikingActivation(layer) if isinstance(layer, Surrogate) else layer


def _neurons(neurons: Population, features: int) -> Layer:
    recurrent = neurons.kernel is not None
    rngs: dict[str, Any] = {"rngs": nnx.Rngs(0)} if recurrent else {}
    made: Any = neuron_layer(type(neurons.neuron))(features, **arguments(neurons), **rngs)
    if recurrent:
        made.recurrent_kernel[...] = jnp.asarray(neurons.kernel, made.param_dtype)
    return made
