import jax
import jax.numpy as jnp
from pages import run_page
from peer import assert_same, load, log_tailed_relu, target

import brainsurr as bs

load("jaxsnn")
modules = load("jaxsnn.discrete.modules")
Topology = load("jaxsnn.discrete.topology").Topology
threshold = load("jaxsnn.discrete.functional.threshold")

XS = jax.random.bernoulli(jax.random.key(0), 0.5, (8, 40, 4)).astype(jnp.float32)  # [batch, time, features]


def network(method):
    net = Topology(dt=1e-3)
    neurons = {"inp": modules.Input(4), "lif": modules.LIF(16, method=method), "li": modules.LI(2)}
    net.add({**neurons, "ih": modules.Linear(mean=0.3, std=0.7), "ho": modules.Linear(mean=0.0, std=0.7)})
    net.connect([("inp", "ih"), ("ih", "lif"), ("lif", "ho"), ("ho", "li")])
    return net.done()


def loss(params, method):
    _, apply = network(method)
    _, ys = jax.vmap(apply, in_axes=(0, None))({"inp": XS}, params)
    return jnp.mean((ys["li"][:, -1] - target()) ** 2)


def start():
    init, _ = network(threshold.superspike)
    return init(jax.random.PRNGKey(0))


def test_gradient_is_the_formula():
    """A surrogate is a pytree, so it may be made inside of the loss, or differentiated as it is."""
    params, alpha = start(), jnp.array(0.1)
    ours = jax.grad(loss, argnums=(0, 1))(params, bs.LogTailedRelu(alpha))
    by_hand = jax.grad(lambda p, a: loss(p, lambda x: log_tailed_relu(x, a)), argnums=(0, 1))(params, alpha)
    assert_same(ours, by_hand)


def test_page():
    scope = run_page("jaxsnn")
    gradient = scope["gradients"][1].alpha
    assert jnp.isfinite(gradient)
    assert gradient != 0
