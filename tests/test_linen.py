import copy

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from close import assert_close
from flax import linen as nn

import brainsurr as bs
from brainsurr.linen import LI, LIF, LIFCell, SpikingActivation, SpikingSequential, bounds
from brainsurr.optim import project

T, B, F = 5, 3, 4
# Inputs, weights and decays are small multiples of a power of two: no sum of the forward pass is rounded, in any order,
# and spikes and potentials are equal. What a gradient is made of is rounded: in each step a sum over 8 neurons and as
# many products, and then a sum over time, batch and outputs.
XS = jnp.asarray(np.random.default_rng(0).integers(-8, 25, (T, B, F)) / 8, jnp.float32)
GRADIENT = T * (8 + 8) + T * B * 2
KEY = jax.random.key(0)


def coarse(variables):
    """With weights that are multiples of 1 / 8."""
    return jax.tree.map(lambda p: jnp.round(8 * p) / 8 if p.ndim else p, variables)


def network(alpha=0.1):
    act = SpikingActivation(bs.LogTailedRelu(alpha), learnable="alpha")
    lif = LIF(8, decay=0.75, spike_fn=act, learnable=("decay", "threshold"), recurrent=True)
    return SpikingSequential([nn.Dense(8), lif, nn.Dense(2), LI(2, decay=0.75)])


NET = network()
CARRY = NET.initialize_carry(KEY, (B, F))
PARAMS = coarse(NET.init(KEY, CARRY, XS)["params"])


def loss(params, xs=XS):
    _, ys = NET.apply({"params": params}, CARRY, xs)
    return jnp.mean(ys**2)


def assert_equal(a, b):
    for left, right in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(left, right)


def call_layer(layer, xs, key=KEY):
    carry = layer.initialize_carry(key, xs.shape[1:])
    return layer.init_with_output(key, carry, xs)[0]


# What an activation is ------------------------------------------------------------------------------------------


def test_params_hold_the_values_under_the_surrogates_names():
    act = SpikingActivation(bs.LeakyRelu(0.25, jnp.ones(4)), learnable="alpha")
    variables = act.init(KEY, XS)
    assert variables == {"params": {"alpha": 0.25}}
    assert not variables["params"]["alpha"].weak_type
    assert SpikingActivation(bs.LeakyRelu(0.25)).init(KEY, XS) == {}
    half = SpikingActivation(bs.LogTailedRelu(0.3), learnable="alpha", param_dtype=jnp.bfloat16)
    assert half.init(KEY, XS)["params"]["alpha"].dtype == jnp.bfloat16


def test_the_surrogate_as_it_is_now():
    f = bs.LogTailedRelu(0.1, continuous=True)
    act = SpikingActivation(f, learnable="alpha")
    assert act.bind({"params": {"alpha": jnp.float32(0.5)}}).surrogate == f.replace(alpha=jnp.float32(0.5))
    assert act.bind({"params": {"alpha": jnp.float32(3)}}).surrogate.alpha == 1
    assert act.surrogate_init == f
    with pytest.raises(ValueError, match=r"no value in an unbound module: use act.bind\(variables\).surrogate"):
        _ = act.surrogate
    assert SpikingActivation(f).surrogate == f


def test_modules_are_values():
    """Equal configurations are equal and hash alike, arrays and dictionaries among the fields included."""

    def make(decay=0.5):
        act = SpikingActivation(bs.LogTailedRelu(jnp.full(4, 0.1)), learnable=["alpha"], bounds={"alpha": [0, 0.5]})
        return LIF(
            4,
            decay=np.full(4, decay),
            threshold=jnp.ones(4),
            learnable="decay",
            bounds={"decay": (0, 0.9)},
            spike_fn=act,
        )

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
    assert_close(-1 / jnp.log(make().threshold * make().decay), np.full(4, 1 / np.log(2)), 8)
    assert hash(network()) == hash(network())
    assert hash(copy.deepcopy(make())) == hash(make())
    traces = []

    def f(layer, carry):
        traces.append(1)
        return layer.init_with_output(KEY, carry, XS)[0][1]

    f = jax.jit(f, static_argnums=0)
    f(make(), jnp.zeros((B, 4)))
    f(make(), jnp.zeros((B, 4)))
    assert len(traces) == 1


def test_in_sequential_and_in_flaxs_own_cells():
    model = nn.Sequential([nn.Dense(6), SpikingActivation(bs.Arctan(), learnable="alpha")])
    variables = model.init(KEY, XS)
    assert variables["params"]["layers_1"] == {"alpha": 1.0}
    assert set(np.unique(model.apply(variables, XS))) == {0, 1}
    assert bounds(model, XS)["layers_0"] == {"kernel": None, "bias": None}


@pytest.mark.slow
@pytest.mark.usefixtures("lenient")
@pytest.mark.parametrize("cell", [nn.GRUCell, nn.SimpleCell, nn.OptimizedLSTMCell])
def test_as_activation_fn_of_flaxs_own_cells(cell):
    rnn = nn.RNN(cell(6, activation_fn=SpikingActivation(bs.LogTailedRelu(0.1))), time_major=True)
    params = rnn.init(KEY, XS)["params"]
    grads = jax.grad(lambda params: rnn.apply({"params": params}, XS).sum())(params)
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(grads))


# Transforms -----------------------------------------------------------------------------------------------------


def test_jit_grad_remat_vmap():
    value, grads = jax.jit(jax.value_and_grad(loss))(PARAMS)
    assert_close(value, loss(PARAMS), T * B * 2)
    assert_close(jax.jit(jax.grad(jax.checkpoint(loss)))(PARAMS), grads, GRADIENT)
    batch = jnp.stack([XS, 2 * XS])
    losses = jax.jit(jax.vmap(loss, (None, 0)))(PARAMS, batch)
    assert_close(losses, jnp.stack([value, loss(PARAMS, batch[1])]), T * B * 2)
    assert all(np.abs(g).max() > 0 for g in jax.tree.leaves(grads))


@pytest.mark.slow
def test_vmap_over_seeds():
    keys = jax.random.split(KEY, 3)
    params = jax.jit(jax.vmap(lambda key: coarse(NET.init(key, CARRY, XS)["params"])))(keys)
    assert params["layers_1"]["spike_fn"]["alpha"].shape == (3,)
    losses = jax.jit(jax.vmap(loss))(params)
    assert len(np.unique(losses)) == 3
    assert_close(losses[1], loss(coarse(NET.init(keys[1], CARRY, XS)["params"])), T * B * 2)


def test_flaxs_own_remat_and_vmap():
    f = bs.LogTailedRelu(0.1)

    class Net(nn.Module):
        lif: type

        @nn.compact
        def __call__(self, carry, xs):
            return self.lif(F, decay=0.75, learnable="decay", spike_fn=f, name="lif")(carry, xs)[1]

    plain, remat = Net(LIF), Net(nn.remat(LIF))
    params = plain.init(KEY, jnp.zeros((B, F)), XS)

    def grads(net):
        return jax.grad(lambda params: net.apply(params, jnp.zeros((B, F)), XS).sum())(params)

    assert_close(grads(plain), grads(remat), GRADIENT)
    ensemble = nn.vmap(LIF, variable_axes={"params": 0}, split_rngs={"params": True}, in_axes=(0, None), axis_size=3)
    variables = ensemble(F, learnable="decay").init(KEY, jnp.zeros((3, B, F)), XS)
    assert variables["params"]["decay"].shape == (3,)


def test_trains_with_optax():
    tx = optax.chain(optax.sgd(0.1), project(bounds(NET, CARRY, XS)))
    params, state, traces = PARAMS, tx.init(PARAMS), []

    @jax.jit
    def step(params, state):
        traces.append(None)
        updates, state = tx.update(jax.grad(loss)(params), state, params)
        return optax.apply_updates(params, updates), state

    for _ in range(10):
        params, state = step(params, state)
    assert loss(params) < loss(PARAMS)
    assert 0 <= params["layers_1"]["spike_fn"]["alpha"] <= 1
    assert len(traces) == 1


def test_orbax_restores_a_learned_alpha(tmp_path):
    params = jax.tree.map(lambda p: p + 0.125, PARAMS)
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "net", params)
    with ocp.StandardCheckpointer() as checkpointer:
        restored = checkpointer.restore(tmp_path / "net", PARAMS)
    assert restored["layers_1"]["spike_fn"]["alpha"] == np.float32(0.1) + np.float32(0.125)
    assert_equal(restored, params)
    assert_close(loss(restored), loss(params), T * B * 2)


# Modules inside modules -----------------------------------------------------------------------------------------


class Inline(nn.Module):
    """Everything is made in a compact method: the activation belongs to this module, not to its layer."""

    @nn.compact
    def __call__(self, xs):
        act = SpikingActivation(bs.LogTailedRelu(0.1), learnable="alpha", bounds={"alpha": (0, 0.5)})
        net = SpikingSequential(
            [nn.Dense(8), LIF(8, spike_fn=act, learnable="decay"), nn.Dropout(0.5, deterministic=True)]
        )
        _, xs = net(net.initialize_carry(KEY, xs.shape[1:]), xs)
        cell = LIFCell(8, learnable="threshold", spike_fn=SpikingActivation(bs.Arctan(), learnable="alpha"))
        return nn.RNN(cell, time_major=True)(xs)


class InSetup(nn.Module):
    def setup(self):
        self.act = SpikingActivation(bs.LogTailedRelu(0.1), learnable="alpha")
        self.net = SpikingSequential([nn.Dense(8), LIF(8, spike_fn=self.act), LIF(8, spike_fn=self.act)])

    def __call__(self, xs):
        return self.net(self.net.initialize_carry(KEY, xs.shape[1:]), xs)[1]


def test_bounds_see_modules_made_inline_and_params_alone_are_enough():
    params = Inline().init(KEY, XS)["params"]
    assert bounds(Inline(), XS) == {
        "Dense_0": {"kernel": None, "bias": None},
        "LIF_0": {"decay": (0.0, 1.0)},
        "LIFCell_0": {"threshold": (0.0, float("inf"))},
        "SpikingActivation_0": {"alpha": (0.0, 0.5)},
        "SpikingActivation_1": {"alpha": bs.Arctan.bounds["alpha"]},
    }
    assert Inline().apply({"params": params}, XS).shape == (T, B, 8)
    grads = jax.grad(lambda params: Inline().apply({"params": params}, XS).sum())(params)
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


# Cells and shapes -----------------------------------------------------------------------------------------------


def test_cell_in_rnn_is_the_layer_batch_first():
    carry, expected = call_layer(LIF(F, decay=0.75), XS)
    cell = LIFCell(F, decay=0.75)
    assert cell.num_feature_axes == 1
    rnn = nn.RNN(cell, return_carry=True)
    last, ys = rnn.apply({}, XS.swapaxes(0, 1))
    np.testing.assert_array_equal(ys.swapaxes(0, 1), expected)
    np.testing.assert_array_equal(last, carry)


def test_a_stream_goes_on_where_it_stopped():
    carry, ys = NET.apply({"params": PARAMS}, CARRY, XS)
    middle, first = NET.apply({"params": PARAMS}, CARRY, XS[:2])
    last, second = NET.apply({"params": PARAMS}, middle, XS[2:])
    assert_equal((last, jnp.concatenate([first, second])), (carry, ys))


def test_carry_init_draws():
    lif = LIF(F, carry_init=nn.initializers.normal(1.0), recurrent=True)
    v, s = lif.initialize_carry(KEY, (B, F))
    assert v.std() > 0.3
    assert not s.any()
    first, second = SpikingSequential([lif, lif.clone()]).initialize_carry(KEY, (B, F))
    assert (first[0] != second[0]).any()


@pytest.mark.slow
def test_shapes_are_followed_through_convolution_dropout_and_functions():
    net = SpikingSequential(
        [
            nn.Conv(3, (3, 3), strides=2),
            LIF(3),
            nn.Dropout(0.5, deterministic=False),
            lambda xs: xs.reshape(*xs.shape[:-3], -1),
            jax.nn.relu,
            SpikingSequential([nn.Dense(5), LIF(5)]),
            LI(5),
        ]
    )
    carry = net.initialize_carry(KEY, (2, 8, 8, 1))
    assert [None if c is None else jax.tree.map(jnp.shape, c) for c in carry] == [
        None,
        (2, 4, 4, 3),
        None,
        None,
        None,
        (None, (2, 5)),
        (2, 5),
    ]
    xs = jnp.ones((T, 2, 8, 8, 1))
    variables = net.init(KEY, carry, xs)
    assert net.apply(variables, carry, xs, rngs={"dropout": KEY})[1].shape == (T, 2, 5)


# Mistakes -------------------------------------------------------------------------------------------------------


def test_a_step_is_not_a_sequence():
    carry = jnp.zeros((B, F))
    with pytest.raises(ValueError, match="a LIFCell takes one step"):
        LIFCell(F).apply({}, carry, XS)
    with pytest.raises(ValueError, match=r"a layer over time takes \[time, batch, features\]"):
        LIF(F).apply({}, carry, XS[0])


def test_wrong_features_and_carries():
    with pytest.raises(ValueError, match=r"LIF: expected input_shape \(\*batch, 8\), got \(3, 7\)"):
        LIF(8).initialize_carry(KEY, (B, 7))
    with pytest.raises(ValueError, match="expected a carry of 4 entries, one for each layer, got 1 entries"):
        NET.apply({"params": PARAMS}, (None,), XS)
    with pytest.raises(ValueError, match="got NoneType: start from initialize_carry"):
        NET.apply({"params": PARAMS}, None, XS)


@pytest.mark.parametrize("xs", [None, "abc", jnp.ones((T, B, F), complex)])
def test_inputs_that_are_no_numbers(xs):
    for layer in (LIF(F), LI(F)):
        with pytest.raises(TypeError, match="expected xs to be a real array"):
            layer.apply({}, jnp.zeros((B, F)), xs)
