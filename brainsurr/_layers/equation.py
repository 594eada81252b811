"""The membrane equation, once: pure functions of one time step."""

from collections.abc import Callable
from functools import partial

import jax.numpy as jnp

from .._arrays import as_float, match_dtype_and_rank
from .._checks import check_step_shape, check_word, shapes
from .._smooth import detached_reset, widened

RESETS = ("subtract", "zero", "none")
ADAPTS = ("threshold", "input")


def lif_step(
    v,
    x,
    last=None,
    *,
    decay,
    threshold,
    spike_fn,
    reset="subtract",
    reset_grad=None,
    decay_input=False,
    raised=None,
    inhibited=None,
    key=None,
):
    r"""Take one step of a leaky integrate-and-fire neuron.

    .. math::
       u &= \mathrm{decay} \cdot v + x \\
       s &= \mathrm{spike\_fn}(u - \mathrm{threshold}) \\
       v' &= u - \mathrm{threshold}\, s \ (\text{subtract}), \quad u\,(1 - s)\ (\text{zero}), \quad u\ (\text{none})

    With the spikes of the last step, :math:`s_0`, these reset the potential in the place of :math:`s`, one step late:

    .. math::
       v' = u - \mathrm{threshold}\, s_0 \ (\text{subtract}), \quad u\,(1 - s_0)\ (\text{zero}), \qquad
       s = \mathrm{spike\_fn}(v' - \mathrm{threshold})

    All in the dtype of ``v``, which is dimensionless like everything here; the spikes are returned in the dtype of
    ``x``, so bfloat16 spikes can come from a float32 membrane.

    Args:
      v: membrane potential, ``[..., features]``.
      x: input, the same shape.
      last: the spikes of the last step for a delayed reset, or None.
      decay: what is left of the potential after a step, in [0, 1]; a number or ``[features]``.
      threshold: a number or ``[features]``.
      spike_fn: what turns ``u - threshold`` into spikes: a surrogate, or any function.
      reset: ``"subtract"``, ``"zero"`` or ``"none"``. Under ``"zero"`` an infinite potential becomes NaN.
      reset_grad: whether the gradient flows through the reset. None means yes, but for ``"zero"``: there each
        step multiplies it by :math:`1 - s - u\,g'`, which explodes when g' is large far from threshold.
      decay_input: whether the input is multiplied by 1 - decay.
      raised: what adaptation adds to the threshold, ``[..., features]``, or None. With ``last`` a pair: what it added
        when these were fired, which they subtract, and what it adds now.
      inhibited: what it takes from the input, the same.
      key: draws the spikes of a surrogate, or None.

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
    check_step_shape(v, x.shape)
    v = as_float(v, "carry")
    drive = x if inhibited is None else x.astype(v.dtype) - inhibited.astype(v.dtype)
    u = li_step(v, drive, decay=decay, decay_input=decay_input)
    base = match_dtype_and_rank(threshold, u, "threshold")
    added = raised if isinstance(raised, tuple) else (raised, raised)
    of_reset, of_spike = (base if a is None else base + a.astype(u.dtype) for a in added)

    def spikes(u):
        x = u - of_spike
        s = as_float(spike_fn(x) if key is None else spike_fn(x, key=key), "what spike_fn returns").astype(u.dtype)
        if s.shape != u.shape:
            raise ValueError(
                f"expected spike_fn to return an array of the shape of its argument, {u.shape}, got {s.shape}"
            )
        return s

    def after(s):
        s = s if (reset != "zero" if reset_grad is None else reset_grad) else detached_reset(s)
        if reset == "none":
            return u
        return u - of_reset * s if reset == "subtract" else u * (1 - s)

    if last is None:
        s = spikes(u)
        v = after(s)
    else:
        v = after(as_float(last, "carry").astype(u.dtype))
        s = spikes(v)
    return v, s.astype(x.dtype)


def li_step(v, x, *, decay, decay_input=False):
    r"""Take one step of a leaky integrator, :math:`v' = \mathrm{decay} \cdot v + x`, in the dtype of ``v``.

    Args:
      v: potential, ``[..., features]``.
      x: input, the same shape.
      decay: in [0, 1]; a number or ``[features]``.
      decay_input: whether the input is multiplied by 1 - decay, so that a constant input is what the potential
        tends to.

    Raises:
      TypeError: ``v`` is not a real array.
      ValueError: the shapes of ``v`` and ``x`` differ.

    Example:
      >>> import jax.numpy as jnp
      >>> print(li_step(jnp.array([1.0]), jnp.array([0.25]), decay=0.5))
      [0.75]
    """
    check_step_shape(v, x.shape)
    v = as_float(v, "carry")
    decay, x = match_dtype_and_rank(decay, v, "decay"), x.astype(v.dtype)
    return decay * v + (1 - decay) * x if decay_input else decay * v + x


def li_step_with_output(v, x, **leak):
    """Take `li_step` as a step over time, which gives the potential out as well, in the dtype of ``x``."""
    v = li_step(v, x, **leak)
    return v, v.astype(x.dtype)


def lif_step_with_spikes(carry, x, *, kernel=None, reset_delay=False, **neuron):
    """Take one step of a layer whose last spikes act on it: as the input ``s @ kernel``, as a delayed reset, or both.

    Args:
      carry: potential and last spikes, both ``[..., features]``, each of which keeps its dtype, so that a carry does
        not depend on the dtype of the input.
      x: input, the same shape.
      kernel: recurrent weights, ``[features, features]``, or None.
      reset_delay: whether a spike resets the potential one step later.
      **neuron: the arguments of :func:`lif_step`.

    Returns:
      The new carry and the spikes.
    """
    v, last = _with_spikes(carry, x)
    if kernel is not None:
        x = x + jnp.dot(last.astype(x.dtype), kernel.astype(x.dtype))
    v, s = lif_step(v, x, last if reset_delay else None, **neuron)
    return (v, s.astype(last.dtype)), s


def adaptive_step(carry, x, *, step, adapts, adaptation_decay, spike_adaptation, voltage_adaptation, **neuron):
    r"""Take one step of a neuron that adapts: the more it has fired, the higher its threshold or the less its input.

    .. math::
       v', s &= \mathrm{step}(v, x) \ \text{with threshold} + a\ (\text{threshold}) \text{ or } x - a\ (\text{input}) \\
       a' &= \rho\, a + (1 - \rho)\,(b\, s + c\, v')

    with :math:`\rho` the ``adaptation_decay``, :math:`b` the ``spike_adaptation``, :math:`c` the
    ``voltage_adaptation``. The adaptation follows the new potential, which keeps the pair of equations stable. With a
    delayed reset it does so in the next step, where the reset subtracts the threshold from before: that at which the
    neuron fired.

    Args:
      carry: the carry of ``step`` and the adaptation, ``[..., features]``; with a delayed reset both are as they were
        before the last spikes had an effect.
      x: input, the same shape.
      step: :func:`lif_step` or :func:`lif_step_with_spikes`.
      adapts: ``"threshold"`` or ``"input"``.
      adaptation_decay: in [0, 1]; a number or ``[features]``, as are the other two.
      spike_adaptation: what a spike adds.
      voltage_adaptation: what the potential adds.
      **neuron: the arguments of ``step``.

    Returns:
      The new carry and the spikes.

    References:
      Bellec, Salaj, Subramoney, Legenstein, Maass 2018, "Long short-term memory and learning-to-learn in networks of
      spiking neurons" (threshold, a delayed reset). Bittar, Garner 2022, "A surrogate gradient spiking
      baseline for speech command recognition" (input). Baronig, Ferrand, Sabathiel, Legenstein 2024, "Advancing
      spatio-temporal processing in spiking neural networks through adaptation" (input, reset to zero; symplectic).
    """
    check_word("adapts", adapts, ADAPTS)
    inner, a = _pair(carry, "that of its neuron and its adaptation")
    check_step_shape(a, x.shape)
    a = as_float(a, "carry")
    rho = match_dtype_and_rank(adaptation_decay, a, "adaptation_decay")
    b = match_dtype_and_rank(spike_adaptation, a, "spike_adaptation")
    c = match_dtype_and_rank(voltage_adaptation, a, "voltage_adaptation")

    def adapted(v, s):
        # Avoid 0 times infinity, for a neuron that may not fire.
        v = jnp.where((c == 0) & jnp.isinf(v), jnp.zeros_like(v), v)
        return rho * a + (1 - rho) * (b * s.astype(a.dtype) + c * v.astype(a.dtype))

    delayed = neuron.get("reset_delay", False)
    now = adapted(*_with_spikes(inner, x)) if delayed else a
    acts = {"inhibited": now} if adapts == "input" else {"raised": (a, now) if delayed else now}
    inner, s = step(inner, x, **acts, **neuron)
    return (inner, now if delayed else adapted(inner[0] if isinstance(inner, tuple) else inner, s)), s


def _with_spikes(carry, x):
    """Return the potential and the last spikes of a carry, of the shape of the input, which would broadcast them."""
    pair = _pair(carry, "its potential and its last spikes")
    for part in pair:
        check_step_shape(part, x.shape)
    return tuple(as_float(part, "carry") for part in pair)


def _pair(carry, of):
    if not isinstance(carry, (tuple, list)) or len(carry) != 2:
        raise ValueError(f"expected the carry of this layer to be a pair, {of}, got {shapes(carry)}")
    return carry


def neuron_step(kernel=None, *, reset_delay=False, **neuron) -> Callable:
    """Return the step of a LIF layer, ``(carry, x) -> (carry, spikes)``, with its arguments filled in.

    Args:
      kernel: recurrent weights, or None.
      reset_delay: whether a spike resets the potential one step later.
      **neuron: the other arguments of :func:`lif_step`; for a neuron that adapts those of :func:`adaptive_step` too.
    """
    step: Callable = lif_step
    if kernel is not None or reset_delay:
        step, neuron = lif_step_with_spikes, neuron | {"kernel": kernel, "reset_delay": reset_delay}
    return partial(adaptive_step, step=step, **neuron) if "adapts" in neuron else partial(step, **neuron)


def lif_carry(v, keeps_spikes: bool, adapts: bool = False):
    """Return the state of a LIF layer before the first step, from its potential."""
    v = widened(v)
    carry = (v, jnp.zeros_like(v)) if keeps_spikes else v
    return (carry, jnp.zeros_like(v)) if adapts else carry
