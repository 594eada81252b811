"""`max_pool` has the values and gradients of flax's, which differentiates by another algorithm."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import brainsurr as bs

SETTINGS = [
    ((8, 12), (2, 2), (2, 2), "VALID"),
    ((9, 7), (3, 2), (2, 1), "SAME"),
    ((9, 8), (3, 3), (2, 2), ((1, 1), (0, 2))),
    ((7, 7), (3, 3), None, "VALID"),
    ((11,), (3,), (2,), "VALID"),
]


@pytest.mark.parametrize(("size", "window", "strides", "padding"), SETTINGS)
@pytest.mark.parametrize("kind", ["spikes", "numbers"])
def test_values_and_gradients_are_those_of_flax(size, window, strides, padding, kind):
    """Of tied spikes the first one gets the gradient. Numbers have no ties. Sums of overlapping windows are rounded."""
    draw = jax.random.bernoulli if kind == "spikes" else jax.random.normal
    xs = draw(jax.random.key(0), shape=(3, *size, 4)).astype(jnp.float32)
    ours, back = jax.vjp(lambda xs: bs.max_pool(xs, window, strides, padding), xs)
    theirs, flax_back = jax.vjp(lambda xs: nnx.max_pool(xs, window, strides, padding), xs)
    np.testing.assert_array_equal(ours, theirs)
    cotangent = jax.random.normal(jax.random.key(1), ours.shape)
    terms = np.prod(window)
    np.testing.assert_allclose(back(cotangent)[0], flax_back(cotangent)[0], rtol=0, atol=terms * 4 * 2**-23)


def test_leading_axes_and_nan():
    xs = jax.random.normal(jax.random.key(0), (2, 3, 4, 4, 1)).at[0, 0, 1, 0].set(jnp.nan)
    ys = bs.max_pool(xs, (2, 2), (2, 2), ((0, 0), (0, 0)))
    assert np.argwhere(np.isnan(ys)).tolist() == [[0, 0, 0, 0, 0]]
    np.testing.assert_array_equal(ys[1, 2], bs.max_pool(xs[1, 2][None], (2, 2), (2, 2))[0])
