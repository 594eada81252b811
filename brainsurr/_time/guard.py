"""The guard of `unroll`: a layer without a state must treat each time step alone, and all of them alike."""

import contextlib
import math
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

# Over how many time steps stateless layers are tried, 0 outside of `unroll`.
_steps: ContextVar[int] = ContextVar("steps", default=0)
_MOST_NUMBERS = 2**20  # of the random inputs of one trial, unless four steps have more
_MOST_PARAMETERS = 2**26  # which are drawn once more


@contextlib.contextmanager
def trying_stateless_layers(steps: int) -> Iterator[None]:
    """Make `check_time_steps_alone` try the layers that are called inside of it over ``steps`` time steps."""
    token = _steps.set(steps)
    try:
        yield
    finally:
        _steps.reset(token)


def check_time_steps_alone(index: int, layer: Any, as_function: Callable[[Any], Callable | None], xs: Any):
    """Raise a ValueError if a layer without a state mixes time steps, inside of `trying_stateless_layers` alone.

    The layer is run on random inputs, apart from the program that is being traced: its output from some step on may
    not depend on its input before, nor the other way round, and what is the same at each step must give the same. A
    layer goes unchecked that can't be run by itself, has side effects, draws random numbers (whose generator takes
    seconds to compile), has very many parameters, takes something else than an array, or runs on a mesh whose axes are
    explicit or manual.

    Args:
      index: of the layer.
      layer: a module or function.
      as_function: the host's own: ``as_function(layer)`` gives a function of ``xs`` that changes no variable of the
        layer, or None for a layer that has a state after all, such as batch statistics.
      xs: what goes into the layer, ``[time, ...]``; its shape and dtype are looked at.
    """
    steps, mesh = _steps.get(), jax.sharding.get_abstract_mesh()
    if steps < 2 or not isinstance(xs, jax.Array) or mesh.explicit_axes or mesh.manual_axes:
        return
    mixes = None
    with trying_stateless_layers(0):  # a network inside of the layer is part of it
        function = as_function(layer)
        if function is None:
            return
        # One example is quickly tried, but another batch size may be another function: what it tells is confirmed.
        for shape in [(1, *xs.shape[2:])] * (xs.ndim > 2) + [xs.shape[1:]]:
            mixes = _mixes_time(function, steps, shape, xs.dtype)
            if mixes is False:
                return
    if mixes:
        name = getattr(layer, "__name__", type(layer).__name__)
        raise ValueError(
            f"SpikingSequential: layers[{index}], {name}, has no state, but its output at one time step depends on "
            "other steps, or on the place in time, so unroll would give other numbers than the network itself. Let it "
            "treat each time step alone, or keep what it needs of earlier steps in a state"
        )


def _mixes_time(function: Callable, steps: int, shape: tuple[int, ...], dtype) -> bool | None:
    """Return whether a function of ``[time, *shape]`` mixes time steps; None if it can't be run."""
    steps = min(steps, max(4, _MOST_NUMBERS // max(1, math.prod(shape))))
    try:
        closed = jax.make_jaxpr(function)(jax.ShapeDtypeStruct((steps, *shape), dtype))
        avals = [jax.typeof(constant) for constant in closed.consts]
        draws = any(jnp.issubdtype(aval.dtype, jax.dtypes.prng_key) for aval in avals)
        if closed.effects or draws or sum(aval.size for aval in avals) > _MOST_PARAMETERS:
            return False
        leaves = zip(*_outputs(closed, steps, shape, dtype), strict=True)
        return any(_leaf_mixes(*leaf) for leaf in leaves if leaf[0].shape[:1] == (steps,))
    except Exception:  # whatever the code of a user raises without its surroundings
        return None


def _outputs(closed, steps, shape, dtype):
    """Return the outputs for five inputs, and the cuts of two of these.

    The inputs are random, random again, the first up to a cut in time and the second from there on, for each of two
    cuts, and the same at each step. Two cuts, since a layer that treats steps in groups may begin one at a single cut.
    """
    rng = np.random.default_rng(0)
    first, second = (rng.standard_normal((steps, *shape), np.float32) for _ in range(2))
    cuts = (steps // 2, min(steps // 2 + 1, steps - 1))
    mixed = (np.concatenate([first[:cut], second[cut:]]) for cut in cuts)
    inputs = (first, second, *mixed, np.broadcast_to(first[:1], first.shape))

    @jax.jit
    def run(constants, xs):
        return jaxpr_as_fun(ClosedJaxpr(closed.jaxpr, constants))(xs > 0 if dtype == jnp.bool_ else xs.astype(dtype))

    with jax.ensure_compile_time_eval():
        # Parameters are tracers of the program around: others in their place, which can be divided by.
        constants = [_stand_in(c, rng) if isinstance(c, jax.core.Tracer) else c for c in closed.consts]
        outputs = [[np.asarray(leaf) for leaf in run(constants, xs)] for xs in inputs]
    return (*outputs, [cuts] * len(outputs[0]))


def _stand_in(tracer, rng):
    return jnp.asarray(rng.uniform(0.5, 1.5, tracer.shape)).astype(tracer.dtype)


def _leaf_mixes(first, second, early, late, same, cuts) -> bool:
    eps = float(jnp.finfo(first.dtype).eps) if jnp.issubdtype(first.dtype, jnp.inexact) else 0.0
    return any(
        # The same program, whose sums an accelerator may still round in another order.
        _differ(mixed[:cut], first[:cut], 8 * eps) or _differ(mixed[cut:], second[cut:], 8 * eps)
        for mixed, cut in zip((early, late), cuts, strict=True)
    ) or _differ(same, same[:1], max(1e-3, 8 * eps))  # row by row, which is rounded in another order


def _differ(left, right, tolerance) -> bool:
    """Whether two arrays differ by more than rounding, relative to the largest finite number."""
    left, right = np.broadcast_arrays(*(a.astype(np.result_type(a, np.float64)) for a in (left, right)))
    finite = np.isfinite(left) & np.isfinite(right)
    equal = (left == right) | (np.isnan(left) & np.isnan(right))
    with np.errstate(invalid="ignore"):
        near = np.abs(left - right) <= tolerance * np.max(np.abs(right), initial=0, where=finite)
    return not np.all(equal | (finite & near))
