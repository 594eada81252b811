"""First weights: their deviation beside the paper's formula, and the potentials that they give."""

import dataclasses
import math
from typing import Any, ClassVar

import brainstate
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from close import assert_close
from flax import nnx

import brainsurr as bs
from brainsurr import neurons
from brainsurr.initializers import fluctuation_driven

KEY, RATE, DECAYS = jax.random.key(0), 0.05, np.float32([0.5, 0.9, 0.99])


@dataclasses.dataclass
class Rising(neurons.Neuron):
    """A neuron of one's own: of second order, from above its rest of 1/4, with a slope of 2 there."""

    states: ClassVar = ("v", "i")
    bounds: ClassVar = {"decay": (0.0, 1.0)}
    decay: Any = 0.8
    spike_fn: Any = bs.Arctan(2.0)

    def initial_state(self, x):
        return jnp.full_like(x, 0.5), jnp.zeros_like(x)

    def step(self, state, x):
        v, i = state
        v, i = self.decay * v + i, self.decay * i + jnp.sinh(2 * x)
        s = self.spike_fn(v + 0.25 - 1.0)
        return (v * (1 - bs.detached(s)), i), s


def powers(decay):
    """What a decay leaves of 1 after each step."""
    return np.asarray(decay, np.float64) ** np.arange(2000)[:, None]


def after_another(one, other):
    """What a decay leaves after another one, step by step."""
    v, i, vs = 0.0, 1.0, []
    for _ in range(2000):
        v, i = other * v + i, one * i
        vs.append(v)
    return np.array(vs)[:, None]


BY_HAND = {  # the neuron, its response, and the distance from rest to its threshold
    "LIF": (neurons.LIF(0.8), powers(0.8), 1),
    "decays": (neurons.LIF(DECAYS, threshold=np.float32([1, 2, 3])), powers(DECAYS), np.array([1, 2, 3])),
    "decay_input": (neurons.LIF(0.8, decay_input=True, threshold=2.0), 0.2 * powers(0.8), 2),
    "refractory": (neurons.LIF(0.8, refractory=2, reset_delay=True, reset="zero"), powers(0.8), 1),
    "LI": (neurons.LI(0.8), powers(0.8), 1),
    "chain": ([neurons.LI(0.5), neurons.LIF(0.8)], after_another(0.5, 0.8), 1),
    "Synaptic": (neurons.Synaptic(0.8, current_decay=0.5), after_another(0.5, 0.8), 1),
    "ALIF": (neurons.ALIF(0.8), powers(0.8), 1),
    "ILIF": (neurons.ILIF(0.8, threshold=2.0), powers(0.8), 1),  # it fires from half of its threshold on
    "recurrent": (neurons.Recurrent(neurons.LIF(0.8), kernel=np.ones((3, 3), "f4")), powers(0.8), 1),
    "own": (Rising(), 2 * after_another(0.8, 0.8), 0.75),  # a step late
}


@pytest.mark.parametrize("name", BY_HAND)
def test_the_deviation_is_that_of_the_formula(name):
    neuron, response, distance = BY_HAND[name]
    fan_in, xi, share = 2 * 7, 2.0, 0.3
    sigma = np.sqrt(share * (distance / xi) ** 2 / (fan_in * RATE * np.sum(response**2, 0)))
    w = fluctuation_driven(neuron, RATE, xi=xi, share=share)(KEY, (2, 7, 3), jnp.float32)
    assert_close(w, sigma * np.asarray(jax.random.normal(KEY, (2, 7, 3))), len(response))


def test_the_length_of_a_sequence_counts():
    """Of a neuron that never forgets, 10 steps vary by 10 inputs."""
    w = fluctuation_driven(neurons.LIF(1.0), RATE, steps=10)(KEY, (7, 3))
    assert_close(w, np.sqrt(1 / (7 * RATE * 10)) * np.asarray(jax.random.normal(KEY, (7, 3))), 20)


INIT = fluctuation_driven(neurons.LIF(0.8), RATE)
LAYERS = {
    "nnx.Linear": lambda: nnx.Linear(64, 128, kernel_init=INIT, rngs=nnx.Rngs(0)).kernel[...],
    "brainstate": lambda: brainstate.nn.Linear(64, 128, w_init=INIT).weight.value["weight"],
    "recurrent, nnx": lambda: recurrent(bs.nnx, rngs=nnx.Rngs(0)).recurrent_kernel[...],
    "recurrent, brainstate": lambda: recurrent(bs.brainstate).recurrent_kernel.value(),
}


def recurrent(host, **more):
    return host.LIF(64, recurrent=True, recurrent_kernel_init=INIT, **more)


@pytest.mark.usefixtures("lenient")
@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_layers_take_it(make):
    w = make()
    assert w.dtype == np.float32
    sigma = math.sqrt((1 - 0.8**2) / (64 * RATE))
    np.testing.assert_allclose(np.std(w), sigma, rtol=5 / math.sqrt(2 * w.size))


def test_brainstate_draws_other_weights_for_each_layer():
    brainstate.random.seed(0)
    one, other = INIT((4, 3)), INIT((4, 3))
    assert (one != other).all()


def test_it_is_drawn_in_a_trace():
    """In half precision from float32; a neuron that never forgets is refused there too."""
    half = jax.jit(lambda key: INIT(key, (4, 3), jnp.bfloat16))(KEY)
    assert half.dtype == jnp.bfloat16
    assert_close(half.astype(np.float32), INIT(KEY, (4, 3)), 1, dtype=jnp.bfloat16)
    with pytest.raises(ValueError, match=r"forgets it within 2000 steps, got LIF\(decay=1.0,"):
        jax.jit(lambda key: fluctuation_driven(neurons.LIF(1.0), RATE)(key, (4, 3)))(KEY)
