"""What a program says of time and batch, layer by layer, against what a trial of the layer shows."""

import brainstate
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import brainsurr as bs
from brainsurr._dataflow.axes import BATCH, TIME, mixing
from brainsurr._time import guard

T, B, F = 6, 4, 8
SHAPE, IMAGES = (T, B, F), (T, B, 8, 8, 2)
W = jnp.asarray(np.random.default_rng(0).normal(size=(F, F)), jnp.float32)
K = jnp.asarray(np.random.default_rng(0).normal(size=(3, 3, 2, 5)), jnp.float32)
KEY = jax.random.key(0)
pytestmark = pytest.mark.usefixtures("lenient")


def conv(xs, stride=1):
    flat = xs.reshape(-1, *xs.shape[2:])
    ys = jax.lax.conv_general_dilated(flat, K, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    return ys.reshape(*xs.shape[:2], *ys.shape[1:])


def conv_over_the_batch(window):
    kernel = jnp.ones((window, F, F))
    return lambda xs: jax.lax.conv_general_dilated(xs, kernel, (1,), "SAME", dimension_numbers=("NWC", "WIO", "NWC"))


def pooled(xs):
    return nnx.max_pool(xs, (2, 2), (2, 2))


def attention_in_time(xs):
    xs = xs.swapaxes(0, 1)
    return (jax.nn.softmax(xs @ xs.swapaxes(1, 2)) @ xs).swapaxes(0, 1)


def attention_of_parts(xs):
    parts = xs.reshape(*xs.shape[:-1], 2, 4)
    return jnp.einsum("tbpq,tbqd->tbpd", jax.nn.softmax(jnp.einsum("tbpd,tbqd->tbpq", parts, parts)), parts)


def rnn_over(axis):
    def layer(xs):
        step = lambda c, x: ((c := jnp.tanh(c + x)), c)  # noqa: E731
        xs = jnp.moveaxis(xs, axis, 0)
        return jnp.moveaxis(jax.lax.scan(step, jnp.zeros_like(xs[0]), xs)[1], 0, axis)

    return layer


def loop_over_features(xs):
    return jax.lax.fori_loop(0, 3, lambda i, c: jnp.tanh(c @ W) + i, xs)


def halved_until_small(xs):
    return jax.lax.while_loop(lambda xs: jnp.abs(xs).max() > 1, lambda xs: xs / 2, xs)


def halved_each(xs):
    """Of each example: a loop that goes on until the last is done."""
    return jax.vmap(jax.vmap(halved_until_small))(3 * xs)


def halved_until_all_are(xs):
    """The same by hand: what is small is kept."""
    large = lambda xs: jnp.abs(xs).max(-1, keepdims=True) > 1  # noqa: E731
    return jax.lax.while_loop(lambda xs: large(xs).any(), lambda xs: jnp.where(large(xs), xs / 2, xs), xs)


def branch(xs):
    return jax.lax.cond(xs.sum() > 0, jnp.tanh, jnp.sin, xs)


def mask(*shape):
    return lambda xs: xs * jax.random.bernoulli(KEY, 0.5, shape or xs.shape)


@jax.custom_vjp
def own_rule(xs):
    return jnp.sin(xs)


own_rule.defvjp(lambda xs: (jnp.sin(xs), xs), lambda xs, g: (g * jnp.cos(xs),))

X, O = True, False  # mixes, and does not  # noqa: E741
# Of [time, batch, features]: whether it mixes time, and batch.
LAYERS = {
    "relu": (jax.nn.relu, O, O),
    "surrogate": (bs.Arctan(2.0), O, O),
    "own rule": (own_rule, O, O),
    "jit": (jax.jit(jnp.tanh), O, O),
    "product": (lambda xs: xs @ W, O, O),
    "layer norm": (lambda xs: (xs - xs.mean(-1, keepdims=True)) / xs.std(-1, keepdims=True), O, O),
    "top k": (lambda xs: jax.lax.top_k(xs, 3)[0], O, O),
    "twice": (lambda xs: jnp.concatenate([xs, -xs], -1), O, O),
    "padded": (lambda xs: jnp.pad(xs, ((0, 0), (0, 0), (1, 1))), O, O),
    "a part that is not known": (lambda xs: jax.lax.dynamic_slice_in_dim(xs, jnp.argmax(W[0]), 3, -1), O, O),
    "taken along": (lambda xs: jnp.take_along_axis(xs, jnp.argsort(xs, -1), -1), O, O),
    "looked up": (lambda xs: W[(xs > 0).astype(int)].sum(-1), O, O),
    "groups in rows": (lambda xs: jax.nn.softmax(xs.reshape(-1, 2, 4), 1).reshape(xs.shape), O, O),
    "attention of parts": (attention_of_parts, O, O),
    "features in a loop": (loop_over_features, O, O),
    "drawn": (mask(), O, O),
    "a weight of each example": (lambda xs: xs * jnp.arange(1.0, B + 1)[:, None], O, O),
    "any step": (lambda xs: jnp.take(xs, jnp.arange(T), 0), O, O),
    "padded and cut": (lambda xs: jnp.pad(xs, ((2, 1), (1, 1), (0, 0)))[2:-1, 1:-1], O, O),
    "groups of two steps": (lambda xs: xs.reshape(-1, 2, B, F).swapaxes(0, 1).swapaxes(0, 1).reshape(xs.shape), O, O),
    "not used": (lambda xs: (xs - xs.mean(), xs)[1], O, O),
    "each halved until small": (halved_each, O, O),
    "halved until all are": (halved_until_all_are, O, O),
    "window of one": (conv_over_the_batch(1), O, O),
    # Time.
    "centred in time": (lambda xs: xs - xs.mean(0), X, O),
    "cumsum": (lambda xs: jnp.cumsum(xs, 0), X, O),
    "turned around": (jnp.flipud, X, O),
    "last step": (lambda xs: xs * jax.lax.slice_in_dim(xs, -1, None), X, O),  # jax 0.8 looks up xs[-1], as "any step"
    "far away": (lambda xs: jnp.where(xs.max(0) > 1e9, 0.0, xs), X, O),  # which no trial sees
    "attention in time": (attention_in_time, X, O),
    "recurrent": (rnn_over(0), X, O),
    "place in time": (lambda xs: xs + jnp.arange(T, dtype=xs.dtype)[:, None, None], X, O),
    "sample and hold": (lambda xs: jnp.repeat(jax.lax.slice_in_dim(xs, 0, None, 2), 2, 0), X, O),
    "sum by a loop": (lambda xs: xs + jax.lax.scan(lambda c, x: (c + x, None), jnp.zeros((B, F)), xs)[0], X, O),
    "all other steps": (lambda xs: (xs[:, None] - xs).transpose(0, 2, 1, 3).reshape(T, B, -1), X, O),
    "spectrum": (lambda xs: jnp.abs(jnp.fft.fft(xs, axis=0)), X, O),
    # Batch.
    "convolution over the batch": (conv_over_the_batch(3), O, X),
    "recurrent over the batch": (rnn_over(1), O, X),
    "batch as features": (lambda xs: jnp.einsum("tbf,bc->tcf", xs, W[:B, :B]), O, X),
    # Both.
    "centred": (lambda xs: xs - xs.mean(), X, X),
    "centred and fading": (lambda xs: (xs - xs.mean(1, keepdims=True)) * jnp.linspace(0, 1, T)[:, None, None], X, X),
    "rows centred": (lambda xs: (xs.reshape(-1, F) - xs.reshape(-1, F).mean(0)).reshape(xs.shape), X, X),
    "two rows": (lambda xs: jax.nn.softmax(xs.reshape(-1, 2, F), 1).reshape(xs.shape), O, X),
    "halved until small": (halved_until_small, X, X),
    "branch": (branch, X, X),
}
# Where the program does not tell: loops over an axis, numbers that differ by the place, operations without a rule.
OF_BOTH = {"spectrum", "halved until small", "halved until all are", "taken along", "looked up", "any step"}
OF_BOTH |= {"a part that is not known", "twice", "padded", "padded and cut", "turned around"}
OF_TIME = {"sum by a loop", "recurrent", "place in time"}
OF_BATCH = {"recurrent over the batch", "a weight of each example"}
NOT_KNOWN = {TIME: OF_BOTH | OF_TIME | {"centred and fading"}, BATCH: OF_BOTH | OF_BATCH}
UNSEEN_BY_A_TRIAL = {"far away", "branch", "halved until small"}


def read(layer, shape=SHAPE):
    program = jax.make_jaxpr(layer)(jax.ShapeDtypeStruct(shape, jnp.float32))
    return {axis: mixing(program, shape, axis)[0] for axis in (TIME, BATCH)}


@pytest.mark.parametrize("name", LAYERS)
def test_a_program_tells_what_mixes(name):
    layer, *mixes = LAYERS[name]
    expected = zip((TIME, BATCH), mixes, strict=True)
    assert read(layer) == {axis: None if name in NOT_KNOWN[axis] else is_so for axis, is_so in expected}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(LAYERS.keys() - UNSEEN_BY_A_TRIAL))
def test_a_trial_shows_the_same(name):
    layer, *expected = LAYERS[name]
    shown = guard._tried(layer, SHAPE, jnp.float32, [TIME, BATCH])
    assert list(shown.values()) == expected


def test_outputs_of_other_places_and_sizes():
    """Two axes of one size change places, or one has another size; what is no function of the input has a place too."""
    square = (B, B, F)
    assert read(lambda xs: jnp.swapaxes(xs, 0, 1), square) == {TIME: True, BATCH: True}
    assert read(lambda xs: xs[:, :2]) == {TIME: False, BATCH: False}
    assert read(lambda xs: xs[:, 1:] + xs[:, :-1]) == {TIME: False, BATCH: True}
    assert read(lambda xs: jnp.broadcast_to(jnp.arange(T)[:, None, None], xs.shape)) == {TIME: None, BATCH: False}


@pytest.mark.parametrize(
    ("layer", "is_moved"),
    [
        (lambda xs: xs.reshape(-1, F), True),
        (lambda xs: xs.mean(0), True),
        (lambda xs: jnp.swapaxes(xs, 0, 1), True),
        (lambda xs: xs[::2], False),
        (lambda xs: jnp.repeat(xs, 2, 1), False),
        (lambda xs: xs.sum(), False),
        (lambda xs: jnp.zeros((B, F)), False),
    ],
)
def test_examples_where_time_was_are_seen(layer, is_moved):
    program = jax.make_jaxpr(layer)(jax.ShapeDtypeStruct(SHAPE, jnp.float32))
    assert mixing(program, SHAPE, BATCH)[1] == is_moved


PICTURES = {
    "convolution": (conv, O, O),
    "max-pool": (pooled, O, O),
    "flattened": (lambda xs: xs.reshape(*xs.shape[:2], -1), O, O),
    "flattened with the batch": (lambda xs: xs.reshape(len(xs), -1), O, X),
    "rows as a sequence": (lambda xs: jnp.cumsum(xs.reshape(T * B, 64, 2), 1).reshape(xs.shape), O, O),
    "resized": (lambda xs: jax.image.resize(xs, (T, B, 4, 4, 2), "bilinear"), O, O),
    "transposed": (lambda xs: nnx.ConvTranspose(2, 3, (3, 3), strides=2, rngs=nnx.Rngs(0))(xs), O, O),
    "a batch of channels": (lambda xs: jnp.swapaxes(conv(jnp.swapaxes(xs, 1, 2)), 1, 2), O, X),
}


@pytest.mark.parametrize("name", PICTURES)
def test_of_pictures(name):
    layer, time, batch = PICTURES[name]
    said = read(layer, IMAGES)
    assert tuple(said.values()) == (time, batch)


MODULES = {
    "linear": lambda: nnx.Linear(F, 3, rngs=nnx.Rngs(0)),
    "layer norm": lambda: nnx.LayerNorm(F, rngs=nnx.Rngs(0)),
    "group norm": lambda: nnx.GroupNorm(F, num_groups=2, reduction_axes=(-1,), rngs=nnx.Rngs(0)),
    "batch norm": lambda: nnx.BatchNorm(F, use_running_average=True, rngs=nnx.Rngs(0)),
    "brainstate linear": lambda: brainstate.nn.Linear(F, 3),
}


@pytest.mark.parametrize("name", MODULES)
def test_layers_of_frameworks_are_known(name):
    module = MODULES[name]()
    assert read(module) == {TIME: False, BATCH: False}


@pytest.mark.parametrize("are_spikes", [False, True])
def test_products_that_follow_events(are_spikes):
    from brainsurr import events

    dot = events.functions(are_spikes)["dot_general"]
    layer = lambda xs: dot(xs, W, (((2,), (0,)), ((), ())))  # noqa: E731
    assert "events_product" in str(jax.make_jaxpr(layer)(jnp.ones(SHAPE)))
    assert read(layer) == {TIME: False, BATCH: False}
    assert read(lambda xs: layer(xs.transpose(0, 2, 1).reshape(T, B, F)))[BATCH] is not False
