"""The spike, thresholded or drawn, with the one custom derivative rule of the package."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero

from ._arrays import as_float, as_real, is_negative, match_dtype_and_rank
from ._checks import check_distribution, check_surrogate
from ._hooks import hook


def spike(x, surrogate, *, key=None):
    r"""Return the spike of ``x``, with the derivative of a surrogate.

    Forward, the step :math:`s = 1` if :math:`x \ge 0`, else :math:`0` (the surrogate's primitive
    :math:`g(x)` instead, when ``surrogate.origin`` is true). Its derivative is declared to be that of
    the primitive, in every variable:

    .. math:: \mathrm{d}s = g'(x)\,\mathrm{d}x
              + \sum_{\alpha}\frac{\partial g}{\partial\alpha}(x)\,\mathrm{d}\alpha

    where :math:`\alpha` runs over the parameters of the surrogate. The step itself does not depend on
    :math:`\alpha`: the second term is a choice, the straight-through one of learnable activations.

    With a ``key`` the spike is random, :math:`s = 1` with probability :math:`g(x)`, for surrogates whose primitive
    rises from 0 to 1. Then nothing about the derivative is a choice: the mean of :math:`s` is :math:`g`, so it is the
    derivative of the mean, in every variable. That holds for what is linear in the spikes; see the documentation's
    page on gradients for what comes after a second layer.

    Args:
      x: membrane potential minus threshold, any shape, dimensionless. Integers and booleans are read as
        the default float; float16 and bfloat16 stay as they are. So do eight-bit floats with a sign and a zero, whose
        range most gradients leave: compute these in bfloat16.
      surrogate: a :class:`brainsurr.Surrogate`, say ``LogTailedRelu(0.1)``. Its parameters broadcast
        into the shape of ``x``.
      key: draws the spikes, each entry its own: ``jax.random.key(0)``. The same key draws the same spikes. None, the
        step, draws nothing; nor does it where ``surrogate.origin`` is true, which is the mean already.

    Returns:
      An array of the shape and dtype of ``x``. NaN in is NaN out, in the value and in the derivative.

    Raises:
      TypeError: ``x`` is complex, not numeric, or carries a physical unit; ``surrogate`` isn't one; ``key`` isn't one.
      ValueError: a parameter of the surrogate does not broadcast into the shape of ``x``; there is a key, and the
        primitive does not rise from 0 to 1 (``surrogate.is_distribution`` is false).

    Note:
      The rule is a ``jax.custom_jvp``, so forward mode, reverse mode and derivatives of any order work.
      One case doesn't, through a fault of jax before 0.12: the derivative of a *reverse-mode* gradient
      through ``lax.scan`` comes out 0 (forward over reverse and reverse over reverse alike). There,
      take the inner derivative in forward mode.

      On an x86 processor without AVX (before 2011) jaxlib can't compile float16, whatever the function: it raises
      ``JaxRuntimeError: INTERNAL: Failed to materialize symbols`` and logs ``Symbols not found: [ __truncsfhf2 ]``.
      bfloat16 works there.

    References:
      Bengio, Leonard, Courville 2013, "Estimating or Propagating Gradients Through Stochastic Neurons
      for Conditional Computation", section 4 (the straight-through estimator). Neftci, Mostafa, Zenke
      2019, "Surrogate Gradient Learning in Spiking Neural Networks". Gygax, Zenke 2025, "Elucidating the Theoretical
      Underpinnings of Surrogate Gradient Learning in Spiking Neural Networks" (random spikes).

    Example:
      >>> import jax, brainsurr as bs
      >>> f = bs.LogTailedRelu(alpha=0.1)
      >>> bs.spike(jax.numpy.array([-1.0, 0.0, 2.0]), f)
      Array([0., 1., 1.], dtype=float32)
      >>> jax.grad(bs.spike)(2.0, f)
      Array(0.5, dtype=float32, weak_type=True)

      >>> f, x = bs.Sigmoid(alpha=4.0), jax.numpy.full(10_000, -0.25)
      >>> spikes = bs.spike(x, f, key=jax.random.key(0))
      >>> print(f"{spikes.mean():.2f} {f.surrogate_fun(-0.25):.2f}")
      0.27 0.27
    """
    check_surrogate("surrogate", surrogate)
    return spike_of(as_float(x), surrogate, key)


@hook
def spike_of(x, surrogate, key):
    """Return the spike of an array."""
    if key is not None:
        check_distribution("surrogate", surrogate)
    surrogate._check_dtype(x.dtype)
    parameters, structure = jax.tree.flatten(surrogate)
    if [p for p in parameters if getattr(p, "ndim", 0)]:
        surrogate._matched(x, inside=True)  # raises the error that names a parameter which doesn't fit
    x = _vary_with(x, parameters)
    uniform = None if key is None or surrogate.origin else _uniform(key, x)
    return _spike(x, parameters, uniform, structure, surrogate.origin)


@functools.partial(jax.custom_jvp, nondiff_argnums=(3, 4))
def _spike(x, parameters, uniform, structure, origin):
    if origin:
        return structure.unflatten(parameters).surrogate_fun(x)
    return _step(x) if uniform is None else _random_spikes(x, structure.unflatten(parameters), uniform)


@functools.partial(_spike.defjvp, symbolic_zeros=True)
def _spike_jvp(structure, origin, primals, tangents):
    # The primal output is `_spike` again and not the bare step, so that second derivatives of nonlinear losses
    # include the dependence of the output on x. Symbolic zeros are skipped: adding one would save it for the
    # backward pass.
    (x, parameters, uniform), (dx, dparameters, _) = primals, tangents
    x = jnp.asarray(x)  # jax may give a number that is no array
    fitting = [match_dtype_and_rank(p, x, "a parameter") for p in parameters]
    terms = [] if isinstance(dx, SymbolicZero) else [_slope(structure, x, *fitting) * dx]
    for i, da in enumerate(dparameters):
        if isinstance(da, SymbolicZero):
            continue

        # Some libraries set refractory neurons to -inf. There dg/da may be infinite, and 0 * inf is NaN. Compute it at
        # 0 instead and don't use it, so that `jax_debug_nans` finds nothing.
        finite = jnp.where(jnp.isfinite(x), x, jnp.zeros_like(x))

        def primitive(a, i=i, finite=finite):
            f = structure.unflatten([*fitting[:i], a, *fitting[i + 1 :]])
            return _evaluate(type(f).surrogate_fun, f, finite)

        a = jnp.asarray(fitting[i], x.dtype) + jnp.zeros_like(x)  # with x's shape and sharding
        slope = jax.jvp(primitive, (a,), (jnp.ones_like(a),))[1]
        slope = jnp.where(jnp.isfinite(x), slope, jnp.where(jnp.isnan(x), x, jnp.zeros_like(x)))
        # Widen before broadcasting, so that the transpose sums in at least float32.
        da = jnp.asarray(da)
        wide = da.astype(jnp.float32) if da.dtype.itemsize < 4 else da
        terms.append(slope * jnp.broadcast_to(wide, x.shape).astype(x.dtype))
    return _spike(x, parameters, uniform, structure, origin), functools.reduce(jnp.add, terms)


def _slope_of(structure, x, *parameters):
    f = structure.unflatten(parameters)
    return _evaluate(type(f).surrogate_grad, f, jnp.asarray(x))  # jax may give a number that is no array


# The gradient of a surrogate whose parameters fit x; with a rule of its own for second derivatives alone.
_slope = jax.custom_jvp(_slope_of, nondiff_argnums=(0,))


@functools.partial(_slope.defjvp, symbolic_zeros=True)
def _slope_jvp(structure, primals, tangents):
    # At infinity the derivatives of many formulas are 0 * inf: as above, compute them at 0, and count them as 0.
    infinite = jnp.isinf(primals[0])
    at = dict(enumerate(primals)) | {0: jnp.where(infinite, jnp.zeros_like(primals[0]), primals[0])}
    moved = {i: tangent for i, tangent in enumerate(tangents) if not isinstance(tangent, SymbolicZero)}
    slope = jax.jvp(lambda m: _slope_of(structure, *(at | m).values()), ({i: at[i] for i in moved},), (moved,))[1]
    return _slope(structure, *primals), jnp.where(infinite, jnp.zeros_like(slope), slope)


def elementwise(formula, surrogate, x):
    """Compute a formula of a surrogate for a number or an array of any real dtype."""
    x = as_float(x)
    surrogate._check_dtype(x.dtype)
    return _evaluate(formula, surrogate._matched(x, inside=True), x)


def _evaluate(formula, surrogate, x):
    """Compute a formula, of parameters that fit x: NaN is kept, the result has x's shape and dtype."""
    y = jnp.asarray(formula(surrogate, x)).astype(x.dtype)
    return jnp.where(jnp.isnan(x), x, jnp.broadcast_to(y, x.shape))


def _step(x):
    if x.dtype.itemsize == 1:  # 8-bit formats encode NaN differently
        return jnp.where(jnp.isnan(x), x, (~is_negative(x)).astype(x.dtype))
    # Compare and select as integers. A CPU treats subnormal floats as 0; for half precision it may also widen each
    # float of a comparison or a select to float32 and round it back. As unsigned integers, -0.0 is the largest pattern
    # that fires. Multiply rather than select: for a select, XLA materializes an array of ones before a loop over time,
    # and reads it at each step.
    unsigned = jnp.dtype(f"uint{8 * x.dtype.itemsize}")
    one, infinity, negative_zero = np.array([1, np.inf, -0.0], x.dtype).view(unsigned)
    bits = jax.lax.bitcast_convert_type(x, unsigned)
    spikes = (bits <= negative_zero).astype(unsigned) * one
    is_nan = bits & ~negative_zero > infinity
    return jax.lax.bitcast_convert_type(jnp.where(is_nan, bits, spikes), x.dtype)


def _random_spikes(x, surrogate, uniform):
    probability = surrogate.surrogate_fun(x.astype(uniform.dtype))
    return jnp.where(jnp.isnan(x), x, (uniform < probability).astype(x.dtype))


def _uniform(key, x):
    """Draw numbers strictly between 0 and 1, in at least float32, since fewer digits would bias the probability.

    jax draws multiples of eps, 0 included. Add eps / 2, so that a probability is rounded to the nearest multiple and
    not up: otherwise a tail of 1e-12 would fire in one of 8 million draws.
    """
    wide = jnp.float32 if x.dtype.itemsize < 4 else x.dtype
    mesh = jax.sharding.get_abstract_mesh()
    sharding = {"out_sharding": jax.typeof(x).sharding} if mesh.explicit_axes else {}
    return jax.random.uniform(key, x.shape, wide, **sharding) + float(jnp.finfo(wide).eps) / 2


def _vary_with(x, parameters):
    """Inside ``shard_map``, make x vary over each mesh axis that a parameter varies over.

    The tangent of a replicated x with a sharded alpha varies, so the primal must as well. The select always takes x,
    with the axes of both, and XLA removes it.
    """
    if jax.sharding.get_abstract_mesh().manual_axes:
        for p in parameters:
            x = jnp.where(False, jax.lax.stop_gradient(jnp.asarray(p, x.dtype)), x)
    return x


def detached(s: Any) -> Any:
    """Stop the gradient through spikes that reset a neuron.

    As ``jax.lax.stop_gradient``, and known to :func:`brainsurr.check_gradients` as a reset that is meant to be
    detached: it says so, and checks all else. Of anything but spikes in a reset write ``jax.lax.stop_gradient``, whose
    line it names.

    Args:
      s: spikes, any shape and dtype.

    Raises:
      TypeError: ``s`` is not an array.

    Example:
      >>> import jax, brainsurr as bs
      >>> f = bs.Arctan(2.0)
      >>> print(f"{jax.grad(lambda v: v * (1 - f(v)))(0.5):.3f}")
      -0.144
      >>> print(jax.grad(lambda v: v * (1 - bs.detached(f(v))))(0.5))
      0.0
    """
    return stopped(as_real(s, "s"))


@hook
def stopped(s):
    """Stop the gradient of an array."""
    return jax.lax.stop_gradient(s)
