import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pages import run_page
from peer import assert_same, inputs, load, log_tailed_relu, target

import brainsurr as bs

jaxpike = load("jaxpike")
eqx = load("equinox", "jaxpike")


def network(surrogate):
    first, second = jax.random.split(jax.random.key(2))
    return jaxpike.Sequential(
        jaxpike.Dense(4, 16, key=first, gain=3.0),
        jaxpike.LIF(5.0, surrogate=surrogate),
        jaxpike.Dense(16, 2, key=second),
        jaxpike.LeakyIntegrator(5.0),
    )


def loss(net, xs, target):
    ys, _ = jaxpike.unroll(net, xs, scan_unroll=1)
    return jnp.mean((ys[-1] - target) ** 2), ys


def gradients(surrogate):
    return eqx.filter_grad(lambda net: loss(net, 2 * inputs(), target())[0])(network(surrogate))


def online(surrogate):
    return jaxpike.eprop_grads(network(surrogate), 2 * inputs(), lambda y: jnp.mean((y - target()) ** 2))[0]


class ByHand(jaxpike.Surrogate):
    alpha: jax.Array

    def __call__(self, x):
        return log_tailed_relu(x, self.alpha)


@pytest.mark.parametrize("alpha", [jnp.array(0.1), jnp.linspace(0.0, 0.2, 16)], ids=["scalar", "per channel"])
def test_gradient_is_the_formula(alpha):
    ours, by_hand = gradients(bs.LogTailedRelu(alpha)), gradients(ByHand(alpha))
    assert_same(ours, by_hand)
    assert np.abs(ours.layers[1].surrogate.alpha).max() > 0


def test_eprop_takes_one_alpha_for_a_layer():
    """It maps over single numbers, where an alpha per channel has no place: that is an error, not a wrong gradient."""
    assert_same(online(bs.LogTailedRelu(jnp.array(0.1))).layers[0], online(ByHand(jnp.array(0.1))).layers[0])
    with pytest.raises(ValueError, match="alpha of shape"):
        online(bs.LogTailedRelu(jnp.full(16, 0.1)))


def test_page():
    scope = run_page("jaxpike")
    assert 0 <= scope["net"].layers[1].surrogate.alpha <= 1
    assert scope["net"].layers[1].surrogate.alpha != np.float32(0.02)
