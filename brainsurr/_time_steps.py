"""The guard of `unroll`: a layer without a state must treat each time step alone, and all of them alike."""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

# Over how many time steps stateless layers are tried, 0 outside of `unroll`.
_steps: ContextVar[int] = ContextVar("steps", default=0)
# Larger layers go unchecked: their parameters are drawn once more.
_MOST_PARAMETERS = 2**26
# Sums on an accelerator may differ from run to run; what mixes time changes more than that.
_NOISE = 1e-3


@contextlib.contextmanager
def trying_stateless_layers(steps: int) -> Iterator[None]:
    """Make `check_time_steps_alone` try the layers that are called inside of it over ``steps`` time steps."""
    token = _steps.set(steps)
    try:
        yield
    finally:
        _steps.reset(token)


def check_time_steps_alone(index: int, layer: Any, as_function: Callable[[Any], Callable | None], xs: jax.Array):
    """Raise a ValueError if a layer without a state mixes time steps, inside of `trying_stateless_layers` alone.

    The layer is run on random inputs, apart from the program that is being traced: the second half of its output may
    not depend on the first half of its input, nor the first on the second, and what is the same at each step must give
    the same. A layer that can't be run by itself, has
    side effects, draws random numbers (whose generator takes seconds to compile), has very many parameters, or runs on
    a mesh whose axes are explicit or manual, goes unchecked.

    Args:
      index: of the layer.
      layer: a module or function.
      as_function: the host's own: ``as_function(layer)`` gives a function of ``xs`` that changes no variable of the
        layer, or None for a layer that has a state after all, such as batch statistics.
      xs: what goes into the layer, ``[time, ...]``; its shape and dtype are looked at.
    """
    steps, mesh = _steps.get(), jax.sharding.get_abstract_mesh()
    if steps < 2 or mesh.explicit_axes or mesh.manual_axes:
        return
    with trying_stateless_layers(0):  # a network inside of the layer is part of it
        function = as_function(layer)
        if function is None:
            return
        for batch in (xs.shape[1:2] and (1,), xs.shape[1:2]):  # of one example, if the layer takes that
            try:
                mixes = _mixes_time(function, (steps, *batch, *xs.shape[2:]), xs.dtype)
            except Exception:  # whatever the code of a user raises without its surroundings
                continue
            break
        else:
            return
    if mixes:
        name = getattr(layer, "__name__", type(layer).__name__)
        raise ValueError(
            f"SpikingSequential: layers[{index}], {name}, has no state, but its output at one time step depends on "
            "other steps, or on the place in time, so unroll would give other numbers than the network itself. Let it "
            "treat each time step alone, or keep what it needs of earlier steps in a state"
        )


def _mixes_time(function: Callable, shape: tuple[int, ...], dtype) -> bool:
    closed = jax.make_jaxpr(function)(jax.ShapeDtypeStruct(shape, dtype))
    avals = [jax.typeof(constant) for constant in closed.consts]
    draws = any(jnp.issubdtype(aval.dtype, jax.dtypes.prng_key) for aval in avals)
    if closed.effects or draws or sum(aval.size for aval in avals) > _MOST_PARAMETERS:
        return False
    half, draw = shape[0] // 2, np.random.default_rng(0).standard_normal
    first, second = (draw(shape, np.float32) for _ in range(2))
    inputs = (first, second, np.concatenate([first[:half], second[half:]]), np.broadcast_to(first[:1], shape))

    @jax.jit
    def run(constants, xs):
        return jaxpr_as_fun(ClosedJaxpr(closed.jaxpr, constants))(xs.astype(dtype))

    with jax.ensure_compile_time_eval():
        # Parameters are tracers of the program around: others in their place.
        constants = [_stand_in(c, draw) if isinstance(c, jax.core.Tracer) else c for c in closed.consts]
        outputs = zip(*(run(constants, xs) for xs in inputs), strict=True)
        return any(
            _differ(mixed[:half], of_first[:half]) or _differ(mixed[half:], of_second[half:]) or _differ(same, same[:1])
            for of_first, of_second, mixed, same in (map(np.asarray, leaf) for leaf in outputs)
            if mixed.shape[:1] == shape[:1]
        )


def _stand_in(tracer, draw):
    if jnp.issubdtype(tracer.dtype, jnp.floating):
        return jnp.asarray(draw(tracer.shape, np.float32), tracer.dtype)
    return jnp.zeros(tracer.shape, tracer.dtype)


def _differ(left, right) -> bool:
    left, right = left.astype(np.float64), right.astype(np.float64)
    change = np.where(np.isnan(left) & np.isnan(right), 0, np.abs(left - right))
    return not np.all(change <= _NOISE * np.max(np.abs(right), initial=0))
