"""Reports on an Equinox network: which layers are silent, and whether the gradients are correct."""

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax

from .._diagnosis import Diagnosis, examine, watching
from .._gradients import examine_tree
from .._gradients.report import GradientReport
from .._report import named_leaves
from .._surrogate import Surrogate
from ._layer import Neurons, bounds


def diagnose(net: eqx.Module, loss_fn: Callable[[Any], Any], *, mask: Any = None) -> Diagnosis:
    """Find silent layers, whether gradients reach them, and what to change: :func:`brainsurr.diagnose` for a module.

    The report has a row for every spiking layer and cell of ``net``, and for every surrogate outside of them, named by
    its path.

    Args:
      net: any module.
      loss_fn: the training loss, ``loss_fn(net) -> scalar``, for one batch of your choice. It must use the network that
        it is called with.
      mask: a boolean array ``[time, batch]``: True for values that are counted, False for padding. If None, all values
        are counted. Layers over time apply the mask step by step, also in ``unroll``.

    Raises:
      ValueError: the loss uses no spiking layer, or does not depend on any spike; no spiking layer received a value;
        or ``mask`` does not match the inputs.

    Example:
      >>> import brainsurr as bs, jax.numpy as jnp
      >>> from brainsurr.equinox import LIF, SpikingSequential, diagnose
      >>> net = SpikingSequential([LIF(2, spike_fn=bs.LogTailedRelu())])
      >>> xs = jnp.full((10, 4, 2), 0.01)
      >>> diagnose(net, lambda net: jnp.sum(net(net.initialize_carry((4, 2)), xs)[1]))[
      ...     "layers.0"
      ... ].status
      'dead'
    """
    trained = eqx.filter(net, eqx.is_inexact_array)
    structure: Any = jax.tree.structure(trained)
    intervals = dict(zip(named_leaves(trained), structure.flatten_up_to(bounds(net)), strict=True))
    return examine(partial(_watched, net, loss_fn), mask, trained, intervals)


def check_gradients(net: eqx.Module, loss_fn: Callable[[Any], Any]) -> GradientReport:
    """Check the gradient of each floating-point array of a network: :func:`brainsurr.check_gradients` for a module.

    Args:
      net: any module.
      loss_fn: the training loss, ``loss_fn(net) -> scalar``, on a small batch. It must use the network that it is
        called with.

    Raises:
      TypeError: the loss is not a scalar.
      ValueError: the network has no floating-point array, or the loss is not finite.

    Example:
      >>> import jax.numpy as jnp
      >>> from brainsurr.equinox import LIF, check_gradients
      >>> lif, xs = LIF(2, learnable="decay"), jnp.linspace(0.1, 0.9, 20).reshape(5, 2, 2)
      >>> loss_fn = lambda lif: jnp.mean(lif(lif.initialize_carry((2, 2)), xs)[1] ** 2)
      >>> check_gradients(lif, loss_fn).fine
      True
    """
    arrays, rest = eqx.partition(net, eqx.is_inexact_array)
    return examine_tree(arrays, lambda arrays: loss_fn(eqx.combine(arrays, rest)))


def _watched(net, user_fn, watch):
    def replaced(path, node):
        name = jax.tree_util.keystr(path, simple=True, separator=".") or type(node).__name__
        if isinstance(node, Surrogate):
            return watching(watch, name)("", node)
        if isinstance(node, Neurons):
            node = copy.copy(node)
            object.__setattr__(node, "_watch", watching(watch, name, node._neuron_class))
        return node

    is_leaf = lambda node: isinstance(node, Neurons | Surrogate)  # noqa: E731
    return user_fn(jax.tree_util.tree_map_with_path(replaced, net, is_leaf=is_leaf))
