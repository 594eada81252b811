"""Convert neurons to nodes of NIR."""

from collections.abc import Callable
from typing import Any

import nir
import numpy as np

from .._surrogate import Surrogate
from ..neurons import LI, LIF, Delay
from . import surrogates
from .layers import Population
from .times import gain_of, tau_of
from .writer import Writer


def write_step(owner, name, surrogate: Surrogate, to: Writer):
    """Write a surrogate by itself."""
    to.add(name, nir.Threshold(threshold=to.spread(0.0)), _surrogate(owner, surrogate, to))


def _surrogate(owner, spike_fn, to: Writer) -> dict[str, Any]:
    """Return the metadata of a surrogate, which NIR has no place for."""
    words = None if not hasattr(spike_fn, "origin") else surrogates.to_words(spike_fn)
    if getattr(spike_fn, "origin", True):
        raise ValueError(f"{owner}: expected a surrogate for its spikes, which NIR has, got {spike_fn!r}")
    if words is None:
        to.lost.append(f"{owner}: the surrogate {type(spike_fn).__name__}, which is not one of brainsurr's")
        return {}
    return {"surrogate": words}


def _leak(owner, layer: LI, to: Writer):
    """Return decay and time constant of each neuron, None for neurons without a leak; and the gain of the input."""
    decay = to.spread(layer.decay)
    if np.all(decay == 1):
        if layer.decay_input:
            raise ValueError(f"{owner}: expected a decay below 1 with decay_input=True, which lets no input in at 1")
        return decay, None, np.ones_like(decay)
    if np.any(decay >= 1) or (to.method == "exp" and np.any(decay <= 0)) or np.any(decay < 0):
        low = "above 0" if to.method == "exp" else "of 0 or more"
        raise ValueError(f"{owner}: expected every decay {low} and below 1, or all to be 1, for NIR's tau, got {decay}")
    return decay, tau_of(decay, to.dt, to.method), 1 - decay if layer.decay_input else np.ones_like(decay)


def _integrator(owner, name, population: Population, to: Writer):
    layer: Any = population.neuron
    decay, tau, _ = _leak(owner, layer, to)
    zero, metadata = np.zeros_like(decay), _own(population)
    if tau is None:
        to.add(name, nir.I(r=np.full_like(decay, 1 / to.dt)), metadata)
        return
    r = np.ones_like(decay) if layer.decay_input else tau / to.dt if to.method == "euler" else 1 / (1 - decay)
    to.add(name, nir.LI(tau=tau, r=r, v_leak=zero), metadata)


def _own(population: Population) -> dict[str, Any]:
    layer: Any = population.neuron
    return {"decay_input": layer.decay_input, "param_dtype": np.dtype(population.param_dtype).name}


def _about(owner, population: Population, to: Writer) -> dict[str, Any]:
    """Return what NIR does not say of neurons, for the metadata; note what other readers would get wrong."""
    layer: Any = population.neuron
    words = _own(population) | {"reset": layer.reset, "reset_delay": layer.reset_delay}
    if layer.reset_grad is not None:
        words["reset_grad"] = layer.reset_grad
    delayed = " one step later" if layer.reset_delay else ""
    if (layer.reset == "none" and population.kernel is not None) or layer.reset == "subtract" or delayed:
        to.lost.append(f"{owner}: the reset {layer.reset!r}{delayed}, where NIR's neurons reset to a value at once")
    return words | _surrogate(owner, layer.spike_fn, to)


def _neurons(owner, name, population: Population, to: Writer):
    layer: Any = population.neuron
    forgets = layer.reset == "none" and population.kernel is None and not np.any(layer.decay)
    if forgets and np.any(layer.threshold):
        to.add(name, nir.Threshold(threshold=to.spread(layer.threshold)), _about(owner, population, to))
        return
    decay, tau, gain = _leak(owner, layer, to)
    metadata, threshold = _about(owner, population, to), to.spread(layer.threshold)
    zero, one = np.zeros_like(decay), np.ones_like(decay)
    full = one / to.dt if tau is None else tau / to.dt
    r = one if to.r == "1" else full
    inside = r * to.dt if tau is None else gain_of(decay, r)
    threshold = threshold * inside / gain
    if layer.reset == "none" and population.kernel is None:
        to.add(f"{name}_potential", nir.I(r=r) if tau is None else nir.LI(tau=tau, r=r, v_leak=zero), _own(population))
        to.add(name, nir.Threshold(threshold=threshold), metadata)
    elif tau is None:
        to.add(name, nir.IF(r=r, v_threshold=threshold, v_reset=zero), metadata)
    else:
        to.add(name, nir.LIF(tau=tau, r=r, v_leak=zero, v_threshold=threshold, v_reset=zero), metadata)
    _recurrence(owner, name, population.kernel, to)


def write_synaptic(owner, name, synapses: Population, population: Population, to: Writer):
    """Write a leaky integrator and the neurons behind it as one node."""
    synapse: Any = synapses.neuron
    layer: Any = population.neuron
    (slow, tau_syn, gain_syn), (decay, tau, gain) = _leak(owner, synapse, to), _leak(owner, layer, to)
    metadata = _about(owner, population, to) | {f"synapse_{word}": value for word, value in _own(synapses).items()}
    one = np.ones_like(decay)
    r, w_in = (one, one) if to.r == "1" else (tau / to.dt, tau_syn / to.dt)
    inside = gain_of(decay, r) * gain_of(slow, w_in)
    threshold = to.spread(layer.threshold) * inside / (gain * gain_syn)
    zero = np.zeros_like(decay)
    node = nir.CubaLIF(tau_syn=tau_syn, tau_mem=tau, r=r, v_leak=zero, v_threshold=threshold, v_reset=zero, w_in=w_in)
    to.add(name, node, metadata)


def _recurrence(owner, name, kernel: Any, to: Writer):
    """Write recurrent weights as a cycle."""
    if kernel is None:
        return
    if len(to.shape) != 1:
        raise ValueError(f"{owner}: expected recurrent neurons on one axis, got {to.shape}")
    kernel = surrogates.plain(kernel)
    kernel = kernel if to.order is None else kernel[to.order][:, to.order]
    to.nodes[f"{name}_recurrent"] = nir.Linear(weight=kernel.T.copy())
    to.edges += [(name, f"{name}_recurrent"), (f"{name}_recurrent", name)]


def _delay(owner, name, population: Population, to: Writer):
    neuron: Any = population.neuron
    to.add(name, nir.Delay(delay=to.spread(neuron.steps) * to.dt))


def is_synaptic(layer: Any, after: Any) -> bool:
    """Return whether a leaky integrator and the neurons behind it are a CubaLIF, which leaks twice."""
    if not all(isinstance(part, Population) for part in (layer, after)) or after.kernel is not None:
        return False
    synapse, neuron = layer.neuron, after.neuron
    if type(synapse) is not LI or type(neuron) is not LIF or neuron.reset == "none":
        return False
    return bool(np.all(np.asarray(synapse.decay) < 1) and np.all(np.asarray(neuron.decay) < 1))


WRITERS: dict[type, Callable[..., None]] = {LI: _integrator, LIF: _neurons, Delay: _delay}
