"""Reports on a Flax NNX network: which layers are silent, and whether the gradients are correct."""

from collections.abc import Callable
from functools import partial
from typing import Any

from flax import nnx

from .._diagnosis import Diagnosis, examine, layer_name, observing
from .._gradients import examine_gradients
from .._gradients.report import GradientReport
from .._gradients.smooth import promoted


def diagnose(net: nnx.Module, loss_fn: Callable[[Any], Any], *, mask: Any = None) -> Diagnosis:
    """Find silent layers, whether gradients reach them, and what to change: :func:`brainsurr.diagnose` for a module.

    The report has a row for every spiking layer and cell of ``net``, and for every :class:`SpikingActivation` outside
    of them, named by its path.

    Args:
      net: any module. It stays unchanged: ``loss_fn`` is called with copies, which draw the same Dropout masks.
      loss_fn: the training loss, ``loss_fn(net) -> scalar``, for one batch of your choice. It must use the network that
        it is called with.
      mask: a boolean array ``[time, batch]``: True for values that are counted, False for padding. If None, all values
        are counted. Layers over time apply the mask step by step, also in ``unroll``.

    Raises:
      ValueError: the loss uses no spiking layer, or does not depend on any spike; no spiking layer received a value;
        or ``mask`` does not match the inputs.

    Example:
      >>> import brainsurr as bs, jax.numpy as jnp
      >>> from flax import nnx
      >>> from brainsurr.nnx import LI, LIF, SpikingSequential, diagnose
      >>> lif, linear = (
      ...     LIF(2, spike_fn=bs.LogTailedRelu()),
      ...     nnx.Linear(2, 1, rngs=nnx.Rngs(0)),
      ... )
      >>> net = SpikingSequential([lif, linear, LI(1)])
      >>> xs = jnp.full((10, 4, 2), 0.01)
      >>> print(diagnose(net, lambda net: jnp.sum(net(net.initialize_carry((4, 2)), xs)[1])))
      layer     rate  silent    dead  passing  reached    rms  grad norm  status
      layers.0  0.0%  100.0%  100.0%     0.0%     0.0%  0.959          0  dead
      <BLANKLINE>
      layers.0 is dead: 100.0% of its neurons never fire, and their surrogate gradient is
        always 0 (its potential is 0.959 below the threshold on average, with a standard
        deviation of 0.018), so training can't change them. To fix this, scale up the weights
        before it (see brainsurr.initializers) or lower its threshold; or raise alpha of its
        LogTailedRelu from 0 to 0.1, and a gradient passes at 100.0% of its membrane values.
      layers.0 hardly responds to its input. If the input varies little, scale it to a
        standard deviation of 1.
    """
    intervals = {name: variable.get_metadata().get("bounds") for name, variable in _variables(net).items()}
    return examine(partial(_watched, net, loss_fn), mask, _parameters(net), intervals)


def _watched(net, user_fn, watch):
    copy = nnx.clone(net)  # here, so that its variables belong to the trace that may write them
    for path, module in nnx.iter_modules(copy):
        vars(module).update(observing(watch, path, module))  # copies in flax transforms inherit this
    return user_fn(copy)


def check_gradients(net: nnx.Module, loss_fn: Callable[[Any], Any]) -> GradientReport:
    """Check the gradient of each ``nnx.Param`` of a network: :func:`brainsurr.check_gradients` for a module.

    Args:
      net: any module. It stays unchanged: ``loss_fn`` is called with float64 copies, which draw the same Dropout masks.
      loss_fn: the training loss, ``loss_fn(net) -> scalar``, on a small batch. It must use the network that it is
        called with.

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

    def loss(values):
        copy = nnx.clone(net)  # here, so that its variables belong to the trace that may write them
        for name, variable in _variables(copy).items():
            variable.set_value(values[name] if name in values else promoted(variable.get_value()))
        return loss_fn(copy)

    return examine_gradients(_parameters(net), loss)


def _parameters(net):
    return {name: variable.get_value() for name, variable in _variables(net).items() if isinstance(variable, nnx.Param)}


def _variables(net):
    return {layer_name(path, node): node for path, node in nnx.iter_graph(net) if isinstance(node, nnx.Variable)}
