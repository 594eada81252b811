import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from pages import run_page
from peer import assert_same, inputs, load, log_tailed_relu, target

import brainsurr as bs
from brainsurr.linen import SpikingActivation

slax = load("slax")


def network(spike_fn):
    return nn.Sequential([nn.Dense(16), nn.RNN(slax.LIF(spike_fn=spike_fn), time_major=True), nn.Dense(2)])


def loss(params, net):
    return jnp.mean((net.apply({"params": params}, inputs()).mean(0) - target()) ** 2)


def start(net):
    return net.init(jax.random.key(3), inputs())["params"]


def gradients(spike_fn):
    net = network(spike_fn)
    return jax.grad(loss)(start(net), net)


def test_gradient_is_the_formula():
    class ByHand(nn.Module):
        @nn.compact
        def __call__(self, x):
            return log_tailed_relu(x, self.param("alpha", lambda key: jnp.array(0.1)))

    ours = gradients(SpikingActivation(bs.LogTailedRelu(0.1), learnable="alpha"))
    assert_same(ours, gradients(ByHand()))
    assert_same(gradients(bs.LogTailedRelu(0.1)), {k: v for k, v in ours.items() if k != "layers_1"})


def test_page():
    scope = run_page("slax")
    assert scope["ys"].shape == (20, 8, 2)
    assert [float(alpha) for alpha in jax.tree.leaves(scope["params"]["layers_1"])] == [np.float32(0.02)]
