"""A delay for each synapse: the numbers of dcls, layers of other sizes, and what does not fit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import brainsurr as bs
from brainsurr.neurons import SynapticDelays
from tools.frameworks import HOSTS

KERNEL = np.cos(np.arange(6)).reshape(3, 2).astype(np.float32)
DELAY = (np.arange(6) * 0.6).reshape(3, 2).astype(np.float32)
XS = np.sin(np.arange(24).reshape(8, 3)).astype(np.float32)

# `Dcls1d(3, 2, kernel_count=1, dilated_kernel_size=5, version="gauss")` of dcls 0.1.1, with the same weights, with
# positions of 2 minus the delays, with a SIG of 0.75 - 0.27, and with four zeros before the inputs: outputs, and the
# gradients of the sum of their squares.
OUTPUTS = [[-0.054059, -0.024841], [-0.089604, -0.193499], [-0.356051, -0.192919], [0.188046, 0.189713]]
OUTPUTS += [[-0.273065, -0.135435], [0.322329, 0.124972], [-0.365141, -0.112008], [0.400645, 0.096801]]
OF_DELAY = [[-1.46255, -0.27453], [0.27327, 0.13139], [-0.83679, 0.0651]]
OF_KERNEL = [[1.06742, 0.0522], [0.02967, -0.26899], [-0.36061, 0.14027]]


def test_outputs_and_gradients_are_those_of_dcls():
    def loss(kernel, delay):
        neuron = SynapticDelays(longest=4, kernel=kernel, delay=delay, width=0.75)
        ys = neuron(neuron.initial_state(jnp.asarray(XS[0])), XS)[1]
        return (ys**2).sum(), ys

    (_, ys), gradients = jax.value_and_grad(loss, (0, 1), has_aux=True)(jnp.asarray(KERNEL), jnp.asarray(DELAY))
    np.testing.assert_allclose(ys, OUTPUTS, rtol=0, atol=2e-6)
    np.testing.assert_allclose(gradients, [OF_KERNEL, OF_DELAY], rtol=0, atol=2e-5)


@pytest.mark.parametrize("host", HOSTS)
def test_a_layer_has_the_outputs_of_the_kernel(host):
    """Before other neurons, in blocks and as a stream; its weights and delays are trained."""
    layers, options = host().layers, {"longest": 4, "kernel": KERNEL, "delay": DELAY, "learnable": ("kernel", "delay")}
    net = layers.SpikingSequential([layers.SynapticDelays(3, **options), layers.LI(2)])
    pure, xs = host().pure(net, (5, 3)), jnp.asarray(np.stack([XS] * 5, 1))
    carry = pure.start((5, 3))
    _, ys = pure.run(pure.params, carry, xs)
    _, in_blocks = pure.run(pure.params, carry, xs, block_size=3)
    np.testing.assert_allclose(ys, in_blocks, rtol=1e-5, atol=1e-6)
    assert ys.shape == (8, 5, 2)
    grads = jax.grad(lambda params: (pure.run(params, carry, xs)[1] ** 2).sum())(pure.params)
    assert sorted(leaf.shape for leaf in jax.tree.leaves(grads)) == [(3, 2), (3, 2)]
    assert all(jnp.all(leaf != 0) for leaf in jax.tree.leaves(grads))


def test_its_products_are_counted():
    neuron = SynapticDelays(longest=4, kernel=KERNEL, delay=DELAY)
    xs = jnp.asarray(XS[:, None])
    report = bs.operations(lambda xs: neuron(neuron.initial_state(xs[0]), xs)[1], xs, examples=1)
    assert report.total.dense == 5 * len(XS) * KERNEL.size


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"kernel": KERNEL[0]}, r"expected a kernel \[features, out\]"),
        ({"kernel": KERNEL.T}, r"expected arrays \[3, out\]"),
        ({"delay": DELAY.T}, r"expected arrays \[3, out\]"),
        ({"delay": DELAY + 2}, "delay"),
    ],
)
def test_shapes_and_delays_that_do_not_fit(given, match):
    with pytest.raises(ValueError, match=match):
        bs.nnx.SynapticDelays(3, **{"longest": 4, "kernel": KERNEL} | given)
