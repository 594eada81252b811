"""The spike and the one custom derivative rule of the package."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero

from ._arrays import as_float, is_negative, match_dtype_and_rank
from ._checks import check_surrogate


def spike(x, surrogate):
    r"""The threshold, with the derivative of a surrogate.

    Forward, the step :math:`s = 1` if :math:`x \ge 0`, else :math:`0` (the surrogate's primitive
    :math:`g(x)` instead, when ``surrogate.origin`` is true). Its derivative is declared to be that of
    the primitive, in every variable:

    .. math:: \mathrm{d}s = g'(x)\,\mathrm{d}x
              + \sum_{\alpha}\frac{\partial g}{\partial\alpha}(x)\,\mathrm{d}\alpha

    where :math:`\alpha` runs over the parameters of the surrogate. The step itself does not depend on
    :math:`\alpha`: the second term is a choice, the straight-through one of learnable activations.

    Args:
      x: membrane potential minus threshold, any shape, dimensionless. Integers and booleans are read as
        the default float; float16 and bfloat16 stay as they are. So do eight-bit floats with a sign and a zero, whose
        range most gradients leave: compute these in bfloat16.
      surrogate: a :class:`brainsurr.Surrogate`, say ``LogTailedRelu(0.1)``. Its parameters broadcast
        into the shape of ``x``.

    Returns:
      An array of the shape and dtype of ``x``. NaN in is NaN out, in the value and in the derivative.

    Raises:
      TypeError: ``x`` is complex, not numeric, or carries a physical unit; ``surrogate`` isn't one.
      ValueError: a parameter of the surrogate does not broadcast into the shape of ``x``.

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
      2019, "Surrogate Gradient Learning in Spiking Neural Networks".

    Example:
      >>> import jax, brainsurr as bs
      >>> f = bs.LogTailedRelu(alpha=0.1)
      >>> bs.spike(jax.numpy.array([-1.0, 0.0, 2.0]), f)
      Array([0., 1., 1.], dtype=float32)
      >>> jax.grad(bs.spike)(2.0, f)
      Array(0.5, dtype=float32, weak_type=True)
    """
    check_surrogate("surrogate", surrogate)
    x = as_float(x)
    parameters = jax.tree.leaves(surrogate.broadcast_into(x))
    return _spike(_vary_with(x, parameters), surrogate)


@jax.custom_jvp
def _spike(x, surrogate):
    return surrogate.surrogate_fun(x) if surrogate.origin else _step(x)


@functools.partial(_spike.defjvp, symbolic_zeros=True)
def _spike_jvp(primals, tangents):
    # The primal output is `_spike` again and not the bare step, so that second derivatives of nonlinear losses
    # include the dependence of the output on x. Symbolic zeros are skipped: adding one would save it for the
    # backward pass.
    (x, surrogate), (dx, dsurrogate) = primals, tangents
    terms = []
    if not isinstance(dx, SymbolicZero):
        terms.append(surrogate.surrogate_grad(x) * dx)
    parameters, structure = jax.tree.flatten(surrogate)
    for i, da in enumerate(jax.tree.leaves(dsurrogate, is_leaf=lambda t: isinstance(t, SymbolicZero))):
        if isinstance(da, SymbolicZero):
            continue

        # Some libraries set refractory neurons to -inf. There dg/da may be infinite, and 0 * inf is NaN; so it is
        # computed at 0 instead and not used, and `jax_debug_nans` finds nothing.
        finite = jnp.where(jnp.isfinite(x), x, jnp.zeros_like(x))

        def primitive(a, i=i, finite=finite):
            return jax.tree.unflatten(structure, [*parameters[:i], a, *parameters[i + 1 :]]).surrogate_fun(finite)

        a = match_dtype_and_rank(jnp.asarray(parameters[i], x.dtype), x, "a parameter")
        a = a + jnp.zeros_like(x)  # with x's shape and sharding
        slope = jax.jvp(primitive, (a,), (jnp.ones_like(a),))[1]
        slope = jnp.where(jnp.isfinite(x), slope, jnp.where(jnp.isnan(x), x, jnp.zeros_like(x)))
        # Widened before it is broadcast: the transpose then sums in at least float32.
        da = jnp.asarray(da)
        wide = da.astype(jnp.float32) if da.dtype.itemsize < 4 else da
        terms.append(slope * jnp.broadcast_to(wide, x.shape).astype(x.dtype))
    return _spike(x, surrogate), functools.reduce(jnp.add, terms)


def _step(x):
    if x.dtype.itemsize == 1:  # where each kind of eight bits has its NaN elsewhere
        return jnp.where(jnp.isnan(x), x, (~is_negative(x)).astype(x.dtype))
    # Compared and selected as integers. A CPU takes subnormal floats for 0; for half precision it may also widen each
    # float of a comparison or a select to float32 and round it back. In this order the largest that fires is -0.0. And
    # multiplied, not selected: an array of ones XLA would make ahead of a loop over time, and read at each step.
    unsigned = jnp.dtype(f"uint{8 * x.dtype.itemsize}")
    one, infinity, negative_zero = np.array([1, np.inf, -0.0], x.dtype).view(unsigned)
    bits = jax.lax.bitcast_convert_type(x, unsigned)
    spikes = (bits <= negative_zero).astype(unsigned) * one
    is_nan = bits & ~negative_zero > infinity
    return jax.lax.bitcast_convert_type(jnp.where(is_nan, bits, spikes), x.dtype)


def _vary_with(x, parameters):
    """Inside ``shard_map``, make x vary over each mesh axis that a parameter varies over.

    The tangent of a replicated x with a sharded alpha varies, so the primal must as well. The select always takes x,
    with the axes of both, and XLA removes it.
    """
    if jax.sharding.get_abstract_mesh().manual_axes:
        for p in parameters:
            x = jnp.where(False, jax.lax.stop_gradient(jnp.asarray(p, x.dtype)), x)
    return x
