"""Random spikes: their probability is the primitive, so that the surrogate gradient is that of their mean."""

import dataclasses
from typing import Any

import brainstate
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import FLOATS, all_but, each_value_once, label
from close import assert_close, bound
from flax import nnx
from flax.errors import InvalidRngError
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from neuron_table import EXPORTED
from surrogate_table import FAMILY

import brainsurr as bs
from brainsurr.neurons._spikes import spike_fields
from tools.frameworks import OF_VARIABLES, Brainstate, Linen, Nnx

KEY = jax.random.key(0)
DRAWS = 2**16
Z = 4.0  # standard errors, of seeds that do not change
every_host = pytest.mark.parametrize("host", OF_VARIABLES, ids=label)
PROBABILITIES = [entry for entry in FAMILY if entry.function and entry.is_distribution]
probabilities = pytest.mark.parametrize("entry", PROBABILITIES, ids=lambda entry: entry.make.__name__)
F = bs.Sigmoid(4.0)


def z_of(samples, expected):
    """By how many of its standard errors the mean of samples over the first axis is off."""
    samples = np.asarray(samples, np.float64)
    error = samples.std(0, ddof=1) / np.sqrt(len(samples))
    return np.abs(samples.mean(0) - expected) / np.maximum(error, 1e-12)


# Which surrogates ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", [e for e in FAMILY if e.function], ids=lambda entry: entry.make.__name__)
def test_those_qualify_whose_primitive_rises_from_0_to_1(entry):
    f = entry.make(**entry.settings[0])
    assert f.is_distribution == entry.is_distribution
    if not entry.is_distribution:
        for refused in (lambda: bs.spike(0.0, f, key=KEY), lambda: bs.nnx.SpikingActivation(f, random=True)):
            with pytest.raises(ValueError, match="rises from 0 to 1"):
                refused()


def test_a_scaled_one_is_a_probability_at_height_times_width_1():
    for width in (0.5, 3.0, np.array([0.25, 2.0])):
        assert F.scaled(height=1 / width, width=width).is_distribution
        assert not F.scaled(width=width).is_distribution  # its primitive ends at the width
    assert not (0.5 * F).is_distribution
    for entry in (bs.NormalizedQPseudoSpike(1.02), bs.Arctan(0.01), bs.Sigmoid(50.0).scaled(height=1e3, width=1e-3)):
        bs.spike(jnp.zeros(2), entry, key=KEY)
    for falling in (bs.PiecewiseExp(-1.0), bs.SoftSign(-2.0), bs.Sigmoid(np.array([4.0, -4.0])), bs.ERF(-1.0)):
        with pytest.raises(ValueError, match="rises from 0 to 1"):
            bs.spike(jnp.zeros(2), falling, key=KEY)
    assert not bs.LogTailedRelu().scaled(height=2.0, width=0.5).is_distribution
    s = bs.spike(jnp.full(DRAWS, 0.25), F.scaled(height=0.5, width=2.0), key=KEY)
    assert z_of(s, 1 / (1 + np.exp(-0.5))) < Z


def test_a_class_of_ones_own_says_that_it_is_a_probability():
    class Own(bs.Surrogate):
        is_distribution = True

        def __init__(self, middle, lowest=0.0):
            self.middle, self.lowest = middle, lowest

        def surrogate_fun(self, x):
            return jnp.clip(x - self.middle + 0.5, self.lowest, 1.0)

    for middle in (-10.0, 10.0, 0.0):  # wherever it rises
        assert z_of(bs.spike(jnp.full(DRAWS, middle + 0.25), Own(middle), key=KEY), 0.75) < Z
    with pytest.raises(ValueError, match="rises from 0 to 1"):
        bs.spike(0.0, Own(0.0, lowest=0.5), key=KEY)

    class Changed(bs.Sigmoid):
        def surrogate_fun(self, x):
            return 2 * super().surrogate_fun(x)

    assert (Own(0.0).is_distribution, Changed().is_distribution) == (True, False)


# The kernel ------------------------------------------------------------------------------------------------------


@probabilities
def test_a_spike_has_the_probability_of_the_primitive(entry):
    x = np.array([-3.0, -1.0, -0.3, 0.0, 0.2, 0.7, 2.0])
    for setting in entry.settings:
        s = bs.spike(jnp.tile(jnp.asarray(x, jnp.float32), (DRAWS, 1)), entry.make(**setting), key=KEY)
        assert set(np.unique(s)) <= {0, 1}
        g = entry.g(x, **setting)
        error = np.sqrt(g * (1 - g) / DRAWS)
        assert np.all(np.abs(np.asarray(s, np.float64).mean(0) - g) <= Z * error + bound(8, 1))


@probabilities
def test_its_derivatives_are_those_of_the_primitive(entry):
    """In x and in the parameters, as without a key: tests/values/test_laws.py holds these to the formulas."""
    f, x = jax.tree.map(jnp.float32, entry.make(**entry.settings[0])), jnp.array([-1.7, -0.3, 0.2, 0.7])
    derivatives = jax.jit(jax.grad(lambda f, x, key: bs.spike(x, f, key=key).sum(), (0, 1)))
    jax.tree.map(np.testing.assert_array_equal, derivatives(f, x, KEY), derivatives(f, x, None))


@pytest.mark.parametrize("drawn", [0.0, 1 - 2.0**-23])
def test_the_tails_are_rounded_to_the_nearest_drawn_number(drawn, monkeypatch):
    monkeypatch.setattr(jax.random, "uniform", lambda key, shape, dtype: jnp.full(shape, drawn, dtype))
    """Probabilities of 7e-13 and 1.7e-7, of which one is drawn; one of 0 never fires, and one of 1 always."""
    x = jnp.array([-jnp.inf, -7.0, -3.9, 3.9, 7.0, jnp.inf])
    np.testing.assert_array_equal(bs.spike(x, F, key=KEY), [0, 0, drawn == 0, drawn == 0, 1, 1])


@pytest.mark.parametrize("dtype", FLOATS)
def test_dtype_nan_and_half_precision_are_no_bias(dtype):
    """A probability of 2^-10 would be 0 or 2^-8 among the numbers between 0 and 1 of bfloat16."""
    x = jnp.asarray([np.nan, -np.inf, np.inf, 0.25], dtype)
    s, t = jax.jvp(lambda x: bs.spike(x, F, key=KEY), (x,), (jnp.ones_like(x),))
    assert s.dtype == t.dtype == dtype
    np.testing.assert_array_equal(np.isnan(np.asarray(s, np.float32)), [True, False, False, False])
    np.testing.assert_array_equal(np.asarray(s, np.float32)[1:3], [0, 1])
    assert np.isnan(np.asarray(t, np.float32)[0])
    at = float(jnp.asarray(-1.75, dtype))
    assert z_of(bs.spike(jnp.full(2**18, at, dtype), F, key=KEY).astype(jnp.float32), 1 / (1 + np.exp(-4 * at))) < Z


def test_the_same_key_draws_the_same_and_origin_nothing():
    x = jnp.linspace(-1, 1, 64)
    first, second = bs.spike(x, F, key=KEY), F(x, key=KEY)
    np.testing.assert_array_equal(first, second)
    assert np.any(first != F(x, key=jax.random.key(1)))
    np.testing.assert_array_equal(F.replace(origin=True)(x, key=KEY), F.replace(origin=True)(x))
    assert np.any(jax.vmap(lambda key: F(x, key=key))(jax.random.split(KEY))[0] != first)


@dataclasses.dataclass
class Two(bs.neurons.Neuron):
    """A neuron that has two surrogates, and gives the difference of their spikes."""

    first: Any = F
    second: Any = F

    def initial_state(self, x):
        return jnp.zeros_like(x)

    def step(self, state, x):
        return state, self.first(x) - self.second(x)


def test_two_surrogates_of_a_neuron_draw_apart():
    """At 0 each fires in half of the cases: they differ in a half, or in none with one key."""
    _, ys = Two()(jnp.zeros(100), jnp.zeros((DRAWS // 100, 100)), key=KEY)
    assert z_of(np.ravel(np.abs(ys)), 0.5) < Z


def test_plain_jax_draws_anew_in_each_block_and_step():
    """At 0, where a spike has the probability 1/2; what is computed again draws the same."""
    lif, xs = bs.neurons.LIF(decay=0.0, spike_fn=F), jnp.ones((6, 4096))

    def spikes(xs, key, **how):
        return bs.unroll(lambda v, xs, key: lif(v, xs, key=key), jnp.zeros(4096), xs, block_size=2, key=key, **how)[1]

    ys = np.asarray(spikes(xs, KEY))
    assert (z_of(ys.T, 0.5) < Z).all()
    assert all((z_of(ys[i] == ys[j], 0.5) < Z) for i in range(6) for j in range(i))
    np.testing.assert_array_equal(ys, spikes(xs, KEY, remat="full"))
    assert np.any(ys != spikes(xs, jax.random.key(1)))
    grads = [jax.grad(lambda xs, how=how: jnp.sum(spikes(xs, KEY, remat=how) ** 2))(xs) for how in ("none", "full")]
    np.testing.assert_array_equal(*grads)  # of the spikes themselves
    v = jnp.zeros(4096)
    one, other = (lif.step(v, xs[0], key=key)[1] for key in jax.random.split(KEY))
    assert z_of(one == other, 0.5) < Z
    np.testing.assert_array_equal(lif.step(v, xs[0])[1], 1)


def test_under_explicit_mesh_axes():
    mesh = jax.make_mesh((1,), ("data",), axis_types=(AxisType.Explicit,))
    with jax.set_mesh(mesh):
        x = jax.device_put(jnp.linspace(-1, 1, 64), NamedSharding(mesh, PartitionSpec("data")))
        s = jax.jit(lambda x: bs.spike(x, F, key=KEY))(x)
    assert jax.typeof(s).sharding.spec == PartitionSpec("data")
    np.testing.assert_array_equal(s, bs.spike(jnp.linspace(-1, 1, 64), F, key=KEY))


# The layers ------------------------------------------------------------------------------------------------------


class Drawing:
    """A network of one host whose spikes are drawn: what a user writes, in one interface."""

    def __init__(self, host, make, xs, seed=0):
        """Make it by ``make(layers, activation)``; in linen evaluation is another network."""
        self.host, self.xs, self.seed = host, xs, seed
        layers = host.layers
        seeded = {"rngs": nnx.Rngs(seed)} if host is Nnx else {}

        def network(**more):
            def activation(f=F, **options):
                return layers.SpikingActivation(f, random=True, **seeded, **more, **options)

            return layers.SpikingSequential(make(layers, activation))

        self.net = network()
        if host is Brainstate:
            brainstate.random.seed(seed)
            self.net.init_state(xs.shape[1])
        else:
            self.carry = self.net.initialize_carry(*[KEY] * (host is Linen), xs.shape[1:])
        if host is Linen:
            self.evaluating = network(deterministic=True)
            self.variables = self.net.init(KEY, self.carry, xs)

    def run(self, net, **options):
        """Over time, in blocks with options."""
        state = () if self.host is Brainstate else (self.carry,)
        ys = self.host.layers.unroll(net, *state, self.xs, **options) if options else net(*state, self.xs)
        return ys if self.host is Brainstate else ys[1]

    def __call__(self, training=True, **options):
        """The outputs; each call draws anew, but for linen."""
        if self.host is Nnx:
            self.net.train() if training else self.net.eval()
            return self.run(self.net, **options)
        if self.host is Linen:
            rngs = {"spikes": jax.random.key(self.seed)} if training else {}
            return self.run((self.net if training else self.evaluating).bind(self.variables, rngs=rngs), **options)
        self.net.reset_state(self.xs.shape[1])
        with brainstate.environ.context(fit=training):
            return self.run(self.net, **options)

    def gradient(self, **options):
        """Of the mean square of the outputs, in all parameters."""

        def loss(net):
            return jnp.mean(self.run(net, **options) ** 2)

        if self.host is Nnx:
            return jax.tree.leaves(nnx.jit(nnx.grad(loss))(self.net))
        if self.host is Linen:
            rngs = {"spikes": jax.random.key(self.seed)}
            return jax.tree.leaves(jax.jit(jax.grad(lambda v: loss(self.net.bind(v, rngs=rngs))))(self.variables))
        params = self.net.states(brainstate.ParamState)
        f = brainstate.transform.grad(lambda: jnp.mean(self(**options) ** 2), params)
        return jax.tree.leaves(brainstate.transform.jit(f)())


def neuron(layers, activation):
    return [layers.LIF(3, decay=0.0, reset="none", spike_fn=activation())]


XS = jnp.full((40, 50, 3), 1.1)  # 6000 values at 0.1 above threshold
P = 1 / (1 + np.exp(-0.4))


IN_BLOCKS = [{}, {"block_size": 4}, {"block_size": 8, "remat": "full"}]


@pytest.mark.parametrize(("host", "options"), each_value_once(OF_VARIABLES, IN_BLOCKS), ids=label)
def test_each_value_at_each_step_is_drawn_by_itself(host, options):
    ys = np.asarray(Drawing(host, neuron, XS)(**options))
    assert set(np.unique(ys)) == {0, 1}
    assert z_of(ys.ravel(), P) < Z
    for lag in (1, 4, 8):  # from step to step, and from block to block
        assert z_of(((ys[lag:] - P) * (ys[:-lag] - P)).ravel(), 0) < Z
    assert z_of(((ys[:, 1:] - P) * (ys[:, :-1] - P)).ravel(), 0) < Z
    assert z_of(((ys[..., 1:] - P) * (ys[..., :-1] - P)).ravel(), 0) < Z


@every_host
def test_a_seed_tells_the_spikes_and_a_call_draws_anew(host):
    first, again, other = (Drawing(host, neuron, XS, seed)() for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)
    drawing = Drawing(host, neuron, XS)
    assert np.any(drawing() != drawing()) != (host is Linen)  # there it is the key that is given


@every_host
def test_two_layers_draw_apart(host):
    def make(layers, activation):
        return [lambda xs: xs - 1, activation(), lambda s: 0.2 * s - 0.1, activation()]

    ys, xs = (np.asarray(Drawing(host, each, XS)()) for each in (make, lambda *of: make(*of)[:2]))
    p = 1 / (1 + np.exp(-0.4 * (2 * xs - 1)))
    assert z_of(((ys - p) * (xs - P)).ravel(), 0) < Z


FIRING = [kind for kind in EXPORTED if spike_fields(kind)]
FIRING = [None, *all_but([bs.neurons.LIF, bs.neurons.SlidingPSN], FIRING, pytest.mark.slow)]  # None: by itself


@pytest.mark.parametrize(("host", "kind"), each_value_once(OF_VARIABLES, FIRING), ids=label)
def test_in_evaluation_it_is_the_threshold(host, kind):
    def make(layers, activation):
        return [layers.layer(kind)(3, **{spike_fields(kind)[0]: activation()}) if kind else activation()]

    scale = {bs.neurons.AdEx: 1, bs.neurons.Izhikevich: 4}.get(kind, 1 / 16)
    xs = scale * jnp.asarray(np.random.default_rng(0).integers(-8, 12, (20, 2, 3)), jnp.float32)
    drawing = Drawing(host, make, xs)
    (plain,) = make(bs.nnx, lambda: bs.nnx.SpikingActivation(F))
    expected = plain(plain.initialize_carry((2, 3)), xs)[1] if kind else plain(xs)
    np.testing.assert_array_equal(drawing(training=False), expected)
    np.testing.assert_array_equal(drawing(training=False, block_size=5), expected)
    assert np.any(drawing() != expected)  # and on again


def test_each_framework_asks_for_what_dropout_asks_for():
    with pytest.raises(KeyError, match="fit"):
        bs.brainstate.SpikingActivation(F, random=True)(jnp.zeros(3))
    with pytest.raises(InvalidRngError, match="needs PRNG for"):
        bs.linen.SpikingActivation(F, random=True).apply({}, jnp.zeros(3))


@every_host
@pytest.mark.parametrize("options", [{"learnable": "width"}, {"learnable": ("alpha", "height")}])
def test_a_trained_height_or_width_is_refused(host, options):
    make = host.layers.SpikingActivation
    with pytest.raises(ValueError, match="random=True"):
        make(F.scaled(), random=True, **options)
    make(F.scaled(), **options)


@pytest.mark.slow
@every_host
def test_recomputed_blocks_draw_the_same_spikes(host):
    """The gradient is that of the spikes that were drawn: in the loss each weighs by its potential."""
    xs = jnp.asarray(np.random.default_rng(0).uniform(0, 2, (12, 3, 4)), jnp.float32)

    def make(layers, activation):
        act = activation(learnable="alpha")
        return [layers.LIF(4, spike_fn=act, learnable=("decay", "threshold")), layers.LI(4)]

    first, second = (Drawing(host, make, xs).gradient(block_size=4, remat=remat) for remat in ("none", "full"))
    size = max(np.abs(leaf).max() for leaf in first)
    assert size > 1e-3
    assert_close(second, first, 12 * 16, scale=size)


def test_diagnose_draws_anew_at_each_step():
    lif = bs.nnx.LIF(3, decay=0.0, reset="none", spike_fn=bs.nnx.SpikingActivation(F, random=True, rngs=nnx.Rngs(0)))

    def loss_fn(lif):
        return lif(lif.initialize_carry((1, 3)), jnp.full((200, 1, 3), 1.1))[1].mean()

    report = bs.nnx.diagnose(lif, loss_fn)["LIF"]
    assert abs(report.rate - P) < Z * np.sqrt(P * (1 - P) / 600)
    assert report.silent == 0


def test_a_view_of_nnx_is_in_evaluation():
    act, x = bs.nnx.SpikingActivation(F, random=True, rngs=nnx.Rngs(spikes=0)), jnp.linspace(-1, 1, 64)
    np.testing.assert_array_equal(nnx.view(act, deterministic=True)(x), F(x))
    assert np.any(act(x) != F(x))
