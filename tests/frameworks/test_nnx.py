"""What is particular to Flax NNX: its variables and graphs, its transforms."""

import pickle

import jax.numpy as jnp
import numpy as np
from flax import nnx

import brainsurr as bs
from brainsurr.nnx import LIF, SpikingActivation

T, B, F = 5, 3, 4
XS = jnp.asarray(np.random.default_rng(0).integers(-8, 25, (T, B, F)) / 8, jnp.float32)


def test_what_is_trained_is_a_param():
    act = SpikingActivation(bs.LeakyRelu(0.1, jnp.ones(4)), learnable="alpha")
    assert isinstance(act.alpha, nnx.Param)
    assert type(act.beta) is nnx.Variable
    assert SpikingActivation(bs.LogTailedRelu(0.3)).alpha == 0.3


def test_split_and_clone_and_pickle():
    def make():
        act = SpikingActivation(bs.LogTailedRelu(0.1), learnable="alpha")
        return LIF(F, spike_fn=act, learnable="decay", recurrent=True, rngs=nnx.Rngs(0))

    layer = make()
    graphdef, _ = nnx.split(layer)
    assert graphdef == nnx.split(make())[0]
    assert hash(graphdef) == hash(nnx.split(make())[0])
    for twin in (nnx.clone(layer), pickle.loads(pickle.dumps(layer))):
        twin.spike_fn.alpha[...] = jnp.float32(0.9)
        assert layer.neuron.neuron.spike_fn.alpha == np.float32(0.1)
        assert twin.neuron.neuron.spike_fn.alpha == np.float32(0.9)


def test_a_call_may_draw_the_first_state_otherwise():
    assert (LIF(F).initialize_carry((B, F), carry_init=nnx.initializers.ones) == 1).all()


def test_a_function_that_changes_is_not_remembered():
    scale = 1.0
    layer = LIF(F, spike_fn=lambda x: scale * bs.log_tailed_relu(x))
    carry = layer.initialize_carry((B, F))
    before, scale = layer(carry, XS)[1], 0.0
    assert before.any()
    assert not layer(carry, XS)[1].any()
