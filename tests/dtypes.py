"""The floating dtypes that tests are tried in, float16 where jax can compile it."""

import functools

import jax
import jax.numpy as jnp
import pytest


@functools.cache
def why_no_float16() -> str:
    """The reason, or nothing: jaxlib has no conversion to float16 for x86 processors without AVX."""
    try:
        jax.jit(lambda x: x.astype(jnp.float16))(jnp.ones(2))
    except jax.errors.JaxRuntimeError as error:
        return f"no float16 on this processor: {str(error).splitlines()[0]}"
    return ""


needs_float16 = pytest.mark.skipif(bool(why_no_float16()), reason=why_no_float16())
FLOAT16 = pytest.param(jnp.float16, marks=needs_float16)
HALF = [FLOAT16, jnp.bfloat16]
FLOATS = [*HALF, jnp.float32]
