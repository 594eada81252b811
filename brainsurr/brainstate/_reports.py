"""Reports on a brainstate network: which layers are silent, and whether the gradients are correct."""

from collections.abc import Callable
from functools import partial
from typing import Any

import brainstate
import jax
from brainstate import nn

from .._diagnosis import Diagnosis, examine, observing
from .._event_driven import attributes
from .._gradients import examine_gradients
from .._gradients.report import GradientReport
from .._gradients.smooth import promoted
from ._activation import bounds, preserve_states


def diagnose(net: nn.Module, loss_fn: Callable[[], Any], *, mask: Any = None) -> Diagnosis:
    """Find silent layers, whether gradients reach them, and what to change: :func:`brainsurr.diagnose` for a module.

    The report has a row for every spiking layer and cell of ``net``, and for every :class:`SpikingActivation` outside
    of them, such as the ``spk_fun`` of another library's neuron. Rows are named by their path.

    Args:
      net: any module. Its states and the default random state are restored afterwards.
      loss_fn: the training loss, ``loss_fn() -> scalar`` through ``net``, for one batch of your choice.
      mask: a boolean array ``[time, batch]``: True for values that are counted, False for padding. If None, all values
        are counted. Layers over time apply the mask step by step, also in ``unroll``.

    Raises:
      ValueError: the loss uses no spiking layer, or does not depend on any spike; no spiking layer received a value;
        or ``mask`` does not match the inputs.

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
    intervals = {_leaf_name(".".join(map(str, path)), ()): interval for path, interval in bounds(net).items()}
    return examine(partial(_watched, net, loss_fn), mask, _parameters(net), intervals, brainstate.transform)


def _watched(net, user_fn, watch):
    nodes: Any = net.nodes()
    watched = ((node, vars(node) | observing(watch, path, node)) for path, node in nodes.items())
    with preserve_states(), attributes(watched):  # also restores states that `user_fn` replaces
        return user_fn()


def check_gradients(net: nn.Module, loss_fn: Callable[[], Any]) -> GradientReport:
    """Check the gradient of each ``ParamState`` of a network: :func:`brainsurr.check_gradients` for a module.

    Args:
      net: any module, after ``init_state``. Its states and the default random state are restored afterwards.
      loss_fn: the training loss, ``loss_fn() -> scalar`` through ``net``, on a small batch.

    Raises:
      TypeError: the loss is not a scalar.
      ValueError: the network has no parameter, or the loss is not finite.

    Example:
      >>> import brainstate, jax.numpy as jnp
      >>> from brainsurr.brainstate import LI, LIF, SpikingSequential, check_gradients
      >>> net = SpikingSequential([brainstate.nn.Linear(2, 3, b_init=None), LIF(3), LI(3)])
      >>> net.init_state(batch_size=2)
      >>> xs = jnp.linspace(0.1, 0.9, 20).reshape(5, 2, 2)
      >>> check_gradients(net, lambda: jnp.mean(net(xs) ** 2)).fine
      True
    """

    def loss(values):
        with preserve_states(), brainstate.environ.context(precision=64):
            for name, state in _states(net).items():
                state.value = jax.tree_util.tree_map_with_path(
                    lambda path, leaf, name=name: values.get(_leaf_name(name, path), promoted(leaf)), state.value
                )
            return loss_fn()

    return examine_gradients(_parameters(net), loss)


def _states(net) -> dict[str, Any]:
    return {".".join(map(str, path)): state for path, state in net.states().items()}


def _parameters(net) -> dict[str, Any]:
    return {
        _leaf_name(name, path): leaf
        for name, state in _states(net).items()
        if isinstance(state, brainstate.ParamState)
        for path, leaf in jax.tree_util.tree_leaves_with_path(state.value)
    }


def _leaf_name(name: str, path) -> str:
    return ".".join(filter(None, [name.removesuffix(".val"), jax.tree_util.keystr(path, simple=True, separator=".")]))
