"""`check_gradients`: compare gradients with finite differences of the smooth network, in float64."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._arrays import as_scalar
from .._dataflow.derivatives import steps
from .._diagnosis.probe import fresh_trace
from .._report import framework_of, named_leaves
from .program import casts_and_stops, step_line, used
from .report import FAR, Derived, GradientReport, ParameterGradient, Slope, growth, judge, sentences, unsettled
from .smooth import promoted, smooth
from .truncated import longest_loop, shorter

_WIDTHS = 10.0 ** -np.arange(2, 9)
OFFSETS = np.array([0.0, *(sign * n * width for width in _WIDTHS for n in (1, 2) for sign in (1, -1))])


def check_gradients(params: Any, loss_fn: Callable[[Any], Any]) -> GradientReport:
    r"""Check the gradients of a network, with each spike replaced by its surrogate function.

    The surrogate function is the smooth antiderivative of the surrogate gradient. The slope of the loss in a direction
    of parameter space can therefore be measured by finite differences, and must equal the slopes of reverse and forward
    mode:

    .. math:: \frac{L(\theta + h d) - L(\theta - h d)}{2 h} \approx \nabla L \cdot d = \partial_d L

    for each parameter :math:`\theta`, with one random direction :math:`d`, in float64. The check finds a wrong
    derivative rule, a detached branch, a cast that loses digits, and a parameter or an input at a kink of a function.
    It can't show whether a surrogate is a good choice, because it compares with the slope of the surrogate function.

    Use this for networks of plain functions. Given a module, it calls the ``check_gradients`` of ``brainsurr.nnx``,
    ``brainsurr.brainstate`` or ``brainsurr.equinox``. For Flax Linen, call ``brainsurr.linen.check_gradients``. Arrays
    that ``loss_fn`` closes over keep their dtype until they reach brainsurr, or until an operation combines them with a
    parameter. Create the first carry of your own scan inside ``loss_fn``, with the dtype of a parameter.

    Args:
      params: a tree of parameters, such as ``{"w": w, "spike": f}`` with a surrogate ``f``. Each array of a floating
        dtype is checked separately. You can also pass a Flax NNX, brainstate or Equinox module, as to the
        ``check_gradients`` of its framework.
      loss_fn: the training loss on one batch, ``loss_fn(params) -> scalar``, whose spikes come from surrogates. It may
        use jit, scan, vmap and remat. Use a small batch, since the loss is computed 30 times for each parameter.

    Returns:
      A :class:`GradientReport`: print it, or ``assert report.fine, report``.

    Raises:
      TypeError: the loss is not a scalar, or a scan starts from a float32 carry.
      ValueError: no parameter has a floating dtype, or the loss is not finite or has no gradient.
      NotImplementedError: a surrogate does not define its surrogate function.

    Example:
      >>> import jax.numpy as jnp, brainsurr as bs
      >>> f, x = bs.Arctan(2.0), jnp.array([1.0, -2.0, 0.5])
      >>> def loss_fn(params):
      ...     return jnp.sum(f(jnp.dot(x, params["first"])) * params["second"])
      >>> params = {"first": jnp.full((3, 2), 0.5), "second": jnp.array([1.0, -1.0])}
      >>> report = bs.check_gradients(params, loss_fn)
      >>> report.fine, report["first"].status
      (True, 'fine')
    """
    if framework := framework_of(params):
        return framework.check_gradients(params, loss_fn)
    return examine_tree(params, loss_fn)


def examine_tree(params: Any, loss_fn: Callable[[Any], Any]) -> GradientReport:
    """Check the gradient of ``loss_fn(params)`` with respect to each array of a tree."""
    values, structure = named_leaves(params), jax.tree.structure(params)

    def loss(new):
        return loss_fn(jax.tree.unflatten(structure, (values | new).values()))

    return examine_gradients(values, loss)


def examine_gradients(values: Mapping[str, Any], loss: Callable) -> GradientReport:
    """Check the gradients of ``loss(values)``, a pure function.

    Args:
      values: the parameters by name. Only parameters of a floating dtype are checked.
      loss: ``loss(values)`` computes the loss with these values, in float64.
    """
    values = {name: value for name, value in sorted(values.items()) if _is_inexact(value)}
    if not values:
        raise ValueError("expected parameters of a floating dtype, got none: pass them first, then loss_fn")

    def scalar(values):
        return as_scalar(loss(values), "loss_fn").astype(jnp.float64)

    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        values = {name: promoted(jnp.asarray(value)) for name, value in values.items()}
        resets = list[bool]()

        def detached(stop, s):
            resets.append(True)
            return stop(s)

        def traced(stop_reset):
            with smooth(stop_reset), fresh_trace():
                return jax.make_jaxpr(scalar)(values)

        program = traced(detached)
        attached = traced(lambda stop, s: s) if resets else None
        with smooth():
            back = _unless_undefined(jax.make_jaxpr(jax.grad(shorter(program))), values)[0]
            casts, stops = casts_and_stops(program)
            casts += [] if back is None else casts_and_stops(back)[0]  # a derivative rule may cast too
            flat = _why_flat(shorter(program), values, program)

            def compared(most: int | None = None) -> tuple[float, dict[str, ParameterGradient], dict[str, float]]:
                value, measured = _measured(shorter(program, most), values)
                derived = _derived(shorter(program, most), values)
                free = derived if attached is None else _derived(shorter(attached, most), values)
                reports = {
                    name: judge(measured[name], derived[name], free[name], value, bool(casts), flat[name])
                    for name in values
                }
                grown = {name: growth([(free[name].slope, measured[name].slope)]) for name in unsettled(reports)}
                return value, reports, grown

            value, reports, grown = compared()
            length, most, still = longest_loop(program.jaxpr), 0, grown
            for tried in (length >> i for i in range(1, length.bit_length())):
                if max(still.values(), default=0.0) < FAR:
                    break
                _, again, still = compared(tried)
                right = all(again[name].status in ("fine", "reset") for name in grown)
                most = tried if right and not unsettled(again) else 0
            stepped = tuple(steps(program, step_line))
    if most:
        reports |= {name: dataclasses.replace(reports[name], status="explodes") for name in grown}
    most_grown = max(grown.values(), default=0.0)
    said = sentences(reports, list(dict.fromkeys(casts)), stops, stepped, most_grown, length, most)
    return GradientReport(value, reports, said, stepped)


def _is_inexact(value: Any) -> bool:
    dtype = getattr(value, "dtype", bool)
    return isinstance(value, float | complex) or (jnp.issubdtype(dtype, jnp.inexact) and value.size > 0)


def _why_flat(scalar, values, program) -> dict[str, str]:
    """Return for each parameter the status to report if all its slopes are 0."""
    of_loss = used(program, values)
    slope, _ = _unless_undefined(jax.make_jaxpr(lambda tangents: jax.jvp(scalar, (values,), (tangents,))[1]), values)
    of_slope = of_loss if slope is None else used(slope, values)
    return {name: "unused" if name not in of_loss else "no slope" if name in of_slope else "step" for name in values}


def _directions(values) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name of each parameter, and a random direction that changes only this parameter.

    The direction has the scale of the entries of the parameter, or 1 if all entries are 0. It is computed in NumPy,
    because jax would compile each operation again for each check.
    """
    rng = np.random.default_rng(0)
    values = {name: np.asarray(value) for name, value in values.items()}
    for name, value in values.items():
        size = np.sqrt(np.mean(np.square(np.abs(value)))) or 1.0
        direction = size * rng.standard_normal(value.shape)
        if np.iscomplexobj(value):
            direction = direction + 1j * size * rng.standard_normal(value.shape)
        yield name, jax.tree.map(np.zeros_like, values) | {name: np.asarray(direction)}


def _measured(scalar, values) -> tuple[float, dict[str, Slope]]:
    """Return the loss, and its slope in the direction of each parameter."""

    @jax.jit
    def line(values, direction):
        def at(step):
            return scalar(jax.tree.map(lambda value, d: value + step * d, values, direction))

        return jax.lax.map(at, jnp.asarray(OFFSETS))

    losses = {name: np.asarray(line(values, direction)) for name, direction in _directions(values)}
    value = float(next(iter(losses.values()))[0])
    if not np.isfinite(value):
        raise ValueError(f"expected a finite loss, got {value} of the smooth network: use fewer steps or diagnose")
    return value, {name: along(points) for name, points in losses.items()}


def along(losses: np.ndarray) -> Slope:
    """Return the slope at 0 from the values at OFFSETS.

    For each width, compute the central difference of five points, whose error is of fourth order in the width. Wide
    steps suffer from truncation, and narrow steps from rounding, so use the width at which neighbours agree best. The
    narrowest widths detect nearby knots in a network of many values. The fourth difference at the narrowest width
    measures the rounding errors inside the network, which grow if a gradient explodes.
    """
    here, points = losses[0], losses[1:].reshape(-1, 4)
    right, left, far_right, far_left = points.T
    slopes = (8 * (right - left) - (far_right - far_left)) / (12 * _WIDTHS)
    rounding = np.finfo(float).eps * np.max(np.abs(losses)) / _WIDTHS
    noise = abs(far_right[-1] - 4 * right[-1] + 6 * here - 4 * left[-1] + far_left[-1])
    changes = np.abs(np.diff(slopes)) + np.fmax(rounding, noise / _WIDTHS)[1:]
    best = int(np.argmin(np.where(np.isfinite(changes), changes, np.inf)))
    jumps = np.abs((right - here) - (here - left)) / _WIDTHS
    stays = (jumps[1:] > jumps[:-1] / 2) & (jumps[1:] > 100 * rounding[1:])
    knot = float(np.max(jumps[-3:], initial=0.0, where=stays[-3:]))
    return Slope(float(slopes[best + 1]), float(changes[best]), knot)


def _derived(scalar, values) -> dict[str, Derived]:
    """Return the slope of each parameter in reverse and in forward mode, or None if a mode is not defined."""
    gradients, none = _unless_undefined(jax.jit(jax.grad(scalar)), values)
    forward_mode = jax.jit(lambda direction: jax.jvp(scalar, (values,), (direction,))[1])
    slopes = {}
    for name, direction in _directions(values):
        terms = np.zeros(0) if gradients is None else (np.asarray(gradients[name]) * direction[name]).real
        reverse = None if gradients is None else float(terms.sum())
        forward, _ = _unless_undefined(forward_mode, direction)
        if reverse is None and forward is None:
            raise ValueError("expected loss_fn to have a gradient, but both modes raise an error") from none
        slopes[name] = Derived(reverse, None if forward is None else float(forward), float(np.abs(terms).sum()))
    return slopes


def _unless_undefined(f: Callable, x: Any) -> tuple[Any, Exception | None]:
    """Return a derivative ``f(x)``, or None and the error if the loss does not support this mode."""
    try:
        return f(x), None
    except (TypeError, ValueError, NotImplementedError) as error:  # the mode fails: tracing the loss has succeeded
        return None, error
