"""Run a network that is called without `unroll` in blocks of time, so that a block's activations stay in the cache."""

import math
import re
from collections.abc import Callable
from typing import Any

import jax
from jax.custom_derivatives import SymbolicZero

from .._checks import is_integer
from .._context import setting
from .._dataflow.evaluate import evaluate_with
from .._hooks import is_overridden
from .._scan import is_on_cpu
from .guard import CALL, WHOLE, NeedsAllSteps, Run, running
from .unroll import JAX, fits_in_a_cache, unroll_blocks

# From this many time steps times examples, the backward pass recomputes each block, which saves both memory and time
# unless several devices share the batch.
_MANY = 2**16
# Operations that exclude this recomputation: convolutions, whose gradients are slow in a loop; half precision, in which
# sums of gradients over many blocks lose accuracy; and custom derivatives, which may depend on all time steps.
_EXCLUDED = re.compile(
    r"conv_general_dilated|\bb?f16\[|\bf8_|custom_vjp_call|custom_jvp_call\[\s*name=(?!_spike|relu)\b"
)


def in_blocks(run: Callable[[Any, Any], tuple[Any, Any]], carry, xs, pure: Callable | None = None):
    """Return ``run(carry, xs)``, computed in blocks of time.

    Derivatives are computed layer by layer over all time steps. For very long sequences on one device, they are also
    computed in blocks, whose activations the backward pass recomputes.

    Args:
      run: a function of the carry and the inputs ``[time, ...]``, which returns a carry and outputs.
      carry: the state before the first step.
      xs: the inputs.
      pure: the same function without side effects, if ``run`` has any. It may close over traced arrays. It raises
        `NeedsAllSteps` if its results in blocks may differ from its results without blocks.
    """
    pure = pure or run
    if not isinstance(xs, jax.core.Tracer) or running.get() != CALL or is_overridden() or not is_on_cpu():
        return run(carry, xs)
    if not xs.ndim or not is_integer(xs.shape[0]) or fits_in_a_cache(xs):
        return run(carry, xs)
    try:
        with setting(running, WHOLE):
            program, outputs = jax.make_jaxpr(pure, return_shape=True)(carry, xs)
    except Exception:  # a framework's error, such as for a write to a variable; `run` raises any other error again
        return run(carry, xs)
    if program.effects:
        return run(carry, xs)
    inputs, structure = jax.tree.flatten((carry, xs))
    count, places = len(program.consts), {id(constant): i for i, constant in enumerate(program.consts)}

    def blocks(remat, values):
        def block(carry, xs):
            # Values that the network closes over must be arguments, since `custom_jvp` differentiates only arguments.
            program, outputs = jax.make_jaxpr(pure, return_shape=True)(carry, xs)
            constants = [values[places[id(c)]] if id(c) in places else c for c in program.consts]
            return jax.tree.unflatten(jax.tree.structure(outputs), evaluate_with(constants, program, carry, xs))

        carry, xs = jax.tree.unflatten(structure, values[count:])
        try:
            with setting(running, Run("block", len(xs))):
                return jax.tree.leaves(unroll_blocks(JAX, block, carry, xs, None, remat, None))
        except (NeedsAllSteps, TypeError, ValueError):  # the last two if a layer runs on all steps, but not on a block
            return whole(values)

    def whole(values):
        return evaluate_with(values[:count], program, values[count:])

    call = jax.custom_jvp(lambda *values: blocks("none", values))

    def derivative(values, tangents):
        is_long = jax.local_device_count() == 1 and math.prod(filter(is_integer, xs.shape[:-1][:2])) >= _MANY
        recomputes = is_long and not _EXCLUDED.search(str(program))
        which = [i for i, tangent in enumerate(tangents) if not isinstance(tangent, SymbolicZero)]

        def of_these(*those):
            now = [*(dict(enumerate(values)) | dict(zip(which, those, strict=True))).values()]
            return blocks("full", now) if recomputes else whole(now)

        return jax.jvp(of_these, [values[i] for i in which], [tangents[i] for i in which])

    call.defjvp(derivative, symbolic_zeros=True)
    return jax.tree.unflatten(jax.tree.structure(outputs), call(*program.consts, *inputs))
