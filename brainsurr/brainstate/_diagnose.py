"""Which layers of a brainstate network are silent."""

from collections.abc import Callable
from functools import partial
from typing import Any

import brainstate
from brainstate import nn

from .._checks import check_kind
from .._diagnosis import Diagnosis, examine, layer_name, loss_takes
from .._diagnosis.calibration import Calibration, Slot, fit_widths, scaled_activations
from .._layers.watching import watching
from ._activation import SpikingActivation
from ._neurons import LIFBase
from ._parameters import interval_of


@loss_takes(0, "diagnose(net, lambda: loss_fn(x, y))")
def diagnose(net: nn.Module, loss_fn: Callable[[], Any]) -> Diagnosis:
    """Diagnose which layers are silent, whether gradients reach them, and what to change: :func:`brainsurr.diagnose`.

    Every :class:`LIF` and :class:`LIFCell` of ``net`` is looked at, and every :class:`SpikingActivation` outside of
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


def calibrate(net: nn.Module, forward: Callable[[], Any], *, k: float = 1.0) -> Calibration:
    """Set the width of each spiking layer to k times the root mean square of its membrane: :func:`brainsurr.calibrate`.

    A width can be set where it is trained, ``SpikingActivation(f.scaled(), learnable="width")``, or an array,
    ``f.scaled(width=jnp.ones(()))``; with an entry for each neuron it is set for each neuron. No new value recompiles
    anything. The report says which layers have no such width. One that a scan or vmap stacks is left as it is: set it
    by hand.

    Args:
      net: any module. Its widths are set in place; its other states, and the default random state, are put back to
        what they were.
      forward: ``forward()`` runs ``net`` on a batch, and returns its output.
      k: above 0.

    Raises:
      TypeError: ``k`` is not a number.
      ValueError: no spiking layer was measured, or ``k`` is not above 0.

    Example:
      >>> import brainsurr as bs, jax.numpy as jnp
      >>> from brainsurr.brainstate import LIF, SpikingActivation, SpikingSequential
      >>> from brainsurr.brainstate import calibrate
      >>> act = SpikingActivation(
      ...     bs.LogTailedRelu(0.1, continuous=True).scaled(), learnable="width"
      ... )
      >>> net = SpikingSequential([LIF(3, spike_fn=act)])
      >>> net.init_state(batch_size=4)
      >>> report = calibrate(net, lambda: net(jnp.full((10, 4, 3), 0.05)))
      >>> print(f"{report['layers.0'].width:.3f} {act.width.value():.3f}")
      0.798 0.798
    """
    check_kind("net", net, nn.Module)
    nodes: Any = net.nodes()
    layers = ((layer_name(path, node), node) for path, node in nodes.items())
    states: dict[str, brainstate.State] = {}
    slots: dict[str, Slot] = {}
    for name, act in scaled_activations(layers, LIFBase, SpikingActivation).items():
        width = vars(act)["width"]
        state = width.val if isinstance(width, nn.Param) else width
        if isinstance(state, brainstate.State):
            states[name] = state
            slots[name] = Slot(state.value, interval_of(width), id(state))
    report, widths = fit_widths(forward, partial(_watched, net, forward), slots, k, _trace, _value_and_grad)
    for name, width in widths.items():
        states[name].value = width
    return report


def _trace(f):
    return brainstate.transform.make_jaxpr(f)()


def _value_and_grad(f, x):
    gradient, value = brainstate.transform.jit(brainstate.transform.grad(f, return_value=True))(x)
    return value, gradient


def _watched(net, user_fn, watch):
    nodes: Any = net.nodes()
    states: Any = net.states()
    names = {id(node): layer_name(path, node) for path, node in nodes.items()}
    attributes = [(node, dict(vars(node))) for node in nodes.values()]
    values = [(state, state.value) for state in (*states.values(), brainstate.random.DEFAULT)]

    def see(layer, spike_fn):
        return watch(names[id(layer)], spike_fn) if id(layer) in names else spike_fn

    try:
        with watching(see):
            return user_fn()
    finally:
        for node, kept in attributes:
            vars(node).clear()
            vars(node).update(kept)
        for state, value in values:
            state.value = value
