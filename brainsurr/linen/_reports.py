"""Reports on a Flax Linen network: which layers are silent, and whether the gradients are correct."""

from collections.abc import Callable
from functools import partial
from typing import Any

from flax import linen as nn

from .._diagnosis import Diagnosis, examine, observing
from .._gradients import examine_tree
from .._gradients.report import GradientReport
from ._activation import LinenModule


def diagnose(variables: Any, loss_fn: Callable[[Any], Any], *, mask: Any = None) -> Diagnosis:
    """Find silent layers, whether gradients reach them, and what to change: :func:`brainsurr.diagnose` for a module.

    The report has a row for every spiking layer and cell that ``loss_fn`` calls, and for every
    :class:`SpikingActivation` outside of them, named by its path.

    Args:
      variables: the argument of ``loss_fn``, such as ``net.init(...)`` or its ``"params"``.
      loss_fn: the training loss, ``loss_fn(variables) -> scalar`` through ``net.apply``, for one batch of your choice.
      mask: a boolean array ``[time, batch]``: True for values that are counted, False for padding. If None, all values
        are counted. Layers over time apply the mask step by step, also in ``unroll``.

    Raises:
      ValueError: the loss uses no spiking layer, or does not depend on any spike; no spiking layer received a value;
        or ``mask`` does not match the inputs.

    Example:
      >>> import brainsurr as bs, jax, jax.numpy as jnp
      >>> from flax import linen as nn
      >>> from brainsurr.linen import LI, LIF, SpikingSequential, diagnose
      >>> net = SpikingSequential([LIF(2, spike_fn=bs.LogTailedRelu()), nn.Dense(1), LI(1)])
      >>> key, xs = jax.random.key(0), jnp.full((10, 4, 2), 0.01)
      >>> carry = net.initialize_carry(key, (4, 2))
      >>> variables = net.init(key, carry, xs)
      >>> loss_fn = lambda variables: jnp.sum(net.apply(variables, carry, xs)[1])
      >>> diagnose(variables, loss_fn)["layers_0"].status
      'dead'
    """
    intervals: dict[str, Any] = {}
    return examine(partial(_watched, variables, loss_fn, intervals), mask, variables, intervals)


def _watched(variables, user_fn, intervals, watch):
    def intercept(method, args, kwargs, context):
        layer = context.module
        if isinstance(layer, LinenModule):
            intervals.update({".".join((*layer.path, name)): its for name, its in layer._intervals.items()})
        if context.method_name == "__call__":
            vars(layer).update(observing(watch, layer.path, layer))  # this copy, bound to its variables
        return method(*args, **kwargs)

    with nn.intercept_methods(intercept):
        return user_fn(variables)


def check_gradients(variables: Any, loss_fn: Callable[[Any], Any]) -> GradientReport:
    """Check the gradient of each variable of a network: :func:`brainsurr.check_gradients` for a module.

    Args:
      variables: the argument of ``loss_fn``, such as ``net.init(...)`` or its ``"params"``.
      loss_fn: the training loss, ``loss_fn(variables) -> scalar`` through ``net.apply``, on a small batch.

    Raises:
      TypeError: the loss is not a scalar.
      ValueError: there are no variables of a floating dtype, or the loss is not finite.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from flax import linen as nn
      >>> from brainsurr.linen import LI, LIF, SpikingSequential, check_gradients
      >>> net, key = SpikingSequential([nn.Dense(3), LIF(3), LI(3)]), jax.random.key(0)
      >>> xs = jnp.linspace(0.1, 0.9, 20).reshape(5, 2, 2)
      >>> carry = net.initialize_carry(key, (2, 2))
      >>> variables = net.init(key, carry, xs)
      >>> loss_fn = lambda variables: jnp.mean(net.apply(variables, carry, xs)[1] ** 2)
      >>> check_gradients(variables, loss_fn).fine
      True
    """
    return examine_tree(variables, loss_fn)
