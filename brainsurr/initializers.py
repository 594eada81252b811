"""First weights with which neurons fire, as initialisers; needs jax alone."""

import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._arrays import drawing_dtype, match_dtype_and_rank
from ._checks import check_number, check_positive_integer
from ._value import is_built_in
from .neurons import Neuron
from .neurons._spikes import with_spike_functions

__all__ = ["fluctuation_driven"]


def fluctuation_driven(neuron: Any, rate: Any, *, xi: Any = 1.0, share: Any = 1.0, steps: int | None = None) -> Any:
    r"""Draw weights with which the potential of a neuron fluctuates as far as its threshold is away.

    .. math::
       w \sim \mathcal{N}(0, \sigma^2), \qquad
       \sigma^2 = \frac{\mathrm{share} \cdot (\theta / \xi)^2}{n \cdot \mathrm{rate} \cdot \sum_k \epsilon_k^2}

    with :math:`n` the inputs of a neuron (all axes of the kernel but the last), :math:`\theta` the distance from rest
    to the threshold, and :math:`\epsilon_k` what an input of 1 leaves of itself in the potential k steps later. Both
    are measured on the neuron, so that any does, one of your own too: with ``LIF`` it is
    :math:`\epsilon_k = \mathrm{decay}^k`. With a share of 1 the potential then has the deviation :math:`\theta / \xi`
    over time, as long as there is no spike.

    That is of Poisson input, as in the paper; where a step has one spike or none, the variance is 1 - rate times that.
    What is not counted: each neuron fluctuates around a mean of its own, and over neurons these have the deviation
    :math:`\mathrm{rate} \sqrt n\, \sigma \sum_k \epsilon_k`. And where a convolution pads, neurons at the border have
    fewer inputs: of 3 x 3 pixels an edge has :math:`\sqrt{2 / 3}` of the deviation, a corner 2 / 3.

    Args:
      neuron: that the weights lead to, of ``brainsurr.neurons``, or of a layer, ``lif.neuron``. Or several in a row, as
        in ``[LI(decay=0.8), LIF()]``, of which the last may fire. One that never does, such as ``LI``, counts as
        having a threshold of 1.
      rate: the mean number of spikes of an input in a step, in (0, 1]. Of other numbers that vary from step to step,
        their mean square; what stays, such as a still image, adds up to more.
      xi: how many deviations it is to the threshold, above 0. Neurons fire more with 1, as in most examples of the
        paper's code, than with 3.
      share: of the variance, in (0, 1]. Where there are recurrent weights, that code takes 0.9, and 0.1 for these.
      steps: how many steps of input count: None is all, and the length of a sequence is for a neuron that hardly
        forgets, such as one with a decay of 1.

    Returns:
      An initialiser ``init(key, shape, dtype)``: ``kernel_init`` and ``recurrent_kernel_init`` of Flax. brainstate
      calls it by ``init(shape)``, as ``w_init``, and its own random state gives the key.

    Raises:
      TypeError: ``neuron`` is not a neuron.
      ValueError: ``rate``, ``xi``, ``share`` or ``steps`` is no such number. When it draws: without ``steps``, a neuron
        that does not forget; one that fires at rest, or that no input reaches; a shape of fewer than two axes.

    References:
      Rossbroich, Gygax, Zenke 2022, "Fluctuation-driven initialization for spiking neural network training",
      Neuromorphic Computing and Engineering 2; weights of mean 0, and sums over steps in the place of integrals.

    Example:
      >>> import jax
      >>> from brainsurr.initializers import fluctuation_driven
      >>> from brainsurr.neurons import LIF
      >>> init = fluctuation_driven(LIF(decay=0.9), rate=0.05, xi=2.0)
      >>> w = init(jax.random.key(0), (200, 1000))
      >>> print(f"{w.std():.4f} {((1 / 2) ** 2 / (200 * 0.05 / (1 - 0.9**2))) ** 0.5:.4f}")
      0.0688 0.0689
    """
    owner, neurons = "fluctuation_driven", tuple(neuron) if isinstance(neuron, tuple | list) else (neuron,)
    if not neurons or not all(isinstance(each, Neuron) for each in neurons):
        raise TypeError(f"{owner}: expected neuron to be one, such as neurons.LIF(), or lif.neuron, got {neuron!r}")
    check_number(f"{owner}: xi", xi, "above 0", lambda n: (n.ndim == 0) & (n > 0))
    for name, value in {"rate": rate, "share": share}.items():
        check_number(f"{owner}: {name}", value, "in (0, 1]", lambda n: (n.ndim == 0) & (n > 0) & (n <= 1))

    check_positive_integer(f"{owner}: steps", 1 if steps is None else steps)

    def init(key, shape=None, dtype=jnp.float32, **how):
        if shape is None and "brainstate" in sys.modules:
            key, shape = sys.modules["brainstate"].random.split_key(), key
        with jax.ensure_compile_time_eval():  # it takes 2000 steps to know whether a neuron forgets
            same_program = all(map(is_built_in, neurons))
            potential = _compiled if same_program else jax.jit(lambda *args: _potential(*args), static_argnums=(1, 2))
            rest, power, kept = map(np.asarray, potential(neurons, shape[-1], steps or 2000))
        if not np.all((rest < 0) & (power > 0) & np.isfinite(power) & ((kept < 1e-3) | (steps is not None))):
            what = "that is silent at rest, gets its input, and forgets it within 2000 steps"
            raise ValueError(f"{owner}: expected a neuron {what}, got {neuron!r}: give steps= to one that never does")
        w = jax.nn.initializers.variance_scaling(1.0, "fan_in", "normal")(key, shape, drawing_dtype(dtype), **how)
        sigma = match_dtype_and_rank(-rest / xi * np.sqrt(share / (rate * power)), w, f"{owner}: sigma")
        return (sigma * w).astype(dtype)

    return init


def _potential(neurons: tuple[Neuron, ...], features: int, steps: int) -> tuple[jax.Array, ...]:
    """Return potential minus threshold at rest, the sum of squares of its response, and what is left of that."""

    def step(states, x):
        first: dict[str, jax.Array] = {}
        after = []
        for neuron, state in zip(neurons, states, strict=True):
            silent = with_spike_functions(lambda name, f: lambda u: 0 * first.setdefault("u", u), neuron)
            state, x = silent._advance(state, x)
            after.append(state)
        return after, first.get("u", x - 1)

    xs = jnp.zeros((steps, features))
    start = [neuron.initial_state(xs[0]) for neuron in neurons]
    u, response = jax.jvp(lambda xs: jax.lax.scan(step, start, xs)[1], (xs,), (xs.at[0].set(1.0),))
    return u[-1], jnp.sum(response**2, 0), jnp.abs(response[-1]) / jnp.max(jnp.abs(response), 0)


_compiled = jax.jit(_potential, static_argnums=(1, 2))
