"""Check that stateless layers treat each example separately and, within `unroll`, each time step."""

import contextlib
import math
import re
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._arrays import is_float
from .._context import setting
from .._dataflow.axes import BATCH, TIME, mixing
from .._dataflow.axis_sets import placed
from .._dataflow.evaluate import evaluate_with
from .._hooks import hook
from .._jax_private import is_batched


class Run(NamedTuple):
    """How networks run over time in this context.

    Attributes:
      kind: ``"call"``, a call by the user, which `in_blocks` may split into blocks; ``"whole"``, all time steps at
        once; ``"unroll"``, a block of `unroll`, in which each layer must treat time steps separately; ``"block"``, a
        block of `in_blocks`, which raises `NeedsAllSteps` at the first layer that may not do so; or ``"check"``, a
        check of a single layer and of the networks inside it.
      steps: for ``"unroll"``, the number of time steps on which layers are checked; for ``"block"``, the number of time
        steps of the whole sequence; otherwise 0.
    """

    kind: str
    steps: int = 0


CALL, WHOLE, CHECK = Run("call"), Run("whole"), Run("check")
running: ContextVar[Run] = ContextVar("running", default=CALL)
_MAX_INPUT_SIZE = 2**20  # maximum size of a trial's random inputs, unless four steps of four examples are larger
_MAX_PARAMETERS = 2**26  # maximum number of layer parameters for a trial, which replaces them by random numbers


class NeedsAllSteps(Exception):
    """Raised if a layer may return different results when time is split into blocks."""


def name_of(layer: Any) -> str:
    """Return the name of a function, or of the class of a module."""
    name = getattr(layer, "__name__", None)  # not a string for a transformed Equinox module
    return name if isinstance(name, str) else type(layer).__name__


def is_dropout(layer: Any) -> bool:
    """Return whether a layer is a Dropout of flax or brainstate."""
    return "Dropout" in type(layer).__name__ and type(layer).__module__.startswith(("flax.", "brainstate."))


@hook
def check_stateless_layer(
    index: int, layer: Any, as_function: Callable[[Any], Callable | None], xs: Any, mixes_examples: bool
) -> bool:
    """Raise a ValueError if a stateless layer mixes examples or, within `unroll`, time steps.

    Return whether the layer is known to move examples to the time axis.

    Follow the time and batch axes through the jaxpr of the layer. If this does not decide it, run the layer on random
    inputs, outside of the current trace: the output for an example must not depend on the input of another example.
    Within `unroll`, the same holds for time steps, and equal inputs at all steps must give equal outputs. Skip a layer
    that can't run separately, does not take an array, or runs on a mesh with explicit or manual axes or in a ``vmap``
    of the network. Also skip the trial of a layer with side effects or very many parameters.

    Args:
      index: the position of the layer in its network.
      layer: a module or function.
      as_function: the framework's ``as_function(layer)``, which returns a function of ``xs`` that changes no variable
        of the layer. This function returns None if the layer would change one, as batch statistics do in training.
        ``as_function`` returns None if the layer has no variables yet.
      xs: the input of the layer, ``[time, batch, ...]``. Only its shape and dtype are used.
      mixes_examples: whether the layer may mix examples.
    """
    run, mesh = running.get(), jax.sharding.get_abstract_mesh()
    if run == CHECK or not isinstance(xs, jax.Array) or mesh.explicit_axes or mesh.manual_axes:
        return False
    shape = tuple(size if isinstance(size, int) else 4 for size in xs.shape)  # jax.export has sizes such as `b`
    has_examples = xs.ndim > 2 and shape[1] > 1 and not is_batched(xs)
    axes = [TIME] * (run.kind == "unroll") + [BATCH] * (has_examples and not mixes_examples)
    if not axes:
        return False
    name = f"SpikingSequential: layers[{index}], {name_of(layer)},"
    if is_dropout(layer):
        shares_mask = {0, -xs.ndim} & {*layer.broadcast_dims} and not getattr(layer, "deterministic", False)
        if shares_mask and run.kind == "unroll":
            raise ValueError(f"{name} draws one mask for all time steps: leave axis 0 out of its broadcast_dims")
        return False
    with setting(running, CHECK):
        function = as_function(layer)
        if function is None:
            return False
        mixed, is_moved = _mixed_by(function, (run.steps or shape[0], *shape[1:]), xs.dtype, axes)
    if TIME in mixed:
        how = "treat each step alone, or keep earlier steps in a state"
        raise ValueError(f"{name} mixes time steps, or depends on the position in time, which unroll changes: {how}")
    if BATCH in mixed:
        how = "x.reshape(*x.shape[:2], -1) flattens each one, and mixes_examples=True in SpikingSequential allows it"
        raise ValueError(f"{name} mixes the examples of a batch, in xs [time, batch, ...] of {xs.shape}: {how}")
    return is_moved


def treats_steps_separately(layer: Any, as_function: Callable, xs: jax.Array, steps: int) -> bool:
    """Return whether the jaxpr of a stateless layer treats all time steps separately and in the same way.

    The jaxpr for a block ``xs`` must also equal the jaxpr for all ``steps``, except for sizes.
    """
    shape, block = (steps, *xs.shape[1:]), len(xs)
    try:
        with setting(running, CHECK):
            whole, part = (
                jax.make_jaxpr(as_function(layer))(jax.ShapeDtypeStruct(s, xs.dtype)) for s in (shape, xs.shape)
            )
        (output,), text = whole.out_avals, str(whole)
        is_pure = not whole.effects and "random_bits" not in text and output.shape[:1] == (steps,)
        sizes = re.sub(
            r"(?<=[\[(, ])\d+(?=[,\])])",
            lambda n: str(int(n[0]) // steps * block) if int(n[0]) % steps == 0 else n[0],
            text,
        )
        same = sizes == str(part) and list(map(id, whole.consts)) == list(map(id, part.consts))
        return is_pure and same and mixing(whole, shape, TIME)[0] is False
    except Exception:  # the layer has a state, or can't run separately
        return False


def _mixed_by(function: Callable, shape: tuple[int, ...], dtype, axes) -> tuple[list[int], bool]:
    """Return the axes along which a function mixes entries, determined from its jaxpr or else by a trial.

    Also return whether it is known to move examples to the time axis, which only the jaxpr can show.
    """
    verdicts, is_moved = dict[int, bool | None].fromkeys(axes), False
    with contextlib.suppress(Exception):  # a user's code may raise any error when it runs separately
        program = jax.make_jaxpr(function)(jax.ShapeDtypeStruct(shape, dtype))
        for axis in axes:
            with contextlib.suppress(Exception):  # operations with unknown parameters
                verdicts[axis], is_first = mixing(program, shape, axis)
                is_moved |= axis == BATCH and is_first
        if unknown := [axis for axis in axes if verdicts[axis] is None]:
            verdicts.update(_tried(function, shape, dtype, unknown))
    return [axis for axis, is_so in verdicts.items() if is_so], is_moved


def _tried(function, shape, dtype, axes) -> dict[int, bool]:
    """Test on random inputs whether a function mixes entries along each axis; large inputs are shortened.

    Combine the entries of two inputs, selected by each binary digit of their positions, so that any two positions are
    separated at least once. A function that treats entries separately returns the outputs combined in the same way. If
    one step is repeated, it returns the same output at each step, unless it draws random numbers.
    """
    features = max(1, math.prod(shape[2:]))
    examples = [min(size, max(4, _MAX_INPUT_SIZE // (4 * features))) for size in shape[1:2]]
    steps = min(shape[0], max(4, _MAX_INPUT_SIZE // max(1, math.prod(examples) * features)))
    shape = (steps, *examples, *shape[2:])
    program = jax.make_jaxpr(function)(jax.ShapeDtypeStruct(shape, dtype))
    if program.effects or sum(jax.typeof(constant).size for constant in program.consts) > _MAX_PARAMETERS:
        return {}
    rng, verdicts = np.random.default_rng(0), dict[int, bool]()

    @jax.jit
    def outputs(constants, xs):
        xs = xs > 0 if dtype == jnp.bool_ else xs.astype(dtype)
        return evaluate_with(constants, program, xs)

    with jax.ensure_compile_time_eval():
        run = partial(outputs, [_stand_in(constant, rng) for constant in program.consts])
        one, other = (rng.standard_normal(shape, np.float32) for _ in range(2))
        ys, zs = run(one), run(other)
        for axis in axes:
            verdicts[axis], size = False, shape[axis]
            for digit in range((size - 1).bit_length()):
                first = np.arange(size) >> digit & 1 == 0
                joined = run(np.where(placed(first, [axis], len(shape)), one, other))
                for y, z, its in zip(ys, zs, joined, strict=True):
                    if y.shape[: axis + 1] == shape[: axis + 1]:
                        verdicts[axis] |= _differ(its, np.where(placed(first, [axis], y.ndim), y, z))
            if axis == TIME and "random_bits" not in str(program):
                same = [y for y in run(np.broadcast_to(one[:1], shape)) if y.shape[:1] == shape[:1]]
                verdicts[axis] |= any(_differ(y, y[:1], 1e-3) for y in same)  # rows are rounded in different orders
    return verdicts


def _stand_in(constant, rng):
    """Replace a constant for a trial: floats, which are mostly parameters, by random numbers from 0.5 to 1.5."""
    if jnp.issubdtype(constant.dtype, jax.dtypes.prng_key):
        return jax.random.split(jax.random.key(0, impl=jax.random.key_impl(constant)), constant.shape)
    if is_float(constant) or isinstance(constant, jax.core.Tracer):
        return jnp.asarray(rng.uniform(0.5, 1.5, constant.shape)).astype(constant.dtype)
    return constant


def _differ(left: Any, right: Any, least: float = 0.0) -> bool:
    """Return whether two arrays differ by more than rounding errors, relative to their largest finite number."""
    eps = float(jnp.finfo(left.dtype).eps) if jnp.issubdtype(left.dtype, jnp.inexact) else 0.0
    left, right = (np.asarray(a, np.result_type(a.dtype, np.float64)) for a in (left, right))
    largest = np.max(np.abs(right), initial=0, where=np.isfinite(right))
    return not np.isclose(left, right, rtol=0, atol=max(least, 8 * eps) * largest, equal_nan=True).all()
