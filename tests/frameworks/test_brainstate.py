"""What is particular to brainstate: its states, its transforms, its precision."""

from functools import partial

import brainstate
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from brainstate import nn, transform
from close import assert_close

import brainsurr as bs
from brainsurr.brainstate import LI, LIF, LIFCell, SpikingActivation, SpikingSequential, unroll

T, B, F = 5, 3, 4
# Inputs, weights and decays are small multiples of a power of two: no sum of the forward pass is rounded, in any order,
# and spikes and potentials are equal. What a gradient is made of is rounded: in each step a sum over 8 neurons and as
# many products, and then a sum over time, batch and outputs.
XS = jnp.asarray(np.random.default_rng(0).integers(-8, 25, (T, B, F)) / 8, jnp.float32)
GRADIENT = T * (8 + 8) + T * B * 2

pytestmark = pytest.mark.usefixtures("lenient")  # brainstate's Linear and Orthogonal


def network():
    brainstate.random.seed(0)  # or the weights are those of whatever test ran before
    act = SpikingActivation(bs.LogTailedRelu(0.1), learnable="alpha")
    lif = LIF(8, decay=0.75, spike_fn=act, learnable=("decay", "threshold"), recurrent=True)
    net = SpikingSequential([nn.Linear(F, 8), lif, nn.Linear(8, 2), LI(2, decay=0.75)])
    values = params_of(net).to_dict_values()
    params_of(net).assign_dict_values(jax.tree.map(lambda p: jnp.round(8 * p) / 8 if p.ndim else p, values))
    return net


def params_of(model):
    return model.states(brainstate.ParamState)


def ready(net=None):
    net = network() if net is None else net
    net.init_state(B)
    return net


def test_what_is_trained_is_a_param():
    act = SpikingActivation(bs.LeakyRelu(0.1, jnp.ones(4)), learnable="alpha")
    assert isinstance(act, nn.ElementWiseBlock)
    assert isinstance(act.alpha, nn.Param)
    assert isinstance(act.alpha.t, nn.ClipT)
    assert isinstance(act.beta, brainstate.LongTermState)
    assert list(params_of(act)) == [("alpha", "val")]
    assert SpikingActivation(bs.LogTailedRelu(0.3)).alpha == 0.3
    act.alpha.val.value = jnp.float32(3)
    assert act.alpha.value() == act.surrogate.alpha == 1
    act.alpha.set_value(jnp.float32(0.5))
    assert act.surrogate.alpha == 0.5


def test_the_precision_of_the_environment_is_that_of_the_layer():
    with brainstate.environ.context(precision="bf16"):
        act, lif = SpikingActivation(bs.LogTailedRelu(0.3), learnable="alpha"), LIF(F, recurrent=True)
    lif.init_state(B)
    for parameter in (act.alpha.value(), lif.recurrent_kernel.value(), lif.v.value):
        assert parameter.dtype == jnp.bfloat16


# Transforms -----------------------------------------------------------------------------------------------------


def test_loops_and_remat_give_the_same_gradients():
    act = SpikingActivation(bs.LogTailedRelu(0.1), learnable="alpha")
    options = {"decay": 0.75, "learnable": "decay", "spike_fn": act}
    cell, layer = ready(LIFCell(F, **options)), ready(LIF(F, **options))

    def gradient(module, run):
        def total():
            module.reset_state(B)
            return (run(XS) * XS).sum()

        return transform.jit(transform.grad(total, params_of(module)))()

    expected = gradient(layer, layer)
    assert_close(gradient(layer, transform.checkpoint(lambda xs: layer(xs))), expected, GRADIENT)
    for loop in (transform.for_loop, transform.checkpointed_for_loop):
        assert_close(gradient(cell, partial(loop, cell)), expected, GRADIENT)


# States and shapes ----------------------------------------------------------------------------------------------


def test_state_is_made_kept_and_reset():
    net = ready()
    hidden = net.states(brainstate.HiddenState)
    shapes = {path[1:]: state.value.shape for path, state in hidden.items()}
    assert shapes == {(1, "v"): (B, 8), (1, "s"): (B, 8), (3, "v"): (B, 2)}
    whole = net(XS)
    net.reset_state(B)
    np.testing.assert_array_equal(jnp.concatenate([net(XS[:2]), net(XS[2:])]), whole)
    nn.init_all_states(net, batch_size=7)
    assert net(jnp.ones((T, 7, F))).shape == (T, 7, 2)


def test_a_whole_size():
    lif = LIF((2, 3, F), decay=jnp.full(F, 0.5), carry_init=nn.init.Constant(0.25))
    assert (lif.in_size, lif.out_size) == ((2, 3, F), (2, 3, F))
    assert bs.brainstate.Window((2, 3, F), 4).out_size == (2, 3, 4 * F)
    lif.init_state(B)
    assert (lif.v.value == 0.25).all()
    assert lif(jnp.ones((T, B, 2, 3, F))).shape == (T, B, 2, 3, F)
    lif.init_state((B, 2))
    assert lif.v.value.shape == (B, 2, 2, 3, F)


def test_a_compiled_function_sees_a_reset_and_no_later_states():
    """As docs/frameworks.md says."""
    net = SpikingSequential([LIF(2, decay=1.0, reset="none")])
    net.init_state(batch_size=1)
    compiled = transform.jit(lambda xs: net(xs))

    def run():
        return compiled(jnp.full((3, 1, 2), 0.4))[:, 0, 0].tolist()

    fresh, onwards = [0, 0, 1], [1, 1, 1]
    assert [run(), run()] == [fresh, onwards]
    net.reset_state(batch_size=1)
    assert run() == fresh
    net.init_state(batch_size=1)
    assert run() == onwards


@pytest.mark.parametrize("unrolled", [False, True])
def test_a_spike_function_draws_brainstates_own_random_numbers(unrolled):
    f = bs.Arctan(2.0)
    layer = LIF(F, spike_fn=lambda x: f(x + brainstate.random.normal(size=x.shape)))
    run = (lambda: unroll(layer, XS, block_size=2, remat="full")) if unrolled else (lambda: layer(XS))
    layer.init_state(B)
    answers = []
    for seed in (0, 0, 1):
        brainstate.random.seed(seed)
        layer.reset_state(B)
        answers.append(np.asarray(run()))
    assert (answers[0] == answers[1]).all()
    assert (answers[0] != answers[2]).any()
    assert np.isfinite(brainstate.random.normal(size=2)).all(), "the random state is no tracer"


@pytest.mark.parametrize("axis", [0, 1])
def test_weights_of_a_mapped_convolution_are_those_of_the_network(axis):
    conv = brainstate.nn.Conv2d((4, 4, 1), 2, (3, 3))
    net = bs.brainstate.SpikingSequential([jax.vmap(conv.update, axis, axis), bs.brainstate.LIF((4, 4, 2))])
    net.init_state(3)
    (state,) = net.states(brainstate.ParamState).values()
    assert state is conv.weight
    spikes = net(jnp.ones((5, 3, 4, 4, 1)))
    alone = bs.brainstate.LIF((4, 4, 2))
    alone.init_state(3)
    np.testing.assert_array_equal(spikes, alone(jnp.stack([conv(jnp.ones((3, 4, 4, 1)))] * 5)))
