"""A network that is not differentiated, or very long, runs in blocks of time, where that changes no result."""

from functools import partial

import brainstate
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import each_value_once, label
from close import assert_close, assert_equal
from flax import linen, nnx
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import brainsurr as bs
from brainsurr._context import setting
from brainsurr._time import guard, in_blocks
from tools.frameworks import HOSTS, Nnx

# Inputs, weights and decays are small multiples of a power of two, so no sum of the forward pass is rounded, in any
# order. A gradient is a sum over time and batch, and in each step over the features of three layers.
T, BATCH, FEATURES = 200, 32, 16
GRADIENT = T * BATCH + 3 * T * FEATURES
WHOLE = 4 * T * BATCH * FEATURES  # bytes of the spikes of a layer
pytestmark = pytest.mark.usefixtures("lenient")


def made(host, *extra, **options):
    """Return a network as a pure function of parameters and inputs, with its arguments."""
    layers, rngs = host.layers, nnx.Rngs(0)
    dense = partial(host.dense, FEATURES, FEATURES, rngs)
    lif = partial(layers.LIF, FEATURES, decay=0.5)
    net = layers.SpikingSequential([dense(), lif(), *extra, dense(), lif(), dense()], **options)
    pure, xs = host.pure(net, (BATCH, FEATURES)), np.random.default_rng(0).integers(0, 2, (T, BATCH, FEATURES))
    params = jax.tree.map(lambda p: jnp.round(8 * p) / 8, pure.params)
    return partial(call, pure), params, jnp.asarray(xs, jnp.float32)


def call(pure, params, xs):
    return pure.run(params, pure.start(xs.shape[1:]), xs)


def layer_by_layer(run):
    def whole(*args):
        with setting(guard.running, guard.WHOLE):
            return run(*args)

    return whole


WAYS = [{}, {"events": True}, {"return_spikes": True}]


def memory(run, *args):
    return jax.jit(run).lower(*args).compile().memory_analysis().temp_size_in_bytes


def test_a_function_of_each_step_runs_in_blocks():
    assert memory(*made(Nnx, lambda xs: jax.nn.relu(xs) / 2)) < WHOLE


@pytest.mark.parametrize(("host", "options"), each_value_once(HOSTS, WAYS), ids=label)
def test_activations_of_a_block_are_all_that_is_kept(host, options):
    run, *args = made(host, **options)
    compiled = jax.jit(run).lower(*args).compile()
    kept = len(jax.tree.leaves(jax.eval_shape(run, *args)[1]))
    assert compiled.memory_analysis().temp_size_in_bytes < kept * WHOLE
    assert_equal(compiled(*args), jax.jit(layer_by_layer(run))(*args))


def loss(run, params, xs):
    return jnp.mean(run(params, xs)[1] ** 2)


def gradient(run):
    return jax.grad(partial(loss, run), (0, 1))


def forward(run):
    return lambda params, xs: jax.jvp(partial(loss, run), (params, xs), (params, xs))


def second(run):
    return lambda params, xs: jax.jvp(lambda params: jax.grad(partial(loss, run))(params, xs), (params,), (params,))


def of_a_compiled_call(run):
    return gradient(jax.jit(run))


def of_the_inputs_alone(run):
    return jax.grad(partial(loss, run), 1)


def exported_for_any_batch(run):
    def call(params, xs):
        shapes = params, jax.ShapeDtypeStruct(jax.export.symbolic_shape(f"{T}, batch, {FEATURES}"), xs.dtype)
        return jax.export.export(jax.jit(run))(*shapes).call(params, xs)

    return call


def of_any_batch(run):
    return exported_for_any_batch(gradient(run))


DERIVATIVES = [gradient, forward, second, of_a_compiled_call, of_the_inputs_alone, of_any_batch]


@pytest.fixture
def one_device(monkeypatch):
    """Let the networks of this file count as very long ones on a single device."""
    monkeypatch.setattr(jax, "local_device_count", lambda: 1)
    monkeypatch.setattr(in_blocks, "_MANY", T * BATCH)
    monkeypatch.setattr(in_blocks, "fits_in_a_cache", lambda xs: False)


@pytest.mark.parametrize(("derivative", "host"), each_value_once(DERIVATIVES, HOSTS), ids=label)
@pytest.mark.parametrize("length", ["short", "long"])
def test_derivatives_are_those_of_whole_layers(derivative, host, length, request):
    if length == "long":
        request.getfixturevalue("one_device")
    run, *args = made(host)
    got, wanted = (jax.jit(derivative(f))(*args) for f in (run, layer_by_layer(run)))
    assert_close(got, wanted, 3 * GRADIENT)


def gradient_memory(run, *args):
    return memory(gradient(run), *args)


def test_the_gradient_of_a_long_network_stores_one_block(one_device, monkeypatch):
    run, params, xs = made(Nnx)
    # All outputs and their gradients are stored, but no activation.
    assert gradient_memory(run, params, xs) < 3 * WHOLE < gradient_memory(run, params, xs[:-1])
    monkeypatch.setattr(jax, "local_device_count", lambda: 2)
    assert gradient_memory(run, params, xs) > 3 * WHOLE


def convolve(xs):
    return jax.lax.conv_general_dilated(xs, jnp.ones((BATCH, 1, 1)), (1,), "SAME", feature_group_count=BATCH)


def in_half_precision(xs):
    return xs.astype(jnp.bfloat16).astype(xs.dtype)


@jax.custom_vjp
def normalise_gradient(xs):
    return xs


normalise_gradient.defvjp(lambda xs: (xs, None), lambda _, g: (g / jnp.linalg.norm(g),))


@jax.custom_jvp
def normalise_tangent(xs):
    return xs


normalise_tangent.defjvp(lambda primals, tangents: (primals[0], tangents[0] / jnp.sum(primals[0] ** 2)))


CHANGED = [convolve, in_half_precision, normalise_gradient, normalise_tangent]


@pytest.mark.parametrize("layer", [*CHANGED, jax.nn.relu])
def test_a_gradient_that_blocks_would_change_or_slow_down(layer, one_device):
    """And one that they would not, which runs in blocks."""
    assert (gradient_memory(*made(Nnx, layer)) < 3 * WHOLE) == (layer is jax.nn.relu)


def each_of_two(run):
    return lambda params, xs: jax.vmap(run)(jax.tree.map(lambda p: jnp.stack([p, p / 2]), params), jnp.stack([xs, xs]))


def exported(run):
    return lambda *args: jax.export.export(jax.jit(run))(*args).call(*args)


@pytest.mark.parametrize("transformed", [each_of_two, exported, exported_for_any_batch])
def test_transformations(transformed, one_device):
    run, *args = made(Nnx)
    assert_equal(jax.jit(transformed(run))(*args), jax.jit(transformed(layer_by_layer(run)))(*args))


def test_a_sharded_batch_stays_where_it_is():
    run, params, xs = made(Nnx)
    mesh = jax.make_mesh((4,), ("batch",), axis_types=(AxisType.Auto,), devices=jax.devices()[:4])
    sharded = jax.device_put(xs, NamedSharding(mesh, PartitionSpec(None, "batch")))
    compiled = jax.jit(run).lower(params, sharded).compile()
    assert "all-gather" not in compiled.as_text()
    assert_equal(compiled(params, sharded), jax.jit(run)(params, xs))


def centred(xs):
    return xs - jnp.round(xs.mean(0))


def in_its_place(xs):
    return xs * (jnp.arange(len(xs)) % 7 > 0)[:, None, None]


class Backwards(bs.neurons.Neuron):
    """A neuron of the user, whose output depends on later steps."""

    def initial_state(self, x):
        return x

    def over_time(self, state, xs):
        return xs[-1], jnp.cumsum(xs[::-1], 0)[::-1]


class Ranked(nnx.Module):
    """A layer of the user, whose state holds a maximum over the block."""

    def initialize_carry(self, shape, rngs=None):
        return jnp.zeros(shape)

    def __call__(self, carry, xs):
        return jnp.maximum(carry, xs.max(0)), xs * (xs >= xs.max())


MIXING = [
    *((host, lambda host: centred) for host in HOSTS),
    (Nnx, lambda host: in_its_place),
    (Nnx, lambda host: lambda xs: xs / len(xs)),
    (Nnx, lambda host: lambda xs: xs * (len(xs) > T / 2)),
    (Nnx, lambda host: Ranked()),
    (Nnx, lambda host: host.layers.layer(Backwards)(FEATURES)),
]


@pytest.mark.parametrize(("host", "make"), MIXING)
def test_a_layer_that_mixes_time_steps_sees_all(host, make):
    run, *args = made(host, make(host))
    assert_equal(jax.jit(run)(*args), jax.jit(layer_by_layer(run))(*args))


def test_an_error_of_our_own_is_not_hidden(monkeypatch):
    run, *args = made(Nnx)
    monkeypatch.setattr(in_blocks, "unroll_blocks", lambda *args: args.missing)
    with pytest.raises(AttributeError, match="missing"):
        jax.jit(run)(*args)


@pytest.mark.parametrize(("last", "dtype"), [(lambda xs: xs.sum(0), jnp.float32), (jnp.abs, jnp.int32)])
def test_the_last_layer_may_reduce_time_and_a_carry_change_its_dtype(last, dtype):
    net, xs = bs.nnx.SpikingSequential([bs.nnx.LIF(FEATURES), last]), made(Nnx)[2]
    carry = (jnp.zeros((BATCH, FEATURES), dtype), None)
    assert_equal(jax.jit(lambda xs: net(carry, xs))(xs), net(carry, xs))


class Doubled(bs.linen.SpikingSequential):
    """A subclass of the user."""

    def __call__(self, carry, xs):
        carry, ys = super().__call__(carry, 2 * xs)
        return carry, ys + 1


class Noisy(linen.Module):
    """A layer that draws if there is a key."""

    @linen.compact
    def __call__(self, xs):
        return xs + jax.random.bernoulli(self.make_rng("noise"), 0.5, xs.shape) if self.has_rng("noise") else xs


def test_linen_calls_a_subclass_once_and_passes_on_keys():
    net, xs = Doubled([bs.linen.LIF(FEATURES), Noisy()]), made(Nnx)[2]
    carry = net.initialize_carry(jax.random.key(0), xs.shape[1:])
    for rngs in ({}, {"noise": jax.random.key(1)}):
        assert_equal(
            jax.jit(lambda xs, rngs=rngs: net.apply({}, carry, xs, rngs=rngs))(xs), net.apply({}, carry, xs, rngs=rngs)
        )


def of_nnx(xs):
    rngs = nnx.Rngs(0)
    norm, drop = nnx.BatchNorm(FEATURES, rngs=rngs), nnx.Dropout(0.5, rngs=rngs)
    net = bs.nnx.SpikingSequential([norm, drop, bs.nnx.LIF(FEATURES)])
    run = nnx.jit(lambda net, xs: net(net.initialize_carry(xs.shape[1:]), xs)[1])
    return run(net, xs), norm.mean[...]


def of_linen(xs):
    norm, drop = linen.BatchNorm(use_running_average=False), linen.Dropout(0.5, deterministic=False)
    net = bs.linen.SpikingSequential([norm, drop, bs.linen.LIF(FEATURES)])
    carry = net.initialize_carry(jax.random.key(0), xs.shape[1:])
    rngs = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
    variables = net.init(rngs, carry, xs)
    return jax.jit(lambda xs: net.apply(variables, carry, xs, rngs=rngs, mutable=["batch_stats"]))(xs)


def of_brainstate(xs):
    brainstate.random.seed(0)
    net = bs.brainstate.SpikingSequential([brainstate.nn.Dropout(0.5), bs.brainstate.LIF(FEATURES)])
    net.init_state(BATCH)
    with brainstate.environ.context(fit=True):
        return brainstate.transform.jit(net.update)(xs)


def captured_by_nnx(xs):
    net = bs.nnx.SpikingSequential([nnx.Linear(FEATURES, 2, rngs=nnx.Rngs(0)), bs.nnx.LIF(2)])
    carry = net.initialize_carry(xs.shape[1:])
    capture = getattr(nnx, "capture", lambda net, *_, **__: net)  # not in an older flax

    @nnx.jit
    def run(net, xs):
        return capture(net, nnx.Intermediate, method_outputs=nnx.Intermediate)(carry, xs)

    return run(net, xs)


@pytest.mark.parametrize("run", [of_nnx, of_linen, of_brainstate, captured_by_nnx])
def test_what_draws_random_numbers_or_writes_a_state_runs_once(run):
    xs = made(Nnx)[2]
    assert_equal(run(xs), layer_by_layer(run)(xs))
