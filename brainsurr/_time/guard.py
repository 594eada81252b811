"""Layers without a state: each treats an example of a batch alone, and within `unroll` a time step too."""

import contextlib
import math
import weakref
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._flow.axes import mixing
from .._flow.factors import BATCH, TIME

# The number of time steps on which layers are tried: 0 outside of `unroll`, None inside of a trial.
_steps: ContextVar[int | None] = ContextVar("steps", default=0)
_MAX_INPUT_SIZE = 2**20  # of the random inputs of one trial; at least four steps are tried
_MAX_BATCH_SIZE = 2**18  # of those of one step, of as many examples as there is room for
_MAX_PARAMETERS = 2**26  # of a layer: random ones are drawn in their place
_passed: weakref.WeakKeyDictionary[Any, set[Any]] = weakref.WeakKeyDictionary()  # inputs that a layer was called with

_INSTEAD = (
    "A convolution over time is Window(features, length) before a Linear; attention among parts of an example takes "
    "[time, batch, parts, features], an RNN of flax time_major=True. If it is meant, or there is no batch: "
    "SpikingSequential(layers, mixes_examples=True)"
)


@contextlib.contextmanager
def trying_stateless_layers(steps: int | None) -> Iterator[None]:
    """Make `check_alone` try layers on ``steps`` time steps in this context."""
    token = _steps.set(steps)
    try:
        yield
    finally:
        _steps.reset(token)


def name_of(layer: Any) -> str:
    """Return the name of a function, or of the class of a module."""
    return getattr(layer, "__name__", type(layer).__name__)


def check_alone(index: int, layer: Any, as_function: Callable[[Any], Callable | None], xs: Any, mixes_examples: bool):
    """Raise a ValueError if a layer without a state mixes examples, or within `unroll` time steps.

    Follow time and batch through its program. Where that does not tell, run the layer on random inputs, apart from the
    program that is being traced: its output for an example must not depend on its input for another. Within `unroll`,
    likewise for time steps, and equal inputs at all steps must give equal outputs. Skip a layer that can't be run
    separately, takes anything but an array, or runs on a mesh with explicit or manual axes or in a ``vmap`` of the
    network, and in a trial one that has side effects or very many parameters. Outside of a trace, a layer is checked on
    each kind of input once.

    Args:
      index: the position of the layer in its network.
      layer: a module or function.
      as_function: of the framework: ``as_function(layer)`` returns a function of ``xs`` that changes no variable of
        the layer, and has no output if it would (as with batch statistics in training); None if the layer has a carry.
      xs: the input of the layer, ``[time, batch, ...]``, of which only shape and dtype are used.
      mixes_examples: whether it may mix examples.
    """
    steps, mesh = _steps.get(), jax.sharding.get_abstract_mesh()
    batched = not mixes_examples and getattr(xs, "ndim", 0) > 2 and type(xs).__name__ != "BatchTracer"
    if steps is None or not (steps > 1 or batched) or not isinstance(xs, jax.Array):
        return
    how = steps, batched, xs.shape, xs.dtype
    if mesh.explicit_axes or mesh.manual_axes or how in _passed_by(layer, xs):
        return
    name = f"SpikingSequential: layers[{index}], {name_of(layer)},"
    if "Dropout" in type(layer).__name__ and type(layer).__module__.startswith(("flax.", "brainstate.")):
        if steps > 1 and not getattr(layer, "deterministic", False) and {0, -xs.ndim} & {*layer.broadcast_dims}:
            raise ValueError(
                f"{name} draws one mask for all time steps, and in unroll one for each block: leave axis 0, time, out "
                "of its broadcast_dims"
            )
        return
    with trying_stateless_layers(None):  # a network inside of the layer is part of it
        function = as_function(layer)
        if function is None:
            return
        (time, batch), shape = (*xs.shape[:2], 1)[:2], xs.shape[2:]
        axes = [TIME] * (steps > 1) + [BATCH] * (batched and batch > 1)
        verdicts = _read(function, (steps if steps > 1 else time, *xs.shape[1:]), xs.dtype, axes)
        if steps > 1 and verdicts[TIME] is None:
            # A single example is fast, but a layer may differ between batch sizes: confirm with the actual one.
            alone = xs.ndim > 2 and _mixes(0, function, (steps, 1, *shape), xs.dtype) is False
            verdicts[TIME] = not alone and _mixes(0, function, (steps, *xs.shape[1:]), xs.dtype)
        if verdicts.get(TIME):
            raise ValueError(
                f"{name} has no state, but its output at one time step depends on other steps, or on the position "
                "in time, so unroll would give other numbers than the network itself. Expected it to process each "
                "time step separately; keep what it needs of earlier steps in a state"
            )
        if BATCH in axes and verdicts[BATCH] is None:
            few = min(batch, max(2, _MAX_BATCH_SIZE // max(1, math.prod(shape))))
            sizes = dict.fromkeys([(1, few), (1, batch), (time, few), (time, batch)])
            tried = (_mixes(1, function, (*size, *shape), xs.dtype) for size in sizes)
            verdicts[BATCH] = next((verdict for verdict in tried if verdict is not None), False)
        if verdicts.get(BATCH):
            raise ValueError(
                f"{name} mixes the examples of a batch: its output for one depends on others, where xs is [time, "
                f"batch, features]. {_INSTEAD}"
            )
    _passed_by(layer, xs).add(how)


def _passed_by(layer: Any, xs: Any) -> set[Any]:
    """Return the kinds of input that a layer was tried on outside of a trace, where layers are not copies."""
    if isinstance(xs, jax.core.Tracer):
        return set()
    try:
        return _passed.setdefault(layer, set())
    except TypeError:  # a module of linen with a list in it has no hash
        return set()


def _read(function: Callable, shape: tuple[int, ...], dtype, axes) -> dict[str, bool | None]:
    """Return for each axis whether a function mixes its entries, by its program; None if that does not tell."""
    try:
        return mixing(jax.make_jaxpr(function)(jax.ShapeDtypeStruct(shape, dtype)), shape, axes)
    except Exception:  # a user's code may raise anything when it runs separately
        return dict.fromkeys(axes)


def _mixes(axis: int, function: Callable, shape: tuple[int, ...], dtype) -> bool | None:
    """Return whether a function of ``[time, batch, ...]`` mixes entries of an axis; None if it can't be tried."""
    if axis == 0:  # fewer steps of a large batch
        shape = (min(shape[0], max(4, _MAX_INPUT_SIZE // max(1, math.prod(shape[1:])))), *shape[1:])
    elif math.prod(shape) > 4 * _MAX_INPUT_SIZE:
        return None
    try:
        closed = jax.make_jaxpr(function)(jax.ShapeDtypeStruct(shape, dtype))
        return _verdict(axis, closed.jaxpr, closed.consts, shape, dtype)
    except Exception:  # a user's code may raise anything when it runs separately
        return None


def _verdict(axis, program, constants, shape, dtype) -> bool:
    from jax.extend.core import ClosedJaxpr, jaxpr_as_fun  # here: it takes as long to import as all of brainsurr

    if program.effects or sum(jax.typeof(constant).size for constant in constants) > _MAX_PARAMETERS:
        return False
    rng = np.random.default_rng(0)
    # Normal numbers; then spikes, many and few, for a layer with a threshold on the rate over time.
    numbers = [rng.standard_normal(shape, np.float32) for _ in range(2)]
    spikes = [(rng.random(shape, np.float32) < rate).astype(np.float32) for rate in (0.9, 0.1)]

    @jax.jit
    def outputs(constants, xs):
        xs = xs > 0 if dtype == jnp.bool_ else xs.astype(dtype)
        ys = jaxpr_as_fun(ClosedJaxpr(program, constants))(xs)
        return [y for y in ys if y.ndim > axis and y.shape[:1] == shape[:1]]

    with jax.ensure_compile_time_eval():
        run = partial(outputs, [_stand_in(constant, rng) for constant in constants])
        draws = "random_bits" in str(program)
        return any(_looks_across(axis, run, a, b, draws) for a, b in (numbers, spikes))


def _is_replaced(dtype) -> bool:
    return jnp.issubdtype(dtype, jnp.floating) or jnp.issubdtype(dtype, jax.dtypes.prng_key)


def _stand_in(constant, rng):
    """Return what takes the place of a constant: for floats, mostly parameters, random numbers away from 0."""
    if not (_is_replaced(constant.dtype) or isinstance(constant, jax.core.Tracer)):
        return constant
    if jnp.issubdtype(constant.dtype, jax.dtypes.prng_key):
        return jax.random.split(jax.random.key(0, impl=jax.random.key_impl(constant)), constant.shape)
    return jnp.asarray(rng.uniform(0.5, 1.5, constant.shape)).astype(constant.dtype)


def _looks_across(axis: int, outputs: Callable, first: np.ndarray, second: np.ndarray, draws: bool) -> bool:
    """Return whether a layer looks from one time step, or example, to another.

    The first half of one input is joined to the second half of another. A layer that treats entries alone gives the
    joined outputs, and for one step repeated the same at each, unless it draws. There are two cuts, since a layer that
    groups steps may have the border of two groups at one of them. Where the output has another number of examples, none
    of these may change with either half of the input.
    """
    n, before, after = first.shape[axis], outputs(first), outputs(second)
    for cut in sorted({n // 2, min(n // 2 + 1, n - 1)}):

        def joined(one, other, cut=cut):
            return np.concatenate([np.split(one, [cut], axis)[0], np.split(other, [cut], axis)[1]], axis)

        for i, (y, z, left) in enumerate(zip(before, after, outputs(joined(first, second)), strict=True)):
            # All are of one program, but an accelerator may still round its sums in another order.
            if y.shape[axis] == n:
                across = _differ(left, joined(y, z)).any()
            else:
                right = outputs(joined(second, first))[i]
                others = tuple(i for i in range(y.ndim) if i != axis)
                across = (_differ(left, y).any(others) & _differ(right, y).any(others)).any()
            if across:
                return True
    if axis or draws:
        return False
    same = map(np.asarray, outputs(np.broadcast_to(first[:1], first.shape)))
    return any(_differ(y, y[:1], least=1e-3).any() for y in same)  # rows may be rounded in different orders


def _differ(left, right, least: float = 0.0) -> np.ndarray:
    """Return where two arrays differ by more than rounding, relative to the largest finite number."""
    eps = float(jnp.finfo(left.dtype).eps) if jnp.issubdtype(left.dtype, jnp.inexact) else 0.0
    left, right = np.broadcast_arrays(*(np.asarray(a, np.result_type(a.dtype, np.float64)) for a in (left, right)))
    finite = np.isfinite(left) & np.isfinite(right)
    equal = (left == right) | (np.isnan(left) & np.isnan(right))
    with np.errstate(invalid="ignore"):
        near = np.abs(left - right) <= max(least, 8 * eps) * np.max(np.abs(right), initial=0, where=finite)
    return ~(equal | (finite & near))
