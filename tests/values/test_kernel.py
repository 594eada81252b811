"""The spike: its value, its derivatives of every order, its dtype, its transforms, its compiled program, its errors."""

import os
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from before_jax import EMITTERS
from cases import FLOAT16, FLOATS, HALF, all_but, each_value_once, first_quick, label, needs_float16
from close import assert_close, largest, widen
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from surrogate_table import FAMILY

import brainsurr as bs

pytestmark = pytest.mark.numbers


def oracle(x, alpha):
    """Value, gradient and d/d alpha of LogTailedRelu, from its definition, in float64.

    Each entry of the gradient is alpha, rounded to float32, or a quotient, rounded once: two operations at most.
    """
    x = widen(x)
    tail = 1 / np.where(x > 1, x, 1.0)
    value = np.where(np.isnan(x), np.nan, np.where(x >= 0, 1.0, 0.0))
    grad = np.where(np.isnan(x), np.nan, np.where(x <= 0, alpha, tail))
    return value, grad, np.where(np.isinf(x), 0.0, np.minimum(x, 0))


# --- values, dtypes, special numbers ----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("compiled", [False, True])
def test_a_nan_keeps_its_bits(dtype, compiled):
    size = 8 * jnp.dtype(dtype).itemsize
    infinity = int(np.array(np.inf, dtype).view(f"uint{size}"))
    sign, last = 2 ** (size - 1), 2 ** (size - 1) - 1
    bits = np.array([m | s for s in (0, sign) for m in (infinity + 1, (infinity + last) // 2, last)], f"uint{size}")
    f = jax.jit(bs.LogTailedRelu(0.1)) if compiled else bs.LogTailedRelu(0.1)
    np.testing.assert_array_equal(np.asarray(f(jnp.asarray(bits).view(dtype))).view(bits.dtype), bits)


JUMPING = [bs.LogTailedRelu(0.25), bs.S2NN(1.0), bs.LeakyRelu(0.25)]  # at 0, from 1/4 to 1
RUNS = {
    "jit": jax.jit,
    "scan": lambda f: jax.jit(lambda x: jax.lax.scan(lambda c, x: (c, f(x)), None, x[None])[1]),
    "eager": lambda f: f,
}
DTYPES, COUNTS = [jnp.float32, jnp.bfloat16, FLOAT16], [1, 64]  # a CPU has other instructions for many than for few
SUBNORMAL = each_value_once(first_quick(list(RUNS)), JUMPING, [0.5, 1.0, 8.0, 3.0], DTYPES, COUNTS)


@pytest.mark.parametrize(("run", "f", "width", "dtype", "count"), SUBNORMAL, ids=label)
def test_subnormals_are_not_zero(run, f, width, dtype, count):
    """Nor where x / width is 0 or subnormal though x is not."""
    least = float(jnp.finfo(dtype).tiny)
    some = least * np.array([1 / 64, 1 / 2, 1, 1.5])
    x = jnp.asarray(np.repeat([*some, *-some], count).astype(dtype))
    f = f if width == 1 else f.scaled(width=width)
    f_trained = jax.tree.map(jnp.float32, f)

    def gradients(x):
        y, slope = jax.jvp(f, (x,), (jnp.ones_like(x),))
        pulled = jax.vjp(f, x)[1](jnp.ones_like(x))[0]
        trained = jax.vjp(lambda f, x: f(x), f_trained, x)[1](jnp.ones_like(x))[1]
        return y, slope, pulled, trained

    y, *slopes = RUNS[run](gradients)(x)
    np.testing.assert_array_equal(widen(y).ravel(), widen(x) > 0)
    for slope in slopes:  # of S2NN in float16 not quite: a subnormal number is large enough to tell
        np.testing.assert_allclose(widen(slope).ravel(), np.where(widen(x) > 0, 1, 0.25), rtol=4 * least)


newer_emitters = pytest.mark.skipif(
    f"{EMITTERS}=false" in os.environ["XLA_FLAGS"], reason="the older emitters convert from float16 wrongly"
)


EIGHT_BITS = [
    pytest.param(
        getattr(jnp, f"float8_{name}"),
        marks=[needs_float16, newer_emitters] if name == "e5m2fnuz" else needs_float16,  # what they are converted by
    )
    for name in ("e4m3", "e4m3fn", "e4m3fnuz", "e4m3b11fnuz", "e5m2", "e5m2fnuz", "e3m4")
]


@pytest.mark.parametrize("dtype", [*first_quick([jnp.bfloat16, FLOAT16]), *all_but(EIGHT_BITS[:1], EIGHT_BITS)])
def test_every_number_of_a_small_dtype(dtype):
    info = jnp.finfo(dtype)
    x = jnp.arange(2**info.bits, dtype=f"uint{info.bits}").view(dtype)
    value, grad, dalpha = oracle(x, 0.25)
    got, pullback = jax.vjp(bs.log_tailed_relu, x, jnp.full(x.shape, 0.25, jnp.float32))
    dx, da = pullback(jnp.ones_like(x))
    assert (got.dtype, dx.dtype, da.dtype) == (dtype, dtype, jnp.float32)
    np.testing.assert_array_equal(widen(got), value)
    least = info.tiny if dtype in (jnp.float16, jnp.bfloat16) else info.smallest_subnormal
    np.testing.assert_allclose(widen(dx), grad, rtol=float(info.eps), atol=float(least))  # rounded once
    # min(x, 0) of a subnormal bfloat16 may be flushed to 0.
    np.testing.assert_allclose(da, dalpha, rtol=0, atol=float(jnp.finfo(jnp.float32).tiny))


@pytest.mark.parametrize("compiled", first_quick([False, True]))
@pytest.mark.parametrize("entry", all_but(FAMILY[::8], FAMILY), ids=lambda entry: entry.make.__name__)
def test_infinities_leave_nothing_for_debug_nans(entry, compiled):
    f, x = jax.tree.map(jnp.float32, entry.make(**entry.settings[0])), jnp.array([-jnp.inf, jnp.inf, -1.0, 2.0])
    grad = jax.grad(lambda f, x: jnp.sum(f(x)), argnums=(0, 1))
    with jax.debug_nans(True):
        first = (jax.jit(grad) if compiled else grad)(f, x)
        (by_f, by_x), of_x = jax.jit(lambda f, x: (jax.jacrev(grad, (0, 1))(f, x)[1], jax.jacfwd(grad, 1)(f, x)))(f, x)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((first, by_f, by_x)))
    # Nothing of what may not fire depends on a parameter, whichever comes first.
    for mixed, other in zip(jax.tree.leaves(by_f), jax.tree.leaves(of_x[0]), strict=True):
        assert not np.any([mixed[:2], other[:2]])
    assert not np.any(by_x[:2])


# --- the definition of d/d alpha --------------------------------------------------------------------------------


@settings(deadline=None, max_examples=15)
@given(
    shape=hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    drop=st.integers(0, 3),
    ones=st.lists(st.booleans(), min_size=3, max_size=3),
    seed=st.integers(0, 99),
)
def test_alpha_broadcasts_and_its_cotangent_has_its_shape(shape, drop, ones, seed):
    rng = np.random.default_rng(seed)
    alpha_shape = tuple(1 if one else n for one, n in zip(ones, shape, strict=False))[drop:]
    x, ct = rng.normal(size=(2, *shape)).astype(np.float32)
    alpha = rng.uniform(0, 1, alpha_shape).astype(np.float32)

    @jax.jit  # one program for each shape
    def run(x, alpha, ct):
        y, pullback = jax.vjp(lambda x, a: bs.log_tailed_relu(x, a), x, alpha)
        return y, *pullback(ct)

    y, dx, da = run(x, alpha, ct)
    value, grad, dalpha = oracle(x, np.broadcast_to(alpha, shape))
    np.testing.assert_array_equal(y, value)
    assert_close(dx, grad * ct, 3, each=True)
    lead = tuple(range(len(shape) - len(alpha_shape)))
    kept = tuple(i + len(lead) for i, n in enumerate(alpha_shape) if n == 1)
    expected = (dalpha * ct).sum(axis=lead + kept).reshape(alpha_shape)
    assert da.shape == alpha_shape
    assert_close(da, expected, 2 + x.size, scale=np.abs(dalpha * ct).sum())


@needs_float16
def test_cotangent_of_alpha_is_summed_in_float32():
    x = jnp.full(70_000, -1.0, jnp.float16)  # a float16 ends at 65,504: summed in it, this is -inf
    da = jax.grad(lambda a: jnp.sum(bs.log_tailed_relu(x, a), dtype=jnp.float32))(jnp.float32(0.5))
    assert da == -70_000


@pytest.mark.parametrize("alpha_dtype", FLOATS)
def test_cotangent_of_alpha_has_the_dtype_of_alpha(alpha_dtype):
    x = jnp.asarray([-1.0035] * 128 + [-0.5])  # in bfloat16, each of these is -1; only the sum is rounded to it
    da = jax.grad(lambda a: jnp.sum(bs.log_tailed_relu(x, a)))(jnp.asarray(0.5, alpha_dtype))
    assert da.dtype == alpha_dtype
    assert da == np.asarray(widen(x).sum(), alpha_dtype)


# --- derivatives of higher order --------------------------------------------------------------------------------


@pytest.mark.parametrize("outer", [jax.jacfwd, jax.jacrev], ids=["fwd", "rev"])
@pytest.mark.parametrize("inner", [jax.jacfwd, jax.jacrev], ids=["fwd", "rev"])
def test_second_derivative_of_a_nonlinear_loss(outer, inner):
    f = bs.LogTailedRelu(0.1)
    # d2(s^2) = 2 g'^2 + 2 s g'': at 0.5 and 1, s = 1, g' = 1, g'' = 0; at 2, g' = 1/2, g'' = -1/4.
    xs, expected = jnp.array([0.5, 1.0, 2.0, -1.0]), [2.0, 2.0, 2 * 0.25 - 2 * 0.25, 2 * 0.01]
    assert_close(jax.jit(jax.vmap(outer(inner(lambda x: f(x) ** 2))))(xs), expected, 8, scale=2.0)
    assert jax.jit(jax.hessian(lambda x: f(x) ** 2))(0.5) == 2.0  # exact, fused or not, as below


# --- transforms -------------------------------------------------------------------------------------------------

XS = jnp.linspace(-2, 4, 12).reshape(4, 3)


def test_export_with_symbolic_shapes_and_its_gradient():
    args = jax.export.symbolic_args_specs((jnp.zeros((2, 3)), jnp.zeros(3)), ("b, c", "c"))
    exported = jax.export.export(jax.jit(lambda x, a: bs.log_tailed_relu(x, a)))(*args)
    a = jnp.array([0.1, 0.25, 0.5])
    value, grad, dalpha = oracle(XS, a)
    np.testing.assert_array_equal(exported.call(XS, a), value)
    dx, da = jax.vjp(exported.call, XS, a)[1](jnp.ones_like(XS))
    assert_close(dx, grad, 2, each=True)
    assert_close(da, dalpha.sum(0), len(XS), each=True)  # a sum of one sign


# --- the compiled program ---------------------------------------------------------------------------------------

DERIVATIVE_OPS = re.compile(r"\b(divide|log|exponential|power|rsqrt)\b")


@pytest.mark.parametrize("dtype", FLOATS)
def test_forward_pass_computes_no_derivative(dtype):
    x = jnp.zeros(64, dtype)
    forward = jax.jit(bs.LogTailedRelu(0.1)).lower(x).compile().as_text()
    assert not DERIVATIVE_OPS.search(forward)
    with_gradient = jax.jit(lambda x: jax.vjp(bs.LogTailedRelu(0.1), x)[1](x)).lower(x).compile().as_text()
    assert DERIVATIVE_OPS.search(with_gradient)  # the pattern does find them where they are


@pytest.mark.parametrize("dtype", HALF)
def test_half_precision_forward_pass_is_of_integers(dtype):
    """A CPU that has no arithmetic in half precision converts each float of a comparison, a select or a maximum."""
    text = jax.jit(bs.LogTailedRelu(0.1)).lower(jnp.zeros(64, dtype)).compile().as_text()
    operations = re.findall(r"= (\w+)\[64\]\S* (convert|select|maximum)\(", text)
    assert operations == [("u16", "select"), ("u16", "select")]


def test_a_loop_over_time_carries_no_array_of_one_number():
    """XLA makes it ahead of the loop, which reads it at each step."""
    layer, xs = bs.nnx.LIF(3), jnp.ones((50, 8, 3))

    def gradient(xs):
        ys, pullback = jax.vjp(lambda xs: layer(layer.initialize_carry(xs.shape[1:]), xs)[1], xs)
        return pullback(ys)

    text = jax.jit(gradient).lower(xs).compile().as_text()
    loops = [line.partition(" while(")[0] for line in text.splitlines() if " while(" in line]
    carries = [re.findall(r"\w+\[8,3\]", loop) for loop in loops]
    assert carries == [["f32[8,3]"], ["f32[8,3]"]]  # the potential, and its gradient


def residuals(f, *args):
    """The arrays that the backward pass of f holds on to."""
    return jax.tree.leaves(jax.jit(lambda *args: jax.vjp(f, *args)[1]).eval_shape(*args))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("alpha", [0.1, jnp.float32(0.1), jnp.full(3, 0.1)], ids=["number", "array", "channels"])
def test_one_residual_in_the_dtype_of_x(dtype, alpha):
    x = XS.astype(dtype)
    saved = residuals(bs.LogTailedRelu(alpha), x)
    assert [(r.shape, r.dtype) for r in saved] == [(x.shape, dtype)]


def test_a_trained_parameter_adds_one_residual():
    def count(f, *args):
        return [r.shape for r in residuals(f, *args)].count(XS.shape)

    assert count(lambda x, a: bs.log_tailed_relu(x, a), XS, jnp.float32(0.1)) == 2
    # With x a constant only d/d alpha is saved: a zero tangent of x that was added would show here.
    assert count(lambda a: bs.log_tailed_relu(XS, a), jnp.float32(0.1)) == 1
    assert count(lambda x: bs.SlayerGrad().scaled(width=2.0)(x), XS) == 1
    assert count(lambda x, width: bs.SlayerGrad().scaled(width=width)(x), XS, jnp.float32(2.0)) == 2


# --- many devices -----------------------------------------------------------------------------------------------

COLLECTIVE = re.compile(r"= \S+ (all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter)(?:-start)?\(")


@pytest.fixture
def mesh():
    assert jax.device_count() == 8, "conftest.py asks for 8 simulated devices"
    return jax.make_mesh((8,), ("batch",), axis_types=(AxisType.Auto,))


def test_sharded_batch_needs_no_collective(mesh):
    x = jax.device_put(jnp.linspace(-2, 4, 64).reshape(16, 4), NamedSharding(mesh, P("batch")))
    gradient = jax.jit(jax.grad(lambda x, a: jnp.sum(bs.log_tailed_relu(x, a)), 0))
    assert COLLECTIVE.findall(gradient.lower(x, 0.1).compile().as_text()) == []
    with_alpha = jax.jit(jax.grad(lambda x, a: jnp.sum(bs.log_tailed_relu(x, a)), (0, 1)))
    assert COLLECTIVE.findall(with_alpha.lower(x, 0.1).compile().as_text()) == ["all-reduce"]
    dx, da = with_alpha(x, 0.1)
    assert_close(dx, oracle(x, 0.1)[1], 2, each=True)
    assert_close(da, oracle(x, 0.1)[2].sum(), x.size)


@pytest.mark.parametrize("specs", [(P("batch"), P()), (P(), P("batch"))], ids=["alpha_replicated", "x_replicated"])
def test_shard_map(mesh, specs):
    """Each device has a part of x and all of alpha, or the other way around."""
    args = jnp.linspace(-2, 4, 8), jnp.linspace(0.1, 0.8, 8)

    def each_x_with_each_alpha(x, alpha):
        return bs.log_tailed_relu(jnp.broadcast_to(x[:, None], (len(x), len(alpha))), alpha)

    def gradients(f):
        return jax.jit(jax.grad(lambda *args: jnp.sum(f(*args)), (0, 1)))(*args)

    mapped = jax.shard_map(each_x_with_each_alpha, mesh=mesh, in_specs=specs, out_specs=P("batch"))
    assert_close(gradients(mapped), gradients(each_x_with_each_alpha), 2 + 8, each=True)


@pytest.mark.parametrize("entry", all_but(FAMILY[::8], FAMILY), ids=lambda entry: entry.make.__name__)
def test_gradients_under_explicit_axes(entry):
    """In a mesh in which jax refuses, as it traces, whatever does not tell where it lies."""
    fixed = entry.make(**entry.settings[0])  # with numbers; also with arrays, and with arrays along the channels
    trained = [jax.tree.map(lambda p, shape=shape: jnp.full(shape, p, jnp.float32), fixed) for shape in ((), (2,))]
    fs = [f.replace(origin=origin) for f in (fixed, *trained) for origin in (False, True)]
    gradients = jax.jit(jax.grad(lambda fs, x: sum(jnp.sum(f(x)) for f in fs), (0, 1)))
    x = jnp.linspace(-2, 4, 16).reshape(8, 2)
    expected = gradients(fs, x)
    with jax.set_mesh(jax.make_mesh((8,), ("batch",), axis_types=(AxisType.Explicit,))):
        df, dx = gradients(fs, jax.device_put(x, P("batch")))
    assert dx.sharding.spec == P("batch", None)
    assert all(da.sharding.is_fully_replicated for da in jax.tree.leaves(df))
    assert_close((df, dx), expected, 32 + x.size, scale=largest(expected))
