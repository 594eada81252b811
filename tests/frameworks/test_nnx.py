"""What is particular to Flax NNX: its variables and graphs, its transforms."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from close import assert_close
from flax import nnx

import brainsurr as bs
from brainsurr.nnx import LI, LIF, SpikingActivation, SpikingSequential

T, B, F = 5, 3, 4
# Inputs, weights and decays are small multiples of a power of two: no sum of the forward pass is rounded, in any order,
# and spikes and potentials are equal. What a gradient is made of is rounded: in each step a sum over 8 neurons and as
# many products, and then a sum over time, batch and outputs.
XS = jnp.asarray(np.random.default_rng(0).integers(-8, 25, (T, B, F)) / 8, jnp.float32)
GRADIENT = T * (8 + 8) + T * B * 2


def coarse(module):
    """The module with weights that are multiples of 1 / 8."""
    nnx.update(module, jax.tree.map(lambda p: jnp.round(8 * p) / 8 if p.ndim else p, nnx.state(module, nnx.Param)))
    return module


def network():
    rngs = nnx.Rngs(0)
    act = SpikingActivation(bs.LogTailedRelu(0.1), learnable="alpha")
    lif = LIF(8, decay=0.75, spike_fn=act, learnable=("decay", "threshold"), recurrent=True, rngs=rngs)
    layers = [nnx.Linear(F, 8, rngs=rngs), lif, nnx.Linear(8, 2, rngs=rngs), LI(2, decay=0.75)]
    return coarse(SpikingSequential(layers))


def loss(net, xs=XS):
    _, ys = net(net.initialize_carry(xs.shape[1:]), xs)
    return jnp.mean(ys**2)


def test_what_is_trained_is_a_param():
    act = SpikingActivation(bs.LeakyRelu(0.1, jnp.ones(4)), learnable="alpha")
    assert isinstance(act.alpha, nnx.Param)
    assert type(act.beta) is nnx.Variable
    assert SpikingActivation(bs.LogTailedRelu(0.3)).alpha == 0.3


def test_split_and_merge_deepcopy_and_clone():
    net = network()
    graphdef, state = nnx.split(net)
    hash(graphdef)
    assert graphdef == nnx.split(network())[0]
    for other in (nnx.merge(graphdef, state), copy.deepcopy(net), nnx.clone(net), pickle.loads(pickle.dumps(net))):
        assert_close(nnx.grad(loss)(other), nnx.grad(loss)(net), GRADIENT)
    other = copy.deepcopy(net)
    other.layers[1].spike_fn.alpha[...] = jnp.float32(0.9)
    assert net.layers[1].spike_fn.alpha[...] == np.float32(0.1)


@pytest.mark.slow
def test_vmap_over_seeds():
    def make(key):
        rngs = nnx.Rngs(params=key)
        lif = LIF(8, decay=0.75, recurrent=True, rngs=rngs, learnable="decay")
        return coarse(SpikingSequential([nnx.Linear(F, 8, rngs=rngs), lif]))

    keys = jax.random.split(jax.random.key(0), 3)
    nets = nnx.vmap(make)(keys)
    assert nets.layers[1].decay.shape == (3,)
    losses = nnx.vmap(loss, in_axes=(0, None))(nets, XS)
    assert len(np.unique(losses)) == 3
    assert_close(loss(make(keys[1])), losses[1], T * B * 8)


def test_recurrent_weights_need_a_seed():
    with pytest.raises(ValueError, match=r"LIF: recurrent=True draws weights: pass rngs=nnx.Rngs\(seed\)"):
        LIF(4, recurrent=True)


def test_a_call_may_draw_the_first_state_otherwise():
    assert (LIF(F).initialize_carry((B, F), carry_init=nnx.initializers.ones) == 1).all()


def test_a_param_is_the_parameter_of_a_surrogate():
    class Activation(nnx.Module):
        def __init__(self):
            self.alpha = nnx.Param(jnp.array([0.25, 0.5]))

        def __call__(self, x):
            return bs.log_tailed_relu(x, self.alpha)

    act, x = Activation(), jnp.array([-1.0, -2.0])
    grads, dx = nnx.jit(nnx.grad(lambda act, x: act(x).sum(), argnums=(0, 1)))(act, x)
    np.testing.assert_array_equal(grads.alpha[...], [-1, -2])
    np.testing.assert_array_equal(dx, [0.25, 0.5])
    assert f"{bs.LogTailedRelu(nnx.Param(jnp.array(0.25))).alpha:.3f}" == "0.250"
    np.testing.assert_array_equal(bs.Arctan()(nnx.Param(x)), [0, 0])
    assert jax.grad(bs.LogTailedRelu(0.5) * nnx.Param(jnp.array(0.5)))(-1.0) == 0.25


def test_a_function_that_changes_is_not_remembered():
    scale = 1.0
    layer = LIF(F, spike_fn=lambda x: scale * bs.log_tailed_relu(x))
    carry = layer.initialize_carry((B, F))
    before, scale = layer(carry, XS)[1], 0.0
    assert before.any()
    assert not layer(carry, XS)[1].any()
