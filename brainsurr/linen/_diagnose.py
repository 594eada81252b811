"""Which layers of a Flax Linen network are silent."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax

from .._diagnosis import Diagnosis, examine, layer_name, loss_takes
from .._diagnosis.calibration import Calibration, Slot, fit_widths
from .._layers.watching import watching
from .._surrogate import Scaled
from ._activation import SpikingActivation
from ._neurons import LIFBase


@loss_takes(1, "diagnose(variables, lambda variables: loss_fn(variables, x, y))")
def diagnose(variables: Any, loss_fn: Callable[[Any], Any]) -> Diagnosis:
    """Diagnose which layers are silent, whether gradients reach them, and what to change: :func:`brainsurr.diagnose`.

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
      >>> loss_fn = lambda variables: jnp.sum(net.apply(variables, carry, xs)[1])
      >>> diagnose(variables, loss_fn)["layers_0"].status
      'dead'
    """
    return examine(loss_fn, partial(_watched, variables, loss_fn))


def calibrate(variables: Any, forward: Callable[[Any], Any], *, k: float = 1.0) -> tuple[Any, Calibration]:
    """Set the width of each spiking layer to k times the root mean square of its membrane: :func:`brainsurr.calibrate`.

    A width can be set where it is trained, ``SpikingActivation(f.scaled(), learnable="width")``; with an entry for each
    neuron it is set for each neuron. No new value recompiles anything. The report says which layers have no such width.
    A width that ``nn.scan`` or ``nn.vmap`` stack is left as it is: set it by hand.

    Args:
      variables: what ``forward`` takes, such as ``net.init(...)`` or its ``"params"``. They are not changed.
      forward: ``forward(variables)`` runs the network on a batch through ``net.apply``, and returns its output.
      k: above 0.

    Returns:
      The variables with new widths, and the report.

    Raises:
      TypeError: ``k`` is not a number.
      ValueError: no spiking layer was measured, or ``k`` is not above 0.

    Example:
      >>> import brainsurr as bs, jax, jax.numpy as jnp
      >>> from brainsurr.linen import LIF, SpikingActivation, SpikingSequential, calibrate
      >>> act = SpikingActivation(
      ...     bs.LogTailedRelu(0.1, continuous=True).scaled(), learnable="width"
      ... )
      >>> net = SpikingSequential([LIF(3, spike_fn=act)])
      >>> key, xs = jax.random.key(0), jnp.full((10, 4, 3), 0.05)
      >>> carry = net.initialize_carry(key, (4, 3))
      >>> forward = lambda variables: net.apply(variables, carry, xs)
      >>> variables, report = calibrate(net.init(key, carry, xs), forward)
      >>> width = variables["params"]["layers_0"]["spike_fn"]["width"]
      >>> print(f"{report['layers_0'].width:.3f} {width:.3f}")
      0.798 0.798
    """
    values = {_keys(path): value for path, value in jax.tree_util.tree_leaves_with_path(variables)}
    slots: dict[str, Slot] = {}
    places: dict[str, tuple] = {}

    def note(name, layer):
        act = layer.spike_fn if isinstance(layer, LIFBase) else layer
        if isinstance(act, SpikingActivation) and isinstance(act.surrogate_init, Scaled):
            intervals, path = act._intervals(), (*act.path, "width")
            place = path if path in values else ("params", *path)
            if "width" in intervals and place in values:
                slots[name], places[name] = Slot(values[place], intervals["width"], place), place

    report, widths = fit_widths(
        forward, lambda watch: _watched(variables, forward, watch, note), slots, k, arrays=False
    )
    new = {places[name]: width for name, width in widths.items()}
    return jax.tree_util.tree_map_with_path(lambda path, value: new.get(_keys(path), value), variables), report


def _watched(variables, user_fn, watch, note=lambda name, layer: None):
    def see(layer, spike_fn):
        if layer.scope is None or layer.is_initializing():
            return spike_fn
        name = layer_name(layer.path, layer)
        note(name, layer)
        return watch(name, spike_fn)

    with watching(see):
        return user_fn(variables)


def _keys(path) -> tuple:
    return tuple(getattr(key, "key", None) for key in path)
