"""The membrane equation, once: pure functions of one time step."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from ._arrays import as_float, match_dtype_and_rank
from ._checks import check_word, shapes

RESETS = ("subtract", "zero", "none")


def lif_step(v, x, *, decay, threshold, spike_fn, reset="subtract", reset_grad=None):
    r"""One step of a leaky integrate-and-fire neuron.

    .. math::
       u &= \mathrm{decay} \cdot v + x \\
       s &= \mathrm{spike\_fn}(u - \mathrm{threshold}) \\
       v' &= u - \mathrm{threshold}\, s \ (\text{subtract}), \quad u\,(1 - s)\ (\text{zero}), \quad u\ (\text{none})

    All in the dtype of ``v``, which is dimensionless like everything here; the spikes are returned in the dtype of
    ``x``, so bfloat16 spikes can come from a float32 membrane.

    Args:
      v: membrane potential, ``[..., features]``.
      x: input, the same shape.
      decay: what is left of the potential after a step, in [0, 1]; a number or ``[features]``.
      threshold: a number or ``[features]``.
      spike_fn: what turns ``u - threshold`` into spikes: a surrogate, or any function.
      reset: ``"subtract"``, ``"zero"`` or ``"none"``. Under ``"zero"`` an infinite potential becomes NaN.
      reset_grad: whether the gradient flows through the reset. None means yes, but for ``"zero"``: there each
        step multiplies it by :math:`1 - s - u\,g'`, which explodes when g' is large far from threshold.

    Returns:
      The new potential and the spikes, each ``[..., features]``.

    Raises:
      TypeError: ``v``, or what ``spike_fn`` returns, is not a real array.
      ValueError: shapes differ, or an unknown reset.

    References:
      Neftci, Mostafa, Zenke 2019, "Surrogate Gradient Learning in Spiking Neural Networks", eq. 5, with the
      reset by subtraction applied in the step of the spike.

    Example:
      >>> import jax.numpy as jnp, brainsurr as bs
      >>> v, s = lif_step(jnp.array([0.5]), jnp.array([0.75]), decay=0.5, threshold=1.0, spike_fn=bs.LogTailedRelu())
      >>> print(v, s)
      [0.] [1.]
    """
    check_word("reset", reset, RESETS)
    u = li_step(v, x, decay=decay)
    threshold = match_dtype_and_rank(threshold, u, "threshold")
    s = as_float(spike_fn(u - threshold), "what spike_fn returns").astype(u.dtype)
    if s.shape != u.shape:
        raise ValueError(f"expected spike_fn to return an array of the shape of its argument, {u.shape}, got {s.shape}")
    fed_back = s if (reset != "zero" if reset_grad is None else reset_grad) else jax.lax.stop_gradient(s)
    if reset == "subtract":
        v = u - threshold * fed_back
    elif reset == "zero":
        v = u * (1 - fed_back)
    else:
        v = u
    return v, s.astype(x.dtype)


def li_step(v, x, *, decay):
    r"""One step of a leaky integrator, :math:`v' = \mathrm{decay} \cdot v + x`, in the dtype of ``v``.

    Args:
      v: potential, ``[..., features]``.
      x: input, the same shape.
      decay: in [0, 1]; a number or ``[features]``.

    Raises:
      TypeError: ``v`` is not a real array.
      ValueError: the shapes of ``v`` and ``x`` differ.

    Example:
      >>> import jax.numpy as jnp
      >>> print(li_step(jnp.array([1.0]), jnp.array([0.25]), decay=0.5))
      [0.75]
    """
    _check_step(v, x)
    v = as_float(v, "carry")
    return match_dtype_and_rank(decay, v, "decay") * v + x.astype(v.dtype)


def li_step_with_output(v, x, *, decay):
    """`li_step` as a step over time, which gives the potential out as well, in the dtype of ``x``."""
    v = li_step(v, x, decay=decay)
    return v, v.astype(x.dtype)


def recurrent_lif_step(carry, x, *, kernel, **neuron):
    """One step of a layer whose spikes feed back on itself: ``lif_step`` with the input ``x + s @ kernel``.

    Args:
      carry: potential and last spikes, both ``[..., features]``, each of which keeps its dtype, so that a carry does
        not depend on the dtype of the input.
      x: input, the same shape.
      kernel: recurrent weights, ``[features, features]``.
      **neuron: the arguments of :func:`lif_step`.

    Returns:
      The new carry and the spikes.
    """
    if not isinstance(carry, (tuple, list)) or len(carry) != 2:
        raise ValueError(
            f"expected the carry of a recurrent layer, its potential and its last spikes, got {shapes(carry)}"
        )
    v, last = carry
    _check_step(v, x)  # here, before a broadcast hides it
    _check_step(last, x)
    last = as_float(last, "carry")
    back = jnp.dot(last.astype(x.dtype), kernel.astype(x.dtype))
    v, s = lif_step(v, x + back, **neuron)
    return (v, s.astype(last.dtype)), s


def _check_step(v, x):
    if getattr(v, "shape", None) == x.shape:
        return
    more = len(getattr(v, "shape", x.shape)) - x.ndim
    if more < 0:
        hint = "a LIFCell takes one step, [batch, features]; a layer over time takes [time, batch, features]"
    elif more > 0:
        hint = "make the state without the time axis, by initialize_carry(xs.shape[1:])"
    else:
        hint = "make the state for this batch, by initialize_carry (brainstate: init_state)"
    raise ValueError(
        f"expected the input of one time step to have the shape of the carry, {shapes(v)}, got {x.shape}: {hint}"
    )


def neuron_step(kernel=None, **neuron) -> Callable:
    """The step of a LIF layer, ``(carry, x) -> (carry, spikes)``, with its arguments filled in.

    Args:
      kernel: recurrent weights, or None.
      **neuron: the arguments of :func:`lif_step`.
    """
    if kernel is None:
        return partial(lif_step, **neuron)
    return partial(recurrent_lif_step, kernel=kernel, **neuron)


def lif_carry(v, recurrent: bool):
    """The state of a LIF layer before the first step, from its potential."""
    return (v, jnp.zeros_like(v)) if recurrent else v
