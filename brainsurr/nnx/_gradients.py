"""Whether the gradients of a Flax NNX network are right."""

from collections.abc import Callable
from typing import Any

from flax import nnx

from .._checks import check_kind
from .._diagnosis import layer_name
from .._gradients import examine_gradients
from .._gradients.report import GradientReport
from .._kernel import promote_in_gradient_check


def check_gradients(net: nnx.Module, loss_fn: Callable[[Any], Any]) -> GradientReport:
    """Check the gradients of a network in each ``nnx.Param``: :func:`brainsurr.check_gradients`.

    Args:
      net: any module. It is not changed: ``loss_fn`` gets copies in float64, which draw the same Dropout masks.
      loss_fn: what is trained, ``loss_fn(net) -> scalar``, on a small batch. It must use the network that it is called
        with.

    Raises:
      TypeError: the loss is not a scalar.
      ValueError: the network has no parameter, or the loss is not finite.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from brainsurr.nnx import LI, LIF, SpikingSequential, check_gradients
      >>> net = SpikingSequential([nnx.Linear(2, 3, rngs=nnx.Rngs(0)), LIF(3), LI(3)])
      >>> xs = jnp.linspace(0.1, 0.9, 20).reshape(5, 2, 2)
      >>> loss_fn = lambda net: jnp.mean(net(net.initialize_carry((2, 2)), xs)[1] ** 2)
      >>> check_gradients(net, loss_fn).fine
      True
    """
    check_kind("net", net, nnx.Module)

    def loss(values):
        copy = nnx.clone(net)  # here, so that its variables belong to the trace that may write them
        for path, variable in _variables(copy):
            name = layer_name(path, variable)
            variable.set_value(values[name] if name in values else promote_in_gradient_check(variable.get_value()))
        return loss_fn(copy)

    params = {layer_name(path, v): v.get_value() for path, v in _variables(net) if isinstance(v, nnx.Param)}
    return examine_gradients(loss_fn, params, loss)


def _variables(net):
    return [(path, node) for path, node in nnx.iter_graph(net) if isinstance(node, nnx.Variable)]
