"""Convert brainstate layers to arrays and back, for NIR. Linear layers and convolutions keep weights in one state."""

from typing import Any

import jax
import jax.numpy as jnp
from brainstate import environ, nn

from .. import brainstate as package
from .._nir.layers import Affine, batch_norm
from ._network import mapped

MODULE = nn.Module
NORMS = nn.BatchNorm0d, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d


class OverTime(nn.Module):
    """Apply a module with one leading batch axis, such as a ``Conv2d``, to ``[time, batch, ...]``."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module: Any = module

    def update(self, xs):
        return jax.vmap(self.module)(xs)


def arrays_of(layer):
    """Return a linear layer, a convolution or a BatchNorm as arrays, a flatten as a function, or else the layer."""
    if type(layer) is nn.Linear and layer.w_mask is None:
        return Affine(layer.weight.value["weight"], layer.weight.value.get("bias"))
    if type(layer) is nn.Flatten:
        return layer.update
    norm = mapped(layer) or layer
    if type(norm) in NORMS:
        states = norm.running_mean, norm.running_var, norm.weight  # each a state or None
        mean, var, weights = (getattr(state, "value", None) for state in states)
        held = [mean, var, *map((weights or {}).get, ("scale", "bias"))]
        evaluates, last = mean is not None and not environ.get("fit", False), len(norm.in_size) - 1
        return batch_norm(norm, held, evaluates, norm.feature_axes[-1] == last)
    conv = layer.module if type(layer) is OverTime else mapped(layer)
    known = type(conv) in (nn.Conv1d, nn.Conv2d) and not conv.channel_first
    if not known or conv.w_mask is not None or set(conv.lhs_dilation) != {1}:
        return layer
    kernel, bias = conv.weight.value["weight"], conv.weight.value.get("bias")
    return Affine(kernel, bias, conv.stride, conv.padding, conv.rhs_dilation, conv.groups, in_size=tuple(conv.in_size))


def make_affine(affine, shape):
    """Return a linear layer or a convolution for inputs of this shape."""
    *window, _, out = affine.kernel.shape
    bias = None if affine.bias is None else jnp.asarray(affine.bias).reshape(*[1] * len(window), out)
    init: dict[str, Any] = {"w_init": jnp.asarray(affine.kernel), "b_init": bias}
    if not window:
        return nn.Linear(shape, (out,), **init)
    init |= {"stride": affine.strides, "padding": affine.padding, "rhs_dilation": affine.kernel_dilation}
    kind: Any = nn.Conv1d if len(window) == 1 else nn.Conv2d
    return OverTime(kind(shape, out, tuple(window), groups=affine.feature_group_count, **init))


def make_neurons(kind, shape, options):
    """Return a layer of neurons."""
    return kind(shape, **options)


def network(layers, weights, flags):
    """Return the network of layers with their weights."""
    for layer, named in zip(layers, weights, strict=True):
        if "recurrent_kernel" in named:
            layer.recurrent_kernel.val.value = named["recurrent_kernel"]
    return package.SpikingSequential(layers, **flags)
