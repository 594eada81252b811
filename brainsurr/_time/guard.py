"""A check for `unroll`: a layer without a state must process each time step separately, and all in the same way."""

import contextlib
import math
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

# The number of time steps on which layers without a state are tried; 0 outside of `unroll`.
_steps: ContextVar[int] = ContextVar("steps", default=0)
_MAX_INPUT_SIZE = 2**20  # of the random inputs of one trial; at least four steps are tried
_MAX_PARAMETERS = 2**26  # of a layer: random ones are drawn in their place


@contextlib.contextmanager
def trying_stateless_layers(steps: int) -> Iterator[None]:
    """Make `check_time_steps_alone` try layers on ``steps`` time steps in this context."""
    token = _steps.set(steps)
    try:
        yield
    finally:
        _steps.reset(token)


def check_time_steps_alone(index: int, layer: Any, as_function: Callable[[Any], Callable | None], xs: Any):
    """Raise a ValueError if a layer without a state mixes time steps. Outside of `trying_stateless_layers`, do nothing.

    Run the layer on random inputs, apart from the program that is being traced: its output after some step must not
    depend on its input before that step, nor the other way round, and equal inputs at all steps must give equal
    outputs. Skip a layer that can't be run separately, has side effects, draws random numbers (whose generator takes
    seconds to compile), has very many parameters, takes anything but an array, or runs on a mesh with explicit or
    manual axes.

    Args:
      index: the position of the layer in its network.
      layer: a module or function.
      as_function: of the framework: ``as_function(layer)`` returns a function of ``xs`` that changes no variable of
        the layer, or None if the layer has a state, be it a carry or variables such as batch statistics.
      xs: the input of the layer, ``[time, ...]``, of which only shape and dtype are used.
    """
    steps, mesh = _steps.get(), jax.sharding.get_abstract_mesh()
    if steps < 2 or not isinstance(xs, jax.Array) or mesh.explicit_axes or mesh.manual_axes:
        return
    with trying_stateless_layers(0):  # a network inside of the layer is part of it
        function = as_function(layer)
        if function is None:
            return
        # A single example is fast, but a layer may differ between batch sizes: confirm with the actual one.
        alone = xs.ndim > 2 and _mixes_time(function, steps, (1, *xs.shape[2:]), xs.dtype) is False
        mixes = not alone and _mixes_time(function, steps, xs.shape[1:], xs.dtype)
    if mixes:
        name = getattr(layer, "__name__", type(layer).__name__)
        raise ValueError(
            f"SpikingSequential: layers[{index}], {name}, has no state, but its output at one time step depends on "
            "other steps, or on the position in time, so unroll would give other numbers than the network itself. "
            "Expected it to process each time step separately; keep what it needs of earlier steps in a state"
        )


def _mixes_time(function: Callable, steps: int, shape: tuple[int, ...], dtype) -> bool | None:
    """Return whether a function of ``[time, *shape]`` mixes time steps; None if it can't be run."""
    from jax.extend.core import ClosedJaxpr, jaxpr_as_fun  # here: it takes as long to import as all of brainsurr

    steps, rng = min(steps, max(4, _MAX_INPUT_SIZE // max(1, math.prod(shape)))), np.random.default_rng(0)
    # Normal numbers; then spikes, many and few, for a layer with a threshold on the rate over time.
    numbers = [rng.standard_normal((steps, *shape), np.float32) for _ in range(2)]
    spikes = [(rng.random((steps, *shape), np.float32) < rate).astype(np.float32) for rate in (0.9, 0.1)]

    @jax.jit
    def outputs(constants, xs):
        program = jaxpr_as_fun(ClosedJaxpr(closed.jaxpr, constants))
        return [y for y in program(xs > 0 if dtype == jnp.bool_ else xs.astype(dtype)) if y.shape[:1] == (steps,)]

    try:
        closed = jax.make_jaxpr(function)(jax.ShapeDtypeStruct((steps, *shape), dtype))
        types = [jax.typeof(constant) for constant in closed.consts]
        draws = any(jnp.issubdtype(constant.dtype, jax.dtypes.prng_key) for constant in types)
        if closed.effects or draws or sum(constant.size for constant in types) > _MAX_PARAMETERS:
            return False
        with jax.ensure_compile_time_eval():
            # Parameters may be tracers of the surrounding program: use random values in their place, away from 0.
            constants = [_stand_in(c, rng) if isinstance(c, jax.core.Tracer) else c for c in closed.consts]
            return any(_looks_across(partial(outputs, constants), *trial) for trial in (numbers, spikes))
    except Exception:  # a user's code may raise anything when it runs separately
        return None


def _stand_in(tracer, rng):
    return jnp.asarray(rng.uniform(0.5, 1.5, tracer.shape)).astype(tracer.dtype)


def _looks_across(outputs: Callable, first: np.ndarray, second: np.ndarray) -> bool:
    """Return whether the outputs of two inputs, cut and joined in time, differ from those of the inputs so joined.

    Or those of one step repeated, from step to step. There are two cuts since a layer that groups time steps may have
    the border of two groups at one of them.
    """
    steps, before, after = len(first), outputs(first), outputs(second)
    for cut in (steps // 2, min(steps // 2 + 1, steps - 1)):

        def joined(one, other, cut=cut):
            return np.concatenate([one[:cut], other[cut:]])

        # Both are of one program, but an accelerator may still round its sums in another order.
        if any(map(_differ, outputs(joined(first, second)), map(joined, before, after))):
            return True
    same = map(np.asarray, outputs(np.broadcast_to(first[:1], first.shape)))
    return any(_differ(y, y[:1], least=1e-3) for y in same)  # rows of one program may be rounded in different orders


def _differ(left, right, least: float = 0.0) -> bool:
    """Return whether two arrays differ by more than rounding, relative to the largest finite number."""
    eps = float(jnp.finfo(left.dtype).eps) if jnp.issubdtype(left.dtype, jnp.inexact) else 0.0
    left, right = np.broadcast_arrays(*(np.asarray(a, np.result_type(a.dtype, np.float64)) for a in (left, right)))
    finite = np.isfinite(left) & np.isfinite(right)
    equal = (left == right) | (np.isnan(left) & np.isnan(right))
    with np.errstate(invalid="ignore"):
        near = np.abs(left - right) <= max(least, 8 * eps) * np.max(np.abs(right), initial=0, where=finite)
    return not np.all(equal | (finite & near))
