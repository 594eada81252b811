"""`spike`, deterministic or random, with its custom derivative rule; and `detached`, for the spikes of a reset."""

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

    In the forward pass, the spike is the step: :math:`s = 1` if :math:`x \ge 0`, else :math:`0`. If
    ``surrogate.origin`` is True, it is the surrogate function :math:`g(x)` instead. The derivative of the spike is
    defined as the derivative of :math:`g`, in every variable:

    .. math:: \mathrm{d}s = g'(x)\,\mathrm{d}x
              + \sum_{\alpha}\frac{\partial g}{\partial\alpha}(x)\,\mathrm{d}\alpha

    Here, :math:`\alpha` runs over the parameters of the surrogate. The step itself does not depend on :math:`\alpha`,
    so the second term is a choice, as in the straight-through estimators of learnable activations.

    With a ``key``, the spike is random: :math:`s = 1` with probability :math:`g(x)`. This requires a surrogate function
    that rises from 0 to 1. The derivative is then no longer a choice: the mean of :math:`s` is :math:`g`, and the
    derivative of the spike is the derivative of this mean, in every variable. If everything after the spikes is linear,
    the gradient is exact on average. After a second layer, it is an estimate: see the documentation's page *How
    surrogate gradients work*.

    Args:
      x: the membrane potential minus the threshold, dimensionless, of any shape. Integers and booleans are converted to
        the default float dtype; float16 and bfloat16 are kept. 8-bit floats that have a sign and a zero are kept too,
        but most gradients exceed their range, so convert these to bfloat16.
      surrogate: a :class:`brainsurr.Surrogate`, such as ``LogTailedRelu(0.1)``. Its parameters must broadcast into the
        shape of ``x``.
      key: a random key, such as ``jax.random.key(0)``, for random spikes. Each entry of ``x`` is drawn independently,
        and the same key draws the same spikes. If None, the spike is the step. If ``surrogate.origin`` is True, the key
        has no effect, since :math:`g(x)` is already the mean.

    Returns:
      The spikes, an array of the shape and dtype of ``x``. Where ``x`` is NaN, the value and the derivative are NaN.

    Raises:
      TypeError: ``x`` is complex, not numeric, or has a physical unit; ``surrogate`` is not a surrogate; or ``key`` is
        not a random key.
      ValueError: a parameter of the surrogate does not broadcast into the shape of ``x``; or ``key`` is given, but the
        surrogate function does not rise from 0 to 1 (``surrogate.is_distribution`` is False).

    Note:
      The derivative rule is a ``jax.custom_jvp``, so forward mode, reverse mode and derivatives of any order work,
      with one exception. Due to a bug in jax before 0.12, the derivative of a *reverse-mode* gradient through
      ``lax.scan`` is 0, both in forward over reverse mode and in reverse over reverse mode. Compute the inner
      derivative in forward mode instead.

      On an x86 processor without AVX (before 2011), jaxlib can't compile float16 for any function: it raises
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
    """Return the spikes for an array of floats. `diagnose` and `check_gradients` override this function."""
    if key is not None:
        check_distribution("surrogate", surrogate)
    surrogate._check_dtype(x.dtype)
    parameters, structure = jax.tree.flatten(surrogate)
    if [p for p in parameters if getattr(p, "ndim", 0)]:
        surrogate._matched(x, inside=True)  # raises an error that names a parameter of the wrong shape
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
    # The primal output is `_spike` again rather than the bare step, so that second derivatives of nonlinear losses
    # include the dependence of the output on x. Symbolic zeros are skipped, since adding a zero would save it for the
    # backward pass.
    (x, parameters, uniform), (dx, dparameters, _) = primals, tangents
    x = jnp.asarray(x)  # jax may pass a number that is not an array
    fitting = [match_dtype_and_rank(p, x, "a parameter") for p in parameters]
    terms = [] if isinstance(dx, SymbolicZero) else [_slope(structure, x, *fitting) * dx]
    for i, da in enumerate(dparameters):
        if isinstance(da, SymbolicZero):
            continue

        # Some libraries set the potential of refractory neurons to -inf, where dg/da may be infinite, and 0 * inf is
        # NaN. Compute dg/da at 0 instead and discard it below, so that `jax_debug_nans` raises no error.
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
    return _evaluate(type(f).surrogate_grad, f, jnp.asarray(x))  # jax may pass a number that is not an array


# The gradient of a surrogate whose parameters match x. Its derivative rule is used for second derivatives only.
_slope = jax.custom_jvp(_slope_of, nondiff_argnums=(0,))


@functools.partial(_slope.defjvp, symbolic_zeros=True)
def _slope_jvp(structure, primals, tangents):
    # At infinity, the derivatives of many formulas are 0 * inf. As above, compute them at 0, then set them to 0.
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
    """Compute a formula of a surrogate whose parameters match x. Where x is NaN, so is the result.

    The result has the shape and dtype of x.
    """
    y = jnp.asarray(formula(surrogate, x)).astype(x.dtype)
    return jnp.where(jnp.isnan(x), x, jnp.broadcast_to(y, x.shape))


def _step(x):
    if x.dtype.itemsize == 1:  # 8-bit formats encode NaN differently
        return jnp.where(jnp.isnan(x), x, (~is_negative(x)).astype(x.dtype))
    # Compare and select bits as integers. In float comparisons, a CPU treats subnormal numbers as 0, and it may widen
    # half precision to float32 and round it back. As unsigned integers, -0.0 is the largest pattern that fires.
    # Multiply instead of selecting: for a select, XLA materialises an array of ones before a loop over time, and reads
    # it at each step.
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

    jax draws multiples of eps, including 0. Adding eps / 2 rounds a probability to the nearest multiple instead of up.
    Otherwise, a tail of 1e-12 would fire in one of 8 million draws.
    """
    wide = jnp.float32 if x.dtype.itemsize < 4 else x.dtype
    mesh = jax.sharding.get_abstract_mesh()
    sharding = {"out_sharding": jax.typeof(x).sharding} if mesh.explicit_axes else {}
    return jax.random.uniform(key, x.shape, wide, **sharding) + float(jnp.finfo(wide).eps) / 2


def _vary_with(x, parameters):
    """Inside ``shard_map``, make x vary over each mesh axis that a parameter varies over.

    If alpha is sharded, the tangent of a replicated x varies, so the primal must vary too. The select always returns x,
    with the mesh axes of both operands, and XLA removes it.
    """
    if jax.sharding.get_abstract_mesh().manual_axes:
        for p in parameters:
            x = jnp.where(False, jax.lax.stop_gradient(jnp.asarray(p, x.dtype)), x)
    return x


def detached(s: Any) -> Any:
    """Stop the gradient through spikes that reset a neuron.

    This is ``jax.lax.stop_gradient`` for an intended detached reset: :func:`brainsurr.check_gradients` reports that the
    reset is detached, and checks everything else. For anything other than the spikes of a reset, use
    ``jax.lax.stop_gradient``; the check reports its line.

    Args:
      s: spikes, an array of any shape and real dtype.

    Returns:
      ``s``, through which no gradient flows.

    Raises:
      TypeError: ``s`` is not an array of real numbers.

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
    """Stop the gradient of an array. `check_gradients` overrides this function."""
    return jax.lax.stop_gradient(s)
