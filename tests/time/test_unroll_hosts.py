"""`unroll` of each framework: the numbers of a loop over time, spikes too, and the state that is no carry."""

import functools
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import each_value_once, first_quick, label
from close import assert_close, assert_equal, bound
from flax import linen, nnx

import brainsurr as bs
from tools.frameworks import HOSTS, OF_VARIABLES

# Inputs, weights and decays are small multiples of a power of two: no sum of the forward pass is rounded, in any order,
# and spikes and potentials are equal. Means are rounded, and what a gradient is made of: in each step a sum over at
# most 6 neurons and as many products for each of three layers, and then a sum over time, batch and outputs.
T, BATCH, SIZES = 7, 4, (3, 6, 5, 2)
GRADIENT = 3 * T * (6 + 8) + T * BATCH * 2
RUNS = [(3, "full"), (3, "dots"), (T + 1, "none"), None]
pytestmark = pytest.mark.usefixtures("lenient")


def inputs(steps=T, features=3):
    return jnp.asarray(np.random.default_rng(0).integers(-4, 5, (steps, BATCH, features)) / 2, jnp.float32)


BLOCKS = [slice(0, 2), slice(2, 4), slice(4, 6), slice(6, T)]


def test_other_state_of_nnx_rides_along():
    rngs = nnx.Rngs(0)
    norm, drop = nnx.BatchNorm(3, rngs=rngs), nnx.Dropout(0.5, rngs=rngs)
    net = bs.nnx.SpikingSequential([norm, drop, bs.nnx.LIF(3)])
    count = int(drop.rngs.count[...])

    @nnx.jit
    def run(net, xs):
        return bs.nnx.unroll(net, net.initialize_carry(xs.shape[1:]), xs, block_size=2, remat="full")

    run(net, inputs())
    expected = np.zeros(3)
    for block in BLOCKS:
        expected = 0.99 * expected + 0.01 * np.asarray(inputs()[block]).mean((0, 1))
    assert_close(norm.mean[...], expected, 4 * (2 * BATCH + 3), scale=0.01 * np.abs(inputs()).max())
    assert int(drop.rngs.count[...]) == count + 4, "one draw a block"


def test_what_nnx_makes_inside_is_named():
    class Noting(nnx.Module):
        def __init__(self):
            self.lif = bs.nnx.LIF(3)

        def __call__(self, carry, xs):
            carry, spikes = self.lif(carry, xs)
            self.rate = nnx.Intermediate(spikes.mean())
            return carry, spikes

    with pytest.raises(ValueError, match="unroll: expected net to create no new variables, but it created rate"):
        bs.nnx.unroll(Noting(), jnp.zeros((BATCH, 3)), inputs(), block_size=2)


class Noisy(linen.Module):
    """A network that keeps statistics, counts its calls, draws random numbers, notes its input and has parameters."""

    @linen.compact
    def __call__(self, carry, xs):
        calls = self.variable("counters", "calls", jnp.zeros, ())
        if not self.is_initializing():
            calls.value += 1
        self.sow("intermediates", "input", xs.sum())
        keep = linen.Dropout(0.5, deterministic=False)(jnp.ones_like(xs))
        self.sow("intermediates", "keep", keep[0])
        return bs.linen.LIF(3, decay=0.5, learnable="decay")(carry, xs * keep)


class Inside(linen.Module):
    """`unroll` within a method of a module."""

    remat: str = "none"

    def setup(self):
        self.net = Noisy()

    def __call__(self, carry, xs):
        return bs.linen.unroll(self.net, carry, xs, block_size=2, remat=self.remat)


KEY = jax.random.key(0)
RNGS = {"params": KEY, "dropout": jax.random.key(1)}
CARRY = jnp.zeros((BATCH, 3))


def check_noted(counters, noted):
    """Four blocks, of which the last is shorter: each counts, notes its own input and draws its own mask."""
    assert counters["calls"] == 4
    # A block in the scan is an entry of the first array; the shorter one comes after the scan.
    by_block, rest = noted["input"]
    assert_close([*by_block, rest], [inputs()[block].sum() for block in BLOCKS], 2 * BATCH * 3)
    masks = np.stack([*noted["keep"][0], noted["keep"][1]])
    assert masks.shape == (4, BATCH, 3)
    assert len({mask.tobytes() for mask in masks}) == 4, "a mask for each block"


@pytest.mark.parametrize("remat", first_quick(["full", "none"]))
def test_linen_collections_inside_a_method(remat):
    """And under the remat of flax the gradients are the same."""
    variables = Inside(remat).init(RNGS, CARRY, inputs())
    assert list(variables["params"]["net"]["LIF_0"]) == ["decay"], "made by init"
    answers = []
    for net in (Inside(remat), linen.remat(Inside)(remat)):

        def loss(params, net=net):
            given = {"params": params, "counters": variables["counters"]}
            (_, ys), state = net.apply(given, CARRY, inputs(), rngs=RNGS, mutable=["counters", "intermediates"])
            return jnp.sum(ys), state

        gradients, state = jax.jit(jax.grad(loss, has_aux=True))(variables["params"])
        check_noted(state["counters"]["net"], state["intermediates"]["net"])
        answers.append(gradients)
    assert float(jnp.abs(answers[0]["net"]["LIF_0"]["decay"]).sum()) > 0
    assert_close(answers[1], answers[0], GRADIENT)


class Plastic(nnx.Module):
    """Adds what it keeps, which grows by one in each block."""

    def __init__(self, kind):
        self.kept = kind(jnp.zeros(()))

    def __call__(self, carry, xs):
        self.kept[...] += 1
        return carry, xs + self.kept[...]


GROWING = np.repeat([1.0, 2.0, 3.0, 4.0], [2, 2, 2, 1])


@pytest.mark.parametrize("size", [2, T])
def test_nnx_refuses_writes_to_what_all_blocks_share(size):
    net = Plastic(nnx.Param)
    with pytest.raises(ValueError, match=r"nnx\.Param kept"):
        bs.nnx.unroll(net, None, jnp.zeros(T), block_size=size)
    assert float(net.kept[...]) == 0
    net = Plastic(nnx.BatchStat)
    np.testing.assert_array_equal(bs.nnx.unroll(net, None, jnp.zeros(T), block_size=2)[1], GROWING)
    assert float(net.kept[...]) == 4


class PlasticLinen(linen.Module):
    collection: str

    @linen.compact
    def __call__(self, carry, xs):
        kept = self.variable(self.collection, "kept", lambda: jnp.zeros(()))
        kept.value = kept.value + (not self.is_initializing())
        return carry, xs + kept.value


@pytest.mark.parametrize("collection", ["params", "plastic"])
def test_linen_passes_what_may_change_from_block_to_block(collection):
    net, xs = PlasticLinen(collection), jnp.zeros(T)
    bound = net.bind(net.init(KEY, None, xs), mutable=[collection])
    np.testing.assert_array_equal(bs.linen.unroll(bound, None, xs, block_size=2)[1], GROWING)
    assert float(bound.variables[collection]["kept"]) == 4


def test_linen_shares_what_no_block_may_write_to():
    def network(train):
        return bs.linen.SpikingSequential([linen.BatchNorm(use_running_average=not train), bs.linen.LIF(3)])

    xs = jax.random.normal(KEY, (T, 2, 3))
    carry = network(True).initialize_carry(KEY, xs.shape[1:])
    net = network(False).bind(network(True).init(KEY, carry, xs))
    in_blocks = bs.linen.unroll(net, carry, xs, block_size=2)[1]
    np.testing.assert_array_equal(in_blocks, net(carry, xs)[1])
    assert 0 < in_blocks.sum() < in_blocks.size


# The spikes of each layer beside the output: those of a loop over time, in the memory of `unroll`, to be penalised ---


SURROGATE = bs.LogTailedRelu(0.125)
host = pytest.mark.parametrize("host", HOSTS, ids=label)


def network(host, sizes=SIZES, arrange=lambda layers: layers, **options):
    """Dense and LIF twice, dense and LI: parameters, first carry and ``run(params, carry, xs, **options)``."""
    layers, rngs = host.layers, nnx.Rngs(0)
    dense = [host.dense(i, o, rngs) for i, o in pairwise(sizes)]
    neurons = [layers.LIF(size, decay=0.5, spike_fn=SURROGATE) for size in sizes[1:-1]]
    neurons.append(layers.LI(sizes[-1], decay=0.5))
    options = {"return_spikes": True} | options
    in_a_row = [layer for pair in zip(dense, neurons, strict=True) for layer in pair]
    net = layers.SpikingSequential(arrange(in_a_row), **options)
    params, start, run, _ = host.pure(net, (BATCH, sizes[0]))
    kernels = iter(weights(sizes))
    params = jax.tree.map(lambda p: host.kernel(next(kernels)) if p.ndim == 2 else p, params)
    return params, start((BATCH, sizes[0])), run


def weights(sizes=SIZES):
    rng = np.random.default_rng(0)
    return [jnp.asarray(rng.integers(-4, 5, shape) / 2, jnp.float32) for shape in pairwise(sizes)]


def kernels(host, params):
    return [host.kernel(leaf) for leaf in jax.tree.leaves(params) if leaf.ndim == 2]


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


@functools.cache
def of_the_loop():
    """Outputs and spikes, and the gradient, with the penalty in it."""

    def losses(weights):
        outputs = time_loop(weights, inputs())
        ys, rates = mean_over_time(outputs)
        return (penalised(ys, rates), penalised(ys, {})), outputs

    (by_loop, without), outputs = jax.jit(jax.jacrev(losses, has_aux=True))(weights())
    for one, other in list(zip(by_loop, without, strict=True))[:2]:
        assert float(jnp.abs(one - other).max()) > 100 * bound(GRADIENT, np.abs(one).max())
    return outputs, by_loop


@pytest.mark.parametrize(("host", "setting"), each_value_once(HOSTS, RUNS), ids=label)
def test_spikes_and_a_rate_penalty_are_those_of_a_loop(host, setting):
    (params, carry, run), xs = network(host), inputs()
    (ys, spikes), by_loop = of_the_loop()
    assert all(0.1 < float(s.mean()) < 0.9 for s in spikes.values())
    options = {"block_size": setting[0], "remat": setting[1]} if setting else {}

    def loss(params):
        outputs = run(params, carry, xs, **options, **({"reduce": "mean"} if options else {}))[1]
        return penalised(*(outputs if options else mean_over_time(outputs)))

    values, gradient = jax.jit(lambda params: (run(params, carry, xs, **options)[1], jax.grad(loss)(params)))(params)
    assert_equal(values, (ys, spikes))
    assert_close(kernels(host, gradient), by_loop, GRADIENT)


@host
def test_which_layers_fire(host):
    """LIF layers, the last one too, activations and surrogates, by their index; ReLU, dense layers and LI do not."""
    layers, rngs = host.layers, nnx.Rngs(0)
    dense = [host.dense(SIZES[0], SIZES[0], rngs) for _ in range(3)]
    activation = bs.LogTailedRelu(0.125)
    activation = layers.SpikingActivation(activation, learnable="alpha") if host in OF_VARIABLES else activation
    every = [dense[0], jax.nn.relu, bs.arctan, layers.LI(3), activation, dense[1], bs.Arctan(), dense[2], layers.LIF(3)]
    params, start, run, _ = host.pure(layers.SpikingSequential(every, return_spikes=True), (BATCH, 3))
    ys, spikes = run(params, start((BATCH, 3)), inputs(), block_size=3)[1]
    assert {index: s.shape for index, s in spikes.items()} == dict.fromkeys((4, 6, 8), (T, BATCH, 3))
    assert set(np.unique(jnp.stack([*spikes.values()])).tolist()) == {0.0, 1.0}
    assert_equal(spikes[8], ys)


class Unpaired(bs.nnx.LIF):
    """A layer of one's own that claims to return its spikes beside its outputs."""

    return_spikes = True


def test_a_layer_of_ones_own_that_does_not_return_its_spikes():
    net = bs.nnx.SpikingSequential([Unpaired(3)])
    with pytest.raises(TypeError, match="return_spikes"):
        net((CARRY,), inputs())
