"""Framework-independent layers: arrays and neurons, channels last, with kernels ``[..., in, out]``.

Each integration has a ``_nir`` module with these names:

- ``package``: the brainsurr subpackage, and ``MODULE``, the base class of the framework's modules.
- ``arrays_of(layer)`` returns a linear layer, convolution or BatchNorm as arrays, and any other layer unchanged.
- ``make_affine(affine, shape)`` and ``make_neurons(kind, shape, options)`` return a layer for inputs of this shape.
- ``network(layers, weights, flags)`` returns a network of these layers, with named weights and options.
"""

import contextlib
import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._layer import fields_of
from .._surrogate import Surrogate
from .._time.sequential import is_of_flax, overridden_functions
from ..neurons import Recurrent
from .chain import Shape, error_prefix, expect

WEIGHTS = ("kernel", "bias", "recurrent_kernel")
GEOMETRY = ("strides", "padding", "kernel_dilation", "feature_group_count")  # of a convolution


class Affine(NamedTuple):
    """A linear layer, a convolution, or a scale per channel, depending on the rank of the kernel.

    Attributes:
      kernel: the weights: two axes for a linear layer, three or more for a convolution, one for a scale per channel.
      bias: the bias, or None.
      strides: the strides of a convolution. The names of this field and the next three are from flax.
      padding: ``"SAME"``, ``"VALID"``, or a number or a pair for each spatial axis.
      kernel_dilation: a number, or one for each spatial axis.
      feature_group_count: the number of groups.
      dtype: the dtype to which the layer casts, or None.
      replaced: the names of the layer's functions that the user replaced, such as ``dot_general``.
      in_size: the shape of the last input axes, if the framework stores it.
    """

    kernel: Any
    bias: Any = None
    strides: Any = None
    padding: Any = "VALID"
    kernel_dilation: Any = None
    feature_group_count: int = 1
    dtype: Any = None
    replaced: tuple[str, ...] = ()
    in_size: Shape | None = None


@dataclasses.dataclass(frozen=True)
class Pool:
    """Sum or average pooling over ``[..., height, width, channels]``.

    It is callable as a layer if its strides and padding are numbers, one for each spatial axis.
    """

    window: Shape
    strides: Any
    padding: Any
    average: bool = True

    def __call__(self, xs):
        front, zero = (1,) * (xs.ndim - 3), np.zeros((), xs.dtype)
        pads = [*[(0, 0)] * len(front), *((p, p) for p in self.padding), (0, 0)]
        sums = jax.lax.reduce_window(xs, zero, jax.lax.add, (*front, *self.window, 1), (*front, *self.strides, 1), pads)
        return sums / np.prod(self.window).astype(xs.dtype) if self.average else sums


@dataclasses.dataclass(frozen=True)
class Flatten:
    """A layer that merges the last ``axes`` axes into one."""

    axes: int

    def __call__(self, xs):
        return xs.reshape(*xs.shape[: xs.ndim - self.axes], -1)


class Population(NamedTuple):
    """A layer of neurons.

    Attributes:
      neuron: the neuron with its current parameter values; for recurrent neurons, the inner neuron.
      recurrent_kernel: the recurrent weights, or None.
      param_dtype: the dtype of the state; None for the default of the layer.
      in_size: the shape of the last input axes, if it is known.
    """

    neuron: Any
    recurrent_kernel: Any = None
    param_dtype: Any = None
    in_size: Shape | None = None


def as_arrays(host: Any, layer: Any, shape: Shape | None) -> Any:
    """Convert a layer to arrays, neurons, or a surrogate; return any other layer unchanged.

    Args:
      host: the ``_nir`` module of the framework.
      layer: a layer of a network.
      shape: the input shape for one time step of one sample. If None, flatten functions are returned unchanged.
    """
    layer = host.arrays_of(layer)
    kind = getattr(layer, "_neuron_class", None)
    if kind is not None and type(layer) is host.package.layer(kind):  # a subclass may do something else
        size = tuple(getattr(layer, "in_size", None) or (layer.features,))
        expect(shape is None or shape[-len(size) :] == size, f"an input of shape {size}", shape)
        expect(layer.carry_init is None, "carry_init=None, since NIR can't store an initial state", layer.carry_init)
        neuron: Any = layer.neuron
        parts = (neuron.neuron, neuron.weights) if isinstance(neuron, Recurrent) else (neuron, None)
        return Population(parts[0], parts[1], layer.param_dtype, size)
    if type(layer) is host.package.SpikingActivation:
        return layer.surrogate
    is_pool = isinstance(layer, functools.partial) and is_of_flax(layer.func, "avg_pool")
    if is_pool and layer.keywords.get("count_include_pad", True):
        given: dict[str, Any] = {"strides": 1, "padding": "VALID"} | layer.keywords
        return Pool(given["window_shape"], given["strides"], given["padding"])
    is_function = not isinstance(layer, Affine | Pool | Surrogate | host.MODULE)
    return Flatten(len(shape)) if is_function and shape and _flattens(layer, shape) else layer


def _flattens(layer: Any, shape: Shape) -> bool:
    """Test on random data with several steps and samples whether a function only flattens its input."""
    xs = np.random.default_rng(0).standard_cauchy((4, 3, *shape)).astype(np.float32) ** 3  # covers all magnitudes
    with contextlib.suppress(Exception):  # the user's function may raise anything on random data
        return np.array_equal(layer(jnp.asarray(xs)), xs.reshape(4, 3, -1))
    return False


def build(host: Any, layers: list[tuple[Any, Shape, str]], **flags: Any) -> Any:
    """Return a network; each layer comes with its input shape and a name for messages."""
    held = ([(name, getattr(layer, name, None)) for name in WEIGHTS] for layer, *_ in layers)
    weights = [{name: jnp.asarray(w) for name, w in named if w is not None} for named in held]
    return host.network([_make_layer(host, *layer) for layer in layers], weights, flags)


def _make_layer(host: Any, layer: Any, shape: Shape, owner: str) -> Any:
    if isinstance(layer, Affine):
        return host.make_affine(layer, shape)
    if isinstance(layer, Population):
        kind = type(layer.neuron)
        options = {field.name: getattr(layer.neuron, field.name) for field in fields_of(kind)}
        options |= {} if layer.param_dtype is None else {"param_dtype": layer.param_dtype}
        options |= {} if layer.recurrent_kernel is None else {"recurrent": True}
        with error_prefix(owner):
            return host.make_neurons(host.package.layer(kind), shape, options)
    return host.package.SpikingActivation(layer) if isinstance(layer, Surrogate) else layer


def flax_affine(layer: Any, kernel: Any, bias: Any) -> Affine:
    """Convert a flax linear layer or convolution with these weights to arrays."""
    dtype = layer.dtype if layer.dtype is not None else getattr(layer, "preferred_element_type", None)
    geometry = {name: getattr(layer, name) for name in GEOMETRY if hasattr(layer, name)}
    return Affine(kernel, bias, **geometry, dtype=dtype, replaced=overridden_functions(layer))


def batch_norm(layer: Any, held: list[Any], evaluates: Any, last: bool) -> Affine:
    """Return a BatchNorm in evaluation mode as a scale and a shift per channel.

    Args:
      layer: the layer, with the attributes ``epsilon`` and ``dtype``.
      held: the running mean and variance, then the scale and bias; each can be None.
      evaluates: whether the layer uses its running averages rather than batch statistics.
      last: whether the channels are on the last axis.
    """
    expect(evaluates, "a BatchNorm in evaluation mode, with running averages", "one in training mode")
    expect(last, "a BatchNorm with its channels on the last axis, axis=-1", "another axis")
    given = (default if value is None else value for value, default in zip(held, (0, 1, 1, 0), strict=True))
    mean, var, scale, bias = (np.ravel(np.asarray(value, np.float64)) for value in given)
    factor = scale / np.sqrt(var + float(layer.epsilon))
    dtype = None if layer.dtype is None or np.dtype(layer.dtype).itemsize > 2 else layer.dtype
    replaced = overridden_functions(layer) if hasattr(layer, "promote_dtype") else ()
    return Affine(factor, bias - mean * factor, dtype=dtype, replaced=replaced)


def flax_options(affine: Affine) -> dict[str, Any]:
    """Return the options of a flax linear layer or convolution."""
    options = {"use_bias": affine.bias is not None, "param_dtype": jnp.result_type(affine.kernel)}
    if affine.kernel.ndim > 2:
        options |= {name: getattr(affine, name) for name in GEOMETRY} | {"kernel_size": affine.kernel.shape[:-2]}
    return options
