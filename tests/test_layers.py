"""What the layers of the three frameworks owe their users alike, beside their numbers."""

import warnings

import brainstate
import brainunit
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from close import assert_close
from combinations import label
from dtypes import FLOATS, needs_float16
from flax import linen, nnx

import brainsurr as bs
from brainsurr.brainstate import LIF as BrainstateLIF
from brainsurr.brainstate import unroll as brainstate_unroll
from brainsurr.linen import LIF as LinenLIF
from brainsurr.linen import bounds as linen_bounds
from brainsurr.linen import unroll as linen_unroll
from brainsurr.nnx import LIF as NnxLIF
from brainsurr.nnx import unroll as nnx_unroll
from tools.hosts import HOSTS, Brainstate, Nnx, by_name

pytestmark = pytest.mark.usefixtures("lenient")  # brainstate's Orthogonal
# Multiples of 1 / 8, so that with such decays and thresholds no potential is rounded, in any order: spikes are equal.
XS = jnp.asarray(np.random.default_rng(0).integers(-8, 25, (5, 2, 3)) / 8, jnp.float32)
KEY = jax.random.key(0)
every_host = pytest.mark.parametrize("host", HOSTS, ids=label)


def called(host, layer):
    """What calls a layer outside of jit, from its first state."""
    if host is Brainstate:
        layer.init_state(2)
        return lambda: layer(XS)
    if host is Nnx:
        carry = layer.initialize_carry((2, 3))
        return lambda: layer(carry, XS)[1]
    carry = layer.initialize_carry(KEY, (2, 3))
    variables = layer.init(KEY, carry, XS)
    return lambda: layer.apply(variables, carry, XS)[1]


class Summing(brainstate.nn.Module):
    """A neuron of brainstate that takes one step, and adds without a look at shapes."""

    def init_state(self, batch_size=None, **_):
        self.v = brainstate.HiddenState(jnp.zeros((batch_size, 3)) * brainunit.mV)

    def update(self, x):
        self.v.value = self.v.value + x * brainunit.mV
        return self.v.value / brainunit.mV


@every_host
def test_a_cell_is_no_layer_over_time(host):
    if host is Brainstate:
        net = host.layers.SpikingSequential([Summing()])
        net.init_state(2)
        run, name = lambda: net(XS), "Summing"
    elif host is Nnx:
        net = host.layers.SpikingSequential([nnx.GRUCell(3, 3, rngs=nnx.Rngs(0))])
        run, name = lambda: net.initialize_carry((2, 3)), "GRUCell"
    else:
        net = host.layers.SpikingSequential([linen.GRUCell(3)])
        run, name = lambda: net.initialize_carry(KEY, (2, 3)), "GRUCell"
    with pytest.raises(ValueError, match=rf"expected {name} to keep the shape of its state.*takes one step"):
        run()


class Last(brainstate.nn.Module):
    """A layer that keeps what it saw last, and a word that is no array."""

    def __init__(self):
        super().__init__()
        self.mode, self.last = brainstate.LongTermState("train"), brainstate.HiddenState(jnp.zeros(()))

    def update(self, xs):
        self.last.value = xs
        return xs


class Late(nnx.Module):
    """A layer whose state is made at the first call."""

    def initialize_carry(self, input_shape, rngs):
        return None

    def __call__(self, carry, xs):
        return xs[-1], xs


def test_a_state_may_change_its_shape():
    net = bs.brainstate.SpikingSequential([Last()])
    np.testing.assert_array_equal(brainstate.transform.jit(lambda xs: net(xs))(XS), XS)
    net = bs.nnx.SpikingSequential([Late()])
    (carry,), _ = net(net.initialize_carry((2, 3)), XS)
    np.testing.assert_array_equal(carry, XS[-1])


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


def test_recurrent_weights_can_be_partitioned():
    with jax.set_mesh(jax.make_mesh((2,), ("m",), axis_types=(jax.sharding.AxisType.Auto,))):
        init = nnx.with_partitioning(nnx.initializers.orthogonal(), (None, "m"))
        kernel = NnxLIF(4, recurrent=True, recurrent_kernel_init=init, rngs=nnx.Rngs(0)).recurrent_kernel.get_value()
    assert kernel.sharding.spec == jax.sharding.PartitionSpec(None, "m")
    plain = NnxLIF(4, recurrent=True, rngs=nnx.Rngs(0)).recurrent_kernel.get_value()
    assert_close(kernel, plain, 32)  # the decomposition of a matrix of 4 by 4

    init = linen.with_partitioning(linen.initializers.orthogonal(), (None, "m"))
    layers = [LinenLIF(3, recurrent=True, param_dtype=jnp.bfloat16, **o) for o in ({}, {"recurrent_kernel_init": init})]
    carry = layers[0].initialize_carry(KEY, (2, 3))
    plain, boxed = (layer.init(KEY, carry, XS) for layer in layers)
    spec = linen.get_partition_spec(boxed)["params"]["recurrent_kernel"]
    assert spec == jax.sharding.PartitionSpec(None, "m")
    jax.tree.map(np.testing.assert_array_equal, linen.unbox(boxed), plain)
    np.testing.assert_array_equal(layers[1].apply(boxed, carry, XS)[1], layers[0].apply(plain, carry, XS)[1])


def test_a_function_that_changes_is_not_remembered():
    scale = 1.0
    layer = NnxLIF(3, spike_fn=lambda x: scale * bs.log_tailed_relu(x))
    carry = layer.initialize_carry((2, 3))
    before, scale = layer(carry, XS)[1], 0.0
    assert before.any()
    assert not layer(carry, XS)[1].any()


@every_host
def test_the_numbers_are_those_of_jit(host):
    layer = host.layers.LIF(3, spike_fn=bs.Arctan(2.0), decay=0.75, threshold=np.float32(0.875))
    (_, ys), _, _ = host().grad(layer, lambda carry, ys: ys.sum(), XS)
    np.testing.assert_array_equal(
        called(host, host.layers.LIF(3, spike_fn=bs.Arctan(2.0), decay=0.75, threshold=0.875))(), ys
    )


@every_host
@pytest.mark.parametrize("threshold", [float("inf"), float("nan"), np.array([1.0, np.inf, 1.0])])
def test_a_threshold_that_is_never_met_is_refused(host, threshold):
    with pytest.raises(
        ValueError, match=r"LIF: expected threshold to be finite, got .*: a layer that never fires is LI"
    ):
        host.layers.LIF(3, threshold=threshold)


@every_host
@pytest.mark.parametrize("threshold", [-1.0, np.array([1.0, -0.5, 1.0])])
def test_with_a_fixed_threshold_below_0_a_neuron_fires_at_rest(host, threshold):
    layer = host.layers.LIF(3, threshold=threshold, reset="none")
    (_, ys), _, _ = host().grad(layer, lambda carry, ys: ys.sum(), 0 * XS)
    np.testing.assert_array_equal(ys, np.broadcast_to(np.less(threshold, 0), ys.shape))
    with pytest.raises(ValueError, match=r"LIF: threshold = .* is outside \[0.0, inf\]"):
        host.layers.LIF(3, threshold=threshold, learnable="threshold")


@every_host
@pytest.mark.parametrize("decay", [float("inf"), np.array([0.5, np.nan, 0.5])])
def test_an_unbounded_decay_is_a_number_all_the_same(host, decay):
    with pytest.raises(ValueError, match="LI: expected decay to be finite, got"):
        host.layers.LI(3, decay=decay, learnable="decay", bounds=None)


@every_host
def test_bounds_take_the_place_of_the_interval_of_the_decay(host):
    layer = host.layers.LIF(3, decay=-0.5, learnable="decay", bounds={"decay": (-1.0, 1.0)})
    assert by_name(host().params(layer, XS))["decay"] == -0.5
    free = host.layers.LI(3, decay=1.5, learnable="decay", bounds=None)
    assert by_name(host().params(free, XS))["decay"] == 1.5
    for options in ({}, {"learnable": "decay"}, {"learnable": "threshold", "bounds": None}):
        with pytest.raises(ValueError, match=r"decay = 1.5 is outside \[0.0, 1.0\]"):
            host.layers.LIF(3, decay=1.5, **options)


@every_host
def test_integers_make_floating_parameters(host):
    layers = host.layers
    for layer, name in (
        (layers.LIF(3, threshold=jnp.arange(1, 4), learnable="threshold"), "threshold"),
        (layers.LI(3, decay=np.ones(3, np.int32), learnable="decay"), "decay"),
        (layers.SpikingActivation(bs.Arctan(np.full(3, 2)), learnable="alpha"), "alpha"),
    ):
        assert by_name(host().params(layer, XS))[name].dtype == jnp.float32


@every_host
@pytest.mark.parametrize("dtype", FLOATS)
def test_recurrent_weights_of_any_dtype_are_orthogonal(host, dtype):
    options = {"rngs": nnx.Rngs(0)} if host is Nnx else {}
    layer = host.layers.LIF(3, recurrent=True, param_dtype=dtype, **options)
    kernel = by_name(host().params(layer, XS))["recurrent_kernel"]
    assert kernel.dtype == dtype
    wide = np.asarray(kernel, np.float32)
    assert_close(wide @ wide.T, np.eye(3), 8, dtype=dtype)


@needs_float16
def test_recurrent_weights_under_a_precision_of_16():
    with brainstate.environ.context(precision=16):
        assert BrainstateLIF(3, recurrent=True).recurrent_kernel.value().dtype == jnp.float16


@every_host
def test_numpy_integers_count(host):
    layer = host.layers.LIF(np.prod((1, 3)))
    np.testing.assert_array_equal(called(host, layer)(), called(host, host.layers.LIF(3))())


@pytest.mark.parametrize("size", [(2, -1, 3), (2.0, 3), ("a", 3)])
def test_every_axis_of_a_size_is_looked_at(size):
    with pytest.raises(ValueError, match="LIF: expected features to be an integer or several, got"):
        BrainstateLIF(size)


@pytest.mark.parametrize("unrolled", [False, True])
def test_brainstates_own_random_numbers_can_be_drawn_by_a_spike_function(unrolled):
    f = bs.Arctan(2.0)
    layer = BrainstateLIF(3, spike_fn=lambda x: f(x + brainstate.random.normal(size=x.shape)))
    run = (lambda: brainstate_unroll(layer, XS, block_size=2, remat="full")) if unrolled else (lambda: layer(XS))
    layer.init_state(2)
    answers = []
    for seed in (0, 0, 1):
        brainstate.random.seed(seed)
        layer.reset_state(2)
        answers.append(np.asarray(run()))
    assert (answers[0] == answers[1]).all()
    assert (answers[0] != answers[2]).any()
    assert np.isfinite(brainstate.random.normal(size=2)).all(), "the random state is no tracer"


class Sown(linen.Module):
    """A network that notes its firing rate."""

    @linen.compact
    def __call__(self, carry, xs):
        carry, spikes = LinenLIF(3)(carry, xs)
        self.sow("intermediates", "rate", spikes.mean())
        return carry, spikes


@pytest.mark.parametrize("remat", ["none", "full"])
def test_what_linen_sows_comes_out_by_block(remat):
    class Unrolled(linen.Module):
        def setup(self):
            self.net = Sown()

        def __call__(self, carry, xs):
            return linen_unroll(self.net, carry, xs, block_size=2, remat=remat)

    (_, spikes), noted = Unrolled().apply({}, jnp.zeros((2, 3)), XS, mutable=["intermediates"])
    whole, rest = noted["intermediates"]["net"]["rate"]
    assert_close(whole, spikes[:4].reshape(2, 2, 2, 3).mean((1, 2, 3)), 2)  # sums of spikes are exact
    assert_close(rest, spikes[4:].mean(), 2)


def test_what_nnx_makes_inside_of_unroll_is_named():
    class Noting(nnx.Module):
        def __init__(self):
            self.lif = NnxLIF(3)

        def __call__(self, carry, xs):
            carry, spikes = self.lif(carry, xs)
            self.rate = nnx.Intermediate(spikes.mean())
            return carry, spikes

    with pytest.raises(ValueError, match="unroll: expected net to create no new variables, it created rate"):
        nnx_unroll(Noting(), jnp.zeros((2, 3)), XS, block_size=2)


def test_linen_bounds_take_what_init_takes():
    class Net(linen.Module):
        @linen.compact
        def __call__(self, xs, train, steps):
            xs = linen.BatchNorm(use_running_average=not train)(xs)
            return LinenLIF(3, learnable="decay")(jnp.zeros((2, 3)), xs[: list(range(9))[steps]])[1]

    for args in ((XS, False, 4), (jax.ShapeDtypeStruct(XS.shape, XS.dtype), True, 4)):
        assert linen_bounds(Net(), *args)["LIF_0"] == {"decay": (0.0, 1.0)}


def test_linen_tabulates_without_a_warning():
    layer = LinenLIF(3, learnable="decay")
    with warnings.catch_warnings(record=True) as caught:  # as an error, flax would swallow it
        warnings.simplefilter("always")
        assert "decay" in layer.tabulate(KEY, jnp.zeros((2, 3)), XS)
    assert not [str(warning.message) for warning in caught if "partial" in str(warning.message)]
