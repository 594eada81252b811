"""Residual and attention blocks, as users copy them: values step by step, what runs around them, and SpikingJelly's.

The notebook and the pages show the text of `benchmarks.lib.blocks`; tests/docs checks that.
"""

import importlib
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import with_library
from close import assert_close, bound, distances
from flax import nnx
from numpy.lib.stride_tricks import sliding_window_view

import brainsurr as bs
from benchmarks.lib.blocks import Attention, Residual, attention_block, current_block, spike_block
from brainsurr._time import guard
from brainsurr.nnx import LIF, SpikingSequential, diagnose, unroll

pytestmark = pytest.mark.usefixtures("lenient")  # flax's Conv
T, B, PIXELS, TOKENS, FEATURES = 5, 2, (4, 4, 3), 4, 8
neurons = partial(LIF, decay=0.5)
MADE = {
    "spikes": lambda rngs: [spike_block(3, 3, neurons, rngs)],
    "spikes, by two": lambda rngs: [spike_block(3, 4, neurons, rngs, stride=2)],
    "currents": lambda rngs: [current_block(3, 3, neurons, rngs)],
    "currents, by two": lambda rngs: [current_block(3, 4, neurons, rngs, stride=2)],
    "attention": lambda rngs: attention_block(FEATURES, 2, neurons, rngs),
}
EACH = ["spikes, by two", "currents, by two", "attention"]


def made(name, seed=0, **options):
    """A network of a block, with statistics as after training, and its inputs."""
    rng = np.random.default_rng(seed)
    net = SpikingSequential(MADE[name](nnx.Rngs(seed)), **options)
    for _, norm in nnx.iter_modules(net):
        if isinstance(norm, nnx.BatchNorm):
            for value, low, high in ((norm.mean, -0.5, 0.5), (norm.var, 0.2, 0.6), (norm.scale, 1, 2)):
                value[...] = jnp.asarray(rng.uniform(low, high, value.shape), jnp.float32)
            norm.bias[...] = jnp.asarray(rng.uniform(0, 0.5, norm.bias.shape), jnp.float32)
    shape = (T, B, TOKENS, FEATURES) if name == "attention" else (T, B, *PIXELS)
    xs = rng.normal(size=shape) if "currents" in name else rng.integers(0, 2, shape)
    net.eval()
    return net, jnp.asarray(xs, jnp.float32)


def run(net, xs, **options):
    carry = net.initialize_carry(xs.shape[1:])
    return unroll(net, carry, xs, **options)[1] if options else net(carry, xs)[1]


def far(near, operations):
    """Whether no potential is so near to its threshold that rounding decides; at it are sums that nothing rounds."""
    return min(distance for distance in near if distance) > bound(operations, 4)


def same(first, second, operations=100):
    """Two programs with the same numbers."""
    with distances() as near:
        expected = first()
    assert far(near, operations)
    assert_close(second(), expected, operations, scale=4)
    return expected


# Values, step by step ---------------------------------------------------------------------------------------------


class Loop:
    """One step of a block in NumPy, by the formulas; it keeps the potentials."""

    def __init__(self):
        self.potentials, self.near = {}, []

    def fire(self, name, x, threshold=1.0):
        u = 0.5 * self.potentials.get(name, 0) + x
        s = (u >= threshold).astype(float)
        self.potentials[name] = u - threshold * s
        self.near.extend(np.abs(u - threshold).ravel())
        return s

    def spikes(self, block, x, stride):
        first, norm, _, last, other, _ = block.long.layers
        s = self.fire("first", normalised(norm, convolved(first, x, stride)))
        s = self.fire("last", normalised(other, convolved(last, s, 1)))
        if block.short.layers:
            conv, norm, _ = block.short.layers
            x = self.fire("short", normalised(norm, convolved(conv, x, stride)))
        return x + s

    def currents(self, block, x, stride):
        _, first, norm, _, last, other = block.long.layers
        i = normalised(norm, convolved(first, self.fire("first", x), stride))
        i = normalised(other, convolved(last, self.fire("last", i), 1))
        if block.short.layers:
            conv, norm = block.short.layers
            x = normalised(norm, convolved(conv, x, stride))
        return x + i

    def attention(self, attend, hidden, x):
        into, norm, _, _, _, out, other, _ = attend.long.layers
        qkv, ys = self.fire("qkv", normalised(norm, x @ weights(into))), np.zeros(x.shape)
        size = FEATURES // 2
        for example in range(B):
            for head in range(2):
                q, k, v = (qkv[example, :, at : at + size] for at in head * size + FEATURES * np.arange(3))
                ys[example, :, head * size : (head + 1) * size] = 0.125 * (q @ k.T) @ v
        ys = self.fire("attend", ys, threshold=0.5)
        x = x + self.fire("out", normalised(other, ys @ weights(out)))
        first, norm, _, last, other, _ = hidden.long.layers
        s = self.fire("hidden", normalised(norm, x @ weights(first)))
        return x + self.fire("last", normalised(other, s @ weights(last)))


def weights(layer):
    return np.asarray(layer.kernel[...], float)


def normalised(norm, x):
    mean, var, scale, bias = (np.asarray(value[...], float) for value in (norm.mean, norm.var, norm.scale, norm.bias))
    return (x - mean) / np.sqrt(var + 1e-5) * scale + bias


def convolved(layer, x, stride):
    kernel = weights(layer)
    size = len(kernel)
    padded = np.pad(x, ((0, 0), (size // 2,) * 2, (size // 2,) * 2, (0, 0)))
    windows = sliding_window_view(padded, (size, size), axis=(1, 2))[:, ::stride, ::stride]
    return np.einsum("bhwcij,ijco->bhwo", windows, kernel)


@pytest.mark.parametrize("name", MADE)
def test_values_are_those_of_a_loop(name):
    net, xs = made(name)
    loop, blocks, stride = Loop(), list(net.layers), 2 if "by two" in name else 1
    if name == "attention":
        steps = [loop.attention(*blocks, x) for x in np.asarray(xs, float)]
    else:
        steps = [getattr(loop, name.split(",")[0])(*blocks, x, stride) for x in np.asarray(xs, float)]
    assert far(loop.near, 100)
    ys = run(net, xs)
    assert_close(ys, np.stack(steps), 100, scale=4)
    assert np.unique(ys).size > 2  # sums of spikes, or currents


def test_spikes_of_both_ways_are_returned():
    net, xs = made("spikes, by two", return_spikes=True)
    ys, spikes = run(net, xs)
    ((long, short),) = spikes.values()
    assert ({*long}, {*short}) == ({2, 5}, {2})
    np.testing.assert_array_equal(ys, long[5] + short[2])
    np.testing.assert_array_equal(run(made("spikes, by two")[0], xs), ys)


# What runs around them --------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", EACH)
def test_blocks_of_time_give_what_one_pass_gives(name):
    net, xs = made(name)
    expected = same(lambda: run(net, xs), lambda: run(net, xs, block_size=2, remat="full"))
    assert_close(run(net, xs[:, 1:]), expected[:, 1:], 100, scale=4)  # an example by itself


WIDTHS = {
    "wider": lambda: Residual([nnx.Linear(8, 16, rngs=nnx.Rngs(0)), LIF(16)]),
    "one": lambda: Residual([nnx.Linear(8, 1, rngs=nnx.Rngs(0)), LIF(1)]),  # jax would repeat it
    "heads": lambda: Residual(attention_block(30, 4, LIF, nnx.Rngs(0))),
}


@pytest.mark.parametrize("name", WIDTHS)
def test_widths_that_do_not_fit_are_refused(name):
    def run_it():
        block = WIDTHS[name]()
        block(block.initialize_carry((3, 8)), jnp.zeros((4, 3, 8)))

    with pytest.raises(ValueError, match=r"Residual: expected a shortcut to .*: give it layers|features for 4 heads"):
        run_it()


@pytest.mark.slow
@pytest.mark.parametrize("name", EACH)
def test_diagnose_sees_every_layer_inside_and_follows_a_mask(name):
    net, xs = made(name, return_spikes=True)
    mask = np.arange(T)[:, None] < [2, T]
    report = diagnose(net, lambda net: jnp.mean(run(net, xs)[0] * mask.reshape(T, B, *[1] * (xs.ndim - 2))), mask=mask)
    spikes = jax.tree.leaves(run(net, xs)[1])
    assert len(report) == len(spikes) == {"attention": 5}.get(name, 3 if "spikes" in name else 2)
    expected = sorted(float(s[mask].mean()) for s in spikes)
    np.testing.assert_allclose(sorted(layer.rate for layer in report.values()), expected, rtol=1e-5)
    assert {layer.status for layer in report.values()} == {"fine"}


def attention_over(axis):
    """Attention whose tokens are time steps or examples."""

    def attend(qkv):
        return jnp.swapaxes(Attention(2)(jnp.swapaxes(qkv, axis, -2)), axis, -2)

    return attend


QKV = jnp.asarray(np.random.default_rng(0).integers(0, 2, (T, B, TOKENS, 3 * FEATURES)), jnp.float32)


def test_attention_among_tokens_passes_the_guard(monkeypatch):
    monkeypatch.setattr(guard, "_tried", lambda *args: pytest.fail("the program tells, no trial is needed"))
    net = SpikingSequential([Attention(2), neurons(FEATURES, threshold=0.5)])
    assert run(net, QKV, block_size=2).any()


@pytest.mark.parametrize(("axis", "message"), [(0, "mixes time steps"), (1, "mixes the examples")])
def test_attention_over_time_or_batch_is_refused(axis, message):
    net = SpikingSequential([Residual([attention_over(axis), nnx.Linear(FEATURES, 3 * FEATURES, rngs=nnx.Rngs(0))])])
    with pytest.raises(ValueError, match=rf"layers\[0\], attend, {message}"):
        run(net, QKV, block_size=2)


# SpikingJelly's blocks --------------------------------------------------------------------------------------------

LIKE = {"decay": 0.5, "decay_input": True, "reset": "zero", "spike_fn": bs.Sigmoid(4.0)}
MODEL = "spikingjelly.activation_based"


def basic_block(like):
    """SEW-ADD with a shortcut that has layers, and their parts in our order."""
    sew, layer = (importlib.import_module(f"{MODEL}.{name}") for name in ("model.sew_resnet", "layer"))
    node = importlib.import_module(f"{MODEL}.neuron").LIFNode
    short = importlib.import_module("torch").nn.Sequential(sew.conv1x1(3, 4, 2), layer.BatchNorm2d(4))
    there = sew.BasicBlock(3, 4, 2, short, cnf="ADD", spiking_neuron=node, tau=2.0, detach_reset=True, **like)
    importlib.import_module(f"{MODEL}.functional").set_step_mode(there, "m")
    return there, [there.conv1, there.bn1, there.conv2, there.bn2, *short]


def spikformer_block(like):
    """Attention and a network of each token, both with what they add to, and their parts in our order."""
    there = importlib.import_module(f"{MODEL}.model.spikformer").SpikformerBlock(FEATURES, 2, **like)
    attend, hidden = there.attn, there.mlp
    return there, [*attend.qkv_conv_bn, *attend.proj_conv_bn, *hidden.fc1, *hidden.fc2]


@with_library(["spikingjelly.BasicBlock", "spikingjelly.SpikformerBlock"])
def test_values_and_gradients_are_those_of_the_library(key):
    """In training: normalised by the batch and all steps. With the same weights and surrogate."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    like = {"surrogate_function": pytest.importorskip(f"{MODEL}.surrogate").Sigmoid(alpha=4.0)}
    lif, rng = partial(LIF, **LIKE), np.random.default_rng(0)
    if key.endswith("BasicBlock"):
        (there, parts), layers = basic_block(like), [spike_block(3, 4, lif, nnx.Rngs(0), stride=2)]
        xs = rng.integers(0, 3, (T, B, *PIXELS))
    else:
        (there, parts), layers = spikformer_block(like), attention_block(FEATURES, 2, lif, nnx.Rngs(0))
        xs = rng.integers(0, 3, (T, B, 2, 3, FEATURES))
    for norm in (part for part in parts if hasattr(part, "running_var")):
        torch.nn.init.uniform_(norm.weight, 2, 3)
        torch.nn.init.uniform_(norm.bias, 0, 1)
    ways = [way for block in layers for way in (block.long, block.short)]
    ours = [layer for way in ways for layer in way.layers if isinstance(layer, nnx.Conv | nnx.Linear | nnx.BatchNorm)]
    for layer, part in zip(ours, parts, strict=True):
        weight = part.weight.detach().numpy()
        if hasattr(layer, "kernel"):
            layer.kernel[...] = jnp.asarray(np.moveaxis(weight, (0, 1), (-1, -2)).reshape(layer.kernel.shape))
        else:
            layer.scale[...], layer.bias[...] = jnp.asarray(weight), jnp.asarray(part.bias.detach().numpy())
    given = torch.tensor(np.moveaxis(xs, -1, 2), dtype=torch.float32, requires_grad=True)
    theirs = there(given)
    weighed = rng.normal(size=theirs.shape).astype(np.float32)
    (theirs * torch.tensor(weighed)).sum().backward()
    xs = jnp.asarray(xs if key.endswith("BasicBlock") else xs.reshape(T, B, -1, FEATURES), jnp.float32)

    def channels_last(array):
        return np.moveaxis(array, 2, -1)

    def loss(net, xs):
        ys = run(net, xs)
        return jnp.sum(ys * channels_last(weighed).reshape(ys.shape)), ys

    net = SpikingSequential(layers)
    with distances() as near:
        (of_net, of_xs), ys = nnx.grad(loss, argnums=(0, 1), has_aux=True)(net, xs)
    assert far(near, 100)
    np.testing.assert_array_equal(ys, channels_last(theirs.detach().numpy()).reshape(ys.shape))
    assert len(np.unique(ys)) >= 3
    assert_close(of_xs, channels_last(given.grad.numpy()).reshape(xs.shape), 3000)
    paths, found = {id(module): path for path, module in nnx.iter_modules(net)}, dict(nnx.to_flat_state(of_net))
    for layer, part in zip(ours, parts, strict=True):
        if hasattr(layer, "kernel"):
            gradient = np.moveaxis(part.weight.grad.numpy(), (0, 1), (-1, -2)).reshape(layer.kernel.shape)
            assert_close(found[*paths[id(layer)], "kernel"][...], gradient, 3000)
