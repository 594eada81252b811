"""Numerically stable forms of formulas: for every finite x, their values and derivatives are finite, also in float16.

The textbook form fails for large x: exp overflows, inf / inf and 0 * inf are NaN, and a NaN in the branch that
`jnp.where` does not select still makes the derivative NaN. Each form here equals the textbook form mathematically.
"""

import math

import jax.numpy as jnp


def fill(value, x):
    """Expand a parameter to the shape, dtype and sharding of x. `jnp.where` of two numbers would give float32."""
    return jnp.asarray(value, x.dtype) + jnp.zeros_like(x)


def odd(x, half):
    """Return 1/2 + h for x >= 0 and 1/2 - h for x < 0, where `half` is h(|x|): the primitive of an even gradient."""
    return 0.5 + jnp.where(x < 0, -half, half)


def tails(x, tail):
    """Return 1 - t for x >= 0 and t for x < 0, where t = `tail` at |x|: `odd` for an area of 1, exact far below 0."""
    return jnp.where(x < 0, tail, 1 - tail)


def ratio(m):
    """Return (q, p), both in [0, 1], with m = q / p, for m >= 0. Then 1 + m = (p + q) / p does not overflow."""
    large = m > 1
    return jnp.where(large, jnp.ones_like(m), m), 1 / jnp.where(large, m, jnp.ones_like(m))


def log_linear(m, slope):
    """Return log(1 + slope * m) for m >= 0, accurate for a small slope too."""
    large = (m > 1) & (slope * m > 1)
    small_m, large_m = jnp.where(large, jnp.zeros_like(m), m), jnp.where(large, m, jnp.ones_like(m))
    return jnp.where(large, jnp.log(1 / large_m + slope) + jnp.log(large_m), jnp.log1p(slope * small_m))


def bounded(z):
    """Clip z to [-30, 30]. Beyond, exp(-z^2) is 0 and |erf| is 1 in every dtype, and 0 * inf would be NaN."""
    return jnp.where(jnp.abs(z) < 30, z, jnp.where(z < 0, fill(-30, z), fill(30, z)))


def growth(length, rate):
    """Return (exp(rate * length) - 1) / rate for length >= 0. At rate 0, it is the length, with its derivative."""
    t = rate * length
    near = ~(jnp.abs(t) > 0.1)  # also where t is 0 * inf
    t_near = jnp.where(jnp.abs(t) <= 0.1, t, jnp.zeros_like(t))
    series = jnp.ones_like(t)
    for k in range(9, 1, -1):
        series = 1 + t_near * series / k
    t_far = jnp.where(near, jnp.ones_like(t), t)
    return jnp.where(near, length * series, jnp.expm1(t_far) / jnp.where(near, jnp.ones_like(t), rate))


SQRT_2 = math.sqrt(2)
SQRT_PI = math.sqrt(math.pi)
