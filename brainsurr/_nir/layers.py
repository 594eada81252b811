"""Layers of any framework as arrays and neurons: channels last, kernels ``[..., in, out]``."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._checks import is_function
from .._flax import is_of_flax
from .._layer import fields_of
from .._surrogate import Surrogate
from ..neurons import Neuron, Recurrent

Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Product:
    """What linear layers share; ``dtype`` is what it casts to, ``replaced`` names the functions that are the user's."""

    kernel: Any
    bias: Any = None
    dtype: Any = dataclasses.field(default=None, kw_only=True)
    replaced: tuple[str, ...] = dataclasses.field(default=(), kw_only=True)


@dataclasses.dataclass(frozen=True, eq=False)
class Affine(Product):
    """A product over the last axis."""


@dataclasses.dataclass(frozen=True, eq=False)
class Conv(Product):
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
      size: the last axes of its input; None if they are not known.
    """

    neuron: Neuron
    kernel: Any = None
    param_dtype: Any = None
    size: Shape | None = None


def population(layer: Any, neuron: Neuron) -> Population:
    """Return a layer of neurons of any framework, given its neuron with the values that it has now."""
    inner, kernel = (neuron.neuron, neuron.kernel) if isinstance(neuron, Recurrent) else (neuron, None)
    size = tuple(getattr(layer, "in_size", None) or (layer.features,))
    return Population(inner, kernel, layer.param_dtype, size)


def arguments(population: Population) -> dict[str, Any]:
    """Return the arguments of the layer of any framework that holds such neurons, but for its size and its weights."""
    given = {field.name: getattr(population.neuron, field.name) for field in fields_of(type(population.neuron))}
    if population.kernel is not None:
        given["recurrent"] = True
    return given if population.param_dtype is None else given | {"param_dtype": population.param_dtype}


def function(layer: Any, shape: Shape) -> Any:
    """Read a layer that no framework knows: a surrogate, an average pool of flax, a flatten. Return None if unknown.

    To detect a flatten, call the function on random data of several steps and samples, and check that it only reshapes
    them.
    """
    if isinstance(layer, Pool | Flatten | Surrogate):
        return layer
    if isinstance(layer, functools.partial) and is_of_flax(layer.func, "avg_pool"):
        return _flax_pool(layer)
    if not is_function(layer):
        return None
    rng, steps, samples, size = np.random.default_rng(0), 4, 3, int(np.prod(shape))
    numbers = rng.standard_normal(steps * samples * size) * 10.0 ** rng.uniform(-4, 4, steps * samples * size)
    xs = jnp.asarray(numbers, jnp.float32).reshape(steps, samples, *shape)
    try:
        ys = layer(xs)
    except Exception:  # the user's function may raise anything on random data
        return None
    same = getattr(ys, "shape", None) == (steps, samples, size) and bool(jnp.all(ys.ravel() == xs.ravel()))
    return Flatten(len(shape)) if same else None


def _flax_pool(layer: functools.partial) -> Pool | None:
    """Read ``functools.partial(nnx.avg_pool, window_shape=..., strides=..., padding=...)``."""
    given = dict(zip(("window_shape", "strides", "padding", "count_include_pad"), layer.args, strict=False))
    given |= layer.keywords
    window = given.get("window_shape")
    padding, strides = given.get("padding", "VALID"), given.get("strides") or (1, 1)
    if window is None or len(window) != 2 or not given.get("count_include_pad", True):
        return None
    if isinstance(padding, str):
        return Pool(tuple(window), tuple(strides)) if padding == "VALID" else None
    if any(low != high for low, high in padding):
        return None
    return Pool(tuple(window), tuple(strides), tuple(low for low, _ in padding))
