"""First-spike times as a differentiable readout, and losses that use them. Needs only jax."""

from typing import Any

import jax
import jax.numpy as jnp

from ._arrays import as_float
from ._checks import check_counts, check_number

__all__ = ["first_spike_cross_entropy", "first_spike_times", "never_fires"]


def first_spike_times(spikes: Any) -> jax.Array:
    r"""Return the time step of the first spike of each neuron, or the number of steps if the neuron never fires.

    .. math:: t = \sum_{n=0}^{T-1} \prod_{m=0}^{n} (1 - s_m), \qquad
       \frac{\partial t}{\partial s_m} = -\sum_{n=m}^{T-1} \prod_{k \le n,\, k \ne m} (1 - s_k)

    For spikes of 0 and 1, this is the number of steps before the first spike. Its derivative is also correct at 0 and
    1: a spike that is added before the first one moves the first spike forward by the number of steps in between, and a
    spike after the first one changes nothing. If a neuron never fires, every step has a gradient. The gradient goes on
    through the surrogate of the neuron.

    Args:
      spikes: spikes ``[time, ...]``, each 0 or 1, of any real dtype. Values in between are read as probabilities.

    Returns:
      The times in time steps, ``[...]``, from 0 to the number of steps, in the dtype of the spikes; for integers and
      booleans in the default float.

    Raises:
      TypeError: ``spikes`` is not an array of real numbers.
      ValueError: there is no time step, or more steps than the dtype can count.

    Example:
      >>> import jax, jax.numpy as jnp, brainsurr as bs
      >>> spikes = jnp.array(
      ...     [[0.0, 0.0], [0.0, 0.0], [1.0, 0.0], [1.0, 0.0]]
      ... )  # the second neuron never fires
      >>> print(bs.losses.first_spike_times(spikes))
      [2. 4.]
      >>> print(jax.grad(lambda s: bs.losses.first_spike_times(s).sum())(spikes).T)
      [[-2. -1. -1. -0.]
       [-4. -3. -2. -1.]]
    """
    return _silent_until(spikes).sum(0)


def never_fires(spikes: Any) -> jax.Array:
    r"""Return 1 for each neuron that never fires, and 0 for all others: :math:`\prod_n (1 - s_n)`.

    Add its mean to a loss to make silent neurons fire: the derivative of a silent neuron is -1 at each step.

    Args:
      spikes: spikes ``[time, ...]``, as for :func:`first_spike_times`.

    Returns:
      An array ``[...]`` of the dtype of the times.

    Raises:
      TypeError: ``spikes`` is not an array of real numbers.
      ValueError: there is no time step, or more steps than the dtype can count.

    Example:
      >>> import jax.numpy as jnp, brainsurr as bs
      >>> print(bs.losses.never_fires(jnp.array([[0.0, 0.0], [1.0, 0.0]])))
      [0. 1.]
    """
    return _silent_until(spikes)[-1]


def first_spike_cross_entropy(spikes: Any, labels: Any, *, tau: Any = 1.0) -> jax.Array:
    r"""Return the cross-entropy of a softmax over first-spike times: the output neuron that fires first wins.

    .. math:: L = -\log \frac{e^{-t_y / \tau}}{\sum_j e^{-t_j / \tau}}, \qquad y = \mathrm{label}

    Args:
      spikes: spikes of the output neurons, ``[time, batch, classes]``, as for :func:`first_spike_times`.
      labels: the class of each example, integers ``[batch]`` from 0 to ``classes - 1``.
      tau: the time difference, in time steps, at which a probability falls to 1 / e; above 0.

    Returns:
      The loss of each example, ``[batch]``.

    Raises:
      TypeError: ``spikes`` is not an array of real numbers, or ``labels`` are not integers.
      ValueError: there is no time step, more steps than the dtype can count, ``labels`` have another shape, or ``tau``
        is not above 0.

    References:
      Mostafa 2018, "Supervised Learning Based on Temporal Coding in Spiking Neural Networks".
      Goeltz et al. 2021, "Fast and energy-efficient neuromorphic deep learning with first-spike times".

    Example:
      >>> import jax.numpy as jnp, brainsurr as bs
      >>> spikes = jnp.array([[[0.0, 1.0]], [[1.0, 0.0]]])  # class 1 fires one step earlier
      >>> print(*bs.losses.first_spike_cross_entropy(spikes, jnp.array([1])).round(2))
      0.31
    """
    check_number("first_spike_cross_entropy: tau", tau, "above 0", lambda n: n > 0)
    log_p, labels = jax.nn.log_softmax(-first_spike_times(spikes) / tau), jnp.asarray(labels)
    if labels.shape != log_p.shape[:-1]:  # jax would broadcast them
        raise ValueError(f"expected labels of shape {log_p.shape[:-1]}, one for each example, got {labels.shape}")
    return -jnp.take_along_axis(log_p, labels[..., None], -1).squeeze(-1)


def _silent_until(spikes) -> jax.Array:
    """Return for each time step 1 if the neuron has not fired yet, otherwise 0."""
    spikes = as_float(spikes, "spikes")
    if not spikes.ndim or not len(spikes):
        raise ValueError(f"expected spikes of shape [time, ...] with at least one time step, got {spikes.shape}")
    check_counts("spikes: time steps", len(spikes), spikes.dtype)
    return jnp.cumprod(1 - spikes, axis=0)
