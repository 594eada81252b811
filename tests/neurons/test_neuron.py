"""Each neuron beyond the laws of all: resets, adaptation, delays, dtypes, and what is refused."""

import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from asked import called
from cases import each_value_once, label
from close import bound
from jax.sharding import AxisType
from pages import DOCS

import brainsurr as bs
from brainsurr.neurons import ALIF, BHRF, BRF, LI, LIF, Delay, Recurrent
from tools.frameworks import HOSTS, by_name

pytestmark = pytest.mark.numbers

NEURONS = DOCS / "neurons.md"
SPIKE = bs.LogTailedRelu(0.1)
T, B, F = 7, 2, 3
X = np.random.default_rng(0).normal(size=(T, B, F)).astype(np.float32)
CURRENTS = jnp.asarray(np.random.default_rng(0).integers(-4, 17, (9, B, F)) / 8, jnp.float32)


def test_reset_to_zero_explodes_unless_detached():
    def last(x, reset_grad):
        neuron = LIF(decay=1.0, spike_fn=bs.LogTailedRelu(0.9), reset="zero", reset_grad=reset_grad)
        return neuron(jnp.array(-4.0), x)[0]

    x = jnp.full(20, 0.01)
    assert np.abs(jax.grad(last)(x, True)).max() > 1e6
    assert np.abs(jax.grad(last)(x, None)).max() == 1


def test_each_part_of_a_state_keeps_its_dtype():
    v = jnp.zeros((2, 4))
    state = v, v.astype(jnp.bfloat16)
    neuron = LIF(reset_delay=True)
    for after, _ in (neuron.step(state, v + 1), neuron(state, jnp.ones((3, 2, 4)))):
        assert [part.dtype for part in after] == [jnp.float32, jnp.bfloat16]


@pytest.mark.parametrize("neuron", [LIF(reset_delay=True), ALIF(), Recurrent(LIF(), jnp.eye(4))])
def test_a_state_may_be_of_lists_or_of_integers(neuron):
    """As a checkpoint gives it that is restored without a template."""
    x, start = jnp.ones((2, 4)), neuron.initial_state(jnp.zeros((2, 4)))
    expected = neuron.step(start, x)
    for state in (list(start), jax.tree.map(lambda part: np.zeros(part.shape, int), start)):
        jax.tree.map(np.testing.assert_array_equal, neuron.step(state, x), expected)


class Unhashable:
    """A function in the place of a surrogate that compares by value, and so has no hash."""

    def __eq__(self, other):
        return True

    def __call__(self, x):
        return bs.Arctan(2.0)(x)


@pytest.mark.parametrize("host", HOSTS, ids=label)
def test_a_spike_function_without_a_hash(host):
    f = Unhashable()
    assert host.layers.LIF(4, spike_fn=f).spike_fn is f
    xs, neuron = jnp.ones((3, 4)), LIF(spike_fn=f)
    expected = LIF(spike_fn=bs.Arctan(2.0))(jnp.zeros(4), xs)
    jax.tree.map(np.testing.assert_array_equal, neuron(jnp.zeros(4), xs), expected)


def test_linen_shows_arrays_alone_to_who_captures_everything():
    layer = bs.linen.LIF(4)
    _, noted = layer.apply(
        {}, jnp.zeros((2, 4)), jnp.ones((3, 2, 4)), capture_intermediates=lambda *_: True, mutable=["intermediates"]
    )
    assert set(noted["intermediates"]) <= {"__call__", "setup"}


def test_a_refractory_period_is_of_whole_steps():
    """Of the potential after the reset, which neither decays nor takes its input."""
    neuron, xs = LIF(decay=0.5, refractory=2), jnp.full((7, 1), 1.5)
    state, ys = neuron(neuron.initial_state(xs[0]), xs)
    np.testing.assert_array_equal(ys.ravel(), [1, 0, 0, 1, 0, 0, 1])
    np.testing.assert_array_equal(neuron(neuron.initial_state(xs[0]), xs[:3])[0], [[0.5], [0]])
    np.testing.assert_array_equal(state, [[0.875], [2]])
    LIF(refractory=256).initial_state(jnp.zeros(1, jnp.bfloat16))  # which holds the integers up to there


def test_integer_spikes_are_drawn_from_a_distribution():
    xs, key = jnp.full((50, 1), 1.25), jax.random.key(0)
    with pytest.raises(ValueError, match="rises from 0 to 1"):
        bs.neurons.ILIF()(jnp.zeros(1), xs, key=key)
    _, ys = bs.neurons.ILIF(spike_fn=bs.Sigmoid(4.0))(jnp.zeros(1), xs, key=key)
    assert {1, 2} < set(ys.ravel().tolist()) <= {0, 1, 2, 3, 4}
    assert bs.neurons.ILIF()(jnp.zeros(1), 100 * xs)[1].max() == 4, "the most that the paper trains, its D"


# Recurrent ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", HOSTS, ids=label)
def test_without_self_connections_the_diagonal_is_not_used(host):
    """It gets a gradient of 0, so that it stays out in training; all else is that of a kernel with zeros there."""
    kernel = jnp.asarray(np.random.default_rng(0).normal(size=(F, F)), jnp.float32)
    off = kernel * (1 - jnp.eye(F))
    options = {"decay": 0.5, "spike_fn": SPIKE}
    layers = [
        host.layers.LIF(F, **options, **host().recurrent(k), self_connections=s)
        for k, s in ((kernel, False), (off, True))
    ]
    ((_, ys), grads, gx), ((_, zs), others, gz) = (
        host().grad(layer, lambda _, ys: ys.sum(), CURRENTS) for layer in layers
    )
    np.testing.assert_array_equal(ys, zs)
    np.testing.assert_array_equal(gx, gz)
    (grad,), (other,) = by_name(grads).values(), by_name(others).values()
    assert np.all(np.diag(other) != 0)
    np.testing.assert_array_equal(grad, np.asarray(other) * (1 - np.eye(F)))
    plain = Recurrent(LIF(**options), kernel, self_connections=False)
    np.testing.assert_array_equal(plain(plain.initial_state(CURRENTS[0]), CURRENTS)[1], ys)


# ALIF ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("adapts", ["threshold", "input"])
@pytest.mark.parametrize("reset_delay", [False, True])
def test_a_neuron_that_may_not_fire_and_a_broken_one(adapts, reset_delay):
    """-inf stays -inf and has a gradient of 0; NaN shows in the neuron that has it, and in no other."""

    def run(spike_adaptation, xs):
        neuron = ALIF(adapts=adapts, reset_delay=reset_delay, spike_adaptation=spike_adaptation)
        state, ys = neuron(neuron.initial_state(xs[0]), xs)
        return ys.sum(), (state, ys)

    grads, (state, ys) = jax.grad(run, (0, 1), has_aux=True)(1.0, CURRENTS.at[2, :, 0].set(-jnp.inf))
    v, *_, a = jax.tree.leaves(state)
    assert np.isfinite(a).all()
    assert np.isneginf(v[:, 0]).all()
    assert not ys[2:, :, 0].any()
    assert all(np.isfinite(leaf).all() for leaf in grads)
    _, (state, ys) = run(1.0, CURRENTS.at[2, :, 0].set(jnp.nan))
    assert np.isnan(ys[2:, :, 0]).all()
    assert np.isfinite(ys[..., 1:]).all()
    assert all(np.isnan(leaf[:, 0]).all() for leaf in jax.tree.leaves(state))


def bellec_2018(fire, x, v, b, z, /, *, alpha, rho, beta, **_):
    """V(t+1) = alpha V(t) + (1 - alpha) I(t) - B(t) z(t), B = 1 + beta b, b(t+1) = rho b(t) + (1 - rho) z(t)."""
    v = alpha * v + (1 - alpha) * x - (1 + beta * b) * z
    b = rho * b + (1 - rho) * z
    return v, b, fire(v - (1 + beta * b))


def bellec_2020(fire, x, v, a, z, /, *, alpha, rho, beta, **_):
    """v(t+1) = alpha v(t) + I(t+1) - z(t), A = 1 + beta a, a(t+1) = rho a(t) + z(t), z(t) = v(t) > A(t)."""
    v = alpha * v + x - z
    a = rho * a + z
    return v, a, fire(v - (1 + beta * a))


def bittar_garner(fire, x, u, w, s, *, alpha, beta, a, b, **_):
    """w[t] = beta w[t-1] + a u[t-1] + b s[t-1], u[t] = alpha (u[t-1] - s[t-1]) + (1 - alpha) (I[t] - w[t])."""
    w = beta * w + a * u + b * s
    u = alpha * (u - s) + (1 - alpha) * (x - w)
    return u, w, fire(u - 1)


def baronig(fire, x, u, w, s, *, alpha, beta, a, b, **_):
    """u' = alpha u + (1 - alpha) (I - w), u = u' (1 - S), w = beta w + (1 - beta) (a u + b S), with the new u and S."""
    u = alpha * u + (1 - alpha) * (x - w)
    s = fire(u - 1)
    u = u * (1 - s)
    return u, beta * w + (1 - beta) * (a * u + b * s), s


PAPERS = {
    "Bellec et al. 2018": bellec_2018,
    "Bellec et al. 2020": bellec_2020,
    "Bittar": bittar_garner,
    "Baronig": baronig,
}
LETTERS = {"alpha": 0.8, "rho": 0.95, "beta": 0.9, "a": 0.4, "b": 0.7}


@pytest.mark.parametrize("paper", PAPERS)
def test_spikes_are_those_of_the_papers(paper):
    """The row of docs/neurons.md, where no potential is so near to its threshold that rounding decides."""
    (here,) = re.findall(rf"^\| {paper}[^|]*\| `(.*)` \|$", NEURONS.read_text(), re.MULTILINE)
    layer = eval(here, {"ALIF": bs.nnx.ALIF, "n": F} | LETTERS)
    xs = np.random.default_rng(0).uniform(-2, 8, (60, B, F)).astype(np.float32)
    state, expected, near = np.zeros((3, B, F)), [], []

    def fire(distance):
        near.append(np.abs(distance).min())
        return (distance > 0).astype(float)

    for x in xs.astype(float):
        state = PAPERS[paper](fire, x, *state, **LETTERS)
        expected.append(state[-1])
    assert min(near) > bound(600, 8)
    assert 0.1 < np.mean(expected) < 0.75
    np.testing.assert_array_equal(layer(layer.initialize_carry((B, F)), jnp.asarray(xs))[1], expected)


# Delay --------------------------------------------------------------------------------------------------------------


def delayed(xs, steps):
    """One channel at a time."""
    columns = [np.concatenate([0 * xs[:n, :, c], xs[: T - n, :, c]])[:T] for c, n in enumerate(steps)]
    return np.stack(columns, -1)


DTYPES = ["uint8", "bool", "int16", "bfloat16", "float32"]


@pytest.mark.parametrize(("dtype", "host"), each_value_once(DTYPES, HOSTS), ids=label)
def test_any_dtype_stays_in_a_delay(host, dtype):
    xs = jnp.asarray(np.abs(100 * X), dtype)
    layer = host.layers.Delay(F, [0, 1, 2])
    carry, ys = called(host, layer, (B, F), xs)
    assert ys.dtype == dtype
    assert (carry.shape, carry.dtype) == ((B, 2, F), jnp.float32)
    np.testing.assert_array_equal(ys, delayed(np.asarray(xs), (0, 1, 2)))


def test_a_state_that_would_round_its_input_is_refused():
    for dtype, state in (("int32", "float32"), ("float32", "bfloat16"), ("float16", "bfloat16"), ("float32", "int32")):
        xs = jnp.ones((T, F), dtype)
        with pytest.raises(ValueError, match=rf"{state} carry .* {dtype} input: set state_dtype=jnp.{dtype}"):
            Delay()(jnp.zeros((1, F), state), xs)
        layer = bs.nnx.Delay(F, state_dtype=dtype)
        after, ys = layer(layer.initialize_carry((F,)), xs)
        assert after.dtype == ys.dtype == dtype


def test_a_delay_of_no_step_on_a_mesh_and_the_sign_of_zeros():
    delay, none, zeros = Delay(2), jnp.zeros((0, 2, 3)), jnp.full((2, 2, 3), -0.0)
    state = delay.initial_state(zeros[0])
    with jax.set_mesh(jax.make_mesh((1,), ("data",), axis_types=(AxisType.Explicit,))):
        assert delay.over_time(state, none)[1].shape == (0, 2, 3)
    state, _ = delay.over_time(state, zeros)
    assert np.signbit(delay.over_time(state, zeros)[1]).all()


LOST = [
    (LI(decay=0.999), "decay = 0.999", jnp.bfloat16),
    (LI(decay=np.array([0.5, 0.99])), r"decay = \[0.5  0.99\]", jnp.bfloat16),
    (ALIF(adaptation_decay=0.999), "adaptation_decay = 0.999", jnp.bfloat16),
    (ALIF(adaptation_decay=0.999, reset_delay=True), "adaptation_decay = 0.999", jnp.bfloat16),  # of three arrays
    (LI(decay=1 - 1e-7), "decay = 0.9999999", jnp.float32),
    (LI(decay=1 - 1e-9), "decay = 0.999999999", jnp.float32),  # which float32 rounds to 1
]


@pytest.mark.parametrize(("neuron", "what", "dtype"), LOST)
def test_a_decay_that_the_state_can_not_hold_is_refused(neuron, what, dtype):
    """By itself, and in each framework, also where it is trained; one of 1 is meant, and .9 and .98 are held."""
    message = what.replace(" = ", "=")
    with pytest.raises(ValueError, match=message):
        neuron.initial_state(jnp.zeros(2, dtype))
    name = what.partition(" ")[0]
    state, structure = jax.tree.flatten(neuron.replace(**{name: 0.5}).initial_state(jnp.zeros(2)))
    state = structure.unflatten([*state[:-1], state[-1].astype(dtype)])
    with pytest.raises(ValueError, match=message):  # made by hand
        neuron(state, jnp.zeros((3, 2), dtype))
    for host, learnable in itertools.product(HOSTS, ((), name)):
        layer = host.layers.layer(type(neuron))
        with pytest.raises(ValueError, match=message):
            layer(2, **{name: getattr(neuron, name)}, learnable=learnable, param_dtype=dtype)
        layer(2, **{name: 1.0}, learnable=learnable, param_dtype=dtype)
        layer(2, **{name: 0.9}, learnable=learnable, param_dtype=dtype)


def test_the_narrowest_kernel_of_a_learned_delay_is_finite():
    """A width near 0 would be a kernel of NaN between two steps."""
    narrow = bs.neurons.LearnableDelay(longest=np.int64(8), delay=7.5, width=0.01)
    for dtype in (jnp.float16, jnp.float32):
        xs = jnp.ones((16, 1), dtype)
        np.testing.assert_array_equal(narrow(narrow.initial_state(xs[0]), xs)[1][8:], 1)


@pytest.mark.parametrize("kind", [BRF, BHRF])
@pytest.mark.parametrize("damping", [0.02, 0.9])
def test_a_balanced_resonator_dies_down_with_its_least_damping(kind, damping):
    neuron = kind(frequency=0.3, damping=damping, threshold=1e3)
    xs = jnp.zeros((1000, 1), jnp.bfloat16).at[0].set(100.0)
    (u, v, _), _ = neuron(neuron.initial_state(xs[0]), xs)
    assert abs(u) < 1
    assert abs(v) < 1


def test_weights_in_a_list_are_of_float32():
    weights = bs.neurons.SlidingPSN(weights=[0.1, 0.7]).weights
    np.testing.assert_array_equal(weights, np.float32([0.1, 0.7]), strict=True)
