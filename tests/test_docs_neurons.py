"""What docs/neurons.md shows runs, and does what it says."""

import pathlib
import re

import brainstate
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from close import assert_close, bound, distances, largest
from combinations import label
from flax import linen, nnx

import brainsurr as bs
import brainsurr.brainstate
import brainsurr.linen
import brainsurr.nnx
from tools.hosts import HOSTS, Brainstate

PAGE = (pathlib.Path(__file__).parent.parent / "docs" / "neurons.md").read_text()
COMMON, SYNAPTIC, ADAPTIVE, DELAYS, CONVOLUTION, RESIDUAL, POPULATION, *PLAIN = re.findall(
    r"```python\n(.*?)```", PAGE, re.DOTALL
)
pytestmark = pytest.mark.usefixtures("lenient")  # flax's Conv, brainstate's Linear


def run_block(block):
    scope: dict = {}
    exec(compile(COMMON + block, "docs/neurons.md", "exec"), scope)
    return scope


def same(run, other, operations=200):
    """Two programs with the same numbers, in which no potential is so near to its threshold that rounding decides.

    A step rounds some twenty times, and what it rounds decays by .9: two hundred times in all.
    """
    with distances() as near:
        expected = run()
    assert min(near) > bound(operations, 2)
    assert_close(other(), expected, operations, scale=max(2, float(largest(expected))))


def assert_unroll_is_the_network(scope, xs, net="net"):
    net = scope[net]
    carry = net.initialize_carry(xs.shape[1:])
    same(lambda: net(carry, xs), lambda: scope["unroll"](net, carry, xs, block_size=3, remat="full"))


@pytest.mark.parametrize("host", HOSTS, ids=label)
def test_a_synaptic_neuron_is_a_current_and_a_potential(host):
    """Written by hand, of numbers that are not rounded, in every framework."""
    alpha, decay = 0.5, 0.75
    xs = np.random.default_rng(0).integers(-4, 9, (8, 2, 3)) / 8
    i, v, expected = np.zeros((2, 3)), np.zeros((2, 3)), []
    for x in xs:
        i = alpha * i + x
        v = decay * v + i
        s = (v >= 1).astype(float)
        v = v - s
        expected.append(s)
    net = host.layers.SpikingSequential([host.layers.LI(3, decay=alpha), host.layers.LIF(3, decay=decay)])
    if host is Brainstate:
        net.init_state(2)
        ys = net(jnp.asarray(xs, jnp.float32))
    else:
        _, ys = host.call(net, (2, 3), None, jnp.asarray(xs, jnp.float32))
    assert 0.2 < np.mean(expected) < 0.9
    np.testing.assert_array_equal(ys, expected)


def test_synaptic():
    scope = run_block(SYNAPTIC)
    assert scope["spikes"].shape == (30, 8, 32)
    assert 0.05 < scope["spikes"].mean() < 0.95
    assert_unroll_is_the_network(scope, scope["xs"][:10, :2])
    trained = [path for path, _ in nnx.to_flat_state(nnx.state(scope["net"], nnx.Param)) if path[-1] == "decay"]
    assert len(trained) == 2


def test_adaptive():
    scope = run_block(ADAPTIVE)
    spikes, net = scope["spikes"], scope["net"]
    assert 0.01 < spikes.mean() < 0.95
    assert_unroll_is_the_network(scope, scope["xs"][:10, :2])
    grads = nnx.grad(lambda net: net(net.initialize_carry((8, 16)), scope["xs"])[1].sum())(net)
    for name in scope["trained"]:
        assert np.abs(grads["layers"][1][name][...]).max() > 0


def test_delays():
    scope = run_block(DELAYS)
    net, xs = scope["net"], scope["xs"]
    carry = net.initialize_carry((8, 16))
    same(lambda: net(carry, xs)[1], lambda: jnp.concatenate([scope["first"], scope["second"]]))
    _, spikes = scope["SpikingSequential"](net.layers[:2])(net.initialize_carry((8, 16))[:2], xs)
    _, later = scope["axons"](scope["axons"].initialize_carry((8, 32)), spikes)
    np.testing.assert_array_equal(later[4:, :, 4], spikes[:-4, :, 4])
    np.testing.assert_array_equal(later[..., 5], spikes[..., 5])
    assert spikes.any()


@pytest.mark.slow
def test_convolution():
    scope = run_block(CONVOLUTION)
    net, images = scope["conv_net"], scope["images"]
    assert scope["ys"].shape == (10, 2, 10)
    assert jax.tree.map(jnp.shape, scope["carry"][2]) == (2, 12, 12, 8)
    assert scope["carry"][5][1].any(), "the last spikes"
    assert_unroll_is_the_network(scope, images[:4, :1], "conv_net")
    two, one = (net.initialize_carry((n, 12, 12, 1)) for n in (2, 1))  # examples are not mixed
    same(lambda: net(two, images[:4])[1][:, :1], lambda: net(one, images[:4, :1])[1])


@pytest.mark.slow
def test_group_norm_mixes_examples_unless_told():
    xs = jax.random.normal(jax.random.key(0), (3, 2, 4, 4, 8))
    for options, mixes in (({}, True), ({"reduction_axes": (-3, -2, -1)}, False)):
        norm = nnx.GroupNorm(8, num_groups=2, rngs=nnx.Rngs(0), **options)
        assert (np.abs(norm(xs)[:, :1] - norm(xs[:, :1])).max() > 1e-2) == mixes


@pytest.mark.parametrize("host", HOSTS, ids=label)
def test_recurrent_weights_mix_channels_at_a_pixel(host):
    height, width, channels = 3, 2, 4
    kernel = jnp.full((channels, channels), 0.5)
    size = (height, width, channels) if host is Brainstate else channels
    layer = host.layers.LIF(size, decay=0.5, **host().recurrent(kernel))
    xs = jnp.zeros((2, 1, height, width, channels)).at[0, 0, 1, 1, 2].set(1.0)  # one spike, at one pixel
    shape = (1, height, width, channels)
    (v, _), ys = host.call(layer, 1, xs) if host is Brainstate else host.call(layer, shape, None, xs)
    assert ys.sum() == 1
    expected = np.zeros(shape)
    expected[0, 1, 1] = 0.5
    np.testing.assert_array_equal(v, expected)


@pytest.mark.slow
def test_convolution_in_the_other_frameworks():
    images = jax.random.uniform(jax.random.key(1), (6, 2, 8, 8, 1))
    net = bs.linen.SpikingSequential([linen.Conv(4, (3, 3)), bs.linen.LIF(4), lambda xs: linen.max_pool(xs, (2, 2))])
    carry = net.initialize_carry(jax.random.key(0), images.shape[1:])
    variables = net.init(jax.random.key(0), carry, images)
    _, ys = net.apply(variables, carry, images)
    _, blocks = bs.linen.unroll(net.bind(variables), carry, images, block_size=4)
    assert ys.shape == (6, 2, 7, 7, 4)
    np.testing.assert_array_equal(blocks, ys)

    conv = brainstate.nn.Conv2d((8, 8, 1), 4, (3, 3))
    pool = brainstate.nn.AvgPool2d((2, 2), (2, 2), channel_axis=-1)
    layers = [lambda xs: jax.vmap(conv)(xs), bs.brainstate.LIF((8, 8, 4)), lambda xs: jax.vmap(pool)(xs)]
    net = bs.brainstate.SpikingSequential(layers)
    net.init_state(2)
    bs.brainstate.LIF((8, 8, 4))
    ys = net(images)
    net.reset_state(2)
    assert ys.shape == (6, 2, 4, 4, 4)
    np.testing.assert_array_equal(bs.brainstate.unroll(net, images, block_size=4), ys)


def test_residual():
    scope = run_block(RESIDUAL)
    assert scope["spikes"].shape == (30, 8, 32)
    assert 0.05 < scope["spikes"].mean() < 0.95
    assert_unroll_is_the_network(scope, scope["xs"][:10, :2])
    block, x = scope["block"](), scope["xs"][..., :1] * jnp.ones(32)
    carry = block.initialize_carry((8, 32))
    _, inner = block.inner(carry, x)
    assert_close(block(carry, x)[1], x + inner, 4)


def test_population():
    scope = run_block(POPULATION)
    net, xs = scope["net"], scope["xs"]
    assert scope["logits"].shape == (8, 4)

    def votes():
        carry, layers = net.initialize_carry((8, 16))[:2], scope["SpikingSequential"](net.layers[:2])
        _, spikes = layers(carry, xs)
        assert spikes.any()
        return jnp.stack([spikes[..., 8 * c : 8 * c + 8].mean((0, -1)) for c in range(4)], -1)

    same(votes, lambda: scope["logits"])


def test_without_a_framework():
    scope = run_block("".join(PLAIN))
    xs, plain, now = scope["xs"], bs.neurons.LIF(decay=0.9), scope["now"]
    assert scope["lif"] == plain
    assert (scope["Layer"], scope["Cell"]) == (bs.nnx.LIF, bs.nnx.LIFCell)
    assert 0.05 < scope["spikes"].mean() < 0.95
    layer, few = scope["trained"], xs[:10, :2]
    run = jax.jit(lambda neuron: neuron(neuron.initial_state(few[0]), few))
    same(lambda: layer(layer.initialize_carry((2, 16)), few), lambda: run(now))
    trained = nnx.to_flat_state(nnx.state(layer, nnx.Param))
    assert {path for path, _ in trained} == {("decay",), ("spike_fn", "alpha")}
    gradient = jax.grad(lambda neuron: run(neuron)[1].sum())(plain)
    assert all(value != 0 for value in jax.tree.leaves(gradient))
    back = bs.neurons.Recurrent(plain, jnp.eye(16))
    state = back.initial_state(few[0])
    same(lambda: back(state, few), lambda: bs.unroll(back, state, few, remat="full", block_size=3))
