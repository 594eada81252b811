"""What alpha does to a silent layer: with 0 it gets exactly no gradient and stays silent, a small one recovers.

And `diagnose` says so before it is trained.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from close import bound, distances
from flax import nnx

import brainsurr as bs
import brainsurr.brainstate
import brainsurr.linen
from brainsurr.nnx import LI, LIF, SpikingSequential, diagnose

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("lenient")]


def train(spike_fn, steps=200):
    """The first layer's gradient before training, and what is said of it before and after, from too small weights."""
    rngs = nnx.Rngs(0)
    lif = LIF(16, spike_fn=spike_fn)
    net = SpikingSequential([nnx.Linear(3, 16, rngs=rngs), lif, nnx.Linear(16, 1, rngs=rngs), LI(1)])
    net.layers[0].kernel[...] *= 1e-3
    xs = jax.random.uniform(jax.random.key(0), (20, 8, 3))
    optimizer = nnx.Optimizer(net, optax.adam(1e-2), wrt=nnx.Param)

    def loss_fn(net):
        return jnp.mean((net(net.initialize_carry((8, 3)), xs)[1] - 1) ** 2)

    @nnx.jit
    def step(net, optimizer):
        grads = nnx.grad(loss_fn)(net)
        optimizer.update(net, grads)
        return grads["layers"][0]["kernel"][...]

    before = diagnose(net, loss_fn)["layers.1"]
    first = step(net, optimizer)
    for _ in range(steps):
        step(net, optimizer)
    after = diagnose(net, loss_fn)["layers.1"]
    with distances() as seen:
        _, spikes = lif(lif.initialize_carry((8, 16)), net.layers[0](xs))
    # A potential within rounding of the threshold may fire in one program alone, and change the steps that follow it.
    near = np.array(seen) < bound(20 * (3 + 2), 4)
    assert near.mean() < 0.01
    assert after.rate == pytest.approx(float(spikes.mean()), abs=1e-6 + 20 * near.mean())
    return np.asarray(first), before, after


def test_alpha_zero_gets_exactly_no_gradient_and_stays_silent():
    gradient, before, after = train(bs.LogTailedRelu())
    assert (before.status, before.rate, before.silent, before.dead, before.grad_norm) == ("dead", 0, 1, 1, 0)
    np.testing.assert_array_equal(gradient, 0)
    assert (after.status, after.rate) == ("dead", 0)


@pytest.mark.parametrize(
    "spike_fn", [bs.LogTailedRelu(0.01), bs.LogTailedRelu(0.1), LIF(1).spike_fn.surrogate], ids=repr
)
def test_a_gradient_below_threshold_recovers(spike_fn):
    """As a small alpha gives it, and the layers' default."""
    gradient, before, after = train(spike_fn)
    assert (before.status, before.rate, before.silent, before.dead, before.passing) == ("recoverable", 0, 1, 0, 1)
    assert np.abs(gradient).max() > 0
    assert after.status == "fine"
    assert after.rate > 0.01


@pytest.mark.parametrize("layers", [brainsurr.nnx, brainsurr.linen, brainsurr.brainstate])
def test_the_default_of_all_layers_is_one(layers):
    """The gradient is 1 up to 1/8 from the threshold and 1 / |8 x| beyond, so it passes below."""
    x = jnp.linspace(-20.0, 20.0, 4001)
    for layer in (layers.LIF(1), layers.LIFCell(1), layers.ALIF(1), layers.ALIFCell(1)):
        default = layer.spike_fn if isinstance(layer.spike_fn, bs.Surrogate) else layer.spike_fn.surrogate
        assert default == bs.FakeNumericalGradient(1.0).scaled(width=0.125)
        expected = 1 / np.maximum(1, np.abs(8 * np.asarray(x, np.float64)))
        np.testing.assert_allclose(default.surrogate_grad(x), expected, rtol=bound(4, 1))
