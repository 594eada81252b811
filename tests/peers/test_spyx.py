import jax
import jax.numpy as jnp
from flax import nnx
from pages import run_page
from peer import assert_same, inputs, load, log_tailed_relu, target

import brainsurr as bs
from brainsurr.nnx import SpikingActivation

spyx = load("spyx")


def network(activation):
    rngs = nnx.Rngs(0)
    return spyx.nn.Sequential(
        nnx.Linear(4, 16, rngs=rngs),
        spyx.nn.LIF((16,), beta=0.9, activation=activation, rngs=rngs),
        nnx.Linear(16, 2, rngs=rngs),
        spyx.nn.LI((2,), rngs=rngs),
    )


def loss(net):
    ys, _ = spyx.nn.run(net, inputs())
    return jnp.mean((ys[-1] - target()) ** 2)


def gradients(activation):
    return nnx.grad(loss)(network(activation))


def test_gradient_is_the_formula():
    class ByHand(nnx.Module):
        def __init__(self):
            self.alpha = nnx.Param(jnp.array(0.1))

        def __call__(self, x):
            return log_tailed_relu(x, self.alpha[...])

    ours = gradients(SpikingActivation(bs.LogTailedRelu(0.1), learnable="alpha"))
    assert_same(ours, gradients(ByHand()))
    fixed = gradients(bs.LogTailedRelu(0.1))
    assert_same(fixed, nnx.filter_state(ours, nnx.Not(nnx.PathContains("alpha"))))


def test_page():
    scope = run_page("spyx")
    assert jax.tree.map(jnp.shape, scope["ys"]) == (20, 8, 2)
    assert scope["net"].layers[1].spike is scope["act"]
