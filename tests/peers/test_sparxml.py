import jax
import jax.numpy as jnp
import numpy as np
import pytest
from peer import EVERY_STEP, assert_same, inputs, load, log_tailed_relu, target

import brainsurr as bs

load("sparx.nn", "sparxml")

import sparx.nn  # noqa: E402
from flax import linen as nn  # noqa: E402
from pages import LIBRARIES, run_blocks  # noqa: E402
from sparx.surrogate import ATan, FastSigmoid, Surrogate  # noqa: E402


def network(surrogate, refractory=0):
    if refractory:
        neuron = sparx.nn.ALIF(threshold=0.5, surrogate=surrogate, refractory=refractory)
    else:
        neuron = sparx.nn.LIF(tau=5.0, surrogate=surrogate)
    return nn.Sequential([nn.Dense(16), neuron, nn.Dense(2), sparx.nn.LI()])


def loss(params, net):
    return jnp.mean((net.apply({"params": params}, inputs())[-1] - target()) ** 2)


def start(net):
    return net.init(jax.random.key(3), inputs())["params"]


def gradients(surrogate, refractory=0):
    net = network(surrogate, refractory)
    return jax.grad(loss)(start(net), net)


class ByHand(Surrogate):
    def derivative(self, x):
        return jnp.where(x <= 0, 0.1, 1 / jnp.maximum(x, 1.0))


PAIRS = [(bs.InvSquareGrad(25.0), FastSigmoid(25.0)), (bs.Arctan(2.0), ATan(2.0))]
PAIRS += [(bs.LogTailedRelu(alpha), ByHand()) for alpha in (0.1, np.full(16, 0.1, np.float32))]


@pytest.mark.parametrize("refractory", [0, 3])
@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_gradient(ours, theirs, refractory):
    """A refractory neuron is fed -inf."""
    assert_same(gradients(ours, refractory), gradients(theirs, refractory))


class Neuron(nn.Module):
    """What the page's adapter stands for."""

    @nn.compact
    def __call__(self, xs):
        alpha = self.param("alpha", lambda key: jnp.array(0.02))

        def step(v, x):
            v = 0.9 * v + x
            s = log_tailed_relu(v - 1.0, alpha)
            return v - s, s

        return jax.lax.scan(step, jnp.zeros(xs.shape[1:]), xs)[1]


def test_page():
    """The page's adapter trains alpha, and gives what the formula gives."""
    scope = run_blocks(LIBRARIES, "sparx")
    net, params = scope["net"], scope["params"]
    ours = jax.grad(loss)(params, net)
    by_hand = nn.Sequential([net.layers[0], Neuron(), *net.layers[2:]])
    params = {**params, "layers_1": {"alpha": params["layers_1"]["lif"]["spike_fn"]["alpha"]}}
    assert_same(ours, jax.grad(loss)(params, by_hand), operations=EVERY_STEP)
    assert scope["ys"].shape == (20, 8, 2)
