import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dtypes import FLOATS

from brainsurr._bounds import check_inside, clip_straight_through, initial_value, trained_intervals

pytestmark = pytest.mark.numbers

VALUES, DEFAULTS = {"alpha": 0.1, "beta": 2.0, "gamma": 5.0}, {"alpha": (0.0, 1.0), "beta": (0.5, 10.0)}


@pytest.mark.parametrize(
    ("learnable", "bounds", "expected"),
    [
        ("alpha", {}, {"alpha": (0.0, 1.0)}),
        ((), {}, {}),
        ("gamma", {}, {"gamma": None}),
        (["alpha", "beta"], {"alpha": [0, 0.5]}, {"alpha": (0.0, 0.5), "beta": (0.5, 10.0)}),
        (("alpha", "beta"), None, {"alpha": None, "beta": None}),
        (("alpha", "beta"), {"alpha": None}, {"alpha": None, "beta": (0.5, 10.0)}),
    ],
)
def test_intervals_are_the_defaults_the_users_or_none(learnable, bounds, expected):
    assert trained_intervals("Act", VALUES, learnable, bounds, DEFAULTS) == expected


@pytest.mark.parametrize(
    ("learnable", "bounds", "message"),
    [
        ("delta", {}, "learnable='delta' is not a parameter of it, which has alpha, beta, gamma"),
        ("alpha", {"beta": (0, 1)}, "bounds name 'beta', which is not learnable; add it to learnable="),
        ("alpha", {"alpha": (0.2, 1.0)}, r"alpha = 0.1 is outside \[0.2, 1.0\]"),
        ("alpha", {"alpha": (0.1, 0.1)}, "expected bounds with low < high, got"),
        ("alpha", {"alpha": (0.0, float("nan"))}, "expected bounds with low < high"),
        ("alpha", {"alpha": 1.0}, "expected bounds with low < high, got 1.0"),
        ("alpha", {"alpha": (0, 1, 2)}, "expected bounds with low < high, got"),
    ],
)
def test_what_is_refused(learnable, bounds, message):
    with pytest.raises(ValueError, match="Act.*" + message):
        trained_intervals("Act", VALUES, learnable, bounds, DEFAULTS)


@pytest.mark.parametrize(
    "value", [0.0, 1.0, 0, 1, np.float32(0.5), np.array([0, 1]), jnp.array([0.0, 0.5, 1.0]), jnp.ones(2, jnp.bfloat16)]
)
def test_the_interval_is_closed(value):
    check_inside("alpha", value, (0.0, 1.0))


@pytest.mark.parametrize("value", [-1e-9, 1.0001, 2, np.nan, jnp.array([0.5, -0.5]), np.array([0, 2])])
def test_outside(value):
    with pytest.raises(ValueError, match=r"alpha = .* is outside \[0.0, 1.0\]; choose another value, or other bounds"):
        check_inside("alpha", value, (0.0, 1.0))


@pytest.mark.parametrize("dtype", FLOATS)
def test_an_edge_rounded_to_the_dtype_is_inside(dtype):
    check_inside("width", jnp.asarray(0.01, dtype), (0.01, 10.0))


def test_an_edge_beyond_the_dtype_is_its_largest_number():
    check_inside("width", jnp.asarray(65504.0, "float16"), (0.01, 1e6))
    check_inside("width", jnp.asarray(jnp.inf, "float16"), (0.01, jnp.inf))
    with pytest.raises(ValueError, match=r"inf is outside \[0.01, 1000000.0\]"):
        check_inside("width", jnp.asarray(jnp.inf, "float16"), (0.01, 1e6))


def test_known_values_alone_are_checked_inside_a_trace():
    @jax.jit
    def f(x):
        check_inside("alpha", x, (0.0, 1.0))
        check_inside("alpha", jnp.float32(0.5), (0.0, 1.0))
        with pytest.raises(ValueError, match="outside"):
            check_inside("alpha", np.float32(2), (0.0, 1.0))
        return x

    f(jnp.array(5.0))


def test_start():
    assert initial_value(0.1, jnp.bfloat16).dtype == jnp.bfloat16
    assert initial_value(np.array([0.1]), jnp.bfloat16).dtype == jnp.result_type(float)
    assert initial_value(jnp.full(2, 0.1, jnp.float16), jnp.float32).dtype == jnp.float16
    assert not initial_value(jnp.full(2, 0.1), jnp.float32).weak_type
    assert not initial_value(0.1, jnp.float32).weak_type


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_clipped_value_has_the_gradient_of_the_value(dtype):
    x = jnp.linspace(-2, 3, 101).astype(dtype)
    clipped, tangent = jax.jvp(lambda x: clip_straight_through(x, (0.0, 1.0)), (x,), (jnp.ones_like(x),))
    np.testing.assert_array_equal(clipped, np.clip(np.asarray(x), 0, 1))
    assert clipped.dtype == x.dtype
    np.testing.assert_array_equal(tangent, 1)
    np.testing.assert_array_equal(jax.vjp(lambda x: clip_straight_through(x, (0.0, 1.0)), x)[1](x)[0], x)


def test_a_clip_may_be_half_open_or_none():
    x = jnp.array([-1.0, 1e9])
    assert clip_straight_through(x, None) is x
    np.testing.assert_array_equal(clip_straight_through(x, (0.0, float("inf"))), [0.0, 1e9])
