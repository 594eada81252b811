"""Weight initialisers for spiking neurons: with `fluctuation_driven`, they fire from the start. Needs only jax."""

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
    r"""Initialise weights so that the membrane potential of a neuron fluctuates on the scale of its threshold.

    .. math::
       w \sim \mathcal{N}(0, \sigma^2), \qquad
       \sigma^2 = \frac{\mathrm{share} \cdot (\theta / \xi)^2}{n \cdot \mathrm{rate} \cdot \sum_k \epsilon_k^2}

    Here, :math:`n` is the number of inputs of a neuron (all axes of the kernel except the last), :math:`\theta` is the
    distance from rest to the threshold, and :math:`\epsilon_k` is the response of the potential, k steps later, to an
    input of 1. Both :math:`\theta` and :math:`\epsilon_k` are measured on the neuron, so any neuron works, including
    your own. For ``LIF``, :math:`\epsilon_k = \mathrm{decay}^k`. With ``share=1``, the potential has a standard
    deviation of :math:`\theta / \xi` over time, as long as there is no spike.

    This is exact for Poisson input, as in the paper. If the input has at most one spike per step, the variance is
    smaller by a factor of 1 - rate. The formula ignores two effects. Each neuron fluctuates around its own mean, and
    these means have a standard deviation of :math:`\mathrm{rate} \sqrt n\, \sigma \sum_k \epsilon_k` over neurons. And
    if a convolution pads its input, neurons at the border have fewer inputs: with a 3 x 3 kernel, an edge has
    :math:`\sqrt{2 / 3}` of the standard deviation, and a corner 2 / 3.

    Args:
      neuron: the neuron that receives the weighted input: a neuron of ``brainsurr.neurons``, or the neuron of a layer,
        ``lif.neuron``. For several neurons in sequence, pass a list such as ``[LI(decay=0.8), LIF()]``, in which only
        the last neuron may fire. A neuron that never fires, such as ``LI``, is assigned a threshold of 1.
      rate: mean number of spikes per input and step, in (0, 1]. For other inputs that vary from step to step, use their
        mean square. Constant inputs, such as a static image, need a larger value.
      xi: distance to the threshold in standard deviations, above 0. Neurons fire more with 1, as in most examples of
        the paper's code, than with 3.
      share: fraction of the variance that these weights contribute, in (0, 1]. With recurrent weights, the paper's code
        uses 0.9 for the input weights and 0.1 for the recurrent weights.
      steps: number of past time steps in the sum over k. If None, the sum is over all steps. For a neuron that hardly
        forgets, such as one with a decay of 1, use the length of a sequence.

    Returns:
      An initialiser ``init(key, shape, dtype)``, for ``kernel_init`` and ``recurrent_kernel_init`` in Flax. brainstate
      calls it as ``init(shape)``, for ``w_init``, with a key from its own random state.

    Raises:
      TypeError: ``neuron`` is not a neuron.
      ValueError: ``rate``, ``xi``, ``share`` or ``steps`` is invalid. When the initialiser is called: the neuron does
        not forget and ``steps`` is None, the neuron fires at rest, no input reaches it, or the shape has fewer than two
        axes.

    References:
      Rossbroich, Gygax, Zenke 2022, "Fluctuation-driven initialization for spiking neural network training",
      Neuromorphic Computing and Engineering 2. Here, weights have mean 0, and sums over steps replace the integrals.

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
        raise TypeError(f"{owner}: expected a neuron, such as neurons.LIF() or lif.neuron, got {neuron!r}")
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
            what = "that is silent at rest, receives its input, and forgets it within 2000 steps"
            raise ValueError(f"{owner}: expected a neuron {what}, got {neuron!r}: if it never forgets, pass steps=")
        w = jax.nn.initializers.variance_scaling(1.0, "fan_in", "normal")(key, shape, drawing_dtype(dtype), **how)
        sigma = match_dtype_and_rank(-rest / xi * np.sqrt(share / (rate * power)), w, f"{owner}: sigma")
        return (sigma * w).astype(dtype)

    return init


def _potential(neurons: tuple[Neuron, ...], features: int, steps: int) -> tuple[jax.Array, ...]:
    """Return potential minus threshold at rest, the sum of its squared response, and the fraction left at the end."""

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
