"""`unroll` of each framework: the numbers of the plain network, gradients too, and the state that is no carry."""

import brainstate
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from close import assert_close
from combinations import each_value_once, first_quick, label
from flax import linen, nnx

import brainsurr as bs
import brainsurr.brainstate
import brainsurr.linen
import brainsurr.nnx
from tools.frameworks import HOSTS, Nnx

# Inputs, weights and decays are small multiples of a power of two: no sum of the forward pass is rounded, in any order,
# and spikes and potentials are equal. What a gradient is made of is rounded: in each step a sum over 5 neurons and as
# many products, and then a sum over time, batch and outputs.
T, BATCH = 7, 4
GRADIENT = T * (5 + 8) + T * BATCH * 2
RUNS = [(3, "full"), (3, "dots"), (T + 1, "none")]
pytestmark = pytest.mark.usefixtures("lenient")


class Case:
    """Network, parameters and carry, with ``run(params, carry, xs, **options)``, by `unroll` if there are options."""

    def __init__(self, host):
        brainstate.random.seed(0)
        layers, rngs = host.layers, nnx.Rngs(0)
        act = layers.SpikingActivation(bs.LogTailedRelu(jnp.full(5, 0.1)), learnable="alpha")
        feedback = {"recurrent": True, **({"rngs": rngs} if host is Nnx else {})}
        lif = layers.LIF(5, decay=0.5, spike_fn=act, learnable="decay", **feedback)
        last = layers.LI(2, decay=0.5, learnable="decay")
        net = layers.SpikingSequential([host.dense(3, 5, rngs), lif, host.dense(5, 2, rngs), last])
        params, start, self.run, _ = host.pure(net, (BATCH, 3))
        self.params = jax.tree.map(lambda p: jnp.round(8 * p) / 8 if p.ndim == 2 else p, params)
        self.carry = start((BATCH, 3))

    def gradient(self, loss, **options):
        """``(params, carry, xs) -> gradients, (carry, ys)``, compiled."""

        def loss_and_value(params, carry, xs):
            value = self.run(params, carry, xs, **options)
            return loss(*value), value

        return jax.jit(jax.grad(loss_and_value, (0, 1, 2), has_aux=True))


def loss(carry, ys):
    return jnp.mean((ys - 1) ** 2) + sum(jnp.sum(leaf) for leaf in jax.tree.leaves(carry)) / 10


def inputs():
    return jnp.asarray(np.random.default_rng(0).integers(-4, 5, (T, BATCH, 3)) / 2, jnp.float32)


@pytest.mark.parametrize(("host", "settings"), each_value_once(HOSTS, RUNS), ids=label)
def test_equals_the_plain_network(host, settings):
    case, (size, remat) = Case(host), settings
    plain_grads, plain = case.gradient(loss)(case.params, case.carry, inputs())
    assert all(float(jnp.abs(leaf).max()) > 0 for leaf in jax.tree.leaves(plain_grads)), "every gradient is tried"
    grads, value = case.gradient(loss, block_size=size, remat=remat)(case.params, case.carry, inputs())
    jax.tree.map(np.testing.assert_array_equal, value, plain)
    assert_close(grads, plain_grads, GRADIENT)


BLOCKS = [slice(0, 2), slice(2, 4), slice(4, 6), slice(6, T)]


def assert_mean_of_blocks(mean):
    """That of a BatchNorm after four blocks, each of which it counts once."""
    expected = np.zeros(3)
    for block in BLOCKS:
        expected = 0.99 * expected + 0.01 * np.asarray(inputs()[block]).mean((0, 1))
    assert_close(mean, expected, 4 * (2 * BATCH + 3), scale=0.01 * np.abs(inputs()).max())


def test_other_state_of_nnx_rides_along():
    rngs = nnx.Rngs(0)
    norm, drop = nnx.BatchNorm(3, rngs=rngs), nnx.Dropout(0.5, rngs=rngs)
    net = brainsurr.nnx.SpikingSequential([norm, drop, brainsurr.nnx.LIF(3)])
    count = int(drop.rngs.count[...])

    @nnx.jit
    def run(net, xs):
        return brainsurr.nnx.unroll(net, net.initialize_carry(xs.shape[1:]), xs, block_size=2, remat="full")

    run(net, inputs())
    assert_mean_of_blocks(norm.mean[...])
    assert int(drop.rngs.count[...]) == count + 4, "one draw a block"


def test_what_nnx_only_reads_is_not_written():
    spike_fn = bs.LogTailedRelu(jnp.full(3, 0.25))
    drop = nnx.Dropout(0.5, deterministic=True, rngs=nnx.Rngs(0))
    net = brainsurr.nnx.SpikingSequential([brainsurr.nnx.LIF(3, decay=jnp.full(3, 0.5), spike_fn=spike_fn), drop])
    carry = net.initialize_carry((BATCH, 3))  # its variables are not those of the traces below
    for transform in (jax.jit, lambda f: jax.jit(jax.grad(lambda xs: jnp.sum(f(xs))))):
        expected = transform(lambda xs: net(carry, xs)[1])(inputs())
        for remat in ("none", "full"):
            run = transform(lambda xs, remat=remat: brainsurr.nnx.unroll(net, carry, xs, block_size=2, remat=remat)[1])
            assert_close(run(inputs()), expected, GRADIENT)


def test_what_nnx_makes_inside_is_named():
    class Noting(nnx.Module):
        def __init__(self):
            self.lif = brainsurr.nnx.LIF(3)

        def __call__(self, carry, xs):
            carry, spikes = self.lif(carry, xs)
            self.rate = nnx.Intermediate(spikes.mean())
            return carry, spikes

    with pytest.raises(ValueError, match="unroll: expected net to create no new variables, it created rate"):
        brainsurr.nnx.unroll(Noting(), jnp.zeros((BATCH, 3)), inputs(), block_size=2)


def test_other_state_of_linen_rides_along():
    """Where layers belong to an outer module."""

    class Net(linen.Module):
        @linen.compact
        def __call__(self, xs):
            norm = linen.BatchNorm(use_running_average=False)
            layers = [norm, linen.Dropout(0.5, deterministic=False), brainsurr.linen.LIF(3)]
            net = brainsurr.linen.SpikingSequential(layers)
            carry = net.initialize_carry(jax.random.key(0), xs.shape[1:])
            return brainsurr.linen.unroll(net, carry, xs, block_size=2, remat="full")

    variables = Net().init(RNGS, inputs())
    _, state = Net().apply(variables, inputs(), rngs=RNGS, mutable="batch_stats")
    assert_mean_of_blocks(state["batch_stats"]["BatchNorm_0"]["mean"])


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
        return brainsurr.linen.LIF(3, decay=0.5, learnable="decay")(carry, xs * keep)


class Inside(linen.Module):
    """`unroll` within a method of a module."""

    remat: str = "none"

    def setup(self):
        self.net = Noisy()

    def __call__(self, carry, xs):
        return brainsurr.linen.unroll(self.net, carry, xs, block_size=2, remat=self.remat)


RNGS = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
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


@pytest.mark.parametrize("remat", first_quick(["full", "none"]))
def test_linen_collections_of_a_bound_module(remat):
    variables = Noisy().init(RNGS, CARRY, inputs())

    @jax.jit
    def run(variables):
        net = Noisy().bind(variables, rngs=RNGS, mutable=["counters", "intermediates"])
        brainsurr.linen.unroll(net, CARRY, inputs(), block_size=2, remat=remat)
        return net.variables

    state = run({name: variables[name] for name in ("params", "counters")})
    check_noted(state["counters"], state["intermediates"])
