import functools
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from pages import run_page
from peer import EVERY_STEP, assert_same, bound_to, inputs, load, log_tailed_relu, target, train

import brainsurr as bs

modules, combinators = load("rockpool.nn.modules"), load("rockpool.nn.combinators")
lif_jax = load("rockpool.nn.modules.jax.lif_jax")

XS = 4 * jnp.swapaxes(inputs(), 0, 1)  # [batch, time, features]


@functools.cache  # the shape of a new one may not be traced
def network(**options):
    lif = modules.LIFJax(16, rng_key=jax.random.PRNGKey(0), **options)
    weights = [0.5 * jax.random.normal(jax.random.key(i), shape) for i, shape in enumerate([(4, 16), (16, 2)])]
    first, last = (modules.LinearJax(weight.shape, weight=weight) for weight in weights)
    return combinators.Sequential(first, lif, last)


def spiking(f):
    return mock.patch.object(lif_jax, "step_pwl", lambda v, threshold, *_: f(v / threshold - 1))


def loss(params, f):
    with spiking(f):
        ys, _, _ = network().set_attributes(params)(XS)
    return jnp.mean((ys[:, -1] - target()) ** 2)


def test_gradient_is_the_formula():
    params, alpha = network().parameters(), jnp.array(0.1)
    ours = jax.jit(jax.grad(loss, (0, 1)))(params, bs.LogTailedRelu(alpha))
    by_hand = jax.jit(jax.grad(lambda p, a: loss(p, lambda x: log_tailed_relu(x, a)), (0, 1)))(params, alpha)
    assert_same(ours, by_hand, EVERY_STEP)


def test_alpha_is_trained():
    params = network().parameters(), bs.LogTailedRelu(jnp.array(0.1))
    _, f = train(lambda params: loss(*params), params, bound_to(0.05, 1.0, ".alpha", params))
    assert f.alpha != np.float32(0.1)


def test_the_spikes_are_those_of_one_a_step():
    lif = network(max_spikes_per_dt=1)
    ys, _, _ = lif(XS)
    with spiking(bs.LogTailedRelu(0.1)):
        ours, _, _ = network()(XS)
    np.testing.assert_array_equal(ours, ys)


def test_a_compiled_function_does_not_see_the_replacement():
    net = network()
    run = jax.jit(lambda xs: net(xs)[0])
    before = run(XS)
    with spiking(lambda x: 0 * x):
        np.testing.assert_array_equal(run(XS), before)
        assert not net(XS)[0].any()


def test_page():
    scope = run_page("rockpool")
    assert scope["grads"][1].alpha != 0
