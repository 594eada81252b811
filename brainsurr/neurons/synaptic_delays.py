"""A linear layer with a trainable delay for each synapse."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._pytree import short
from .learnable_delay import LearnableDelay, LearnableDelayFields


@dataclasses.dataclass(eq=False, repr=False)
class SynapticDelaysFields(LearnableDelayFields):
    """The fields of :class:`SynapticDelays`, which its layers have too."""

    kernel: Any = ((1.0,),)


@dataclasses.dataclass(eq=False, repr=False)
class SynapticDelays(LearnableDelay, SynapticDelaysFields):
    r"""A linear layer without a bias, with a trainable delay for each synapse.

    .. math:: y_{t,j} = \sum_i W_{ij} \sum_{n=0}^{\mathrm{longest}} k_{nij}\, x_{t - n, i}, \qquad
       k_{nij} \propto \exp\left(-\frac{(n - \mathrm{delay}_{ij})^2}{2\, \mathrm{width}^2}\right), \qquad
       \sum_n k_{nij} = 1

    It replaces the linear layer between two layers of neurons. Its output has ``kernel.shape[1]`` features. Draw the
    weights and the delays as for any layer, and train both with ``learnable=("kernel", "delay")``. Start with a
    ``width`` of about half of ``longest``, and decrease it to 1/2 during training. Inputs before the first step are 0.
    Run time and memory are proportional to ``longest``.

    State: the last inputs ``past``, ``[..., longest, features]``, the oldest first, in the dtype of the state.

    Args:
      longest: the longest delay in time steps, a positive integer.
      delay: the delay in time steps, in [0, longest]; a layer restricts it to this interval. A number or
        ``[features, out]``.
      width: the standard deviation of the Gaussian in time steps, at least 0.01. A number or ``[features, out]``. It is
        not meant to be trained.
      kernel: the weights, ``[features, out]``.

    Raises:
      TypeError: ``longest`` is not an integer, or another field is not a number or an array.
      ValueError: ``longest`` is below 1, ``delay`` is outside [0, longest], ``width`` is below 0.01, or the shapes do
        not match.

    References:
      Hammouamri, Khalfaoui-Hassani, Masquelier 2024, "Learning Delays in Spiking Neural Networks using Dilated
      Convolutions with Learnable Spacings", ICLR, eq. 7 and 8.

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr.neurons import SynapticDelays
      >>> kernel, delay = jnp.array([[1.0, 10.0]]), jnp.array([[0.0, 2.0]])
      >>> layer, xs = (
      ...     SynapticDelays(longest=3, kernel=kernel, delay=delay, width=0.1),
      ...     jnp.arange(1.0, 5.0)[:, None],
      ... )
      >>> state, ys = layer(layer.initial_state(xs[0]), xs)
      >>> print(jnp.rint(ys))
      [[ 1.  0.]
       [ 2.  0.]
       [ 3. 10.]
       [ 4. 20.]]
    """

    @classmethod
    def _converted(cls, name, value):
        is_list = name == "kernel" and isinstance(value, list | tuple)
        return np.asarray(value, np.float32) if is_list else super()._converted(name, value)

    def _check(self, name, value):
        super()._check(name, value)
        if name == "kernel" and jnp.ndim(value) != 2:
            raise ValueError(f"{type(self).__name__}: expected a kernel [features, out], got {short(value)}")

    def _check_features(self, owner, features):
        shape, *others = map(jnp.shape, (self.kernel, self.delay, self.width))
        if shape[0] != features or any(other not in ((), shape) for other in others):
            got = f"a kernel {list(shape)}, and a delay and width of {others}"
            raise ValueError(f"{owner}: expected arrays [{features}, out] of one shape, or numbers, got {got}")

    def _outputs(self, features):
        return jnp.shape(self.kernel)[1]

    def over_time(self, past, xs):
        """Return the new state and the sums of the delayed inputs, ``[time, ..., out]``."""
        self._check_features(type(self).__name__, xs.shape[-1])
        kernel = jnp.asarray(self.kernel, past.dtype)
        kernels = jax.vmap(lambda fraction: fraction * kernel)(self._fractions(kernel))
        past, ys = self._filtered(past, xs, kernels, jnp.matmul)
        return past, ys.astype(xs.dtype)
