"""Measure a spike function in a training step: sums over its calls, returned as the gradient of zeros."""

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._arrays import as_float
from .._surrogate import Scaled, Surrogate
from ..neurons._spikes import Drawn
from .call_sites import Use
from .mask import counted
from .report import LEAST_SLOPE


def trials(spike_fn: Callable, random: bool) -> OrderedDict[str, Surrogate]:
    """Return variants of a surrogate that may pass more gradient, keyed by the change.

    Parameter names do not show which variants pass more, so `diagnose` measures this. The first variants are wider,
    which is possible for every surrogate. A function that is not a surrogate has no variants. For random spikes, the
    product of height and width stays 1.
    """
    variants = OrderedDict[str, Surrogate]()
    spike_fn = spike_fn.surrogate if isinstance(spike_fn, Drawn) else spike_fn
    if not isinstance(spike_fn, Surrogate):
        return variants
    scaled = isinstance(spike_fn, Scaled)
    its = f"scaled {type(spike_fn.surrogate).__name__}" if scaled else type(spike_fn).__name__
    for width in (2, 10):
        height, written = (1 / width, f"height=1 / {width}, ") if random else (1.0, "")
        variants[f"widen its {its} with .scaled({written}width={width})"] = spike_fn.scaled(height=height, width=width)
    template, values = spike_fn.named_parameters()
    for name, value in values.items():
        if scaled and name in ("height", "width"):  # changed above
            continue
        low, high = spike_fn._all_bounds().get(name, (-jnp.inf, jnp.inf))
        known = isinstance(value, (int, float))
        xp = np if known else jnp  # NumPy results have known values even in a trace, for the text
        for factor in (2,) if known and value == 0 else (2, 0.5, 10, 0.1):
            new = xp.clip(xp.where(value == 0, 0.1, factor * value), low, high)
            at_zero = "" if low > 0 else "; 0.1 where it is 0"
            how = f"from {value:.3g} to {new:.3g}" if known else f"(times {factor}{at_zero})"
            change = f"{'raise' if factor > 1 else 'lower'} {name} of its {its} {how}"
            variants[change] = jax.tree.map((values | {name: new}).get, template)
    return variants


SMALL = 2.0**-60  # below about this size, float32 can't represent the square of a gradient

# jax includes this context in its cache keys.
_pass = jax.make_user_context()


def fresh_trace():
    """Return a context in which jitted functions are traced again, so that they call the watched functions."""
    return _pass(object())


def measure(loss: Callable, transform: Any) -> tuple[float, dict[Use, Any], list[int]]:
    """Run the forward and backward pass of ``loss(see)``.

    Args:
      loss: ``loss(see)`` returns a scalar, and calls ``see(use, spike_fn, x, **key)`` instead of each spike function.
        It is called twice.
      transform: the module with the framework's ``make_jaxpr``, ``jit`` and ``grad``.

    Returns:
      The loss; the `_sums` in float64 of each use of a layer, in the order of the first calls; and the indices of the
      examples with NaN or infinity in the input of the first sequential network.
    """
    is_drawn: dict[Use, bool] = {}  # whether spikes are random in the first call of the use
    shapes: dict[Use, Any] = {}  # shapes of the sums
    differentiated: dict[str, None] = {}

    def find(use, spike_fn, x, **key):
        random = is_drawn.setdefault(use, isinstance(spike_fn, Drawn) or key.get("key") is not None)
        passing = OrderedDict.fromkeys(trials(spike_fn, random), x)
        shapes[use] = jax.eval_shape(_sums, x, x, x, passing, mask_for(x), x, x)
        s = spike_fn(x, **key)
        sharding = jax.typeof(s).sharding
        if sharding.mesh.manual_axes or (sharding.mesh.explicit_axes and any(sharding.spec)):
            raise ValueError("diagnose can't sum over explicit mesh axes or shard_map: use AxisType.Auto, or no mesh")
        return _noticing(lambda: differentiated.update({use.name: None}), s)

    def tapping(totals):
        def tap(use, f, x, **key):
            return tapped(f, totals[use], trials(f, is_drawn[use]), x, **key) if use in totals else f(x, **key)

        value = loss(tap)
        return value, value

    with fresh_trace():
        transform.make_jaxpr(lambda: loss(find))()
    if not any(use.name for use in shapes):
        fix = "call the network that loss_fn gets, and wrap a bare surrogate in SpikingActivation"
        raise ValueError(f"diagnose: loss_fn used no spiking layer: {fix}")
    if differentiated:
        raise ValueError(f"diagnose: leave out the term of the loss that differentiates {', '.join(differentiated)}")
    with fresh_trace():
        totals, value = transform.jit(transform.grad(tapping, has_aux=True))(jax.tree.map(jnp.zeros_like, shapes))
    sums = jax.tree.map(lambda total: np.asarray(total, np.float64), totals)
    rows = next((np.flatnonzero(sums[use]["rate"]).tolist() for use in shapes if not use.name), [])
    return float(value), {use: sums[use] for use in shapes if use.name}, rows


@partial(jax.custom_jvp, nondiff_argnums=[0])
def _noticing(notice: Callable, s):
    """Return the spikes, and call ``notice`` if they are differentiated."""
    return s


@_noticing.defjvp
def _noticed(notice, primals, tangents):
    notice()
    return primals[0], tangents[0]


def tapped(spike_fn: Callable, totals: dict[str, Any], variants: OrderedDict[str, Surrogate], x, **key):
    """Call an elementwise function without changing its value or derivative; the gradient of ``totals`` is `_sums`.

    jax adds up the gradient over all uses of an argument: the steps of a scan, the blocks of a remat, the lanes of a
    vmap. The sums are therefore complete under any transform in the loss, without callbacks.
    """
    # Compute the slope here, not in the backward rule of `_tap`: the rule would close over a trained alpha, which
    # within a scan is a tracer that is no longer valid when the rule runs.
    constant = jax.lax.stop_gradient(x)
    s, pull = jax.vjp(partial(spike_fn, **key), constant)
    (slope,) = pull(jnp.ones_like(s))
    passing = OrderedDict((change, f.surrogate_grad(constant) != 0) for change, f in variants.items())
    return _tap(totals, x, s, slope, passing, mask_for(x))


@jax.custom_vjp
def _tap(totals, x, s, slope, passing, mask):
    return s


def _tap_backward(values, ds):
    x, s, slope, passing, mask = values
    # Return an array even if it is all zeros, so that the backward rules of earlier layers run and are measured too.
    dx = (ds * slope.astype(ds.dtype)).astype(x.dtype)
    return _sums(x, s, slope, passing, mask, ds, dx), dx, None, None, None, None


_tap.defvjp(lambda totals, x, s, *rest: (s, (x, s, *rest)), _tap_backward)


def mask_for(x: jax.Array) -> jax.Array | None:
    """Return the mask of an input, as an array of the same rank, or None if all values are counted."""
    mask = counted.get()
    if mask is None:
        return None
    if x.shape[: mask.ndim] != mask.shape:
        how = "use layers over time or unroll, which split the mask, instead of a loop of your own or vmap"
        raise ValueError(f"diagnose: the mask is {mask.shape}, and an input {x.shape}: {how}")
    return mask.reshape(*mask.shape, *[1] * (x.ndim - mask.ndim))


def marking_rows(see: Callable, xs: jax.Array) -> jax.Array:
    """Return ``[time, batch, ...]`` unchanged. Record examples with NaN or infinity as spikes of an unnamed use."""
    if xs.ndim < 3 or not jnp.issubdtype(xs.dtype, jnp.inexact):
        return xs
    bad = as_float(~jnp.isfinite(xs).all(range(2, xs.ndim)))
    marks = see(Use("", str(xs.shape[1:]), xs.shape[1]), lambda x: x, bad)
    return xs + 0 * marks.astype(xs.dtype).reshape(*marks.shape, *[1] * (xs.ndim - 2))


def _sums(x, s, slope, passing, mask, ds, dx) -> dict[str, Any]:
    """Return sums over all values of each neuron (entry of the last axis), in the default float.

    A value is one membrane value ``x`` and its spike ``s``, at one step of one example. Most sums are named after the
    attribute of `LayerReport` that is computed from them.

    Args:
      x: membrane values.
      s: the spikes at these values.
      slope: the surrogate gradient at these values.
      passing: whether the surrogate gradient is nonzero after each change, keyed by the change.
      mask: True for values that are counted. If None, all values are counted.
      ds: the gradient of the loss with respect to the spikes.
      dx: the gradient of the loss with respect to the membrane values.
    """
    wide = jnp.result_type(float)
    finite = jnp.where(jnp.isfinite(x), x, jnp.zeros_like(x))
    dx = dx.astype(wide)
    is_small = jnp.abs(dx) < SMALL

    def total(values):
        values = jnp.atleast_1d(values.astype(wide) if mask is None else jnp.where(mask, values.astype(wide), 0.0))
        return jnp.sum(values, axis=tuple(range(values.ndim - 1)))

    # Count values instead of using shapes, since a shape describes only one lane under vmap.
    summed = {
        "zeros": s == 0,
        "rate": (s != 0) & ~jnp.isnan(s),
        "nan": jnp.isnan(s),
        "finite": jnp.isfinite(x),
        "membrane": finite,
        "rms": jnp.square(finite.astype(wide)),
        "passing": slope != 0,
        "arriving": ds != 0,
        "reached": (dx != 0) & ~(jnp.abs(slope) < LEAST_SLOPE),
        "grad_norm": jnp.square(jnp.where(is_small, 0, dx)),
        "small": jnp.square(jnp.where(is_small, dx / SMALL, 0)),
        "trials": passing,
    }
    return jax.tree.map(total, summed)
