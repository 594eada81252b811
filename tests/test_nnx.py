import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from close import assert_close
from flax import nnx

import brainsurr as bs
from brainsurr.nnx import LI, LIF, LIFCell, SpikingActivation, SpikingSequential, bounds
from brainsurr.optim import project

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


def network(seed=0, alpha=0.1):
    rngs = nnx.Rngs(seed)
    act = SpikingActivation(bs.LogTailedRelu(alpha), learnable="alpha")
    lif = LIF(8, decay=0.75, spike_fn=act, learnable=("decay", "threshold"), recurrent=True, rngs=rngs)
    layers = [nnx.Linear(F, 8, rngs=rngs), lif, nnx.Linear(8, 2, rngs=rngs), LI(2, decay=0.75)]
    return coarse(SpikingSequential(layers))


def loss(net, xs=XS):
    _, ys = net(net.initialize_carry(xs.shape[1:]), xs)
    return jnp.mean(ys**2)


def assert_equal(a, b):
    for left, right in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(left, right)


# What an activation is ------------------------------------------------------------------------------------------


def test_parameters_have_the_surrogates_names():
    act = SpikingActivation(bs.LeakyRelu(0.1, jnp.ones(4)), learnable="alpha")
    assert isinstance(act.alpha, nnx.Param)
    assert type(act.beta) is nnx.Variable
    assert list(nnx.state(act, nnx.Param)) == ["alpha"]
    assert SpikingActivation(bs.LogTailedRelu(0.3)).alpha == 0.3
    assert act.alpha[...].dtype == jnp.float32
    assert (
        SpikingActivation(bs.LogTailedRelu(0.3), learnable="alpha", param_dtype=jnp.bfloat16).alpha.dtype == "bfloat16"
    )
    assert not act.alpha[...].weak_type


def test_the_surrogate_as_it_is_now():
    act = SpikingActivation(bs.LogTailedRelu(0.1, continuous=True), learnable="alpha")
    act.alpha[...] = jnp.float32(0.5)
    assert act.surrogate == bs.LogTailedRelu(jnp.float32(0.5), continuous=True)
    act.alpha[...] = jnp.float32(3)
    assert act.surrogate.alpha == 1


def test_in_sequential_and_under_a_name():
    rngs = nnx.Rngs(0)
    f = bs.Arctan()
    model = nnx.Sequential(nnx.Linear(F, 6, rngs=rngs), SpikingActivation(f, learnable="alpha"))
    np.testing.assert_array_equal(model(XS), f(model.layers[0](XS)))
    assert nnx.grad(lambda m: m(XS).sum())(model).layers[1].alpha.shape == ()


@pytest.mark.slow
@pytest.mark.usefixtures("lenient")
@pytest.mark.parametrize("cell", [nnx.GRUCell, nnx.LSTMCell, nnx.SimpleCell])
def test_as_activation_fn_of_flaxs_own_cells(cell):
    act = SpikingActivation(bs.LogTailedRelu(0.1), learnable="alpha")
    rnn = nnx.RNN(cell(F, 6, activation_fn=act, rngs=nnx.Rngs(0)), time_major=True)
    ys = rnn(XS)
    assert ys.shape == (T, B, 6)
    grads = nnx.grad(lambda rnn: rnn(XS).sum())(rnn)
    alpha = [g for path, g in nnx.to_flat_state(grads) if path[-1] == "alpha"]
    assert len(alpha) == 1
    assert np.isfinite(alpha[0][...])


# Transforms -----------------------------------------------------------------------------------------------------


def test_jit_and_no_second_compilation_when_parameters_change():
    net, traces = network(), []

    @nnx.jit
    def step(net, xs):
        traces.append(1)
        value, grads = nnx.value_and_grad(loss)(net, xs)
        return value, grads

    value, grads = step(net, XS)
    assert_close(value, loss(net), T * B * 2)
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(grads))
    nnx.update(net, jax.tree.map(lambda p: p * 0.9, nnx.state(net, nnx.Param)))
    assert step(net, XS)[0] != value
    assert len(traces) == 1


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


def test_layers_draw_their_own_potentials():
    normal = nnx.initializers.normal()
    net = SpikingSequential([LIF(F, carry_init=normal), LIF(F, carry_init=normal)])
    for rngs in ((), (nnx.Rngs(1),)):
        first, second = net.initialize_carry((B, F), *rngs)
        assert np.all(first != second)
    np.testing.assert_array_equal(net.initialize_carry((B, F))[0], net.initialize_carry((B, F))[0])


def test_remat_gives_the_same_gradient():
    net = network()
    assert_close(nnx.jit(nnx.grad(nnx.remat(loss)))(net), nnx.jit(nnx.grad(loss))(net), GRADIENT)


@pytest.mark.slow
def test_vmap_over_a_batch_and_over_seeds():
    net = network()
    xs = jnp.stack([XS, 2 * XS])
    assert_close(nnx.vmap(loss, in_axes=(None, 0))(net, xs), [loss(net, x) for x in xs], T * B * 2)

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


def test_trains_with_the_optimizer_of_nnx():
    net = network(alpha=0.02)
    optimizer = nnx.Optimizer(net, optax.chain(optax.sgd(0.1), project(bounds(net))), wrt=nnx.Param)
    before = loss(net)

    @nnx.jit
    def step(net, optimizer):
        optimizer.update(net, nnx.grad(loss)(net))

    for _ in range(10):
        step(net, optimizer)
    assert loss(net) < before
    assert 0 <= net.layers[1].spike_fn.alpha[...] <= 1
    assert 0 <= net.layers[1].decay[...] <= 1


def test_orbax_restores_a_learned_alpha(tmp_path):
    net = network()
    net.layers[1].spike_fn.alpha[...] = jnp.float32(0.375)
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "net", nnx.to_pure_dict(nnx.state(net)))
    other = network(seed=1)
    state = nnx.state(other)
    with ocp.StandardCheckpointer() as checkpointer:
        restored = checkpointer.restore(tmp_path / "net", nnx.to_pure_dict(state))
    assert restored["layers"][1]["spike_fn"]["alpha"] == 0.375  # it holds the value itself
    nnx.replace_by_pure_dict(state, restored)
    nnx.update(other, state)
    assert other.layers[1].spike_fn.surrogate.alpha == 0.375
    assert_close(loss(other), loss(net), T * B * 2)


# Cells and shapes -----------------------------------------------------------------------------------------------


def test_cell_in_rnn_is_the_layer_batch_first():
    cell, lif = LIFCell(F, decay=0.75), LIF(F, decay=0.75)
    carry, expected = lif(lif.initialize_carry((B, F)), XS)
    last, ys = nnx.RNN(cell, return_carry=True)(XS.swapaxes(0, 1))
    np.testing.assert_array_equal(ys.swapaxes(0, 1), expected)
    np.testing.assert_array_equal(last, carry)
    assert cell.num_feature_axes == 1


def test_a_stream_goes_on_where_it_stopped():
    net = network()
    carry, ys = net(net.initialize_carry((B, F)), XS)
    middle, first = net(net.initialize_carry((B, F)), XS[:2])
    last, second = net(middle, XS[2:])
    assert_equal((last, jnp.concatenate([first, second])), (carry, ys))


def test_carry_init_draws():
    lif = LIF(F, carry_init=nnx.initializers.normal(1.0), recurrent=True, rngs=nnx.Rngs(0))
    v, s = lif.initialize_carry((B, F), nnx.Rngs(0))
    assert v.std() > 0.3
    assert not s.any()
    assert (v != lif.initialize_carry((B, F), nnx.Rngs(1))[0]).any()
    assert (lif.initialize_carry((B, F), carry_init=nnx.initializers.ones)[0] == 1).all()


def test_any_batch_shape_none_included():
    lif = LIF(F)
    for batch in ((), (2,), (2, 3)):
        carry, ys = lif(lif.initialize_carry((*batch, F)), jnp.ones((T, *batch, F)))
        assert (carry.shape, ys.shape) == ((*batch, F), (T, *batch, F))


def test_shapes_are_followed_through_convolution_dropout_and_functions():
    rngs = nnx.Rngs(0)
    net = SpikingSequential(
        [
            nnx.Conv(1, 3, (3, 3), strides=2, rngs=rngs),
            LIF(3),
            nnx.Dropout(0.5, rngs=rngs),
            lambda xs: xs.reshape(*xs.shape[:-3], -1),
            jax.nn.relu,
            SpikingSequential([nnx.Linear(48, 5, rngs=rngs), LIF(5)]),
            LI(5),
        ]
    )
    counts = jax.tree.leaves(nnx.state(net, nnx.RngCount))
    assert counts
    carry = net.initialize_carry((2, 8, 8, 1))
    assert [None if c is None else jax.tree.map(jnp.shape, c) for c in carry] == [
        None,
        (2, 4, 4, 3),
        None,
        None,
        None,
        (None, (2, 5)),
        (2, 5),
    ]
    assert_equal(nnx.state(net, nnx.RngCount), counts)  # no key was used up
    carry, ys = nnx.jit(lambda net, carry, xs: net(carry, xs))(net, carry, jnp.ones((T, 2, 8, 8, 1)))
    assert ys.shape == (T, 2, 5)


# Mistakes -------------------------------------------------------------------------------------------------------


def test_a_step_is_not_a_sequence():
    cell, lif = LIFCell(F), LIF(F)
    carry = cell.initialize_carry((B, F))
    with pytest.raises(ValueError, match="a LIFCell takes one step"):
        cell(carry, XS)
    with pytest.raises(ValueError, match=r"a layer over time takes \[time, batch, features\]"):
        lif(carry, XS[0])


def test_wrong_features_and_carries():
    net = network()
    with pytest.raises(ValueError, match=r"LIF: expected input_shape \(\*batch, 8\), got \(3, 7\)"):
        LIF(8).initialize_carry((B, 7))
    with pytest.raises(ValueError, match=r"LIF: expected input_shape \(\*batch, 8\), got \(3, 4\)"):
        SpikingSequential([LIF(8)]).initialize_carry((B, F))
    with pytest.raises(ValueError, match="expected a carry of 4 entries, one for each layer, got 1 entries"):
        net((None,), XS)
    with pytest.raises(ValueError, match="got NoneType: start from initialize_carry"):
        net(None, XS)
    with pytest.raises(ValueError, match="shape of the carry"):
        LIF(F)(jnp.zeros((B, F + 1)), XS)


def test_recurrent_weights_need_a_seed():
    with pytest.raises(ValueError, match=r"LIF: recurrent=True draws weights: pass rngs=nnx.Rngs\(seed\)"):
        LIF(4, recurrent=True)


@pytest.mark.parametrize("xs", [None, "abc", jnp.ones((T, B, F), complex)])
def test_inputs_that_are_no_numbers(xs):
    for layer in (LIF(F), LI(F)):
        with pytest.raises(TypeError, match="expected xs to be a real array"):
            layer(jnp.zeros((B, F)), xs)


def test_integers_are_read_as_floats():
    _, ys = LIF(F)(jnp.zeros((B, F)), jnp.ones((T, B, F), int))
    assert ys.dtype == jnp.float32


# Surrogates in modules of one's own -------------------------------------------------------------------------------


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
