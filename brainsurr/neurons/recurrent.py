"""`Recurrent`: neurons with recurrent weights."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._arrays import is_number
from .._checks import shapes
from ._neuron import Neuron, Unmatched


@dataclasses.dataclass(eq=False, repr=False)
class Recurrent(Unmatched):
    r"""Neurons with recurrent weights, through which the last outputs are added to the inputs.

    .. math:: x'_t = x_t + s_{t-1} W

    The inner neurons receive :math:`x'_t` and return :math:`s_t`. The matrix product has the dtype of the input.

    State: the state of the inner neurons with the last spikes. For :class:`LIF`, it is a pair ``v, s``; for
    :class:`ALIF`, it is ``(v, s), a``; for any other neuron, it is a pair of the state and ``s``.

    Args:
      neuron: the inner neurons, of any class.
      kernel: the weights :math:`W`, ``[features, features]``; the first axis is the sending neuron.
      self_connections: if False, the diagonal of :math:`W` is treated as 0 and has no gradient.
      events: if True, the matrix product skips zeros, as :func:`brainsurr.events.dot` does.

    Raises:
      TypeError: ``neuron`` is not a neuron.
      ValueError: ``kernel`` is not a square matrix.

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr.neurons import LIF, Recurrent
      >>> neuron = Recurrent(LIF(decay=0.5), kernel=jnp.array([[0.0, 1.0], [0.0, 0.0]]))
      >>> xs = jnp.array([[1.0, 0.0], [0.0, 0.0]])
      >>> state, spikes = neuron(neuron.initial_state(xs[0]), xs)
      >>> print(spikes)
      [[1. 0.]
       [0. 1.]]
    """

    neuron: Neuron
    kernel: Any
    self_connections: bool = True
    events: bool = False

    def _check(self, name, value):
        super()._check(name, value)
        if name == "neuron" and not isinstance(value, Neuron):
            raise TypeError(f"Recurrent: expected neuron to be a neuron, such as LIF(), got {value!r}")
        shape = jnp.shape(value) if is_number(value) else ()
        if name == "kernel" and (len(shape) != 2 or shape[0] != shape[1]):
            raise ValueError(f"Recurrent: expected kernel to be an array [features, features], got {shapes(value)}")

    def __post_init__(self):
        if hasattr(self.neuron, "keeps_spikes"):
            self.neuron = self.neuron.replace(keeps_spikes=True)

    @property
    def _inside_has_spikes(self):
        return hasattr(self.neuron, "keeps_spikes")

    @property
    def states(self):  # type: ignore[override]
        """The names of the arrays of the state."""
        return self.neuron.states if self._inside_has_spikes else (*self.neuron.states, "s")

    @property
    def weights(self) -> jax.Array:
        """The weights in the dtype of ``kernel``, with a zero diagonal if ``self_connections=False``."""
        kernel = jnp.asarray(self.kernel)
        return kernel if self.self_connections else jnp.where(np.eye(len(kernel)), 0, kernel)

    def initial_state(self, x):
        state = self.neuron.initial_state(x)
        return state if self._inside_has_spikes else (state, jnp.zeros_like(x))

    def step(self, state, x):
        if (shape := jnp.shape(self.kernel)) != (x.shape[-1],) * 2:  # [features, 1] would broadcast
            raise ValueError(f"Recurrent: the kernel has shape {shape}, not [{x.shape[-1]}, {x.shape[-1]}]")
        i = self.states.index("s")
        s = jax.tree.leaves(state)[i]
        state = state if self._inside_has_spikes else state[0]
        product: Any = jnp.dot
        if self.events:
            from ..events import dot as product  # a local import, since it takes as long as importing all neurons
        state, y = self.neuron._advance(state, x + product(s.astype(x.dtype), self.weights.astype(x.dtype)))
        return (state if self._inside_has_spikes else (state, y.astype(s.dtype))), y
