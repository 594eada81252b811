"""Layers as plain arrays, the same for the three frameworks: channels last, kernels ``[..., in, out]``."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._checks import is_function
from .._surrogate import Surrogate

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
class Delay:
    """A delay by whole time steps, one number or one for each channel; ``size`` as of a `LeakyIntegrator`."""

    steps: Any
    size: Shape | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class LeakyIntegrator:
    """`LI`: what its step takes, the dtype of its potential, and the last axes of its input, None if not known."""

    decay: Any
    decay_input: bool = False
    param_dtype: Any = "float32"
    size: Shape | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Neurons(LeakyIntegrator):
    """`LIF`: what its step takes. ``spike_fn`` None stands for the default of the layers."""

    threshold: Any = 1.0
    reset: str = "zero"
    reset_delay: bool = False
    reset_grad: bool | None = None
    spike_fn: Any = None
    kernel: Any = None


@dataclasses.dataclass(frozen=True, eq=False)
class Step:
    """A surrogate by itself."""

    surrogate: Any = None


def as_plain(layer: Any, lif: type, li: type, delay: type, activation: type, module: type) -> Any:
    """Read a layer of brainsurr in one framework, given its classes there.

    Another ``module`` of the framework is None, and what is no module comes back as it is.
    """
    kind = type(layer)
    if kind in (lif, li, delay):
        size = tuple(getattr(layer, "in_size", None) or (layer.features,))
        if kind is delay:
            return Delay(layer.steps, size)
        how = layer._step_arguments() | {"param_dtype": layer.param_dtype, "size": size}
        return Neurons(**how, kernel=layer._recurrent_weights()) if kind is lif else LeakyIntegrator(**how)
    if kind is activation:
        return Step(layer.surrogate)
    return None if isinstance(layer, module) else layer


def build(layer: Any, size: Any, li: type, delay: type, activation: type) -> Any:
    """Build a layer of brainsurr that has no recurrent weights, given its classes; any other comes back as it is."""
    if isinstance(layer, LeakyIntegrator):
        return li(size, **arguments(layer))
    if isinstance(layer, Delay):
        return delay(size, layer.steps)
    return activation(layer.surrogate) if isinstance(layer, Step) else layer


def arguments(layer: LeakyIntegrator) -> dict[str, Any]:
    """Return the arguments of the `LI` or `LIF` of any framework but for its size and its recurrent weights."""
    values = {field.name: getattr(layer, field.name) for field in dataclasses.fields(layer) if field.name != "size"}
    if values.pop("kernel", None) is not None:
        values["recurrent"] = True
    if values.get("spike_fn", "") is None:
        del values["spike_fn"]
    return values


def function(layer: Any, shape: Shape) -> Any:
    """Read a layer that no framework knows: a surrogate, an average pool of flax, a flatten. Return None if unknown.

    To detect a flatten, call the function on random data of several steps and samples, and check that it only reshapes
    them.
    """
    if isinstance(layer, Pool | Flatten):
        return layer
    if isinstance(layer, Surrogate):
        return Step(layer)
    if isinstance(layer, functools.partial) and _is_of_flax(layer.func, "avg_pool"):
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


def product_of_flax(layer: Any) -> dict[str, Any]:
    """Return how a linear layer or a convolution of flax computes, the fields of a `Product`."""
    dtypes = [layer.dtype, getattr(layer, "preferred_element_type", None)]
    dtype = next((dtype for dtype in dtypes if dtype is not None), None)
    return {"dtype": dtype, "replaced": functions_replaced_in_flax(layer)}


def functions_replaced_in_flax(layer: Any) -> tuple[str, ...]:
    """Return the names of the functions of a linear layer or a convolution of flax that are the user's."""
    names = ("dot_general", "dot_general_cls", "conv_general_dilated", "conv_general_dilated_cls")
    usual = (None, jax.lax.dot_general, jax.lax.conv_general_dilated)
    replaced = [name for name in names if getattr(layer, name, None) not in usual]
    if not _is_of_flax(layer.promote_dtype, "promote_dtype"):
        replaced.append("promote_dtype")
    return tuple(replaced)


def _is_of_flax(function, name: str) -> bool:
    return getattr(function, "__name__", "") == name and getattr(function, "__module__", "").startswith("flax.")


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
