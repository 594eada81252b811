"""Encode numbers as spikes over time (`rate`, `latency`, `delta`) or as activations (`population`). Needs only jax."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._arrays import as_real, drawing_dtype, is_float, match_dtype_and_rank
from ._checks import check_dtype, check_flag, check_number, check_positive_integer

__all__ = ["delta", "latency", "population", "rate"]


def rate(x: Any, steps: int, *, key: jax.Array, dtype: Any = None) -> jax.Array:
    r"""Encode each value as a firing rate: a neuron fires at each step with probability :math:`x`.

    .. math:: s_t \sim \mathrm{Bernoulli}(x), \qquad t = 0, \dots, \mathrm{steps} - 1

    For lower firing rates, pass ``0.2 * x``, for example.

    Args:
      x: floats in [0, 1] of any shape, dimensionless. Divide byte images by 255.
      steps: number of time steps, a positive integer.
      key: random key, ``jax.random.key(seed)``. The same key draws the same spikes.
      dtype: dtype of the spikes. Defaults to the dtype of ``x``. ``jnp.uint8`` needs a quarter of the memory of
        float32.

    Returns:
      Spikes ``[steps, *x.shape]``, 0 or 1. In a trace, values can't be checked: a value outside [0, 1] gives NaN if
      ``dtype`` is floating.

    Raises:
      TypeError: ``x`` does not have a floating dtype, ``key`` is not a key, or ``dtype`` is not a real dtype.
      ValueError: ``x`` is not in [0, 1], or ``steps`` is not a positive integer.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from brainsurr import encoders
      >>> spikes = encoders.rate(jnp.array([0.0, 0.25, 1.0]), 1000, key=jax.random.key(0))
      >>> print(spikes.shape, spikes.mean(0).round(1))
      (1000, 3) [0.  0.2 1. ]
    """
    check_positive_integer("rate: steps", steps)
    x, dtype = _read("rate", x, dtype)
    # Draw in 32 bits: in half precision, at least one in 128 random numbers is 0.
    return _spikes(jax.random.uniform(key, (steps, *x.shape), x.dtype) < x[None], x, dtype)


def latency(x: Any, steps: int, *, tau: Any = None, threshold: Any = 0.01, dtype: Any = None) -> jax.Array:
    r"""Encode each value as the time of a single spike: larger values fire earlier.

    The spike is at the time :math:`t`, rounded to a step (a half to the even step):

    .. math::
       t = (\mathrm{steps} - 1)(1 - x) \ (\text{linear}), \qquad
       t = \tau \ln \frac{x}{x - \mathrm{threshold}} \ (\text{with } \tau)

    With ``tau``, it is the time at which a potential with this time constant, charged by :math:`x` from 0, reaches the
    threshold. A value at or below the threshold does not fire, and neither does a value whose spike would come after
    the last step. In snnTorch, these fire in the last step unless ``clip=True``. SpikingJelly has no threshold, and 0
    fires in the last step.

    Args:
      x: floats in [0, 1] of any shape, dimensionless. Divide byte images by 255.
      steps: number of time steps, a positive integer.
      tau: time constant in time steps, above 0. If None, the code is linear.
      threshold: value above which a neuron fires, in [0, 1). A number, or an array that broadcasts into ``x``.
      dtype: dtype of the spikes. Defaults to the dtype of ``x``.

    Returns:
      Spikes ``[steps, *x.shape]``, 0 or 1. In a trace, values can't be checked: a value outside [0, 1] gives NaN if
      ``dtype`` is floating.

    Raises:
      TypeError: ``x`` does not have a floating dtype, or ``dtype`` is not a real dtype.
      ValueError: ``x`` is not in [0, 1], ``steps`` is not a positive integer, or ``threshold`` or ``tau`` is invalid.

    References:
      Thorpe, Delorme, Van Rullen 2001, "Spike-based strategies for rapid processing" (the code). Eshraghian, Ward,
      Neftci, Wang, Lenz, Dwivedi, Bennamoun, Jeong, Lu 2023, "Training Spiking Neural Networks Using Lessons From Deep
      Learning", section on latency coding (the time constant).

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr import encoders
      >>> print(encoders.latency(jnp.array([0.0, 0.25, 0.5, 1.0]), 5))
      [[0. 0. 0. 1.]
       [0. 0. 0. 0.]
       [0. 0. 1. 0.]
       [0. 1. 0. 0.]
       [0. 0. 0. 0.]]
    """
    check_positive_integer("latency: steps", steps)
    x, dtype = _read("latency", x, dtype)
    threshold = _number("latency: threshold", threshold, x, "in [0, 1)", lambda n: (n >= 0) & (n < 1))
    time, above = (steps - 1) * (1 - x), x > threshold
    if tau is not None:
        time = _number("latency: tau", tau, x) * -jnp.log1p(-threshold / jnp.where(above, x, 1.0))
    now = jax.lax.broadcasted_iota(x.dtype, (steps, *x.shape), 0)
    return _spikes((now == jnp.round(time)[None]) & above[None], x, dtype)


def delta(xs: Any, threshold: Any = 0.1, *, off: bool = True, dtype: Any = None) -> jax.Array:
    r"""Encode changes of a series since the previous step as spikes, like the pixels of an event camera.

    .. math::
       s_t = \begin{cases} 1 & x_t - x_{t-1} \ge \mathrm{threshold} \\
       -1 & x_t - x_{t-1} \le -\mathrm{threshold} \\ 0 & \text{else} \end{cases}

    The first step has no spike, since no step precedes it. snnTorch computes the first change from 0 unless
    ``padding=True``, so its first step can have a spike.

    Args:
      xs: floats ``[time, ...]``. They may be infinite, such as the logarithm of 0.
      threshold: smallest change that causes a spike, in the unit of ``xs``, above 0. A number, or an array that
        broadcasts into ``xs``.
      off: if True, a decrease is encoded as -1; if False, as 0.
      dtype: dtype of the spikes. Defaults to the dtype of ``xs``; ``jnp.int8`` is the smallest that represents -1.

    Returns:
      Spikes ``[time, ...]``. In a trace, values can't be checked: NaN gives NaN if ``dtype`` is floating.

    Raises:
      TypeError: ``xs`` does not have a floating dtype, ``off`` is not a boolean, or ``dtype`` can't store the spikes.
      ValueError: ``xs`` contains NaN, or ``threshold`` is not a number above 0.

    References:
      Lichtsteiner, Posch, Delbruck 2008, "A 128 x 128 120 dB 15 us Latency Asynchronous Temporal Contrast Vision
      Sensor" (the camera, which uses logarithmic values and remembers the last spike).

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr import encoders
      >>> print(encoders.delta(jnp.array([0.5, 0.75, 0.75, 0.25]), 0.25))
      [ 0.  1.  0. -1.]
    """
    xs, dtype = _read("delta", xs, dtype, "xs", -np.inf, np.inf)
    check_flag("delta: off", off)
    if off and dtype.kind in "ub":
        raise TypeError(f"delta: expected a dtype that represents -1, got {dtype}: use jnp.int8 or off=False")
    before = jnp.concatenate([xs[:1], xs[:-1]])
    change = jnp.where(xs == before, 0, xs - before)  # inf - inf would be NaN
    fires = (jnp.abs(change) if off else change) >= _number("delta: threshold", threshold, xs)
    spikes = jnp.sign(change)
    return jnp.where(fires, spikes, 0 * spikes).astype(dtype)  # 0, or NaN where a spike is NaN


def population(x: Any, count: int, *, width: Any = None) -> jax.Array:
    r"""Encode each value by the activations, in [0, 1], of a population of neurons with different preferred values.

    .. math:: a_i = \exp\left(-\frac{(x - c_i)^2}{2\, \mathrm{width}^2}\right), \qquad
       c_i = \frac{i}{\mathrm{count} - 1}, \quad i = 0, \dots, \mathrm{count} - 1

    To turn activations into spikes, use `rate`, or `latency` for one spike each.

    Args:
      x: floats in [0, 1], ``[..., features]``, dimensionless.
      count: number of neurons per value, a positive integer. A single neuron prefers 0.
      width: tuning width, above 0: a number or ``[count]``. Defaults to the distance between neighbouring neurons.

    Returns:
      Activations ``[..., features * count]``, in the dtype of ``x``; the neurons of a feature are adjacent. In a
      trace, values can't be checked: a value outside [0, 1] gives NaN.

    Raises:
      TypeError: ``x`` does not have a floating dtype.
      ValueError: ``x`` is not in [0, 1], ``count`` is not a positive integer, or ``width`` is not above 0.

    References:
      Bohte, Kok, La Poutre 2002, "Error-backpropagation in temporally encoded networks of spiking neurons",
      Neurocomputing 48 (Gaussian receptive fields).

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr import encoders
      >>> print(encoders.population(jnp.array([0.0, 0.5]), 3).round(2))
      [1.   0.61 0.14 0.61 1.   0.61]
    """
    check_positive_integer("population: count", count)
    x, dtype = _read("population", x)
    distance = x[..., None] - jnp.broadcast_to(jnp.linspace(0, 1, count, dtype=x.dtype), (*x.shape, count))
    width = _number("population: width", 1 / max(count - 1, 1) if width is None else width, distance)
    activations = jnp.where(_fits(x)[..., None], jnp.exp(-((distance / width) ** 2) / 2), jnp.nan)
    return jax.lax.collapse(activations, x.ndim - 1).astype(dtype)


def _read(owner: str, x, dtype=None, name="x", low=0.0, high=1.0) -> tuple[jax.Array, Any]:
    """Check that floats are in an interval, unless traced; return them in at least 32 bits, and the output dtype."""
    x = as_real(x, name)
    if not is_float(x):
        raise TypeError(f"{owner}: expected {name} to be floats, got {x.dtype}: divide bytes by 255")
    number = np.zeros(0) if isinstance(x, jax.core.Tracer) else np.asarray(x)
    if not np.all((number >= low) & (number <= high)):
        raise ValueError(f"{owner}: expected {name} in [{low}, {high}], got {number.min()} to {number.max()}")
    dtype = x.dtype if dtype is None else dtype
    check_dtype(f"{owner}: dtype", dtype, any_real=True)
    return x.astype(drawing_dtype(x.dtype)), jnp.dtype(dtype)


def _number(name: str, value, like: jax.Array, what="above 0", fits=lambda n: n > 0):
    """Check a number or an array of numbers; return it in the dtype and rank of an array."""
    check_number(name, value, what, fits)
    return match_dtype_and_rank(value, like, name)


def _spikes(fires: jax.Array, x: jax.Array, dtype) -> jax.Array:
    """Return spikes ``[time, ...]`` in a dtype. In floating dtypes, traced values outside [0, 1] give NaN."""
    spikes = fires.astype(dtype)
    return jnp.where(_fits(x)[None], spikes, jnp.nan) if is_float(spikes) else spikes


def _fits(x: jax.Array) -> jax.Array:
    return (x >= 0) & (x <= 1)
