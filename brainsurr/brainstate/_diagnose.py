"""Which layers of a brainstate network are silent."""

from collections.abc import Callable
from functools import partial
from typing import Any

import brainstate
from brainstate import nn

from .._checks import check_kind
from .._diagnosis import Diagnosis, examine, layer_name, watching
from ._activation import SpikingActivation
from ._layer import Neurons
from ._parameters import states_kept


def diagnose(net: nn.Module, loss_fn: Callable[[], Any]) -> Diagnosis:
    """Diagnose which layers are silent, whether gradients reach them, and what to change: :func:`brainsurr.diagnose`.

    Every layer and cell of neurons with spikes of ``net`` is looked at, and every :class:`SpikingActivation` outside of
    these, such as the ``spk_fun`` of another library's neuron, each under its path.

    Args:
      net: any module. Its states, and the default random state, are put back to what they were.
      loss_fn: what is trained, ``loss_fn() -> scalar`` through ``net``, a function of the batch you have in mind.

    Raises:
      ValueError: no spiking layer was used, no value reached one, or no spike has to do with the loss.

    Example:
      >>> import brainstate, brainsurr as bs, jax.numpy as jnp
      >>> from functools import partial
      >>> from brainsurr.brainstate import LI, LIF, SpikingSequential, diagnose
      >>> linear = partial(brainstate.nn.Linear, b_init=None)
      >>> net = SpikingSequential([LIF(2, spike_fn=bs.LogTailedRelu()), linear(2, 1), LI(1)])
      >>> net.init_state(batch_size=4)
      >>> diagnose(net, lambda: jnp.sum(net(jnp.full((10, 4, 2), 0.01))))["layers.0"].status
      'dead'
    """
    check_kind("net", net, nn.Module)
    return examine(loss_fn, partial(_watched, net, loss_fn), _trace, _value_and_grad)


def _trace(f):
    return brainstate.transform.make_jaxpr(f)()


def _value_and_grad(f, x):
    gradient, value = brainstate.transform.jit(brainstate.transform.grad(f, return_value=True))(x)
    return value, gradient


def _watched(net, user_fn, watch):
    nodes: Any = net.nodes()
    attributes = [(node, dict(vars(node))) for node in nodes.values()]
    with states_kept():
        try:
            for path, node in nodes.items():
                if isinstance(node, Neurons | SpikingActivation):
                    node._watch = watching(watch, layer_name(path, node), getattr(node, "_neuron_class", None))
            return user_fn()
        finally:
            for node, kept in attributes:
                vars(node).clear()
                vars(node).update(kept)
