"""SpikingJelly's own counters of operations, on the same weights and inputs, count the same."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import brainsurr as bs
from brainsurr.neurons import LIF, Recurrent

torch = pytest.importorskip("torch")
counters, neuron = (pytest.importorskip(f"spikingjelly.activation_based.{name}") for name in ("op_counter", "neuron"))
F = torch.nn.functional
RNG = np.random.default_rng(0)
T, BATCH = 6, 3


def there(f, *arrays):
    """The synaptic operations of spikes, and the multiply-adds of products without a spike."""
    both = counters.SynOpCounter(), counters.MACCounter()
    with torch.no_grad(), counters.DispatchCounterMode(list(both)):
        f(*map(torch.tensor, arrays))
    return tuple(counter.get_total() for counter in both)


def here(f, *arrays):
    total = bs.operations(f, *arrays, examples=1).total
    return total.additions, total.multiply_adds


def spikes(*shape):
    return RNG.integers(0, 2, shape).astype(np.float32)


def quarters(*shape):
    """With which no potential is rounded."""
    return (RNG.integers(-1, 4, shape) / 4).astype(np.float32)


def numbers(*shape):
    """None is 0 or 1."""
    return RNG.uniform(0.1, 0.9, shape).astype(np.float32)


def dense(w):
    return lambda x: F.linear(x, torch.tensor(w.T)), lambda x: jnp.dot(x, w)


def convolution(w, stride=1, padding=0, dilation=1, groups=1):
    """Channels first, and the kernel ``[features, channels, height, width]``."""
    more = {"window_strides": (stride, stride), "rhs_dilation": (dilation, dilation), "feature_group_count": groups}
    return (
        lambda x: F.conv2d(x, torch.tensor(w), None, stride, padding, dilation, groups),
        lambda x: jax.lax.conv_general_dilated(x, w, padding=[(padding, padding)] * 2, **more),
    )


def transposed(w, stride, padding):
    """The kernel ``[channels, features, height, width]``."""
    kernel, pads = np.flip(w, (2, 3)).swapaxes(0, 1), [(k - 1 - padding,) * 2 for k in w.shape[2:]]
    return (
        lambda x: F.conv_transpose2d(x, torch.tensor(w), None, stride, padding),
        lambda x: jax.lax.conv_general_dilated(x, jnp.asarray(kernel), (1, 1), pads, (stride, stride)),
    )


ATTENTION = lambda q, k: torch.bmm(q, k.transpose(1, 2)), lambda q, k: jnp.einsum("bqd,bkd->bqk", q, k)
PRODUCTS = {
    "linear": (dense(numbers(5, 7)), [spikes(4, 5)]),
    "linear of numbers": (dense(numbers(5, 7)), [numbers(4, 5)]),
    "conv": (convolution(numbers(6, 2, 3, 2), stride=2, padding=1, dilation=2, groups=2), [spikes(3, 4, 9, 8)]),
    "conv of numbers": (convolution(numbers(6, 4, 3, 2), stride=2), [numbers(3, 4, 9, 8)]),
    "transposed": (transposed(numbers(4, 5, 3, 2), stride=2, padding=1), [spikes(3, 4, 5, 6)]),
    "attention": (ATTENTION, [spikes(2, 5, 4), spikes(2, 6, 4)]),
    "attention to numbers": (ATTENTION, [spikes(2, 5, 4), numbers(2, 6, 4)]),
    "attention of numbers": (ATTENTION, [numbers(2, 5, 4), numbers(2, 6, 4)]),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_a_product(name):
    (of_torch, ours), arrays = PRODUCTS[name]
    counted = here(ours, *arrays)
    np.testing.assert_array_equal(np.shape(ours(*arrays)), of_torch(*map(torch.tensor, arrays)).shape)
    np.testing.assert_allclose(ours(*arrays), of_torch(*map(torch.tensor, arrays)), rtol=1e-5)
    assert counted == there(of_torch, *arrays)
    assert (counted[0] > 0, counted[1] > 0) == ((False, True) if name.endswith("of numbers") else (True, False))


def test_recurrent_neurons_between_linear_layers():
    first, back, last, xs = quarters(4, 6), quarters(6, 6), quarters(6, 2), spikes(T, BATCH, 4)
    node = neuron.LIFNode(2.0, decay_input=False, v_reset=None)

    def of_torch(xs):
        s, ys = torch.zeros(BATCH, 6), []
        for x in xs:
            s = node(x @ torch.tensor(first) + s @ torch.tensor(back))
            ys.append(s @ torch.tensor(last))
        return torch.stack(ys)

    cells = Recurrent(LIF(decay=0.5), jnp.asarray(back))

    def ours(xs):
        state = cells.initial_state(jnp.zeros((BATCH, 6)))
        return jnp.dot(cells(state, jnp.dot(xs, first))[1], last)

    counted = here(ours, xs)
    assert counted == there(of_torch, xs)
    node.reset()
    np.testing.assert_array_equal(ours(xs), of_torch(torch.tensor(xs)).detach())
    assert 0 < counted[0] < T * BATCH * (24 + 36 + 12)
