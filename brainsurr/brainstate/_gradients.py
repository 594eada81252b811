"""Whether the gradients of a brainstate network are right."""

from collections.abc import Callable
from typing import Any

import brainstate
import jax
from brainstate import nn

from .._checks import check_kind
from .._gradients import examine_gradients
from .._gradients.report import GradientReport
from .._kernel import promote_in_gradient_check
from ._parameters import states_kept


def check_gradients(net: nn.Module, loss_fn: Callable[[], Any]) -> GradientReport:
    """Check the gradients of a network in each ``ParamState``: :func:`brainsurr.check_gradients`.

    Args:
      net: any module, with its state made. Its states, and the default random state, are put back to what they were.
      loss_fn: what is trained, ``loss_fn() -> scalar`` through ``net``, on a small batch.

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
    check_kind("net", net, nn.Module)
    states: Any = net.states()
    states = {".".join(map(str, path)): state for path, state in states.items()}
    trained: dict[str, Any] = {}
    for name, state in states.items():
        if isinstance(state, brainstate.ParamState):
            trained |= {_leaf_name(name, path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(state.value)}

    def loss(values):
        with states_kept(), brainstate.environ.context(precision=64):
            for name, state in states.items():
                state.value = jax.tree_util.tree_map_with_path(
                    lambda path, leaf, name=name: values.get(_leaf_name(name, path), promote_in_gradient_check(leaf)),
                    state.value,
                )
            return loss_fn()

    return examine_gradients(loss_fn, trained, loss)


def _leaf_name(name: str, path) -> str:
    return ".".join(filter(None, [name.removesuffix(".val"), jax.tree_util.keystr(path, simple=True, separator=".")]))
