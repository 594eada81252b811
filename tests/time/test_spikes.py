"""The spikes of each layer beside the output: those of a loop over time, in the memory of `unroll`, to be penalised."""

from itertools import pairwise

import brainstate
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from close import assert_close, bound
from combinations import first_quick, label
from flax import linen, nnx

import brainsurr as bs
import brainsurr.brainstate
import brainsurr.linen
import brainsurr.nnx
from tools.frameworks import HOSTS

# Inputs, weights and decays are small multiples of a power of two: no sum of the forward pass is rounded, in any order,
# and spikes are equal. Means are rounded, and what a gradient is made of: in each step a sum over at most 6 neurons and
# as many products for each of three layers, and then a sum over time, batch and outputs.
T, BATCH, SIZES = 7, 4, (3, 6, 5, 2)
GRADIENT = 3 * T * (6 + 8) + T * BATCH * 2
RUNS = [(3, "full"), None, (T, "dots")]
MORE_RUNS = [(1, "full"), (3, "none"), (3, "dots"), (T + 1, "full")]
SURROGATE = bs.LogTailedRelu(0.125)
pytestmark = pytest.mark.usefixtures("lenient")
host = pytest.mark.parametrize("host", first_quick(HOSTS), ids=label)


def inputs(steps=T, features=SIZES[0]):
    return jnp.asarray(np.random.default_rng(0).integers(-4, 5, (steps, BATCH, features)) / 2, jnp.float32)


def network(host, sizes=SIZES, **options):
    """Dense and LIF twice, dense and LI: parameters, first carry and ``run(params, carry, xs, **options)``."""
    brainstate.random.seed(0)
    layers, rngs = host.layers, nnx.Rngs(0)
    dense = [host.dense(i, o, rngs) for i, o in pairwise(sizes)]
    neurons = [layers.LIF(size, decay=0.5, spike_fn=SURROGATE) for size in sizes[1:-1]]
    neurons.append(layers.LI(sizes[-1], decay=0.5))
    options = {"return_spikes": True} | options
    net = layers.SpikingSequential([layer for pair in zip(dense, neurons, strict=True) for layer in pair], **options)
    params, start, run, _ = host.pure(net, (BATCH, sizes[0]))
    params = jax.tree.map(lambda p: jnp.round(8 * p) / 4 if p.ndim == 2 else p, params)
    return params, start((BATCH, sizes[0])), run


def kernels(params):
    return [leaf for leaf in jax.tree.leaves(params) if leaf.ndim == 2]


def time_loop(weights, xs):
    """Outputs and spikes ``[time, ...]``, step by step: no layer and no scan."""
    potentials = [jnp.zeros((BATCH, w.shape[1])) for w in weights]
    outputs, spikes = [], {1: [], 3: []}
    for x in xs:
        for i, w in enumerate(weights):
            potentials[i] = 0.5 * potentials[i] + x @ w
            if 2 * i + 1 in spikes:
                x = SURROGATE(potentials[i] - 1)
                potentials[i] -= x
                spikes[2 * i + 1].append(x)
        outputs.append(potentials[-1])
    return jnp.stack(outputs), jax.tree.map(lambda s: jnp.stack(s), spikes, is_leaf=lambda s: isinstance(s, list))


def mean_over_time(tree):
    return jax.tree.map(lambda a: a.mean(0), tree)


def penalised(ys, rates):
    """The loss of outputs and firing rates, both means over time."""
    return jnp.mean((ys - 1) ** 2) + sum(jnp.mean(rate**2) for rate in rates.values())


def equal(actual, desired):
    jax.tree.map(np.testing.assert_array_equal, actual, desired)


@pytest.mark.parametrize(
    ("host", "settings"),
    [
        (HOSTS[0], RUNS[:1]),
        pytest.param(HOSTS[0], RUNS[1:], marks=pytest.mark.slow),
        pytest.param(HOSTS[0], MORE_RUNS, marks=pytest.mark.exhaustive),
        *(pytest.param(host, RUNS, marks=pytest.mark.slow) for host in HOSTS[1:]),
    ],
    ids=label,
)
def test_spikes_and_a_rate_penalty_are_those_of_a_loop(host, settings):
    (params, carry, run), xs = network(host), inputs()
    weights = kernels(params)
    ys, spikes = time_loop(weights, xs)
    assert all(0.1 < float(s.mean()) < 0.9 for s in spikes.values())
    by_loop = jax.jit(jax.grad(lambda weights: penalised(*mean_over_time(time_loop(weights, xs)))))(weights)
    without = jax.jit(jax.grad(lambda weights: penalised(mean_over_time(time_loop(weights, xs)[0]), {})))(weights)
    for one, other in list(zip(by_loop, without, strict=True))[:2]:
        assert float(jnp.abs(one - other).max()) > 100 * bound(GRADIENT, np.abs(one).max()), "the penalty is in it"
    for options in settings:
        options = {"block_size": options[0], "remat": options[1]} if options else {}

        def loss(params, options=options):
            outputs = run(params, carry, xs, **options, **({"reduce": "mean"} if options else {}))[1]
            return penalised(*(outputs if options else mean_over_time(outputs)))

        @jax.jit
        def values_and_gradient(params, loss=loss, options=options):
            return run(params, carry, xs, **options)[1], jax.grad(loss)(params)

        values, gradient = values_and_gradient(params)
        equal(values, (ys, spikes))
        assert_close(kernels(gradient), by_loop, GRADIENT)


@host
def test_a_stream_goes_on(host):
    (params, carry, run), xs = network(host), inputs()
    whole = run(params, carry, xs)
    carry, first = run(params, carry, xs[:4], block_size=3)
    carry, second = run(params, carry, xs[4:])
    equal((carry, jax.tree.map(lambda *parts: jnp.concatenate(parts), first, second)), whole)


@host
def test_memory_is_that_of_unroll(host):
    def temporaries(steps, by_rate, **options):
        """Bytes of temporary memory of a compiled gradient."""
        params, carry, run = network(host, (64, 128, 128, 10), return_spikes=by_rate)

        def loss(params, xs):
            ys = run(params, carry, xs, **options)[1]
            ys = ys if options else mean_over_time(ys)
            return penalised(*ys) if by_rate else penalised(ys, {})

        lowered = jax.jit(jax.grad(loss)).lower(params, inputs(steps, 64))
        return lowered.compile().memory_analysis().temp_size_in_bytes

    blocks = {"remat": "full", "reduce": "mean"}
    short = temporaries(100, True, **blocks)
    assert short <= 0.30 * temporaries(100, True)
    assert temporaries(2500, True, **blocks) <= 8 * short  # the square root of 25 is 5
    assert short <= 1.25 * temporaries(100, False, **blocks)


@pytest.mark.parametrize("host", HOSTS, ids=label)  # each finds them by itself
def test_which_layers_fire(host):
    """LIF layers, the last one too, activations and surrogates, by their index; ReLU, dense layers and LI do not."""
    layers, rngs = host.layers, nnx.Rngs(0)
    dense = [host.dense(SIZES[0], SIZES[0], rngs) for _ in range(3)]
    activation = layers.SpikingActivation(bs.LogTailedRelu(0.125), learnable="alpha")
    every = [dense[0], jax.nn.relu, bs.arctan, layers.LI(3), activation, dense[1], bs.Arctan(), dense[2], layers.LIF(3)]
    params, start, run, _ = host.pure(layers.SpikingSequential(every, return_spikes=True), (BATCH, 3))
    ys, spikes = run(params, start((BATCH, 3)), inputs(), block_size=3)[1]
    assert {index: s.shape for index, s in spikes.items()} == dict.fromkeys((4, 6, 8), (T, BATCH, 3))
    assert set(np.unique(jnp.stack([*spikes.values()])).tolist()) == {0.0, 1.0}
    equal(spikes[8], ys)


@host
def test_a_network_in_a_network(host):
    (params, carry, run), xs = network(host), inputs()
    ys, spikes = run(params, carry, xs)[1]
    layers = host.layers

    def nested(inner, outer):
        brainstate.random.seed(0)
        rngs = nnx.Rngs(0)
        one, two, three = (host.dense(i, o, rngs) for i, o in pairwise(SIZES))
        lifs = [layers.LIF(size, decay=0.5, spike_fn=SURROGATE) for size in SIZES[1:-1]]
        hidden = layers.SpikingSequential([one, lifs[0], two, lifs[1]], return_spikes=inner)
        net = layers.SpikingSequential([hidden, three, layers.LI(SIZES[-1], decay=0.5)], return_spikes=outer)
        given, start, run, _ = host.pure(net, (BATCH, SIZES[0]))
        given = jax.tree.unflatten(jax.tree.structure(given), jax.tree.leaves(params))
        return run(given, start((BATCH, SIZES[0])), xs, block_size=3, remat="full")[1]

    equal(nested(True, True), (ys, {0: spikes}))
    equal(nested(False, True), (ys, {}))
    equal(nested(True, False), ys)


class Residual(nnx.Module):
    """A layer of one's own that returns its spikes beside its outputs."""

    return_spikes = True

    def __init__(self, pair=True):
        self.lif, self.pair = brainsurr.nnx.LIF(3, decay=0.5), pair

    def initialize_carry(self, input_shape, rngs=None):
        return self.lif.initialize_carry(input_shape)

    def __call__(self, carry, xs):
        carry, spikes = self.lif(carry, xs)
        return carry, ((xs + spikes, spikes) if self.pair else xs + spikes)


def test_a_layer_of_ones_own():
    lif, xs = brainsurr.nnx.LIF(3, decay=0.5), inputs()
    net = brainsurr.nnx.SpikingSequential([Residual(), lif], return_spikes=True)
    _, (ys, spikes) = brainsurr.nnx.unroll(net, net.initialize_carry(xs.shape[1:]), xs, block_size=3)
    _, first = lif(jnp.zeros((BATCH, 3)), xs)
    _, second = lif(jnp.zeros((BATCH, 3)), xs + first)
    equal((ys, spikes), (second, {0: first, 1: second}))
    net = brainsurr.nnx.SpikingSequential([Residual(pair=False)])
    with pytest.raises(TypeError, match=r"expected outputs \(ys, spikes\), with return_spikes, got"):
        net((jnp.zeros((BATCH, 3)),), xs)


def test_a_network_made_before():
    """The same layers, in a network that returns their spikes."""
    xs, carry = inputs(), (jnp.zeros((BATCH, 3)),)
    lif = brainsurr.linen.LIF(3, decay=0.5)
    expected = lif.apply({}, carry[0], xs)[1]
    ys, spikes = brainsurr.linen.SpikingSequential([lif]).clone(return_spikes=True).apply({}, carry, xs)[1]
    equal((ys, spikes), (expected, {0: expected}))


def test_under_a_checkpoint_of_the_host():
    """A flag that is an argument of the call would be traced there."""
    net, xs = brainsurr.nnx.SpikingSequential([brainsurr.nnx.LIF(3)], return_spikes=True), inputs()
    spikes = nnx.remat(lambda net, carry, xs: net(carry, xs))(net, net.initialize_carry(xs.shape[1:]), xs)[1][1]
    assert spikes[0].shape == xs.shape
    variables = {}
    net = brainsurr.linen.SpikingSequential([brainsurr.linen.LIF(3)], return_spikes=True)
    spikes = linen.remat(lambda net, carry, xs: net(carry, xs))(net.bind(variables), (jnp.zeros((BATCH, 3)),), xs)[1][1]
    assert spikes[0].shape == xs.shape
