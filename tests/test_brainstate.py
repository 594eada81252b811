import brainstate
import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from brainstate import nn, transform
from close import assert_close

import brainsurr as bs
from brainsurr.brainstate import LI, LIF, LIFCell, SpikingActivation, SpikingSequential, bounds
from brainsurr.optim import project

T, B, F = 5, 3, 4
# Inputs, weights and decays are small multiples of a power of two: no sum of the forward pass is rounded, in any order,
# and spikes and potentials are equal. What a gradient is made of is rounded: in each step a sum over 8 neurons and as
# many products, and then a sum over time, batch and outputs.
XS = jnp.asarray(np.random.default_rng(0).integers(-8, 25, (T, B, F)) / 8, jnp.float32)
GRADIENT = T * (8 + 8) + T * B * 2

pytestmark = pytest.mark.usefixtures("lenient")  # brainstate's Linear and Orthogonal


def network(alpha=0.1):
    brainstate.random.seed(0)  # or the weights are those of whatever test ran before
    act = SpikingActivation(bs.LogTailedRelu(alpha), learnable="alpha")
    lif = LIF(8, decay=0.75, spike_fn=act, learnable=("decay", "threshold"), recurrent=True)
    net = SpikingSequential([nn.Linear(F, 8), lif, nn.Linear(8, 2), LI(2, decay=0.75)])
    params_of(net).assign_dict_values(coarse(params_of(net).to_dict_values()))
    return net


def params_of(model):
    return model.states(brainstate.ParamState)


def coarse(values):
    """With weights that are multiples of 1 / 8."""
    return jax.tree.map(lambda p: jnp.round(8 * p) / 8 if p.ndim else p, values)


def loss(net, xs=XS):
    net.reset_state(B)
    return jnp.mean(net(xs) ** 2)


def grads_of(net, fun=loss):
    return transform.jit(transform.grad(lambda: fun(net), params_of(net)))()


def ready(net=None):
    net = network() if net is None else net
    net.init_state(B)
    return net


# What an activation is ------------------------------------------------------------------------------------------


def test_parameters_have_the_surrogates_names():
    act = SpikingActivation(bs.LeakyRelu(0.1, jnp.ones(4)), learnable="alpha")
    assert isinstance(act, nn.ElementWiseBlock)
    assert isinstance(act.alpha, nn.Param)
    assert isinstance(act.alpha.t, nn.ClipT)
    assert isinstance(act.beta, brainstate.LongTermState)
    assert list(params_of(act)) == [("alpha", "val")]
    assert SpikingActivation(bs.LogTailedRelu(0.3)).alpha == 0.3
    assert not act.alpha.val.value.weak_type


def test_dtypes():
    f = bs.LogTailedRelu(0.3)
    assert SpikingActivation(f, learnable="alpha", param_dtype=jnp.bfloat16).alpha.value().dtype == jnp.bfloat16
    with brainstate.environ.context(precision="bf16"):
        act, lif = SpikingActivation(f, learnable="alpha"), LIF(F)
    assert act.alpha.value().dtype == jnp.bfloat16
    lif.init_state(B)
    assert lif.v.value.dtype == jnp.bfloat16


def test_the_surrogate_as_it_is_now():
    act = SpikingActivation(bs.LogTailedRelu(0.1, continuous=True), learnable="alpha")
    act.alpha.set_value(jnp.float32(0.5))
    assert act.surrogate == bs.LogTailedRelu(jnp.float32(0.5), continuous=True)
    act.alpha.val.value = jnp.float32(3)
    assert act.surrogate.alpha == 1
    assert act.alpha.value() == 1


def test_in_sequential_and_the_graph_can_be_hashed():
    model = nn.Sequential(nn.Linear(F, 6), SpikingActivation(bs.Arctan(jnp.ones(6)), learnable="alpha"))
    assert set(np.unique(model(XS))) == {0, 1}
    hash(brainstate.graph.graphdef(ready()))
    hash(brainstate.graph.graphdef(SpikingActivation(bs.LogTailedRelu(jnp.zeros(4)))))


class Neuron(nn.Module):
    """As brainpy.state has it: ``spk_fun`` is called with the scaled distance to threshold, twice a step."""

    def __init__(self, spk_fun):
        super().__init__()
        self.spk_fun = spk_fun
        self.v = brainstate.HiddenState(jnp.zeros((B, F)))

    def spike(self):
        return self.spk_fun((self.v.value - 1.0) / 1.0)

    def update(self, x):
        self.v.value = 0.5 * (self.v.value - jax.lax.stop_gradient(self.spike())) + x
        return self.spike()


def test_as_spk_fun_of_a_neuron():
    f = bs.LogTailedRelu(0.25)
    neuron = Neuron(SpikingActivation(f, learnable="alpha"))
    assert list(params_of(neuron)) == [("spk_fun", "alpha", "val")]

    def total():
        return transform.for_loop(neuron, XS).sum()

    grads = transform.grad(total, params_of(neuron))()

    def pure(alpha, v=jnp.zeros((B, F)), s=0.0):
        for x in XS:
            g = f.replace(alpha=alpha)
            v = 0.5 * (v - jax.lax.stop_gradient(g(v - 1.0))) + x
            s += g(v - 1.0).sum()
        return s

    assert_close(grads["spk_fun", "alpha", "val"], jax.grad(pure)(0.25), 2 * XS.size)


# Transforms -----------------------------------------------------------------------------------------------------


def test_jit_and_no_second_compilation_when_parameters_change():
    net, traces = ready(), []

    @transform.jit
    def step():
        traces.append(1)
        return loss(net)

    before, count = step(), len(traces)
    assert_close(before, loss(net), T * B * 2)
    params_of(net).assign_dict_values(jax.tree.map(lambda p: p * 0.9, params_of(net).to_dict_values()))
    assert step() != before
    assert len(traces) == count


def test_loops_and_remat_give_the_same_gradients():
    act = SpikingActivation(bs.LogTailedRelu(0.1), learnable="alpha")
    cell = LIFCell(F, decay=0.75, learnable="decay", spike_fn=act)
    cell.init_state(B)

    def through(loop):
        def total():
            cell.reset_state(B)
            return (loop(cell, XS) * XS).sum()

        return transform.jit(transform.grad(total, params_of(cell)))()

    expected = through(transform.for_loop)
    assert_close(through(transform.checkpointed_for_loop), expected, GRADIENT)
    layer = LIF(F, decay=0.75, learnable="decay", spike_fn=cell.spike_fn)
    layer.init_state(B)
    grads = grads_of(layer, lambda layer: (layer.reset_state(B), (layer(XS) * XS).sum())[1])
    assert_close(grads, expected, GRADIENT)
    remat = transform.checkpoint(lambda xs: layer(xs))
    grads = grads_of(layer, lambda layer: (layer.reset_state(B), (remat(XS) * XS).sum())[1])
    assert_close(grads, expected, GRADIENT)


def test_vmap_over_a_batch_with_states_of_its_own():
    net = network()
    nn.vmap_init_all_states(net, axis_size=B, state_tag="batch")
    assert net.layers[1].v.value.shape == (B, 8)
    hidden = net.states("batch")
    ys = transform.vmap(net, in_axes=1, out_axes=1, in_states=hidden, out_states=hidden)(XS)
    net.init_state(B)
    np.testing.assert_array_equal(ys, net(XS))


@pytest.mark.slow
def test_vmap_over_seeds():
    net, keys = ready(), jax.random.split(jax.random.key(0), 3)

    def run(key):
        w = params_of(net)[("layers", 0, "weight")]
        w.value = coarse({"weight": jax.random.normal(key, (F, 8)), "bias": jax.random.normal(key, (8,))})
        return loss(net)

    batched = [params_of(net)[("layers", 0, "weight")], *net.states(brainstate.HiddenState).values()]
    losses = transform.vmap(run, out_states=batched)(keys)
    assert len(np.unique(losses)) == 3
    net.init_state(B)
    assert_close(run(keys[1]), losses[1], T * B * 2)


def test_trains_with_optax():
    net = ready(network(alpha=0.02))
    params = params_of(net)
    tx = optax.chain(optax.sgd(0.1), project(bounds(net)))
    state = brainstate.LongTermState(tx.init(params.to_dict_values()))
    before = loss(net)

    @transform.jit
    def step():
        grads = transform.grad(lambda: loss(net), params)()
        updates, state.value = tx.update(grads, state.value, params.to_dict_values())
        params.assign_dict_values(optax.apply_updates(params.to_dict_values(), updates))

    for _ in range(10):
        step()
    assert loss(net) < before
    assert 0 <= net.layers[1].spike_fn.alpha.val.value <= 1
    assert 0 <= net.layers[1].decay.val.value <= 1


def test_split_and_merge_and_clone():
    net = ready()
    graphdef, state = brainstate.graph.treefy_split(net)
    for other in (brainstate.graph.treefy_merge(graphdef, state), brainstate.graph.clone(net)):
        assert_close(loss(other), loss(net), T * B * 2)
        other.layers[1].spike_fn.alpha.val.value = jnp.float32(0.9)
    assert net.layers[1].spike_fn.alpha.value() == np.float32(0.1)


def test_orbax_restores_a_learned_alpha(tmp_path):
    def tree(net):
        return {".".join(map(str, path)): state.value for path, state in params_of(net).items()}

    net, other = ready(), ready()
    net.layers[1].spike_fn.alpha.set_value(jnp.float32(0.375))
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "net", tree(net))
    with ocp.StandardCheckpointer() as checkpointer:
        restored = checkpointer.restore(tmp_path / "net", tree(other))
    assert restored["layers.1.spike_fn.alpha.val"] == 0.375  # it holds the value itself
    params_of(other).assign_dict_values({path: restored[".".join(map(str, path))] for path in params_of(other)})
    assert_close(loss(other), loss(net), T * B * 2)


# States and shapes ----------------------------------------------------------------------------------------------


def test_state_is_made_kept_and_reset():
    net = ready()
    hidden = net.states(brainstate.HiddenState)
    assert {path: state.value.shape for path, state in hidden.items()} == {
        ("layers", 1, "v"): (B, 8),
        ("layers", 1, "s"): (B, 8),
        ("layers", 3, "v"): (B, 2),
    }
    whole = net(XS)
    net.reset_state(B)
    np.testing.assert_array_equal(jnp.concatenate([net(XS[:2]), net(XS[2:])]), whole)
    nn.init_all_states(net, batch_size=7)
    assert net(jnp.ones((T, 7, F))).shape == (T, 7, 2)


def test_without_a_batch_and_with_a_whole_size():
    lif = LIF(F)
    lif.init_state()
    assert lif(XS[:, 0]).shape == (T, F)
    lif = LIF((2, 3, F), decay=jnp.full(F, 0.5), carry_init=nn.init.Constant(0.25))
    assert (lif.in_size, lif.out_size) == ((2, 3, F), (2, 3, F))
    lif.init_state(B)
    assert (lif.v.value == 0.25).all()
    assert lif(jnp.ones((T, B, 2, 3, F))).shape == (T, B, 2, 3, F)
    lif.init_state((B, 2))
    assert lif.v.value.shape == (B, 2, 2, 3, F)


@pytest.mark.slow
def test_shapes_through_convolution_dropout_and_functions():
    net = SpikingSequential(
        [
            lambda xs: xs.reshape(-1, 8, 8, 1),
            nn.Conv2d((8, 8, 1), 3, 3),
            lambda xs: xs.reshape(T, B, 8, 8, 3),
            LIF((8, 8, 3)),
            nn.Dropout(0.5),
            lambda xs: xs.reshape(T, B, -1),
            jax.nn.relu,
            SpikingSequential([nn.Linear(192, 5), LIF(5)]),
            LI(5),
        ]
    )
    net.init_state(B)
    with brainstate.environ.context(fit=True):
        assert transform.jit(net)(jnp.ones((T, B, 8, 8, 1))).shape == (T, B, 5)


# Mistakes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", [LIF(F), LIFCell(F), LI(F), LIF(F, recurrent=False)])
def test_a_call_before_init_state(layer):
    message = f"{type(layer).__name__} has no state yet: call init_state\\(batch_size\\)"
    with pytest.raises(ValueError, match=message):
        layer(XS)
    with pytest.raises(ValueError, match=message):
        layer.reset_state(B)


def test_a_step_is_not_a_sequence():
    cell, lif = ready(LIFCell(F)), ready(LIF(F))
    with pytest.raises(ValueError, match="a LIFCell takes one step"):
        cell(XS)
    with pytest.raises(ValueError, match=r"a layer over time takes \[time, batch, features\]"):
        lif(XS[0])


def test_another_batch_than_that_of_the_state():
    with pytest.raises(ValueError, match="shape of the carry"):
        ready()(jnp.ones((T, B + 1, F)))


@pytest.mark.parametrize("features", [0, 2.5, True, (), None])
def test_bad_features(features):
    with pytest.raises(ValueError, match="LIF: expected features to be a positive integer"):
        LIF(features)


@pytest.mark.parametrize("xs", [None, "abc", jnp.ones((T, B, F), complex)])
def test_inputs_that_are_no_numbers(xs):
    for layer in (LIF(F), LI(F), SpikingSequential([LIF(F)])):
        with pytest.raises(TypeError, match="expected xs to be a real array"):
            ready(layer)(xs)


@pytest.mark.parametrize("make", [brainstate.ParamState, brainstate.nn.Param])
def test_a_state_or_parameter_is_the_parameter_of_a_surrogate(make):
    class Activation(brainstate.nn.Module):
        def __init__(self):
            super().__init__()
            self.alpha = make(jnp.array([0.25, 0.5]))

        def update(self, x):
            return bs.log_tailed_relu(x, self.alpha)

    act, x = Activation(), jnp.array([-1.0, -2.0])
    grads, dx = brainstate.transform.grad(lambda x: act(x).sum(), act.states(brainstate.ParamState), argnums=0)(x)
    (alpha,) = jax.tree.leaves(grads)
    np.testing.assert_array_equal(alpha, [-1, -2])
    np.testing.assert_array_equal(dx, [0.25, 0.5])
    np.testing.assert_array_equal(bs.Arctan()(brainstate.ShortTermState(x)), [0, 0])


def test_which_states_a_compiled_function_has():
    """As docs/hosts/brainstate.md says: outside of it reset_state, inside either; it ignores a later init_state."""
    xs = jnp.full((3, 1, 2), 0.4)
    fresh, onwards = [0, 0, 1], [1, 1, 1]

    def compiled(start):
        net = bs.brainstate.SpikingSequential([bs.brainstate.LIF(2, decay=1.0, reset="none")])
        net.init_state(batch_size=1)

        @brainstate.transform.jit
        def run(xs):
            start(net)
            return net(xs)

        return net, lambda: run(xs)[:, 0, 0].tolist()

    net, run = compiled(lambda net: None)
    assert [run(), run()] == [fresh, onwards]
    net.reset_state(batch_size=1)
    assert run() == fresh
    net.init_state(batch_size=1)
    assert run() == onwards
    for start in (lambda net: net.init_state(batch_size=1), lambda net: net.reset_state(batch_size=1)):
        net, run = compiled(start)
        assert [run(), run()] == [fresh, fresh]
