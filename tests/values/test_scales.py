"""Parameters that are trained on another scale: what is stored, what the layer uses, and how both change."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from close import assert_close

import brainsurr as bs
from brainsurr.optim import project
from tools.frameworks import HOSTS, OF_VARIABLES, by_name

pytestmark = pytest.mark.numbers

XS = jax.random.uniform(jax.random.key(0), (12, 3, 4))
DECAY = np.array([0.5, 0.9, 0.2, 0.97], np.float32)
# The stored number, and the derivative of the value in it.
STORED = {
    "logit": (lambda d: np.log(d / (1 - d)), lambda d: d * (1 - d)),
    "log": (np.log, lambda d: d),
    "log_tau": (lambda d: np.log(-1 / np.log(d)), lambda d: -d * np.log(d)),
}


def loss(carry, ys):
    return jnp.sum(ys * jnp.cos(jnp.arange(ys.size, dtype=ys.dtype)).reshape(ys.shape))


@pytest.mark.parametrize("scale", STORED)
@pytest.mark.parametrize("host", HOSTS)
def test_a_scale_changes_what_is_stored_and_nothing_else(host, scale):
    stored, slope = STORED[scale]
    plain = host().layers.LI(4, decay=DECAY, learnable="decay")
    scaled = host().layers.LI(4, decay=DECAY, learnable={"decay": scale})
    (_, expected), gradients, _ = host().grad(plain, loss, XS)
    (_, ys), of_stored, _ = host().grad(scaled, loss, XS)
    assert_close(ys, expected, 40)  # the value is rounded twice, in each of 12 steps
    assert_close(by_name(host().params(scaled, XS))["decay"], stored(DECAY.astype(float)).astype(np.float32), 4)
    assert_close(by_name(of_stored)["decay"], by_name(gradients)["decay"] * slope(DECAY), 500)


@pytest.mark.parametrize("host", OF_VARIABLES)
def test_a_surrogate_on_a_scale(host):
    """Alone, and inside of a layer."""
    f = bs.Arctan(np.array([2.0, 0.5, 1.0, 8.0], np.float32))
    alone = host().layers.SpikingActivation(f, learnable={"alpha": "log"})
    inside = host().layers.LIF(4, spike_fn=f, learnable={"spike_fn.alpha": "log", "decay": "identity"})
    for layer in (alone, inside):
        assert_close(by_name(host().params(layer, XS))["alpha"], np.log(f.alpha), 4)
    assert by_name(host().params(inside, XS))["decay"] == np.float32(0.9)


@pytest.mark.parametrize("host", HOSTS)
def test_bounds_and_project_are_on_the_scale(host):
    options = {"learnable": {"decay": "logit"}, "bounds": {"decay": (0.5, 0.95)}}
    layer = host().layers.LIF(4, decay=0.9, **options)
    params, bounds = host().params(layer, XS), host().bounds(layer, XS)
    tx = optax.chain(optax.sgd(1.0), project(bounds))
    for push, edge in ((100.0, 0.5), (-100.0, 0.95)):
        updates, _ = tx.update(
            jax.tree.map(lambda p, push=push: jnp.full_like(p, push), params), tx.init(params), params
        )
        assert_close(by_name(optax.apply_updates(params, updates))["decay"], np.float32(np.log(edge / (1 - edge))), 8)


def test_updates_are_those_of_spikingjelly():
    """Its ``w`` is the negative logit: the numbers are those of SpikingJelly 2.0.0, six steps of SGD."""
    from flax import nnx

    from brainsurr.nnx import LIF

    options = {"decay_input": True, "reset": "zero", "reset_grad": True, "spike_fn": bs.Arctan(2.0)}
    layer = LIF(4, decay=1 - 1 / 2.5, learnable={"decay": "logit"}, **options)
    xs = jnp.asarray((1.4 + np.sin(np.arange(24.0)[:, None] * np.array([1.0, 2.0, 3.0, 5.0]))).astype(np.float32))
    target, optimizer = jnp.array([0.2, 0.4, 0.1, 0.5]), nnx.Optimizer(layer, optax.sgd(0.5), wrt=nnx.Param)
    stored = []
    for _ in range(6):
        grads = nnx.grad(lambda net: ((net(net.initialize_carry((4,)), xs)[1].mean(0) - target) ** 2).sum())(layer)
        optimizer.update(layer, grads)
        stored.append(-float(layer.decay[...]))
    np.testing.assert_allclose(
        stored, [-0.43475780, -0.45587564, -0.47685754, -0.48860049, -0.49911848, -0.50960308], 1e-5
    )


def test_the_neuron_has_the_value():
    from brainsurr.nnx import LIF

    layer = LIF(2, decay=0.9, learnable={"decay": "log_tau"})
    assert_close(layer.neuron.decay, np.float32(0.9), 8)


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize(
    ("decay", "learnable", "match"),
    [(0.9, {"decay": "tau"}, "log_tau"), (1.0, {"decay": "logit"}, "no finite logit"), (0.9, {"tau": "logit"}, "tau")],
)
def test_bad_scales(host, decay, learnable, match):
    with pytest.raises(ValueError, match=match):
        host().layers.LIF(4, decay=decay, learnable=learnable)
