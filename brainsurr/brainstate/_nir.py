"""Layers of brainstate as arrays and neurons, for NIR, and back."""

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
from brainstate import nn

from .._nir.layers import Affine, Conv, Population, Shape, arguments, population
from .._surrogate import Surrogate
from ._activation import SpikingActivation
from ._layer import Layer
from ._layer import layer as neuron_layer
from ._network import SpikingSequential


class OverTime(nn.Module):
    """A module that takes one axis in front, such as a ``Conv2d``, on ``[time, batch, ...]``."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def update(self, xs):
        return jax.vmap(self.module)(xs)


def as_arrays(layer: Any) -> Any:
    """Return a layer as arrays or neurons, a function unchanged, and None for any other module."""
    kind = type(layer)
    if kind is nn.Linear and layer.w_mask is None:
        return Affine(layer.weight.value["weight"], layer.weight.value.get("bias"))
    inner = layer.module if kind is OverTime else _mapped(layer)
    if type(inner) in (nn.Conv1d, nn.Conv2d):
        return _convolution(inner)
    if kind is nn.Flatten:
        return layer.update
    if isinstance(layer, Layer) and kind is neuron_layer(layer._neuron_class):  # a subclass may do something else
        return population(layer, layer.neuron)
    if kind is SpikingActivation:
        return layer.surrogate
    return None if isinstance(layer, nn.Module) else layer


def _mapped(layer: Any) -> Any:
    """Return the module of ``jax.vmap(module.update)``."""
    mapped = getattr(layer, "__wrapped__", None)
    module = getattr(mapped, "__self__", None)
    return module if isinstance(module, nn.Module) and mapped == module.update else None


def _convolution(conv):
    if conv.channel_first or conv.w_mask is not None or set(conv.lhs_dilation) != {1}:
        return None
    bias = conv.weight.value.get("bias")
    bias = None if bias is None else bias.reshape(-1)
    return Conv(conv.weight.value["weight"], bias, conv.stride, conv.padding, conv.rhs_dilation, conv.groups)


def build(layers: Iterable[tuple[Any, Shape]]) -> SpikingSequential:
    """Return a network of layers, each with the shape of its input."""
    return SpikingSequential([_layer(layer, shape) for layer, shape in layers])


def _layer(layer: Any, shape: Shape) -> Any:
    if isinstance(layer, Affine | Conv):
        weights = {"weight": jnp.asarray(layer.kernel)}
        zero = None if layer.bias is None else nn.init.ZeroInit()
        *window, _, out = layer.kernel.shape
        if isinstance(layer, Affine):
            module: Any = nn.Linear(shape, (out,), w_init=nn.init.ZeroInit(), b_init=zero)
        else:
            kind: Any = nn.Conv1d if len(window) == 1 else nn.Conv2d
            how: dict[str, Any] = {"stride": layer.strides, "padding": layer.padding, "rhs_dilation": layer.dilation}
            more: dict[str, Any] = {"groups": layer.groups, "w_init": nn.init.ZeroInit(), "b_init": zero}
            module = kind(shape, out, tuple(window), **how, **more)
        if layer.bias is not None:
            weights["bias"] = jnp.asarray(layer.bias).reshape(module.weight.value["bias"].shape)
        module.weight.value = weights
        return module if isinstance(layer, Affine) else OverTime(module)
    if isinstance(layer, Population):
        made: Any = neuron_layer(type(layer.neuron))(shape, **arguments(layer))
        if layer.kernel is not None:
            made.recurrent_kernel.val.value = jnp.asarray(layer.kernel, made.param_dtype)
        return made
    return SpikingActivation(layer) if isinstance(layer, Surrogate) else layer
