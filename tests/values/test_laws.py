"""One list of laws, over the table of surrogates in `surrogate_table.py`.

Values, gradients and derivatives with respect to parameters are held to the formulas in the table, which are
NumPy in float64 and held to each other by `test_the_table_agrees_with_itself`.
"""

import copy
import dataclasses
import functools
import inspect
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import FLOATS, HALF, all_but, each_value_once, needs_float16
from close import assert_close, bound, widen
from surrogate_table import CASES, DEFAULTS, EXPORTED, FAMILY, SCALED, name

import brainsurr as bs

pytestmark = pytest.mark.numbers

# The operations of a formula, an exponential or a logarithm counted as the four ulps that it may be off.
FORMULA = 32
# Dense where gradients bend, 0 and both neighbours of it included.
GRID = np.unique(np.r_[np.linspace(-6, 6, 1201), np.geomspace(1e-6, 1e4, 101), -np.geomspace(1e-6, 1e4, 101), 0])

# One small array for the laws in float32, and one for those of extremes, so that they share what jax compiles.
INFO = np.finfo(np.float32)
MAGNITUDES = np.r_[np.geomspace(INFO.tiny, INFO.max, 400), INFO.max, INFO.smallest_subnormal, 0.0].astype(np.float32)
EXTREMES = jnp.asarray(np.r_[-MAGNITUDES, MAGNITUDES])
X = jnp.asarray([-4.0, -2.5, -1.5, -0.7, -0.2, -0.0, 0.0, 1e-3, 0.3, 0.5, 1.6, 3.2], jnp.float32)

cases = pytest.mark.parametrize("case", CASES, ids=name)
defaults = pytest.mark.parametrize("case", DEFAULTS, ids=name)
# For the laws that cost most: settings other than the default run only in `make test-exhaustive`.
costly_cases = pytest.mark.parametrize("case", all_but(DEFAULTS, CASES), ids=name)
# For the law that costs most by far: the simplest formula, and one with a power.
A_FEW = [case for case in DEFAULTS if case.entry.make in (bs.LogTailedRelu, bs.QPseudoSpike)]
FEW_FIRST = [*A_FEW, *all_but([], [case for case in CASES if case not in A_FEW])]
OTHERS = [case for case in CASES if case not in DEFAULTS] + SCALED
cases_and_scaled = pytest.mark.parametrize("case", DEFAULTS + all_but(OTHERS[::4], OTHERS, pytest.mark.slow), ids=name)


@np.errstate(invalid="ignore")  # infinity less infinity
def away_from(points, margin=1e-2, x=GRID):
    """Where x is farther than that from each point. (A mask: arrays of one shape share what jax compiles.)"""
    return np.all([np.ones(x.shape, bool), *(np.abs(x - p) > margin for p in points)], axis=0)


def scale_on(case, x):
    """The largest number on the way to a primitive or a gradient: that itself, times the angle in a Fourier series."""
    angle = 2 * np.pi * (2 * case.setting["n"] - 1) / case.setting["t_period"] if "n" in case.setting else 0
    return max(1, case.peak) * max(1, angle * np.abs(x).max())


def moved(case):
    """Values of the parameters that no setting of the table has."""
    return {parameter: value * 1.1 + 0.01 for parameter, value in case.parameters.items()}


def with_respect_to(case, parameter, x):
    """d spike / d parameter, by forward mode through the kernel."""

    def spike(value):
        return case.make(**{parameter: value})(x)

    value = jnp.asarray(case.parameters[parameter], x.dtype)
    return jax.jvp(spike, (value,), (jnp.ones_like(value),))[1]


# --- the table ---------------------------------------------------------------------------------------------------


def test_the_table_is_complete():
    assert {*EXPORTED.values(), bs.Scaled} == {type(case.make()) for case in DEFAULTS}
    functions = {f for f in vars(bs).values() if inspect.isfunction(f) and "surrogates" in f.__module__}
    assert functions == {entry.function for entry in FAMILY} - {None}
    assert {name.lower() for name in EXPORTED} == {f.__name__.replace("_", "") for f in functions}
    assert set(bs.__all__) <= set(vars(bs))


@cases
def test_the_table_agrees_with_itself(case):
    x, h = GRID[away_from(case.kinks)], 1e-5
    difference = (case.g(x + h) - case.g(x - h)) / (2 * h)
    np.testing.assert_allclose(case.dg(x), difference, rtol=1e-4, atol=1e-6)  # the quotient's own error, as below


# --- value and gradient ------------------------------------------------------------------------------------------


@cases_and_scaled
def test_value_and_gradient_are_those_of_the_formula(case):
    with jax.enable_x64(True):
        x = jnp.asarray(GRID)
        for changes in ({}, moved(case)):
            f, gradient = case.make(**changes), case.dg(GRID, **changes)
            spike, slope = jax.jvp(f, (x,), (jnp.ones_like(x),))
            assert spike.dtype == slope.dtype == jnp.float64
            np.testing.assert_array_equal([f(x), spike], [GRID >= 0] * 2)
            actual = f.surrogate_fun(x), f.surrogate_grad(x), slope
            expected = case.g(GRID, **changes), gradient, gradient
            assert_close(actual, expected, FORMULA, each=True, scale=scale_on(case, GRID))


@costly_cases
def test_the_primitive_can_be_differentiated_by_jax(case):
    # At 0 as well, where a factor of sign(x) would give 0; only where the gradient itself jumps there is a choice.
    with jax.enable_x64(True):
        f, kinks = case.make(), case.kinks
        jumps = [k for k in kinks if abs(case.dg(k + 1e-9) - case.dg(k - 1e-9)) > 1e-6]
        slope = jax.jvp(f.surrogate_fun, (jnp.asarray(GRID),), (jnp.ones_like(GRID),))[1]
        keep = away_from(jumps, 1e-9)
        assert_close(slope[keep], case.dg(GRID)[keep], FORMULA, each=True, scale=scale_on(case, GRID))


@costly_cases
def test_second_derivative_is_that_of_the_formula(case):
    with jax.enable_x64(True):
        f, x, keep, h = case.make(), jnp.asarray(GRID), away_from(case.kinks), 1e-5
        second = jax.jvp(lambda x: jax.vjp(f, x)[1](jnp.ones_like(x))[0], (x,), (jnp.ones_like(x),))[1]
        difference = (case.dg(GRID + h) - case.dg(GRID - h)) / (2 * h)
        np.testing.assert_allclose(second[keep], difference[keep], rtol=1e-3, atol=1e-5 * max(1, case.peak))


# --- parameters --------------------------------------------------------------------------------------------------


@cases_and_scaled
def test_derivative_in_each_parameter_is_that_of_the_primitive(case):
    unit = min(1, case.setting.get("width", 1))  # what is narrow bends as much within fewer numbers
    with jax.enable_x64(True):
        for parameter, value in case.parameters.items():
            h = 1e-5 * unit if value else 1e-7
            moved = [k for v in (value - h, value + h) for k in case.entry.kinks(**{**case.setting, parameter: v})]
            keep = away_from([*case.kinks, *moved], 1e-3) & (np.abs(GRID) < 100 * unit)
            difference = (case.g(GRID, **{parameter: value + h}) - case.g(GRID, **{parameter: value - h})) / (2 * h)
            slope = with_respect_to(case, parameter, jnp.asarray(GRID))
            np.testing.assert_allclose(slope[keep], difference[keep], rtol=2e-4, atol=2e-5, err_msg=parameter)


@cases_and_scaled
def test_parameters_are_leaves_named_and_inside_their_bounds(case):
    f = case.make()
    template, values = f.named_parameters()
    assert values == case.parameters
    assert jax.tree.map(values.get, template) == f
    assert f.bounds.keys() == values.keys()
    assert all(low <= values[name] <= high and low < high for name, (low, high) in f.bounds.items())


@pytest.mark.slow
@pytest.mark.parametrize(("case", "edge"), each_value_once(DEFAULTS, [0, 1]), ids=name)
def test_finite_at_the_edges_of_the_bounds(case, edge):
    edges = {parameter: interval[edge] for parameter, interval in case.make().bounds.items()}
    at_edge = dataclasses.replace(case, setting={**case.setting, **edges})
    for what, y in everything_at(at_edge, jnp.resize(100 * X, EXTREMES.shape)).items():
        assert jnp.isfinite(y).all(), what


# --- dtypes and extremes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("case", "dtype"), each_value_once(DEFAULTS, FLOATS), ids=name)
def test_dtype_of_x_is_kept(case, dtype):
    def everything(f, x):
        return f(x), f.surrogate_fun(x), f.surrogate_grad(x), jax.vjp(lambda f, x: f(x), f, x)[1](x)

    x, number = jnp.zeros((4, 3), dtype), case.make()
    for kind in (float, np.float64, jnp.float32, lambda a: jnp.full(3, a)):
        f = jax.tree.map(kind, number)
        *values, (back_f, back_x) = jax.eval_shape(everything, f, x)
        assert {(y.dtype, y.shape) for y in [*values, back_x]} == {(x.dtype, x.shape)}
        for a, da in zip(jax.tree.leaves(f), jax.tree.leaves(back_f), strict=True):
            assert (da.dtype, da.shape) == (jnp.float32, jnp.shape(a))


@pytest.mark.parametrize(("case", "dtype"), each_value_once(DEFAULTS + SCALED[::4], HALF), ids=name)
def test_half_precision_graph_holds_no_float32_array(case, dtype):
    x = jnp.zeros((4, 3), dtype)

    def everything(f, x):
        parts = f.surrogate_fun(x), f.surrogate_grad(x), jax.jvp(f.surrogate_grad, (x,), (x,))[1]
        return *parts, jax.vjp(f, x)[1](x)

    for f in (case.make(), jax.tree.map(jnp.float32, case.make())):
        assert "f32[4,3]" not in str(jax.make_jaxpr(functools.partial(everything, f))(x))  # numbers stay numbers
        # and what a trained parameter adds, before its cotangent is summed in float32
        tangents = jax.make_jaxpr(lambda f: jax.jvp(lambda f: f.surrogate_fun(x), (f,), (f,)))(f)
        assert "f32[4,3]" not in str(tangents)


def everything_at(case, x):
    """The primitive, the gradient, d/d each parameter and the second derivative, at every x."""
    f = case.make()
    parts = {
        "g": f.surrogate_fun(x),
        "g'": f.surrogate_grad(x),
        "g' of g": jax.jvp(f.surrogate_fun, (x,), (jnp.ones_like(x),))[1],
        "g''": jax.jvp(f.surrogate_grad, (x,), (jnp.ones_like(x),))[1],
        "g'' in reverse": jax.vjp(f.surrogate_grad, x)[1](jnp.ones_like(x))[0],
    }
    for p, value in case.parameters.items():

        def primitive(a, p=p):
            return case.make(**{p: a}).surrogate_fun(x)

        def gradient(a, p=p):
            return case.make(**{p: a}).surrogate_grad(x)

        a = jnp.full(x.shape, value, x.dtype)
        parts[f"dg/d{p}"] = jax.jvp(primitive, (a,), (jnp.ones_like(a),))[1]
        parts[f"dg/d{p} in reverse"] = jax.vjp(primitive, a)[1](jnp.ones_like(a))[0]
        parts[f"dg'/d{p}"] = jax.jvp(gradient, (a,), (jnp.ones_like(a),))[1]
    return parts


# A narrow one in float16, whose range x / width leaves, and a wide one in bfloat16, which has the range of float32.
SCALED_IN_HALF = [
    pytest.param(case, dtype, marks=[*marks, *([pytest.mark.exhaustive] if i % 13 else [])])
    for i, case in enumerate(SCALED)
    for dtype, marks in [(jnp.float16, [needs_float16]) if case.setting["width"] < 1 else (jnp.bfloat16, [])]
]


@pytest.mark.slow
@pytest.mark.parametrize(("case", "dtype"), [*each_value_once(FEW_FIRST, HALF), *SCALED_IN_HALF], ids=name)
def test_every_finite_number_of_a_half_precision(case, dtype):
    x, eps = jax.lax.bitcast_convert_type(jnp.arange(2**16, dtype=jnp.uint16), dtype), float(jnp.finfo(dtype).eps)
    wide = widen(x)
    finite = np.isfinite(wide)
    parts = everything_at(case, x)  # op by op, not jitted: the cases share what is compiled
    for what, y in parts.items():
        assert y.dtype == dtype
        bad = wide[finite & ~np.asarray(jnp.isfinite(y))]
        assert bad.size == 0, f"{what} is not finite at {bad[:5]}"
    g, dg = widen(parts["g"]), widen(parts["g'"])
    assert np.isnan(g[np.isnan(wide)]).all()
    assert np.isnan(dg[np.isnan(wide)]).all()
    ends = [np.flatnonzero(wide == -np.inf)[0], np.flatnonzero(wide == np.inf)[0]]
    limits, slopes = case.ends
    assert_close(g[ends], limits, 4, each=True, scale=1 + case.peak, dtype=dtype)
    assert_close(dg[ends], slopes, 4, each=True, dtype=dtype)
    if "t_period" in case.setting:
        return  # its value depends on more digits of x / T than there are; see test_the_fourier_series_far_out
    # A few steps of rounding, on the scale of the largest term; a large power has those of its logarithm too.
    keep = finite & (away_from(case.kinks, 8 * eps, wide) | (wide == 0))
    keep &= np.abs(wide) <= float(jnp.finfo(dtype).max) * min(1, case.setting.get("width", 1))  # or x / width overflows
    terms = 1 + 2 * case.peak + case.setting.get("slope", 0) * 4
    for what, y, reference in (("g", g, case.g(wide)), ("g'", dg, case.dg(wide))):
        error, size = np.abs(y[keep] - reference[keep]), np.abs(reference[keep])
        allowed = bound(8, terms, dtype) + bound(12 + np.log1p(size), size, dtype)
        bad = np.flatnonzero(keep)[~(error <= allowed)]
        assert bad.size == 0, f"{what} at {wide[bad[:3]]} is {y[bad[:3]]}, not {reference[bad[:3]]}"


@costly_cases
def test_extremes_of_float32(case):
    for what, y in everything_at(case, EXTREMES).items():
        assert jnp.isfinite(y).all(), what


@cases_and_scaled
def test_infinity_and_nan(case):
    f, x = case.make(), X.at[:3].set(jnp.asarray([-jnp.inf, jnp.inf, jnp.nan]))
    limits, slopes = case.ends
    assert_close(f.surrogate_fun(x)[:3], [*limits, np.nan], 8, each=True, scale=max(1, case.peak))
    assert_close(f.surrogate_grad(x)[:3], [*slopes, np.nan], 2, each=True)
    np.testing.assert_array_equal(f(x)[:3], [0, 1, np.nan])
    for parameter in case.parameters:
        np.testing.assert_array_equal(with_respect_to(case, parameter, x)[:3], [0, 0, np.nan])


# --- transforms --------------------------------------------------------------------------------------------------


@defaults
def test_equal_values_do_not_trace_again(case):
    traced = []

    def run(f, x):
        traced.append(f)
        return jax.jvp(f, (x,), (x,))

    static, argument, x = jax.jit(run, static_argnums=0), jax.jit(run), X[:3]
    for _ in range(2):
        static.eval_shape(case.make(), x)
        static.eval_shape(jax.tree.map(lambda value: jnp.full(3, value), case.make()), x)
    assert len(traced) == 2
    for parameter, value in case.parameters.items():
        argument.eval_shape(case.make(**{parameter: value * 1.01}), x)
    assert len(traced) == 3


# --- as a value --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", [case for case in CASES if case.entry.function], ids=name)  # `Scaled` has f * number
def test_class_and_function_are_the_same(case):
    function, cls = case.entry.function, type(case.make())
    for origin, expected in ((False, np.asarray(X) >= 0), (True, case.g(X))):
        same = functools.partial(function, **case.setting, origin=origin)
        value, slope = jax.jvp(same, (X,), (jnp.ones_like(X),))
        assert_close(value, expected, FORMULA)
        assert_close(slope, case.dg(X), FORMULA)
    assert list(inspect.signature(function).parameters) == ["x", *inspect.signature(cls).parameters]
    assert case not in DEFAULTS or cls() == case.make()
    assert pickle.loads(pickle.dumps(function)) is function


@cases_and_scaled
def test_as_a_value(case):
    f = case.make()
    for twin in (case.make(), pickle.loads(pickle.dumps(f)), copy.copy(f), copy.deepcopy(f), eval(repr(f), vars(bs))):
        assert twin == f
        assert hash(twin) == hash(f)
    for parameter, value in case.parameters.items():
        assert case.make(**{parameter: value + 0.5}) != f
    assert f.replace(origin=True) != f


# --- one by one --------------------------------------------------------------------------------------------------


def test_scaling_twice_is_scaling_once():
    f, heights, widths = bs.Arctan(2.0), np.float32([0.5, 2.0]), jnp.asarray([4.0, 0.25])
    assert f * 0.5 == 0.5 * f == f.scaled(height=0.5)
    assert f * heights == heights * f == f.scaled(height=heights)
    assert 2 * (0.25 * f) * 3 == 1.5 * f
    assert_close(jax.grad(lambda h: jax.grad(h * f)(0.0))(2.0), 1.0, 8)  # traced
    assert 0.5 * f.scaled(width=2) == (0.5 * f).scaled(width=2.0) == bs.Scaled(f, 0.5, 2.0)
    assert f.scaled(height=3.0, width=2.0).scaled(height=0.5, width=4.0) == bs.Scaled(f, 1.5, 8.0)
    assert heights * (2 * f.scaled(width=widths)).scaled(width=0.5) == bs.Scaled(f, 2 * heights, 0.5 * widths)
    assert repr(0.5 * f) == "Scaled(surrogate=Arctan(alpha=2.0), height=0.5, width=1.0)"

    f = 0.5 * bs.Sigmoid(4.0, origin=True)
    assert f == bs.Scaled(bs.Sigmoid(4.0), 0.5, origin=True)
    assert f.scaled(height=2, width=3) == bs.Scaled(bs.Sigmoid(4.0), 1.0, 3.0, origin=True)
    assert_close(f(0.0), 0.25, 8)


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_fourier_series_far_out(dtype):
    # Exact multiples of the period, and of a quarter: there the gradient is known, however large x is.
    f = bs.SquarewaveFourierSeries(n=2, t_period=8.0)
    x = jnp.asarray([8.0, 1024.0, 32768.0, 32768.0 + 32.0, 4096.0 + 32.0], dtype)
    whole = np.asarray(x, np.float64) % 8 == 0
    assert_close(np.asarray(f.surrogate_grad(x), np.float64)[whole], 1.0, 4, dtype=dtype)
    assert_close(np.asarray(f.surrogate_fun(-x), np.float64)[whole], 0.5, 4, dtype=dtype)


ALPHAS = [
    (jnp.float32, [1 + 2.0**-20, 1.001, 1.5, 3.0, 1e4, 1e8, 1e12]),
    (jnp.bfloat16, [1 + 2.0**-6, 1.5, 3.0, 1e4, 1e8]),
    pytest.param(jnp.float16, [1 + 2.0**-9, 1.5, 3.0, 1e3, 3e4], marks=needs_float16),
]


@pytest.mark.parametrize(("dtype", "alphas"), ALPHAS, ids=lambda value: getattr(value, "__name__", ""))
@pytest.mark.parametrize(("cls", "shift"), [(bs.QPseudoSpike, 1), (bs.NormalizedQPseudoSpike, -1)])
def test_pseudo_spikes_far_out_and_just_above_one(cls, shift, dtype, alphas):
    """From a tail that hardly falls to an exponential: gradient and d/dalpha keep the digits of the dtype."""
    x = jnp.array([0.0, 2.0**-10, 0.125, 1.0, 3.0, 10.0], dtype)
    eps = float(jnp.finfo(dtype).eps)
    slope_of = jax.jit(lambda a: cls(a).surrogate_grad(x))
    d_alpha_of = jax.jit(lambda a: jax.jvp(lambda a: cls(a)(x), (a,), (jnp.ones_like(a),))[1])
    for alpha in alphas:
        alpha = jnp.asarray(alpha, dtype)
        a, m = float(alpha), widen(x)
        log = np.log1p(2 * m / (a + shift))
        gradient = np.exp(-a * log)
        got = widen(slope_of(alpha))
        # A rounding of the exponent, which is at most -log(gradient), is one of the gradient times that.
        np.testing.assert_allclose(got, gradient, rtol=0, atol=4 * eps)
        d_got = d_alpha_of(alpha)
        if shift == -1:  # the other is a difference of large numbers near alpha = 1, for which `growth` has a series
            # The derivative of the primitive on the positive side in alpha, by hand.
            slope = 2 * m / (a - 1) / (a - 1 + 2 * m)
            d_alpha = np.exp((1 - a) * log) / 2 * (log - (a - 1) * slope)
            np.testing.assert_allclose(widen(d_got), d_alpha, rtol=0, atol=8 * eps * max(1, np.abs(d_alpha).max()))
        assert np.isfinite(widen(d_got)).all()


@pytest.mark.parametrize(
    ("dtype", "alphas"),
    [(jnp.float32, [1e15, 1e20, 1e30]), pytest.param(jnp.float16, [255.0, 256.0, 6e4], marks=needs_float16)],
    ids=["float32", "float16"],
)
def test_a_circ_whose_alpha_has_no_square(dtype, alphas):
    x = jnp.asarray([0.0, 0.5, -2.0, 1e4], dtype)
    for alpha in alphas:
        share = widen(x) / np.hypot(widen(x), alpha)
        assert_close(bs.Circ(alpha).surrogate_grad(x), (1 - share**2) ** 1.5, 12)  # a cube and what is cubed
        assert_close(bs.Circ(alpha).surrogate_fun(x), 0.5 + alpha * share, 8)
        slope = with_respect_to_alpha(bs.Circ(jnp.asarray(alpha, dtype)), x)
        assert_close(slope, share**3, 16, scale=1)


def test_an_alpha_that_rounds_to_one_is_the_next_number():
    x, one = jnp.array([-1.0, 0.0, 0.5]), np.float32(1)
    near, above = bs.NormalizedQPseudoSpike(1.00000001), bs.NormalizedQPseudoSpike(np.nextafter(one, 2 * one))
    np.testing.assert_array_equal(near.surrogate_grad(x), above.surrogate_grad(x))
    np.testing.assert_array_equal(with_respect_to_alpha(near, x), with_respect_to_alpha(above, x))


def with_respect_to_alpha(f, x):
    return jax.jvp(lambda f: f(x), (f,), (jax.tree.map(jnp.ones_like, f),))[1]
