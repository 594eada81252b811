"""Layers of any framework as arrays and neurons: channels last, kernels ``[..., in, out]``.

A framework's module ``_nir`` has its ``package`` in brainsurr, ``MODULE``, the base of its modules, and functions that
know how it holds weights: ``arrays_of(layer)``, a linear layer or a convolution as arrays, None for any other layer;
``make_affine(affine, shape)`` and ``make_neurons(kind, shape, options)``, a layer for an input of that shape; and
``network(layers, weights)``, these layers with their weights by name.
"""

import dataclasses
import functools
import math
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._flax import functions_replaced, is_of_flax
from .._layer import fields_of
from .._surrogate import Surrogate
from ..neurons import Neuron, Recurrent

Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Affine:
    """A product over the last axis.

    Attributes:
      kernel: the weights.
      bias: or None.
      dtype: that it casts to; None if it casts to none.
      replaced: the names of the functions that are the user's.
    """

    kernel: Any
    bias: Any = None
    dtype: Any = dataclasses.field(default=None, kw_only=True)
    replaced: tuple[str, ...] = dataclasses.field(default=(), kw_only=True)


@dataclasses.dataclass(frozen=True, eq=False)
class Conv(Affine):
    """A convolution; ``padding`` is ``"SAME"``, ``"VALID"`` or a pair for each axis in space."""

    strides: Any = 1
    padding: Any = "VALID"
    dilation: Any = 1
    groups: int = 1


@dataclasses.dataclass(frozen=True)
class Pool:
    """The sum or the average over windows of ``[..., height, width, channels]``; can itself be used as a layer."""

    window: Shape
    strides: Shape
    padding: Shape = (0, 0)
    average: bool = True

    def __call__(self, xs):
        front = (1,) * (xs.ndim - 3)
        pads = [(0, 0)] * len(front) + [(p, p) for p in self.padding] + [(0, 0)]
        zero = np.zeros((), xs.dtype)
        sums = jax.lax.reduce_window(xs, zero, jax.lax.add, (*front, *self.window, 1), (*front, *self.strides, 1), pads)
        return sums / np.prod(self.window).astype(xs.dtype) if self.average else sums


@dataclasses.dataclass(frozen=True)
class Flatten:
    """A layer that reshapes the last ``axes`` axes to one."""

    axes: int

    def __call__(self, xs):
        return xs.reshape(*xs.shape[: xs.ndim - self.axes], -1)


@dataclasses.dataclass(frozen=True, eq=False)
class Population:
    """A layer of neurons.

    Attributes:
      neuron: as it is now; of recurrent neurons the one inside.
      kernel: recurrent weights, or None.
      param_dtype: of its state; None for the default of its layer.
      size: the last axes of its input, when it is written.
    """

    neuron: Neuron
    kernel: Any = None
    param_dtype: Any = None
    size: Shape = ()


def known(layer: Any, shape: Shape) -> Any:
    """Read a layer that no framework knows: a surrogate, an average pool of flax, a flatten. Return None if unknown.

    To detect a flatten, call the function on random data of several steps and samples, and check that it only reshapes
    them.
    """
    if isinstance(layer, Affine | Population | Pool | Flatten | Surrogate):
        return layer
    if isinstance(layer, functools.partial) and is_of_flax(layer.func, "avg_pool"):
        return _flax_pool(layer.keywords)
    rng, steps, samples, size = np.random.default_rng(0), 4, 3, math.prod(shape)
    numbers = rng.standard_normal(steps * samples * size) * 10.0 ** rng.uniform(-4, 4, steps * samples * size)
    xs = jnp.asarray(numbers, jnp.float32).reshape(steps, samples, *shape)
    try:
        ys = layer(xs)
    except Exception:  # the user's function may raise anything on random data
        return None
    same = getattr(ys, "shape", None) == (steps, samples, size) and bool(jnp.all(ys.ravel() == xs.ravel()))
    return Flatten(len(shape)) if same else None


def _flax_pool(given: dict[str, Any]) -> Pool | None:
    """Read ``functools.partial(nnx.avg_pool, window_shape=..., strides=..., padding=...)``."""
    window, strides = given.get("window_shape", ()), given.get("strides") or (1, 1)
    padding = given.get("padding", "VALID")
    pads = ((0, 0),) * 2 if padding == "VALID" else padding
    padded = not isinstance(pads, str) and all(low == high for low, high in pads)
    if len(window) != 2 or not padded or not given.get("count_include_pad", True):
        return None
    return Pool(tuple(window), tuple(strides), tuple(low for low, _ in pads))


def as_arrays(host: Any, layer: Any) -> Any:
    """Return a layer as arrays or neurons, a function unchanged, and None for any other module."""
    arrays = host.arrays_of(layer)
    if arrays is not None:
        return arrays
    kind = getattr(layer, "_neuron_class", None)
    if kind is not None and type(layer) is host.package.layer(kind):  # a subclass may do something else
        neuron = layer.neuron if isinstance(layer.neuron, Neuron) else layer.neuron()  # a method in Linen
        inner, kernel = (neuron.neuron, neuron.kernel) if isinstance(neuron, Recurrent) else (neuron, None)
        return Population(inner, kernel, layer.param_dtype, tuple(getattr(layer, "in_size", None) or (layer.features,)))
    if type(layer) is host.package.SpikingActivation:
        return layer.surrogate
    return None if isinstance(layer, host.MODULE) else layer


def build(host: Any, layers: Iterable[tuple[Any, Shape]]) -> Any:
    """Return a network of layers, each with the shape of its input."""
    layers = list(layers)
    return host.network([_made(host, *layer) for layer in layers], [_weights(layer) for layer, _ in layers])


def _made(host: Any, layer: Any, shape: Shape) -> Any:
    if isinstance(layer, Affine):
        return host.make_affine(layer, shape)
    if isinstance(layer, Population):
        kind, neuron = type(layer.neuron), layer.neuron
        options = {field.name: getattr(neuron, field.name) for field in fields_of(kind)}
        options |= {} if layer.param_dtype is None else {"param_dtype": layer.param_dtype}
        options |= {} if layer.kernel is None else {"recurrent": True}
        return host.make_neurons(host.package.layer(kind), shape, options)
    return host.package.SpikingActivation(layer) if isinstance(layer, Surrogate) else layer


def _weights(layer: Any) -> dict[str, Any]:
    named = {"recurrent_kernel": layer.kernel} if isinstance(layer, Population) else {}
    if isinstance(layer, Affine):
        named = {"kernel": layer.kernel, "bias": layer.bias}
    return {name: jnp.asarray(value) for name, value in named.items() if value is not None}


def flax_affine(layer: Any, kernel: Any, bias: Any) -> Affine:
    """Return a linear layer or a convolution of flax, with the weights that it has."""
    dtype = layer.dtype if layer.dtype is not None else getattr(layer, "preferred_element_type", None)
    how: dict[str, Any] = {"dtype": dtype, "replaced": functions_replaced(layer)}
    if not hasattr(layer, "kernel_dilation"):
        return Affine(kernel, bias, **how)
    strides, padding, dilation = layer.strides, layer.padding, layer.kernel_dilation
    return Conv(kernel, bias, strides, padding, dilation, layer.feature_group_count, **how)


def flax_options(affine: Affine) -> dict[str, Any]:
    """Return the options of a linear layer or a convolution of flax."""
    options = {"use_bias": affine.bias is not None, "param_dtype": jnp.asarray(affine.kernel[:0]).dtype}
    if isinstance(affine, Conv):
        options |= {"kernel_size": affine.kernel.shape[:-2], "strides": affine.strides, "padding": affine.padding}
        options |= {"kernel_dilation": affine.dilation, "feature_group_count": affine.groups}
    return options
