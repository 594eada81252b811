"""A check for `unroll`: a layer without a state must process each time step separately, and all in the same way.

The layer is traced, not run, with a number of time steps that is a large prime. So the lengths of axes tell which of
them are of time, also where time and batch have become one axis: the multiples of that prime.
"""

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import Any

import jax
import jax.numpy as jnp

from .._jaxpr import equations

_in_blocks: ContextVar[bool] = ContextVar("in_blocks", default=False)
_PRIMES = (10007, 10009)  # no other axis has a length that is a multiple of both


@contextlib.contextmanager
def refusing_layers_that_mix_time(in_blocks: bool = True) -> Iterator[None]:
    """Make `check_time_steps_alone` check layers in this context."""
    token = _in_blocks.set(in_blocks)
    try:
        yield
    finally:
        _in_blocks.reset(token)


def check_time_steps_alone(index: int, layer: Any, as_function: Callable[[Any], Callable | None], xs: Any):
    """Raise a ValueError if a layer without a state mixes time steps; outside of `unroll`, do nothing.

    Skip a layer that can't be traced separately or takes anything but an array, and a mesh with explicit or manual
    axes.

    Args:
      index: the position of the layer in its network.
      layer: a module or function.
      as_function: of the framework: ``as_function(layer)`` returns a function of ``xs`` that changes no variable of
        the layer, or None if the layer has a state, be it a carry or variables such as batch statistics.
      xs: the input of the layer, ``[time, ...]``, of which only shape and dtype are used.
    """
    mesh = jax.sharding.get_abstract_mesh()
    if not _in_blocks.get() or not isinstance(xs, jax.Array) or mesh.explicit_axes or mesh.manual_axes:
        return
    with refusing_layers_that_mix_time(False):  # a network inside of the layer is part of it
        function = as_function(layer)
        if function is None or not all(_mixes_along(0, function, prime, xs) for prime in _PRIMES):
            return
    name = getattr(layer, "__name__", type(layer).__name__)
    raise ValueError(
        f"SpikingSequential: layers[{index}], {name}, has no state, but its output at one time step depends on "
        "other steps, or on the position in time, so unroll would give other numbers than the network itself. "
        "Expected it to process each time step separately; keep what it needs of earlier steps in a state"
    )


def _mixes_along(axis: int, function: Callable, prime: int, xs) -> bool:
    """Return whether a function is seen to combine entries along an axis of its input, or to number them."""
    lengths = [n if isinstance(n, int) else 1 for n in xs.shape]  # 1 for a symbolic length of jax.export
    lengths[axis] = prime
    try:
        program = jax.make_jaxpr(function)(jax.ShapeDtypeStruct(lengths, xs.dtype))
        numbered = any(_count(jax.typeof(constant).shape, prime) for constant in program.consts)
        return numbered or any(_mixes(equation, prime) for equation in equations(program.jaxpr))
    except Exception:  # a user's code may raise anything when it is traced separately
        return False


def _count(lengths: Iterable[int], prime: int) -> int:
    """Return how often the prime is a factor of these lengths of axes."""
    size, count = math.prod(n for n in lengths if n), 0
    while size % prime == 0:
        size, count = size // prime, count + 1
    return count


def _mixes(equation, prime: int) -> bool:
    """Return whether an equation combines entries along an axis that the prime marks, or numbers them."""
    before = [getattr(value.aval, "shape", ()) for value in equation.invars]
    after = [getattr(value.aval, "shape", ()) for value in equation.outvars]
    most = max((_count(shape, prime) for shape in before), default=0)
    if most and len(after) == 1 and _count(after[0], prime) != most:
        return True  # a sum over the axis, a part of it, or all pairs of its entries
    if equation.primitive.name == "scan":
        return _carries_along(equation, prime)
    shape = (before or after)[0]
    axes = _mixed_axes(equation.primitive.name, equation.params, before, after)
    return any(_count(shape[axis : axis + 1], prime) for axis in axes)


def _carries_along(scan, prime: int) -> bool:
    """Return whether a scan over a marked axis has a carry of floats; a counter or a key is no memory."""
    body = scan.params["jaxpr"].jaxpr
    given = [(outer.aval.shape, inner.aval.shape) for outer, inner in zip(scan.invars, body.invars, strict=True)]
    is_marked = any(outer != inner and _count(outer[:1], prime) for outer, inner in given)
    returned = [(outer.aval, inner.aval) for outer, inner in zip(scan.outvars, body.outvars, strict=True)]
    return is_marked and any(a.shape == b.shape and jnp.issubdtype(a.dtype, jnp.inexact) for a, b in returned)


def _mixed_axes(name: str, params, before, after) -> Iterable[int]:
    """Return the axes of the first input, or the output if there is none, along which entries are mixed or numbered."""
    shape = (before or after)[0]
    match name:
        case "fft":
            return range(len(shape) - len(params["fft_lengths"]), len(shape))
        case "pad":
            return [i for i, config in enumerate(params["padding_config"]) if config != (0, 0, 0)]
        case "conv_general_dilated":
            (_, features, *space), (_, _, *kernel), _ = params["dimension_numbers"]
            return [features, *(i for i, j in zip(space, kernel, strict=True) if before[1][j] > 1)]
        case "gather":
            batch = params["dimension_numbers"].operand_batching_dims
            return [i for i, size in enumerate(params["slice_sizes"]) if size < shape[i] and i not in batch]
        case "dynamic_update_slice":
            return [i for i, size in enumerate(before[1]) if size < shape[i]]
        case "reshape":  # what is inside of an axis must stay there
            new = after[0]
            kept = [(i, new.index(n)) for i, n in enumerate(shape) if n in new]
            return [i for i, j in kept if math.prod(shape[i:]) != math.prod(new[j:])]
    if name.startswith("scatter"):
        return params["dimension_numbers"].scatter_dims_to_operand_dims
    if "window_dimensions" in params:
        return [i for i, size in enumerate(params["window_dimensions"]) if size > 1]
    named = [params[key] for key in ("axis", "axes", "dimension", "dimensions") if params.get(key) is not None]
    return [axis for axes in named for axis in (axes if isinstance(axes, tuple) else (axes,))]
