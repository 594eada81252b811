"""The membrane equation, once: pure functions of one time step."""

from collections.abc import Callable, Iterable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from ._arrays import as_float, is_number, match_dtype_and_rank
from ._bounds import check_inside, names_of
from ._checks import check_flag, check_function, check_word, is_integer

RESETS = ("subtract", "zero", "none")
BOUNDS = {"decay": (0.0, 1.0), "threshold": (0.0, float("inf"))}


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
            f"expected the carry of a recurrent layer, its potential and its last spikes, got {_shapes(carry)}"
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
        f"expected the input of one time step to have the shape of the carry, {_shapes(v)}, got {x.shape}: {hint}"
    )


def _shapes(carry):
    return jax.tree.map(lambda leaf: getattr(leaf, "shape", type(leaf).__name__), carry)


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


def check_input_shape(owner: str, features: int | None, input_shape: tuple[int, ...]) -> tuple[int, ...]:
    """``(*batch, features)`` as a tuple, or a ValueError; of any number of features if it is None."""
    try:
        shape = tuple(input_shape)
        fits = all(map(is_size, shape)) and features in (None, shape[-1])
    except (TypeError, IndexError):
        fits = False
    if not fits:
        raise ValueError(f"{owner}: expected input_shape (*batch, {features or 'features'}), got {input_shape!r}")
    return shape


def is_size(n) -> bool:
    """Whether it can be the length of an axis: an integer from 0 on, or a symbolic one of ``jax.export``."""
    if isinstance(n, int | np.integer):
        return is_integer(n) and bool(n >= 0)
    from jax import export  # which `import jax` leaves out

    return export.is_symbolic_dim(n)


def check_drawn_shape(name: str, value, shape: tuple[int, ...]):
    """What an initialiser gave, or a ValueError if it is not an array of the shape that it was asked for."""
    if getattr(value, "shape", None) != shape:
        raise ValueError(f"expected {name} to give an array of shape {shape}, got {_shapes(value)}")
    return value


def drawing_dtype(dtype):
    """The dtype to draw weights in before they are cast: jax has no orthogonal matrix in half precision."""
    return jnp.float32 if jnp.dtype(dtype).itemsize < 4 else dtype


def check_neuron(
    owner: str,
    features,
    reset="subtract",
    spike_fn: Callable = abs,
    reset_grad=None,
    recurrent=False,
    carry_init: Callable = abs,
    recurrent_kernel_init: Callable = abs,
    learnable: str | Iterable[str] = (),
    **parameters,
):
    """The checks that every layer makes when it is constructed; ``owner`` is its name."""
    if not is_integer(features) or features < 1:
        raise ValueError(f"{owner}: expected features to be a positive integer, got {features!r}")
    check_word(f"{owner}: reset", reset, RESETS)
    check_function(f"{owner}: spike_fn", spike_fn, "a surrogate or a function")
    check_flag(f"{owner}: reset_grad", reset_grad, optional=True)
    check_flag(f"{owner}: recurrent", recurrent)
    check_function(f"{owner}: carry_init", carry_init, "an initialiser")
    check_function(f"{owner}: recurrent_kernel_init", recurrent_kernel_init, "an initialiser")
    for name, value in parameters.items():
        if not is_number(value):
            raise TypeError(f"{owner}: expected {name} to be a number or an array, got {value!r}")
        if jnp.shape(value) not in ((), (1,), (features,)):
            raise ValueError(f"{owner}: expected {name} to be one number or {features}, got shape {jnp.shape(value)}")
    if "decay" not in names_of(owner, learnable):  # or else it has bounds of its own, checked where it is made
        check_inside(f"{owner}: decay", parameters["decay"], BOUNDS["decay"])
    for name, value in parameters.items():
        if not isinstance(value, jax.core.Tracer) and not np.all(np.isfinite(np.asarray(value))):
            hint = ": a layer that never fires is LI" if name == "threshold" else ""
            raise ValueError(f"{owner}: expected {name} to be finite, got {value!r}{hint}")
