"""Which layers of a Flax Linen network are silent."""

from collections.abc import Callable
from typing import Any

from .._diagnosis import Diagnosis, examine, layer_name
from .._diagnosis.watching import watching


def diagnose(variables: Any, loss_fn: Callable[[Any], Any]) -> Diagnosis:
    """Which layers are silent, whether a gradient can reach them, and what to change: :func:`brainsurr.diagnose`.

    Every :class:`LIF` and :class:`LIFCell` that ``loss_fn`` calls is looked at, and every :class:`SpikingActivation`
    outside of these, each under its path.

    Args:
      variables: what ``loss_fn`` takes, such as ``net.init(...)`` or its ``"params"``.
      loss_fn: what is trained, ``loss_fn(variables) -> scalar`` through ``net.apply``, a function of the batch you
        have in mind.

    Raises:
      ValueError: no spiking layer was used, no value reached one, or no spike has to do with the loss.

    Example:
      >>> import brainsurr as bs, jax, jax.numpy as jnp
      >>> from flax import linen as nn
      >>> from brainsurr.linen import LI, LIF, SpikingSequential, diagnose
      >>> net = SpikingSequential([LIF(2, spike_fn=bs.LogTailedRelu()), nn.Dense(1), LI(1)])
      >>> key, xs = jax.random.key(0), jnp.full((10, 4, 2), 0.01)
      >>> carry = net.initialize_carry(key, (4, 2))
      >>> variables = net.init(key, carry, xs)
      >>> diagnose(variables, lambda variables: jnp.sum(net.apply(variables, carry, xs)[1]))["layers_0"].status
      'dead'
    """

    def loss(watch):
        def see(layer, spike_fn):
            runs = layer.scope is not None and not layer.is_initializing()
            return watch(layer_name(layer.path, layer), spike_fn) if runs else spike_fn

        with watching(see):
            return loss_fn(variables)

    return examine(loss_fn, loss)
