"""What is particular to Flax Linen: modules are values, belong to other modules, and have bounds of their own."""

import copy
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from close import assert_close
from flax import linen as nn

import brainsurr as bs
from brainsurr.linen import LIF, LIFCell, SpikingActivation, SpikingSequential, bounds

T, B, F = 5, 3, 4
# Inputs and decays are small multiples of a power of two: no sum of the forward pass is rounded, in any order.
XS = jnp.asarray(np.random.default_rng(0).integers(-8, 25, (T, B, F)) / 8, jnp.float32)
KEY = jax.random.key(0)


def test_an_activation_shows_its_surrogate_when_bound():
    f = bs.LogTailedRelu(0.1, continuous=True)
    act = SpikingActivation(f, learnable="alpha")
    assert act.surrogate_init == f
    with pytest.raises(ValueError, match=r"unbound"):
        _ = act.surrogate
    with pytest.raises(ValueError, match=r"^LIF: .* unbound"):
        _ = LIF(8, learnable="decay").neuron
    assert SpikingActivation(f).surrogate == f
    assert SpikingActivation(f).init(KEY, XS) == {}


def test_modules_are_values():
    """Equal configurations are equal and hash alike, arrays and dictionaries among the fields included."""

    def make(decay=0.5):
        act = SpikingActivation(bs.LogTailedRelu(jnp.full(4, 0.1)), learnable=["alpha"], bounds={"alpha": [0, 0.5]})
        numbers = {"decay": np.full(4, decay), "threshold": jnp.ones(4)}
        return LIF(4, **numbers, learnable="decay", bounds={"decay": (0, 0.9)}, spike_fn=act)

    assert make() == make()
    assert hash(make()) == hash(make())
    assert make() != make(0.6)
    assert make().clone() == make()
    arguments, f = (KEY, jnp.zeros((B, 4)), jnp.ones((T, B, 4))), bs.LogTailedRelu(jnp.full(4, 0.1))
    expected = LIF(4, decay=0.5).init_with_output(*arguments)[0][1]
    for spike_fn in (f, SpikingActivation(f, learnable="alpha"), bs.LogTailedRelu(jnp.float32(0.1))):
        for threshold in (np.ones(4), jnp.float32(1)):
            jitted = nn.jit(LIF)(4, decay=jnp.full(4, 0.5), threshold=threshold, spike_fn=spike_fn)
            np.testing.assert_array_equal(jitted.init_with_output(*arguments)[0][1], expected)
    traces = []
    f = jax.jit(lambda layer: traces.append(1) or layer.init_with_output(*arguments)[0][1], static_argnums=0)
    for layer in (make(), copy.deepcopy(make())):
        f(layer)
    assert len(traces) == 1


# Modules inside modules -----------------------------------------------------------------------------------------


class Inline(nn.Module):
    """Everything is made in a compact method: the activation belongs to this module, not to its layer."""

    @nn.compact
    def __call__(self, xs, train, steps):
        xs = nn.BatchNorm(use_running_average=not train)(xs[: list(range(9))[steps]])
        act = SpikingActivation(bs.LogTailedRelu(0.1), learnable="alpha", bounds={"alpha": (0, 0.5)})
        lif = LIF(8, spike_fn=act, learnable="decay")
        net = SpikingSequential([nn.Dense(8), lif, nn.Dropout(0.5, deterministic=True)])
        _, xs = net(net.initialize_carry(KEY, xs.shape[1:]), xs)
        cell = LIFCell(8, learnable="threshold", spike_fn=SpikingActivation(bs.Arctan(), learnable="alpha"))
        return nn.RNN(cell, time_major=True)(xs)


class InSetup(nn.Module):
    def setup(self):
        self.act = SpikingActivation(bs.LogTailedRelu(0.1), learnable="alpha")
        self.net = SpikingSequential([nn.Dense(8), LIF(8, spike_fn=self.act), LIF(8, spike_fn=self.act)])

    def __call__(self, xs):
        return self.net(self.net.initialize_carry(KEY, xs.shape[1:]), xs)[1]


@pytest.mark.parametrize(("xs", "train"), [(XS, False), (jax.ShapeDtypeStruct(XS.shape, XS.dtype), True)])
def test_bounds_see_modules_made_inline(xs, train):
    """And take the arguments of `init`, flags, integers and shapes among them."""
    assert bounds(Inline(), xs, train, 4) == {
        "BatchNorm_0": {"scale": None, "bias": None},
        "Dense_0": {"kernel": None, "bias": None},
        "LIF_0": {"decay": (0.0, 1.0)},
        "LIFCell_0": {"threshold": (0.0, float("inf"))},
        "SpikingActivation_0": {"alpha": (0.0, 0.5)},
        "SpikingActivation_1": {"alpha": bs.Arctan.bounds["alpha"]},
    }


def test_modules_made_inline_train():
    variables = Inline().init(KEY, XS, False, T)
    grads = jax.grad(lambda params: Inline().apply(variables | {"params": params}, XS, False, T).sum())
    grads = grads(variables["params"])
    assert all(np.abs(g).max() > 0 for g in jax.tree.leaves(grads))


def test_bounds_see_a_shared_activation_once():
    params = InSetup().init(KEY, XS)["params"]
    expected = {"act": {"alpha": (0.0, 1.0)}, "net": {"layers_0": {"kernel": None, "bias": None}}}
    assert bounds(InSetup(), XS) == expected
    assert InSetup().apply({"params": params}, XS).shape == (T, B, 8)


def test_any_module_can_be_the_spike_fn():
    """PReLU has a parameter of its own, made and used inside the scan over time."""
    lif = LIF(F, decay=0.75, spike_fn=nn.PReLU(), reset="none")
    carry = jnp.zeros((B, F))
    variables = lif.init(KEY, carry, XS)
    assert variables == {"params": {"spike_fn": {"negative_slope": np.float32(0.01)}}}
    v, spikes = lif.apply(variables, carry, XS)
    leaky = LIF(F, decay=0.75, spike_fn=lambda x: jnp.where(x >= 0, x, 0.01 * x), reset="none")
    assert_close((v, spikes), leaky.apply({}, carry, XS), 2)
    grad = jax.grad(lambda variables: lif.apply(variables, carry, XS)[1].sum())(variables)
    assert grad["params"]["spike_fn"]["negative_slope"] != 0
    assert bounds(lif, carry, XS) == {"spike_fn": {"negative_slope": None}}


def test_a_layer_tabulates_without_a_warning():
    layer = LIF(F, learnable="decay")
    with warnings.catch_warnings(record=True) as caught:  # as an error, flax would swallow it
        warnings.simplefilter("always")
        assert "decay" in layer.tabulate(KEY, jnp.zeros((B, F)), XS)
    assert not [str(warning.message) for warning in caught if "partial" in str(warning.message)]
