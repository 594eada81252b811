"""Convert neurons of NIR to layers."""

import dataclasses

import jax.numpy as jnp
import nir
import numpy as np

from ..neurons import LI, LIF
from ..neurons.lif import RESETS
from . import surrogates
from .graphs import Link
from .layers import Affine, Population
from .reader import Reader, bias_of, dtype_of, unordered, weights, words_of
from .times import decay_of, gain_of


def _leak(owner, node, field: str, to: Reader) -> np.ndarray:
    tau = to.numbers(owner, node, field, positive=True)
    decay = decay_of(tau, to.dt, to.method)
    if np.any(decay < 0):
        raise ValueError(
            f"{owner}: expected {field} to be dt or more, so that the decay 1 - dt / {field} is not negative, got "
            f"{tau.min():g} with dt={to.dt:g}: pass the dt that the file was written for, or method='exp'"
        )
    return decay


def _gain(decay, node, owner, to: Reader, field: str = "r") -> np.ndarray:
    """Return the factor of the input in a step, as the file or the caller gives it."""
    if to.r == "tau/dt":
        return np.ones_like(decay)
    return gain_of(decay, np.ones_like(decay) if to.r == "1" else to.numbers(owner, node, field))


def _integrator(owner, link: Link, to: Reader):
    node, words = link.node, words_of(owner, link.node)
    dtype = dtype_of(owner, words, "param_dtype", jnp.float32)
    if isinstance(node, nir.I):
        if not np.allclose(to.numbers(owner, node, "r") * to.dt, 1, rtol=1e-6, atol=0):
            raise ValueError(f"{owner}: expected r to be 1 / dt, with dt={to.dt:g}, got {node.r}: scale its input")
        to.add(Population(LI(1.0), param_dtype=dtype))
        return
    decay = _leak(owner, node, "tau", to)
    gain = _gain(decay, node, owner, to)
    if np.any(to.numbers(owner, node, "v_leak") != 0):
        raise ValueError(f"{owner}: expected v_leak to be 0, the only one here, got {node.v_leak}")
    decay_input = not np.allclose(gain, 1, rtol=1e-6, atol=0)
    if decay_input and not np.allclose(gain, 1 - decay, rtol=1e-6, atol=0):
        raise ValueError(f"{owner}: expected r to be 1 or tau / dt, with dt={to.dt:g}, got {node.r}: scale its input")
    to.add(Population(LI(to.each(owner, "tau", decay), decay_input), param_dtype=dtype))


def read_without_reset(link: Link, after: Link, to: Reader):
    """Read a leaky integrator and the threshold behind it."""
    owner, node = f"from_nir: node {link.name!r}", link.node
    words = words_of(owner, node) | words_of(f"from_nir: node {after.name!r}", after.node)
    threshold = to.numbers(f"from_nir: node {after.name!r}", after.node, "threshold")
    if isinstance(node, nir.I):
        r = to.numbers(owner, node, "r")
        decay, gain = np.ones_like(r), r * to.dt
    else:
        decay = _leak(owner, node, "tau", to)
        threshold = threshold - to.numbers(owner, node, "v_leak")
        gain = _gain(decay, node, owner, to)
    _add_neurons(owner, decay, threshold, gain, words, "none", False, None, to)


def _threshold(owner, link: Link, to: Reader):
    threshold, words = to.numbers(owner, link.node, "threshold"), words_of(owner, link.node)
    if np.any(threshold):  # a neuron that forgets at once
        zero = np.zeros_like(threshold)
        _add_neurons(owner, zero, threshold, zero + 1, words, "none", False, None, to)
    else:
        to.add(_spike_fn(owner, words, to))


def _spike_fn(owner, words, to: Reader):
    if to.spike_fn is not None:
        return to.spike_fn
    return surrogates.from_words(owner, words["surrogate"]) if "surrogate" in words else LIF.spike_fn


def _neurons(owner, link: Link, to: Reader):
    node, words = link.node, words_of(owner, link.node)
    threshold, rest = to.numbers(owner, node, "v_threshold"), to.numbers(owner, node, "v_reset")
    if isinstance(node, nir.IF):
        r = to.numbers(owner, node, "r")
        decay = np.ones_like(r)
        leak, gain = np.zeros_like(r), r * to.dt if to.r is None else np.full_like(r, to.dt if to.r == "1" else 1.0)
    else:
        leak, decay = to.numbers(owner, node, "v_leak"), _leak(owner, node, _membrane(node), to)
        gain = _gain(decay, node, owner, to)
    if np.any(rest != leak):
        raise ValueError(f"{owner}: expected v_reset to be where the potential rests, {leak}, got {rest}")
    if isinstance(node, nir.CubaLIF):
        if link.recurrent is not None:
            raise ValueError(
                f"{owner}: expected a CubaLIF without recurrent weights, got some: they go to its synapse there and "
                "to the potential here"
            )
        slow = _leak(owner, node, "tau_syn", to)
        through = _gain(slow, node, owner, to, "w_in")
        decays = words.get("synapse_decay_input", bool(not np.allclose(through, 1, rtol=1e-6, atol=0)))
        dtype = dtype_of(owner, words, "synapse_param_dtype", jnp.float32)
        to.add(Population(LI(to.each(owner, "tau_syn", slow), decays), param_dtype=dtype))
        gain = gain * through / (1 - slow if decays else 1.0)
    reset = words.get("reset", "zero")
    delayed = words.get("reset_delay", False)
    _add_neurons(owner, decay, threshold - leak, gain, words, reset, delayed, link.recurrent, to)


def _membrane(node) -> str:
    return "tau_mem" if isinstance(node, nir.CubaLIF) else "tau"


def _add_neurons(owner, decay, threshold, gain, words, reset, delayed, recurrent, to: Reader):
    """Add neurons whose potential there has a gain of ``gain``, and here one of 1 or of 1 - decay."""
    decays = words.get("decay_input", bool(not np.allclose(gain, 1, rtol=1e-6, atol=0) and not np.any(decay == 1)))
    if decays and np.any(decay == 1):
        raise ValueError(f"{owner}: expected no decay_input in its metadata with a decay of 1: no input would get in")
    if not np.all(gain > 0):
        raise ValueError(f"{owner}: expected r above 0, got {np.min(gain / np.maximum(1 - decay, 1e-30)):g}")
    threshold = threshold * (1 - decay if decays else 1.0) / gain
    if not np.all(np.isfinite(threshold)):
        raise ValueError(f"{owner}: expected a threshold that is finite over r, got {threshold}")
    reset = reset if to.reset is None else to.reset
    if reset not in RESETS:
        raise ValueError(f"{owner}: expected reset in its metadata to be subtract, zero or none, got {reset!r}")
    neuron = LIF(
        decay=to.each(owner, "tau", decay),
        decay_input=decays,
        threshold=to.each(owner, "v_threshold", threshold),
        reset=reset,
        reset_delay=delayed if to.reset_delay is None else to.reset_delay,
        reset_grad=words.get("reset_grad"),
        spike_fn=_spike_fn(owner, words, to),
    )
    population = Population(neuron, param_dtype=dtype_of(owner, words, "param_dtype", jnp.float32))
    to.add(population if recurrent is None else _with_recurrence(owner, population, recurrent, to))


def _with_recurrence(owner, population: Population, recurrent, to: Reader) -> Population:
    """Add recurrent weights; a bias of them is one of the layer before, which is added at every step too."""
    owner, words = f"{owner}, its recurrent weights", words_of(owner, recurrent)
    weight = weights(owner, recurrent, "weight", words)
    if len(to.shape) != 1 or weight.shape != to.shape * 2:
        raise ValueError(f"{owner}: expected weight of shape {to.shape * 2}, got {weight.shape}")
    kernel = weight.T.astype(population.param_dtype)
    if to.order is not None:
        kernel = unordered(unordered(kernel, to.order).T, to.order).T
    if isinstance(recurrent, nir.Affine) and np.any(bias := bias_of(owner, recurrent, words, weight.shape[0])):
        before, shape = to.layers[-1] if to.layers else (None, ())
        if not isinstance(before, Affine):
            raise ValueError(f"{owner}: expected no bias, or a Linear or Affine before the neurons, which can take it")
        to.layers[-1] = (dataclasses.replace(before, bias=bias if before.bias is None else before.bias + bias), shape)
    return dataclasses.replace(population, kernel=kernel)


READERS = {
    nir.LI: _integrator,
    nir.I: _integrator,
    nir.LIF: _neurons,
    nir.IF: _neurons,
    nir.CubaLIF: _neurons,
    nir.Threshold: _threshold,
}
