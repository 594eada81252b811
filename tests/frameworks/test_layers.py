"""What the layers of every framework owe their users alike, beside the numbers of their neurons."""

import dataclasses
import inspect

import brainstate
import brainunit
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from asked import called
from cases import FLOATS, label
from close import assert_close
from flax import linen, nnx

import brainsurr as bs
from tools.frameworks import HOSTS, OF_VARIABLES, Equinox, Linen, Nnx, by_name

pytestmark = pytest.mark.usefixtures("lenient")  # brainstate's Linear and Orthogonal
T, B, F = 5, 2, 3
XS = jnp.asarray(np.random.default_rng(0).integers(-8, 25, (T, B, F)) / 8, jnp.float32)
KEY = jax.random.key(0)
every_host = pytest.mark.parametrize("host", HOSTS, ids=label)
of_variables = pytest.mark.parametrize("host", OF_VARIABLES, ids=label)
flax = pytest.mark.parametrize("host", [Nnx, Linen], ids=label)


@of_variables
def test_parameters_have_the_surrogates_names(host):
    make = host.layers.SpikingActivation
    params = by_name(host().params(make(bs.LeakyRelu(0.25, jnp.ones(F)), learnable="alpha"), XS))
    assert params == {"alpha": 0.25}
    assert not params["alpha"].weak_type
    half = make(bs.LogTailedRelu(0.3), learnable="alpha", param_dtype=jnp.bfloat16)
    assert by_name(host().params(half, XS))["alpha"].dtype == jnp.bfloat16
    assert make(bs.LogTailedRelu(0.3)).surrogate == bs.LogTailedRelu(0.3)


@pytest.mark.parametrize("host", [Nnx, Linen, Equinox], ids=label)
def test_layers_draw_their_own_first_potentials(host):
    normal = jax.nn.initializers.normal(1.0)
    options = host.recurrent(jnp.eye(F)) | {"carry_init": normal}
    net = host.layers.SpikingSequential([host.layers.LIF(F, **options), host.layers.LIF(F, carry_init=normal)])

    def start(*seed):
        if host is Linen:
            return net.initialize_carry(jax.random.key(*seed or [0]), (B, F))
        seeds = map(nnx.Rngs, seed) if host is Nnx else [jax.random.key(*seed or [0])]
        return net.initialize_carry((B, F), *seeds)

    (v, s), other = start()
    assert v.std() > 0.3
    assert not s.any()
    assert (v != other).all()
    np.testing.assert_array_equal(start(0)[0][0], v)
    if host is Nnx:  # and by itself
        np.testing.assert_array_equal(net.layers[0].initialize_carry((B, F))[0], v)
    assert (start(1)[0][0] != v).any()


@every_host
def test_the_source_of_a_layer_is_its_type(host):
    """A class that inherits the fields of its neuron, with its own after them, and no neuron."""
    layers = host.layers
    assert set(layers.__all__) <= set(vars(layers))
    for name in set(layers.__all__) & {*bs.neurons.__all__, "LIFCell", "ALIFCell"}:
        made = getattr(layers, name)
        assert inspect.getsource(made).startswith(f"class {name}(")
        kind = getattr(bs.neurons, name.removesuffix("Cell"))
        fields = [field.name for field in dataclasses.fields(kind) if field.init]
        assert {"features", *fields} <= inspect.signature(made).parameters.keys()
        assert not issubclass(made, bs.neurons.Neuron)
        assert (layers.cell if name.endswith("Cell") else layers.layer)(kind) is made
    assert issubclass(layers.ALIF, layers.LIF)
    with pytest.raises((TypeError, ValueError), match=r"positional|parent"):
        layers.LIF(3, 0.5)


@every_host
@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_any_batch_shape_none_included(host, batch):
    _, ys = called(host, host.layers.LIF(F), (*batch, F), jnp.ones((T, *batch, F)))
    assert ys.shape == (T, *batch, F)


@every_host
@pytest.mark.parametrize("make", ["layer", "cell"])
@pytest.mark.parametrize("kind", [bs.neurons.LIF, bs.neurons.Delay])
def test_inputs_have_the_features_of_the_layer(host, make, kind):
    """A carry that fits them does not help."""
    layer, xs = getattr(host.layers, make)(kind)(5), XS if make == "layer" else XS[0]
    with pytest.raises(ValueError, match=rf"^{kind.__name__}.*: expected an input xs of shape \[..., 5\], got .*3\)"):
        host.call(layer, (B, 5), kind().initial_state(XS[0]), xs)


@flax
def test_shapes_are_followed_through_other_layers(host):
    """Convolution, dropout, functions and a network inside; no random number is used up."""
    layers, rngs = host.layers, nnx.Rngs(0)
    net = layers.SpikingSequential(
        [
            nnx.Conv(1, 3, (3, 3), strides=2, rngs=rngs) if host is Nnx else linen.Conv(3, (3, 3), strides=2),
            layers.LIF(3),
            nnx.Dropout(0.5, rngs=rngs) if host is Nnx else linen.Dropout(0.5, deterministic=False),
            lambda xs: xs.reshape(*xs.shape[:-3], -1),
            jax.nn.relu,
            layers.SpikingSequential([host.dense(48, 5, rngs), layers.LIF(5)]),
            layers.LI(5),
        ]
    )
    counts = jax.tree.leaves(nnx.state(net, nnx.RngCount)) if host is Nnx else []
    carry = net.initialize_carry(*[KEY] * (host is Linen), (2, 8, 8, 1))
    assert jax.tree.map(jnp.shape, tuple(carry)) == (*[None, (2, 4, 4, 3), None, None, None], (None, (2, 5)), (2, 5))
    assert counts == (jax.tree.leaves(nnx.state(net, nnx.RngCount)) if host is Nnx else [])


class Summing(brainstate.nn.Module):
    """A neuron of brainstate that takes one step, and adds without a look at shapes."""

    def init_state(self, batch_size=None, **_):
        self.v = brainstate.HiddenState(jnp.zeros((batch_size, 3)) * brainunit.mV)

    def update(self, x):
        self.v.value = self.v.value + x * brainunit.mV
        return self.v.value / brainunit.mV


def test_a_cell_is_no_layer_over_time():
    says = "{} turned a state of"
    net = bs.brainstate.SpikingSequential([Summing()])
    net.init_state(2)
    with pytest.raises(ValueError, match=says.format("Summing")):
        net(XS)
    net = bs.nnx.SpikingSequential([nnx.GRUCell(3, 3, rngs=nnx.Rngs(0))])
    with pytest.raises(ValueError, match=says.format("GRUCell")):
        net.initialize_carry((2, 3))


def test_a_cell_of_flax_over_time():
    expected = nnx.RNN(nnx.SimpleCell(3, 4, rngs=nnx.Rngs(0)), time_major=True)(XS)
    rnn = nnx.RNN(nnx.SimpleCell(3, 4, rngs=nnx.Rngs(0)), time_major=True)
    net = bs.nnx.SpikingSequential([rnn, bs.nnx.LI(4, decay=0.0)])
    length = 5 * (3 + 4 + 8)  # in each step two sums and a tanh
    assert_close(net(net.initialize_carry((2, 3)), XS)[1], expected, length)
    rnn = linen.RNN(linen.SimpleCell(4), time_major=True)
    net = bs.linen.SpikingSequential([rnn, bs.linen.LI(4, decay=0.0)])
    carry = net.initialize_carry(KEY, (2, 3))
    (_, ys), variables = net.init_with_output(KEY, carry, XS)
    assert_close(ys, rnn.apply({"params": variables["params"]["layers_0"]}, XS), length)


def test_a_cell_runs_over_time_behind_the_batch():
    """As flax's loops take it, [batch, time, features], and one example."""
    xs, layer = jnp.swapaxes(XS, 0, 1), bs.nnx.LIF(F, decay=0.5)
    expected = np.swapaxes(layer(layer.initialize_carry((B, F)), XS)[1], 0, 1)
    np.testing.assert_array_equal(nnx.RNN(bs.nnx.LIFCell(F, decay=0.5))(xs), expected)
    for inputs, outputs in ((xs, expected), (xs[0], expected[0])):
        np.testing.assert_array_equal(linen.RNN(bs.linen.LIFCell(F, decay=0.5)).apply({}, inputs), outputs)


def test_recurrent_weights_can_be_partitioned():
    recurrent, spec = {"recurrent": True, "rngs": nnx.Rngs(0)}, jax.sharding.PartitionSpec(None, "m")
    with jax.set_mesh(jax.make_mesh((2,), ("m",), axis_types=(jax.sharding.AxisType.Auto,))):
        init = nnx.with_partitioning(nnx.initializers.orthogonal(), (None, "m"))
        kernel = bs.nnx.LIF(4, recurrent_kernel_init=init, **recurrent).recurrent_kernel.get_value()
    assert kernel.sharding.spec == spec
    plain = bs.nnx.LIF(4, **recurrent | {"rngs": nnx.Rngs(0)}).recurrent_kernel.get_value()
    assert_close(kernel, plain, 32)  # the decomposition of a matrix of 4 by 4

    init = {"recurrent_kernel_init": linen.with_partitioning(linen.initializers.orthogonal(), (None, "m"))}
    layers = [bs.linen.LIF(F, recurrent=True, param_dtype=jnp.bfloat16, **options) for options in ({}, init)]
    carry = layers[0].initialize_carry(KEY, (B, F))
    plain, boxed = (layer.init(KEY, carry, XS) for layer in layers)
    assert linen.get_partition_spec(boxed)["params"]["recurrent_kernel"] == spec
    jax.tree.map(np.testing.assert_array_equal, linen.unbox(boxed), plain)
    np.testing.assert_array_equal(layers[1].apply(boxed, carry, XS)[1], layers[0].apply(plain, carry, XS)[1])


@every_host
@pytest.mark.parametrize("threshold", [-1.0, np.array([1.0, -0.5, 1.0])])
def test_with_a_fixed_threshold_below_0_a_neuron_fires_at_rest(host, threshold):
    layer = host.layers.LIF(3, threshold=threshold, reset="none")
    (_, ys), _, _ = host().grad(layer, lambda carry, ys: ys.sum(), 0 * XS)
    np.testing.assert_array_equal(ys, np.broadcast_to(np.less(threshold, 0), ys.shape))
    with pytest.raises(ValueError, match=r"LIF: threshold = .* is outside \[0.0, inf\]"):
        host.layers.LIF(3, threshold=threshold, learnable="threshold")


@every_host
def test_bounds_take_the_place_of_the_interval_of_the_decay(host):
    layer = host.layers.LIF(3, decay=-0.5, learnable="decay", bounds={"decay": (-1.0, 1.0)})
    assert by_name(host().params(layer, XS))["decay"] == -0.5
    free = host.layers.LI(3, decay=1.5, learnable="decay", bounds=None)
    assert by_name(host().params(free, XS))["decay"] == 1.5
    with pytest.raises(ValueError, match=r"decay = 1.5 is outside \[0.0, 1.0\]"):
        host.layers.LIF(3, decay=1.5, learnable="threshold", bounds=None)


@every_host
def test_integers_make_floating_parameters(host):
    layers = host.layers
    for layer, name in (
        (layers.LIF(3, threshold=jnp.arange(1, 4), learnable="threshold"), "threshold"),
        (layers.LI(3, decay=np.ones(3, np.int32), learnable="decay"), "decay"),
        (layers.LIF(3, spike_fn=bs.Arctan(np.full(3, 2)), learnable="spike_fn.alpha"), "alpha"),
    ):
        assert by_name(host().params(layer, XS))[name].dtype == jnp.float32


@every_host
@pytest.mark.parametrize("dtype", FLOATS)
def test_recurrent_weights_of_any_dtype_are_orthogonal(host, dtype):
    """As many as an integer of NumPy says."""
    options = {Nnx: {"rngs": nnx.Rngs(0)}, Equinox: {"key": KEY}}.get(host, {})
    layer = host.layers.LIF(np.prod((1, 3)), recurrent=True, param_dtype=dtype, **options)
    kernel = by_name(host().params(layer, XS))["recurrent_kernel"]
    assert kernel.dtype == dtype
    wide = np.asarray(kernel, np.float32)
    assert_close(wide @ wide.T, np.eye(3), 8, dtype=dtype)


@pytest.mark.parametrize("hold", [nnx.Param, brainstate.ParamState, brainstate.nn.Param])
def test_a_parameter_of_the_framework_is_one_of_a_surrogate(hold):
    """In a call alone: a surrogate would keep its array. And what it holds may be an input, or a height."""
    alpha, x = hold(jnp.array([0.25, 0.5])), jnp.array([-1.0, -2.0])
    if hold is nnx.Param:
        grad = nnx.jit(nnx.grad(lambda alpha, x: bs.log_tailed_relu(x, alpha).sum(), argnums=(0, 1)))
        alpha, dx = grad(alpha, x)
    else:
        states = alpha.states() if hold is brainstate.nn.Param else [alpha]
        grad = brainstate.transform.grad(lambda x: bs.log_tailed_relu(x, alpha).sum(), states, argnums=0)
        alpha, dx = grad(x)
    np.testing.assert_array_equal(*jax.tree.leaves(alpha), [-1, -2])
    np.testing.assert_array_equal(dx, [0.25, 0.5])
    np.testing.assert_array_equal(bs.Arctan()(hold(x)), [0, 0])
    assert jax.grad(bs.LogTailedRelu(0.5) * hold(jnp.array(0.5)))(-1.0) == 0.25
    p, f = hold(jnp.array(0.5)), bs.Arctan(2.0)
    for make in (
        lambda: bs.LogTailedRelu(p),
        lambda: f.replace(alpha=[p]),
        lambda: (f * 2.0).scaled(width=p),
        lambda: bs.nnx.LIF(2, decay=p, learnable="decay"),
        lambda: bs.brainstate.LIF(2, threshold=p),
    ):
        with pytest.raises(TypeError, match="learnable="):
            make()
