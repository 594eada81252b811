"""What docs/neurons.md and docs/convolution.md show runs, and does what they say."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import all_but, label
from close import assert_close
from flax import nnx
from pages import DOCS, blocks, run

import brainsurr as bs
import brainsurr.brainstate
import brainsurr.linen
import brainsurr.nnx
from tools.frameworks import HOSTS, Brainstate

COMMON, LEAKY, SYNAPTIC, BOTH, ADAPTIVE, RESONATE, INTEGERS, SLIDING, *BLOCKS = blocks(DOCS / "neurons.md")
DELAYS, LEARNED, SYNAPSES, PATTERNS, PLAIN = BLOCKS
CONVOLUTION, LOOP = blocks(DOCS / "convolution.md")
pytestmark = pytest.mark.usefixtures("lenient")  # flax's Conv, brainstate's Linear


PROGRAMS = {
    "leaky": LEAKY,
    "synaptic": SYNAPTIC,
    "adaptive": ADAPTIVE,
    "resonate": RESONATE,
    "integers": INTEGERS,
    "delayed synapses": SYNAPSES,
    "firing patterns": PATTERNS,
    "without a framework": PLAIN,
}


@pytest.mark.parametrize("name", all_but(["integers"], PROGRAMS, pytest.mark.slow))
def test_a_program_runs_and_its_neurons_fire(name):
    scope = run(COMMON, PROGRAMS[name])
    assert 0.01 < np.mean(scope.get("spikes", scope.get("ys"))) < 10


def test_a_current_for_another_neuron():
    """Without recurrent weights, it is LI before that neuron."""
    scope = run(COMMON, BOTH)
    both, xs = scope["SynapticALIF"](current_decay=0.8, decay=0.7), scope["xs"]
    for neurons in ([both], [bs.neurons.LI(0.8), bs.neurons.ALIF(decay=0.7)]):
        ys = xs
        for neuron in neurons:
            _, ys = neuron(neuron.initial_state(xs[0]), ys)
        scope.setdefault("first", ys)
    np.testing.assert_array_equal(scope["first"], ys)
    assert 0.05 < ys.mean() < 0.95
    layer = scope["alif"]
    _, ys = layer(layer.initialize_carry((8, 32)), jnp.ones((5, 8, 32)))
    assert ys.any()
    assert layer.neuron.neuron.states == ("v", "s", "a", "i")


@pytest.mark.parametrize("bases", ["ALIF Synaptic", "Synaptic RF", "ILIF Synaptic"])
def test_a_current_flows_into_a_lif_neuron_behind_it(bases):
    with pytest.raises(TypeError, match="Synaptic"):
        type("Turned", tuple(getattr(bs.neurons, name) for name in bases.split()), {})
    own = type("Own", (bs.neurons.LIF,), {})
    assert type("Fits", (own, bs.neurons.Synaptic), {}).__mro__[1] is own


def test_sliding():
    scope = run(COMMON, SLIDING)
    net, xs = scope["net"], scope["xs"]
    _, ys = net(net.initialize_carry((8, 16)), xs)
    assert 0.05 < ys.mean() < 0.95
    np.testing.assert_array_equal(np.concatenate([scope["first"], scope["second"]]), ys)


def test_delays():
    scope = run(COMMON, DELAYS)
    assert (scope["first"].shape, scope["second"].shape) == ((17, 8, 4), (13, 8, 4))
    spikes, axons = jax.random.bernoulli(jax.random.key(0), shape=(30, 8, 32)), scope["axons"]
    _, later = axons(axons.initialize_carry((8, 32)), spikes)
    np.testing.assert_array_equal(later[4:, :, 4], spikes[:-4, :, 4])
    np.testing.assert_array_equal(later[..., 5], spikes[..., 5])


def test_learned_delays():
    """As narrow as in the end, the bell gives what the rounded delay gives where that is a whole number."""
    scope = run(COMMON, LEARNED)
    axons, last = scope["axons"], scope["last"]
    assert len(set(last.steps)) > 5
    neuron = axons.neuron.replace(delay=np.float32(last.steps), width=0.05)
    xs = jax.random.normal(jax.random.key(0), (30, 2, 32))
    _, ys = neuron(neuron.initial_state(xs[0]), xs)
    assert_close(ys, last(last.initialize_carry((2, 32)), xs)[1], 20)


@pytest.mark.slow
def test_convolutions():
    scope = run(CONVOLUTION)
    assert scope["ys"].shape == (10, 2, 10)
    assert scope["carry"][5][1].any(), "the last spikes"
    scope = run(LOOP, **scope)
    assert scope["ys"].shape == (10, 2, 6 * 6 * 8)
    assert scope["ys"].any()
    xs = jax.random.normal(jax.random.key(0), (2, 3, 5, 4, 2))
    for size in (3, 4):
        convolution = nnx.Conv(2, 8, (size, size), use_bias=False, rngs=scope["rngs"])
        found = scope["under_kernel"](xs, size) @ convolution.kernel[...].reshape(-1, 8)
        assert_close(found, convolution(xs), 4 * size**2, scale=10)  # sums of products, in another order


@pytest.mark.parametrize("host", HOSTS, ids=label)
def test_recurrent_weights_mix_channels_at_a_pixel(host):
    size = (3, 2, 4) if host is Brainstate else 4
    layer = host.layers.LIF(size, decay=0.5, **host().recurrent(jnp.full((4, 4), 0.5)))
    xs = jnp.zeros((2, 1, 3, 2, 4)).at[0, 0, 1, 1, 2].set(1.0)  # one spike, at one pixel
    (v, _), ys = host.call(layer, (1, 4) if host is Brainstate else xs.shape[1:], None, xs)
    assert ys.sum() == 1
    np.testing.assert_array_equal(v, jnp.zeros((1, 3, 2, 4)).at[0, 1, 1].set(0.5))
