"""Neurons to nodes of NIR and back."""

import dataclasses
import math
from typing import Any, NamedTuple

import nir
import numpy as np

from .._surrogate import Surrogate
from ..neurons import LI, LIF, Delay
from .chain import LARGEST, Reader, Writer, expect, naming
from .layers import Affine, Population
from .metadata import dtype_of, is_own, plain, surrogate_of, words_of, words_of_surrogate
from .weights import bias_of, weights_of

RESETTING = ("reset", "reset_delay", "reset_grad")


class Membrane(NamedTuple):
    """A potential to be written, one of each number for each entry of a time step.

    Attributes:
      decay: what is left of it after a step.
      tau: its time constant; None without a leak.
      gain: the factor of the input in a step here.
      r: the resistance that is written for neurons.
      membrane_gain: the factor of the input in a step there.
    """

    decay: np.ndarray
    tau: np.ndarray | None
    gain: np.ndarray
    r: np.ndarray
    membrane_gain: np.ndarray


def gain_of(decay: np.ndarray, r: np.ndarray) -> np.ndarray:
    """Return (1 - decay) r, by which the input is multiplied in a step; exactly 1 if it equals 1 up to rounding.

    It does if r is tau / dt, rounded to float32.
    """
    gain = (1 - decay) * r
    return np.where(_near(gain, 1), 1.0, gain)


def _near(value, other):
    return np.isclose(value, other, rtol=1e-6, atol=0)


# Writing -----------------------------------------------------------------------------------------------------------


def _membrane(neuron: Any, to: Writer) -> Membrane:
    decay, dt = to.spread(neuron.decay), to.how.dt
    one = np.ones_like(decay)
    if np.all(decay == 1):
        expect(not neuron.decay_input, "a decay below 1 with decay_input=True, which lets no input in at 1")
        r = one if to.how.r == "1" else one / dt
        return Membrane(decay, None, one, r, r * dt)
    low, above = ("above 0", decay > 0) if to.how.method == "exp" else ("of 0 or more", decay >= 0)
    expect(np.all(above & (decay < 1)), f"every decay {low} and below 1, or all to be 1, for NIR's tau", decay)
    tau = to.how.tau_of(decay)
    r = one if to.how.r == "1" else tau / dt
    return Membrane(decay, tau, 1 - decay if neuron.decay_input else one, r, gain_of(decay, r))


def _words(population: Population) -> dict[str, Any]:
    neuron: Any = population.neuron
    return {"decay_input": neuron.decay_input, "param_dtype": np.dtype(population.param_dtype).name}


def _words_of_spikes(spike_fn: Any, to: Writer) -> dict[str, Any]:
    """Return the metadata of a surrogate, which NIR has no place for."""
    expect(not getattr(spike_fn, "origin", True), "a surrogate for its spikes, which NIR has", repr(spike_fn))
    if is_own(spike_fn):
        return {"surrogate": words_of_surrogate(spike_fn)}
    to.lose(f"the surrogate {type(spike_fn).__name__}, which is not one of brainsurr's")
    return {}


def write_surrogate(name: str, surrogate: Surrogate, to: Writer):
    """Write a surrogate by itself."""
    name = name.replace("surrogate", "threshold")
    to.add(name, nir.Threshold(threshold=to.spread(0.0)), _words_of_spikes(surrogate, to))


def write_integrator(name: str, population: Population, to: Writer):
    """Write a leaky integrator, whose potential NIR has to have without a factor."""
    neuron: Any = population.neuron
    decay, tau, *_ = _membrane(neuron, to)
    if tau is None:
        node = nir.I(r=np.full_like(decay, 1 / to.how.dt))
    else:
        r_full = tau / to.how.dt if to.how.method == "euler" else 1 / (1 - decay)
        node = nir.LI(tau=tau, r=np.ones_like(decay) if neuron.decay_input else r_full, v_leak=np.zeros_like(decay))
    to.add(name, node, _words(population))


def is_synapse(layer: Any, after: Any) -> bool:
    """Return whether a leaky integrator and the neurons behind it are a CubaLIF, which leaks twice."""
    kinds = [type(getattr(part, "neuron", None)) for part in (layer, after)]
    if kinds != [LI, LIF] or after.kernel is not None or after.neuron.reset == "none":
        return False
    return all(np.all(np.asarray(part.neuron.decay) < 1) for part in (layer, after))


def open_synapse(name: str, population: Population, to: Writer):
    """Keep a leaky integrator for the neurons behind it."""
    words = {f"synapse_{word}": value for word, value in _words(population).items()}
    to.synapse = name, _membrane(population.neuron, to), words


def write_neurons(name: str, population: Population, to: Writer):
    """Write neurons that fire, with their synapses if there are any, and recurrent weights as a cycle."""
    neuron: Any = population.neuron
    words = _words(population) | _words_of_spikes(neuron.spike_fn, to)
    words |= {name: getattr(neuron, name) for name in RESETTING if getattr(neuron, name) is not None}
    never_resets = neuron.reset == "none" and population.kernel is None
    delayed = " one step later" if neuron.reset_delay else ""
    if delayed or not (neuron.reset == "zero" or never_resets):
        to.lose(f"the reset {neuron.reset!r}{delayed}, where NIR's neurons reset to a value at once")
    threshold = to.spread(neuron.threshold)
    memoryless = never_resets and not np.any(neuron.decay)
    if memoryless and np.any(threshold):
        to.add(name, nir.Threshold(threshold=threshold), words)
        return
    _, tau, gain, r, membrane_gain = _membrane(neuron, to)
    zero = np.zeros_like(gain)
    leak = {} if tau is None else {"tau": tau, "v_leak": zero}
    node: Any
    if to.synapse is not None:
        (name, synapse, of_synapse), to.synapse = to.synapse, None
        threshold = threshold * (membrane_gain * synapse.membrane_gain) / (gain * synapse.gain)
        node = nir.CubaLIF(synapse.tau, tau, r, zero, threshold, v_reset=zero, w_in=synapse.r)
        words |= of_synapse
    else:
        threshold = threshold * membrane_gain / gain
        if never_resets:
            to.add(f"{name}_potential", nir.LI(r=r, **leak) if leak else nir.I(r=r), _words(population))
            node = nir.Threshold(threshold=threshold)
        else:
            node = (nir.LIF if leak else nir.IF)(r=r, **leak, v_threshold=threshold, v_reset=zero)
    to.add(name, node, words)
    if population.kernel is not None:
        expect(len(to.shape) == 1, "recurrent neurons on one axis", to.shape)
        weight = to.to_order(to.to_order(plain(population.kernel)).T)
        to.nodes[f"{name}_recurrent"] = nir.Linear(weight=weight.copy())
        to.edges += [(name, f"{name}_recurrent"), (f"{name}_recurrent", name)]


def write_delay(name: str, population: Population, to: Writer):
    """Write a delay, in units of time."""
    neuron: Any = population.neuron
    to.add(name, nir.Delay(delay=to.spread(neuron.steps) * to.how.dt))


# Reading -----------------------------------------------------------------------------------------------------------


def _read_membrane(node: Any, to: Reader, tau: str = "tau", r: str = "r") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the decay of a potential, the factor of its input in a step, and where it rests."""
    dt, said = to.how.dt, to.how.r
    if isinstance(node, nir.I | nir.IF):
        given = to.numbers(node, r)
        one = np.ones_like(given)
        if isinstance(node, nir.I) or said is None:  # what an integrator gives depends on its resistance as it is
            return one, dt * given, 0 * one
        return one, one if said == "tau/dt" else dt * one, 0 * one
    time, rest = to.numbers(node, tau), to.numbers(node, "v_leak")
    expect(np.all(time > 0), f"{tau} above 0", time.min())
    decay = to.how.decay_of(time)
    what = f"{tau} to be dt or more, so that the decay 1 - dt / {tau} is not negative"
    hint = "pass the dt that the file was written for, or method='exp'"
    expect(np.all(decay >= 0), what, f"{time.min():g} with dt={dt:g}: {hint}")
    one = np.ones_like(decay)
    if said == "tau/dt":
        return decay, one, rest
    return decay, gain_of(decay, one if said == "1" else to.numbers(node, r)), rest


def read_integrator(node: Any, to: Reader, threshold: Any = None):
    """Read an integrator; with a threshold behind it, neurons without a reset."""
    words, dt = words_of(node), to.how.dt
    decay, gain, rest = _read_membrane(node, to)
    if threshold is not None:
        with naming(f"node {threshold.name!r}"):
            words |= words_of(threshold.node)
            limit = to.numbers(threshold.node, "threshold")
        words |= {"reset": "none", "reset_delay": False}
        to.add(_neurons(decay, limit - rest, gain, words, to))
        return
    expect(not np.any(rest), "v_leak to be 0, the only one here", rest)
    decay_input, leaky = not np.all(_near(gain, 1)), not isinstance(node, nir.I)
    fits = not decay_input or (leaky and np.all(_near(gain, 1 - decay)))
    expect(fits, f"r to be {'1 or tau / dt' if leaky else '1 / dt'}, with dt={dt:g}", f"{node.r}: scale its input")
    to.add(Population(LI(to.each("tau", decay), decay_input), param_dtype=dtype_of(words, "param_dtype")))


def read_threshold(node: Any, to: Reader):
    """Read a threshold by itself: a surrogate at 0, and else memoryless neurons."""
    words, threshold = words_of(node) | {"reset": "none", "reset_delay": False}, to.numbers(node, "threshold")
    zero = np.zeros_like(threshold)
    to.add(_neurons(zero, threshold, zero + 1, words, to) if np.any(threshold) else _spike_fn(words | to.said))


def read_neurons(node: Any, to: Reader, weights: Any = None):
    """Read neurons that reset to a value, after their synapses if there are any."""
    words, synaptic = {"reset": "zero"} | words_of(node), isinstance(node, nir.CubaLIF)
    decay, gain, rest = _read_membrane(node, to, "tau_mem" if synaptic else "tau")
    reset, threshold = to.numbers(node, "v_reset"), to.numbers(node, "v_threshold")
    expect(np.all(reset == rest), f"v_reset to be where the potential rests, {rest}", reset)
    if synaptic:
        there = "some: they go to its synapse there and to the potential here"
        expect(weights is None, "a CubaLIF without recurrent weights", there)
        slow, through, _ = _read_membrane(node, to, "tau_syn", "w_in")
        decays = words.get("synapse_decay_input", not np.all(_near(through, 1)))
        synapse = LI(to.each("tau_syn", slow), decays)
        to.add(Population(synapse, param_dtype=dtype_of(words, "synapse_param_dtype")))
        gain = gain * through / (1 - slow if decays else 1.0)
    neurons = _neurons(decay, threshold - rest, gain, words, to)
    if weights is not None:
        with naming(f"recurrent weights {weights.name!r}"):
            neurons = dataclasses.replace(neurons, kernel=_read_recurrent(weights.node, neurons.param_dtype, to))
    to.add(neurons)


def _neurons(decay, threshold, gain, words: dict[str, Any], to: Reader) -> Population:
    """Return neurons whose potential there has a gain of ``gain``, and here one of 1 or of 1 - decay."""
    at_one = bool(np.any(decay == 1))
    decay_input = words.get("decay_input", not np.all(_near(gain, 1)) and not at_one)
    expect(not (decay_input and at_one), "no decay_input in its metadata with a decay of 1, which lets no input in")
    expect(np.all(gain > 0), "r above 0", f"{np.min(gain / np.maximum(1 - decay, 1e-30)):g}")
    words |= to.said
    neuron = LIF(
        to.each("tau", decay),
        decay_input,
        to.each("v_threshold", threshold * (1 - decay if decay_input else 1.0) / gain),
        _spike_fn(words),
        **{name: words[name] for name in RESETTING if name in words},
    )
    return Population(neuron, param_dtype=dtype_of(words, "param_dtype"))


def _spike_fn(words: dict[str, Any]) -> Any:
    if "spike_fn" in words:
        return words["spike_fn"]
    return surrogate_of(words["surrogate"]) if "surrogate" in words else LIF.spike_fn


def _read_recurrent(node: Any, dtype: Any, to: Reader) -> np.ndarray:
    """Return recurrent weights; a bias of them is one of the layer before, which is added at every step too."""
    words = words_of(node)
    weight = weights_of(node, "weight", words)
    expect(len(to.shape) == 1 and weight.shape == to.shape * 2, f"weight of shape {to.shape * 2}", weight.shape)
    if isinstance(node, nir.Affine) and np.any(bias := bias_of(node, words, len(weight))):
        before: Any
        before, shape = to.layers[-1] if to.layers else (None, ())
        what = "no bias, or a Linear or Affine before the neurons, which can take it"
        expect(type(before) is Affine, what, "a bias")
        bias = bias if before.bias is None else before.bias + bias
        to.layers[-1] = dataclasses.replace(before, bias=bias), shape
    return to.from_order(to.from_order(weight.astype(dtype)).T)


def read_delay(node: Any, to: Reader):
    """Read a delay by whole steps."""
    steps = to.numbers(node, "delay") / to.how.dt
    whole = np.round(steps)
    fits = np.all(np.abs(steps - whole) <= 1e-6 * np.maximum(whole, 1)) and np.all(whole >= 0)
    expect(fits, f"delays of whole steps of dt={to.how.dt:g}", f"{steps.reshape(-1)[:4]} of it")
    longest = np.max(whole)
    expect(longest * math.prod(to.shape) <= LARGEST, f"delays of {LARGEST} entries at most", f"{longest:g} steps")
    to.add(Population(Delay(np.asarray(to.each("delay", whole)).astype(int).tolist())))


PAIRS = [  # a layer, how it is written, how it is read, and as which nodes
    (LI, write_integrator, read_integrator, nir.LI, nir.I),
    (LIF, write_neurons, read_neurons, nir.LIF, nir.IF, nir.CubaLIF),
    (Surrogate, write_surrogate, read_threshold, nir.Threshold),
    (Delay, write_delay, read_delay, nir.Delay),
]
