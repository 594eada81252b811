"""`check_gradients` finds a step without a surrogate however it is written, and lets be what only chooses or masks."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from asked import line_of
from flax import nnx

import brainsurr as bs
from brainsurr._dataflow.derivatives import steps
from brainsurr._gradients.program import step_line

N = 4
RNG = np.random.default_rng(0)
XS = jnp.asarray(RNG.normal(size=(5, 3, N)), jnp.float32)
W, U = (jnp.asarray(RNG.normal(size=(N, N)), jnp.float32) for _ in range(2))
PARAMS = {"w": W, "u": U, "t": jnp.full(N, 0.3)}
MASK = jnp.asarray(RNG.random((N, N)) > 0.5, jnp.float32)
F = bs.Arctan(2.0)
pytestmark = pytest.mark.usefixtures("lenient")


def found(loss, params=PARAMS):
    return steps(jax.make_jaxpr(loss)(params), step_line)


def one(*args):
    return jnp.ones(*args)


def a_loop_of_branches(h):
    return jax.lax.map(lambda a: jax.lax.cond(a >= 0, lambda: 1.0, lambda: 0.0), h.ravel()).reshape(h.shape)


def counted(h):
    def count(a):
        return jax.lax.while_loop(lambda c: c < a, lambda c: c + 1.0, 0.0)

    return jnp.vectorize(count)(h)


STEPS = {
    "turns of a loop": counted,
    "astype": lambda h: (h >= 0).astype(h.dtype),
    "where": lambda h: jnp.where(h >= 0, 1.0, 0.0),
    "heaviside": lambda h: jnp.heaviside(h, 1.0),
    "cond in a loop": a_loop_of_branches,
    "clip of round": lambda h: jnp.clip(jnp.round(h), 0, 1),
    "floor divide": lambda h: h // 0.25,
    "sign": jnp.sign,
    "one-hot of argmax": lambda h: jax.nn.one_hot(jnp.argmax(h, -1), N),
    "searchsorted": lambda h: jnp.searchsorted(jnp.array([0.0]), h).astype(h.dtype),
    "table": lambda h: jnp.array([0.0, 1.0])[(h >= 0).astype(int)],
    "checkpoint": jax.checkpoint(lambda h: jnp.where(h >= 0, 1.0, 0.0)),
    "drawn, compared": lambda h: (jax.random.uniform(jax.random.key(0), h.shape) < jax.nn.sigmoid(h)) * 1.0,
    "next number": lambda h: jax.lax.nextafter(jnp.full_like(h, 0.5), h),
}


def of_a_loop(step):
    """A neuron whose membrane reaches the loss, and its step the membrane alone."""

    def loss(p):
        def advance(v, x):
            v = 0.9 * v + x
            return v - step(v - 1), v

        return jnp.sum(jax.lax.scan(advance, jnp.zeros((3, N)), XS @ p["w"])[1])

    return loss


def recurrent(step):
    def loss(p):
        def advance(carry, x):
            v, s = carry
            v = 0.9 * v + x + s @ p["u"]
            return (v, step(v - 1)), v

        start = jnp.zeros((3, N)), jnp.zeros((3, N))
        return jnp.sum(jax.lax.scan(advance, start, XS @ p["w"])[1])

    return loss


def masked(step):
    """Recurrent weights with a mask, made outside of the loop."""

    def loss(p):
        u = p["u"] * MASK
        return recurrent(step)(p | {"u": u})

    return loss


def beside(step):
    def loss(p):
        h = XS[0] @ p["w"]
        return jnp.mean((h + step(h)) ** 2)

    return loss


def before_weights(step):
    def loss(p):
        h = XS[0] @ p["w"]
        return jnp.mean((step(h) @ p["u"]) ** 2) + jnp.mean(h**2)

    return loss


def in_the_loss(step):
    """A penalty of the rate."""

    def loss(p):
        h = XS[0] @ p["w"]
        return jnp.mean(h**2) + 0.1 * jnp.mean(step(h))

    return loss


PLACES = [of_a_loop, recurrent, masked, beside, before_weights, in_the_loss]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
@pytest.mark.parametrize("step", STEPS)
def test_a_step_is_found(step, place):
    assert found(place(STEPS[step]))


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
@pytest.mark.parametrize("f", [F, jax.nn.relu, jnp.tanh, lambda h: h * (h > 0.3), lambda h: jnp.where(h > 0, h, 0)])
def test_a_surrogate_in_its_place_is_not(f, place):
    assert not found(place(f))


def with_signs(h):
    return jnp.concatenate([h, jnp.sign(h)], -1)


def convolved(h, p):
    return jax.lax.conv(h[:, None], p["u"][:, None], (1,), "SAME")[:, 0]


def of_the_same_numbers(h, p):
    wave = jnp.cos(jnp.arange(N).astype(h.dtype))
    return jnp.round(p["t"] * wave) * (p["u"][0] * wave) + h


CHOICES = {
    "where of weights": lambda h, p: jnp.where(h > 0, p["u"][0], 0.0) + h,
    "one branch": lambda h, p: jax.lax.cond(h.sum() > 0, lambda: p["u"], lambda: 0 * p["u"]) + h[:1],
    "gate of another layer": lambda h, p: jnp.tanh(h) * (XS[0] @ p["u"] > 0),
    "tied weights": lambda h, p: (h > 0).astype(float) @ p["w"].T + h,
    "times a parameter": lambda h, p: (h > 0) * p["t"] + h,
    "weights that are signs": lambda h, p: jnp.tanh(h) @ jnp.sign(p["u"]),
    "in a slot of a buffer": lambda h, p: jnp.stack([h, h]).at[1].set(jnp.sign(h)).sum(0),
    "in a running sum": lambda h, p: jnp.cumsum(with_signs(h), -1)[:, N:],
    "in a product": lambda h, p: (with_signs(h) @ jnp.tile(p["u"], (2, 1)))[:, :1],
    "in a product by events": lambda h, p: bs.events.dot(with_signs(h), jnp.tile(p["u"], (2, 1)))[:, :1],
    "in a convolution": lambda h, p: convolved(with_signs(h), p)[:, :1],
    "beside a product by events": lambda h, p: (h > 0) * bs.events.dot(h, p["u"]),
    "chosen by a step": lambda h, p: jnp.where(h > p["t"], p["t"], 0.0) + h,
    "gate of another parameter": lambda h, p: p["t"] * (p["u"][0] > 0) + h,
    "of the same numbers": of_the_same_numbers,
    "gate by another product": lambda h, p: jnp.where(h @ W > 1, h @ U, 0.0),
    "gate of a gated product": lambda h, p: jnp.where(h @ W > 0, h @ W, 0.0) * (h > 0),
    "count": lambda h, p: jnp.where(h > 0, 1.0, 0.0).sum() * F(h).sum(),
    "count, written twice": lambda h, p: jnp.where(XS[0] @ p["w"] > 0, 1.0, 0.0).sum() * F(XS[0] @ p["w"]).sum(),
    "count, times a sine": lambda h, p: jnp.where(h > 0, 1.0, 0.0).sum() * jnp.sin(XS[0] @ p["w"]).sum(),
    "count along an axis": lambda h, p: (h > 0).sum(-1, keepdims=True) * h,
    "reversed": lambda h, p: (h > 0)[:, ::-1] * h,
    "averaged over a window": lambda h, p: nnx.avg_pool((h > 0)[..., None] * 1.0, (2,), padding="SAME")[..., 0] * h,
    "running count": lambda h, p: jnp.cumsum(h > 0, -1) * h,
    "inhibited by a product": lambda h, p: h * (1 - (h > 0) @ W),
}


@pytest.mark.parametrize("step", CHOICES)
def test_a_step_between_other_values_is_found(step):
    assert found(lambda p: jnp.mean(CHOICES[step](XS[0] @ p["w"], p)))


def quantised(h):
    return h + jax.lax.stop_gradient(jnp.round(h) - h)


@jax.custom_vjp
def own_rule(h):
    return jnp.sign(h)


own_rule.defvjp(lambda h: (jnp.sign(h), None), lambda _, g: (g,))


def picked(h):
    return jnp.take_along_axis(h, jnp.argmax(h, -1, keepdims=True), -1) * one(N)


def likelihood(h):
    draw = jax.random.bernoulli(jax.random.key(0), jax.nn.sigmoid(h)).astype(h.dtype)
    return draw * jax.nn.log_sigmoid(h) + (1 - draw) * jax.nn.log_sigmoid(-h)


def refractory(h):
    def advance(carry, x):
        v, left = carry
        v = jnp.where(left > 0, 0.0, 0.9 * v + x)
        s = F(v - 1)
        return (v * (1 - bs.detached(s)), jnp.where(s > 0.5, 2.0, jnp.maximum(left - 1, 0.0))), s

    return jax.lax.scan(advance, (jnp.zeros(N), jnp.zeros(N)), h)[1]


def refractory_in_one_array(h):
    def advance(state, x):
        v, left = state
        v = jnp.where(left > 0, 0.0, 0.9 * v + x)
        s = F(v - 1)
        return jnp.stack([v - s, jnp.where(s > 0.5, 2.0, jnp.maximum(left - 1, 0.0))]), s

    return jax.lax.scan(advance, jnp.zeros((2, N)), h)[1]


@jax.jit
def heaviside(h):
    """A surrogate, of the name of a step of jax."""
    return F(h)


RIGHT = {
    "surrogate": F,
    "spectrum": lambda h: jnp.real(jnp.fft.ifft(jnp.fft.fft(h) * jnp.exp(1j * h.astype(jnp.complex64)))),
    "relu": jax.nn.relu,
    "relu by maximum of a step": lambda h: jnp.maximum(h, (h > 1) * 1.0),
    "minimum of a step": lambda h: jnp.minimum(h, (h < -1) * -1.0),
    "clamp by a step": lambda h: jax.lax.clamp((h > 1) * 1.0, h, 9 * one((3, N))),
    "hard tanh by where": lambda h: jnp.where(jnp.abs(h) > 1, jnp.sign(h), h),
    "gate": lambda h: h * (h > 0.3),
    "gate by its own product": lambda h: h * (h @ W > 0),
    "gate of an activation by its own product": lambda h: jnp.tanh(h) * (h @ W > 0),
    "gate by a count": lambda h: h * ((h > 0).sum(-1, keepdims=True) > 2),
    "k winners by rank": lambda h: h * ((h[:, None] > h[..., None]).sum(-1) < 2),
    "written twice": lambda h: jnp.where(jnp.where(h > 0, h, 0.0) @ W > 0, jnp.where(h > 0, h, 0.0) @ W, 0.0),
    "k winners by top k": lambda h: jnp.where(h >= jax.lax.top_k(h, 2)[0][..., 1:], h, 0.0),
    "the value of arg-max": picked,
    "top k": lambda h: h + jax.lax.top_k(h, 2)[0].sum(-1, keepdims=True),
    "dropout": lambda h: h * jax.random.bernoulli(jax.random.key(1), 0.5, h.shape),
    "likelihood of a draw": likelihood,
    "straight through": quantised,
    "a rule of its own": own_rule,
    "by the name of a step": heaviside,
    "detached": lambda h: h * (1 - bs.detached(F(h))),
    "gate of a gate": lambda h: h * jax.nn.relu((h > 0.3).astype(h.dtype)),
    "refractory": refractory,
    "refractory in one array": refractory_in_one_array,
    "entries that are not read": lambda h: jnp.stack([h, h]).at[jnp.array([1])].set(jnp.sign(h)[None])[0],
    "numbers behind it that are not read": lambda h: with_signs(h)[:, :N],
    "numbers behind it, by places": lambda h: with_signs(h)[:, jnp.arange(N)],
    "numbers behind it, from a place": lambda h: jax.lax.dynamic_slice(with_signs(h), (0, 0), h.shape),
    "numbers behind it, split": lambda h: jnp.split(with_signs(h), 2, -1)[0],
    "padding that is not read": lambda h: jax.lax.pad(h, jnp.sign(h[0, 0]), [(0, 0, 0), (0, 1, 0)])[:, :-1],
    "columns that are not read": lambda h: jax.lax.dynamic_update_slice(h, jnp.sign(h[:, :1]), (0, 0))[:, 1:] @ W[1:],
    "interpolated": lambda h: jnp.interp(h, jnp.linspace(-3, 3, 7), jnp.linspace(-3, 3, 7) ** 2),
    "pooled": lambda h: h + jax.lax.reduce_window(h, -jnp.inf, jax.lax.max, (1, 2), (1, 1), "SAME"),
    "attention": lambda h: jax.nn.softmax(jnp.where(jnp.tril(one((3, 3))) > 0, h @ h.T, -jnp.inf)) @ h,
    "mean over a mask": lambda h: h + jnp.vecdot((h > 0.3) * 1.0, h)[..., None] / (h > 0.3).sum(-1, keepdims=True),
    "loop until it is small": lambda h: jax.lax.while_loop(lambda v: jnp.abs(v).max() > 1, lambda v: v / 2, h),
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_is_let_be(name):
    def loss(p):
        return jnp.mean((RIGHT[name](XS[0] @ p["w"]) @ p["u"]) ** 2)

    assert not found(loss)


def test_weights_are_pruned_in_peace():
    """By their own size; the order in which a loss adds things, and what is measured beside it, do not matter."""

    def loss(p):
        w = p["w"] * (jnp.abs(p["w"]) > 0.1)
        h = F(XS[0] @ w)
        measured = jnp.mean(h > 0.5)
        return jax.lax.stop_gradient(measured) + jnp.mean(h @ p["u"])

    assert not found(loss)


def test_a_book_of_codes():
    """Its entries, picked by the nearest, are trained; only as a product with a one-hot is it taken for a step."""

    def picks(entry):
        def loss(p):
            h = XS[0] @ p["w"]
            nearest = jnp.argmin(((h[:, None] - p["u"]) ** 2).sum(-1), -1)
            q = entry(p["u"], nearest)
            return jnp.mean((h + jax.lax.stop_gradient(q - h)) ** 2) + jnp.mean((q - jax.lax.stop_gradient(h)) ** 2)

        return loss

    assert not found(picks(lambda book, nearest: book[nearest]))
    assert found(picks(lambda book, nearest: jax.nn.one_hot(nearest, N) @ book))


def test_steps_of_inputs_alone_are_let_be():
    assert not found(lambda p: jnp.mean((XS[0] > 0) @ p["w"] + jnp.sign(XS[0])))


def test_a_ratio_and_a_kept_branch_are_not_seen():
    """A derivative that is 0 as a number alone."""
    assert not found(lambda p: jnp.mean(p["w"] / jnp.abs(p["w"]) + p["w"]))


def a_step(h):
    return jnp.where(h >= 0, 1.0, 0.0)


def test_the_line_is_that_where_the_derivative_is_lost():
    (line,) = found(of_a_loop(a_step))
    assert line == f"{Path(__file__).name}:{line_of(__file__, 'def a_step') + 1}"


def test_layers_of_flax_are_right():
    rngs = nnx.Rngs(0)
    layers = [nnx.Conv(2, 3, (3, 3), rngs=rngs), nnx.BatchNorm(3, rngs=rngs), nnx.GroupNorm(3, num_groups=3, rngs=rngs)]
    graph, params, rest = nnx.split(nnx.Sequential(*layers, nnx.Dropout(0.3, rngs=rngs)), nnx.Param, ...)
    loss = lambda params: jnp.mean(nnx.clone(nnx.merge(graph, params, rest))(jnp.ones((2, 4, 4, 2))) ** 2)  # noqa: E731
    assert not found(loss, params)
